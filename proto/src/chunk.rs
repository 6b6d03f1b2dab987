//! Large messages as streams of pieces, and back.

use bytes::{Bytes, BytesMut};
use prost::Message;

use crate::census::{Counted, Excess};
use crate::convert::Report;
use crate::limits::{MAX_BATCH_LISTS_BYTES, MAX_PIECE_BYTES};
use crate::v1::ResultBatch;

/// Cuts content into consecutive pieces of at most [`MAX_PIECE_BYTES`]; at least one, so that nothing is a message too.
/// Nothing is copied.
pub fn pieces(mut content: Bytes) -> impl Iterator<Item = Bytes> + Send + 'static {
    let mut first = true;
    std::iter::from_fn(move || {
        if content.is_empty() && !first {
            return None;
        }
        first = false;
        Some(content.split_to(content.len().min(MAX_PIECE_BYTES)))
    })
}

/// Encodes a result batch; to be sent as [`pieces`].
pub fn encode_batch(batch: &ResultBatch) -> Bytes {
    Bytes::from(batch.encode_to_vec())
}

/// One report, encoded once as the part of a [`ResultBatch`] that it will be, however often it is sent and by whatever
/// id the worker goes by then.
pub fn encode_report(report: &Report) -> Bytes {
    // Concatenated messages are one message, whose repeated fields are the concatenation of theirs.
    encode_batch(&ResultBatch { worker_id: 0, reports: vec![report.into()] })
}

/// The encoded batch of a worker's reports, each from [`encode_report`].
pub fn join_reports<'a>(worker_id: u64, reports: impl IntoIterator<Item = &'a Bytes> + Clone) -> Bytes {
    let head = ResultBatch { worker_id, reports: Vec::new() };
    let length = reports.clone().into_iter().map(Bytes::len).sum::<usize>() + head.encoded_len();
    let mut batch = Vec::with_capacity(length);
    batch.extend_from_slice(&head.encode_to_vec());
    for report in reports {
        batch.extend_from_slice(report);
    }
    Bytes::from(batch)
}

/// How much longer a batch is than its encoded reports, at most.
pub const BATCH_OVERHEAD_BYTES: usize = 16;

/// Why pieces do not make a whole.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AssemblyError {
    /// There is more than was agreed on.
    #[error("{bytes} bytes and more, beyond the limit of {limit}")]
    TooLarge {
        /// How many bytes there were when the limit was passed.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Decoded it would take more than was agreed on.
    #[error("the batch is refused: {0}")]
    Excess(#[from] Excess),
    /// The whole is no encoded message.
    #[error("not an encoded message: {0}")]
    Malformed(#[from] prost::DecodeError),
}

impl From<AssemblyError> for tonic::Status {
    /// All of these are the message's fault. Not `RESOURCE_EXHAUSTED`, by which servers and proxies say that they have too
    /// much to do at the moment.
    fn from(error: AssemblyError) -> tonic::Status {
        match error {
            AssemblyError::TooLarge { .. } | AssemblyError::Excess(_) => tonic::Status::out_of_range(error.to_string()),
            AssemblyError::Malformed(_) => tonic::Status::invalid_argument(error.to_string()),
        }
    }
}

/// Puts pieces together again, up to a limit.
#[derive(Debug)]
pub struct Assembler {
    limit: usize,
    // The usual batch is one piece: it is kept as it came and decoded in place.
    single: Bytes,
    gathered: BytesMut,
}

impl Assembler {
    /// An assembler of at most `limit` bytes.
    pub fn new(limit: usize) -> Assembler {
        Assembler { limit, single: Bytes::new(), gathered: BytesMut::new() }
    }

    /// How many bytes there are so far.
    pub fn len(&self) -> usize {
        self.single.len() + self.gathered.len()
    }

    /// Whether there is nothing yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the next piece.
    ///
    /// # Errors
    /// If the whole would pass the limit; the piece is dropped then.
    pub fn push(&mut self, piece: Bytes) -> Result<(), AssemblyError> {
        let bytes = self.len() + piece.len();
        if bytes > self.limit {
            return Err(AssemblyError::TooLarge { bytes, limit: self.limit });
        }
        if self.is_empty() {
            self.single = piece;
        } else {
            self.gathered.extend_from_slice(&std::mem::take(&mut self.single));
            self.gathered.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// The whole.
    pub fn finish(self) -> Bytes {
        if self.gathered.is_empty() { self.single } else { self.gathered.freeze() }
    }

    /// The whole as an encoded result batch that may be decoded.
    ///
    /// # Errors
    /// If decoding it would take too much.
    pub fn finish_encoded(self) -> Result<EncodedBatch, AssemblyError> {
        let encoded = self.finish();
        let lists_bytes = ResultBatch::LAYOUT.count(&encoded)?;
        if lists_bytes > MAX_BATCH_LISTS_BYTES {
            return Err(Excess::TooLarge { bytes: lists_bytes, limit: MAX_BATCH_LISTS_BYTES }.into());
        }
        Ok(EncodedBatch { encoded, lists_bytes })
    }

    /// The whole as a result batch, whose reports are yet to be converted, each on its own.
    ///
    /// # Errors
    /// If it is none, or decoding it would take too much.
    pub fn finish_batch(self) -> Result<ResultBatch, AssemblyError> {
        self.finish_encoded()?.decode()
    }
}

/// A result batch of which is known what decoding it takes.
#[derive(Clone, Debug)]
pub struct EncodedBatch {
    encoded: Bytes,
    lists_bytes: usize,
}

impl EncodedBatch {
    /// How long it is, in bytes.
    pub fn len(&self) -> usize {
        self.encoded.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// How many bytes it takes beyond its length when it is decoded, at most.
    pub fn lists_bytes(&self) -> usize {
        self.lists_bytes
    }

    /// The batch, whose reports are yet to be converted, each on its own.
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(self) -> Result<ResultBatch, AssemblyError> {
        Ok(ResultBatch::decode(self.encoded)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_whole_again() {
        for length in [0, 1, MAX_PIECE_BYTES, MAX_PIECE_BYTES + 1, 3 * MAX_PIECE_BYTES + 7] {
            let content: Bytes = (0..length).map(|index| (index % 251) as u8).collect();
            let pieces: Vec<Bytes> = pieces(content.clone()).collect();
            assert_eq!(pieces.len(), length.div_ceil(MAX_PIECE_BYTES).max(1));
            let mut assembler = Assembler::new(length);
            for piece in pieces {
                assert!(piece.len() <= MAX_PIECE_BYTES);
                assembler.push(piece).unwrap();
            }
            assert_eq!(assembler.finish(), content);
        }
    }

    #[test]
    fn reports_that_were_encoded_apart_are_a_batch() {
        use crate::convert::{Failure, Outcome, Reason};
        let report = |attempt| Report {
            run_id: engine::RunId([3; 16]),
            attempt,
            outcome: Outcome::Failed(Failure {
                reason: Reason::Panic,
                message: "no".into(),
                provenance: engine::record::Provenance { attempt, ..Default::default() },
            }),
        };
        let encoded = [encode_report(&report(1)), encode_report(&report(2))];
        let joined = join_reports(u64::MAX, &encoded);
        assert!(joined.len() <= encoded.iter().map(Bytes::len).sum::<usize>() + BATCH_OVERHEAD_BYTES);
        let batch = ResultBatch::decode(joined).unwrap();
        let whole = ResultBatch { worker_id: u64::MAX, reports: vec![(&report(1)).into(), (&report(2)).into()] };
        assert_eq!(batch, whole);
    }

    #[test]
    fn the_limit_holds() {
        let mut assembler = Assembler::new(3);
        assembler.push(Bytes::from_static(b"ab")).unwrap();
        let error = assembler.push(Bytes::from_static(b"cd")).unwrap_err();
        assert_eq!(error, AssemblyError::TooLarge { bytes: 4, limit: 3 });
        assert_eq!(assembler.finish(), Bytes::from_static(b"ab"));
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        let mut assembler = Assembler::new(8);
        assembler.push(Bytes::from_static(&[0xff; 4])).unwrap();
        assert!(matches!(assembler.finish_batch(), Err(AssemblyError::Malformed(_))));
    }

    #[test]
    fn what_is_too_large_is_the_batchs_fault_and_not_the_servers_load() {
        let status = tonic::Status::from(AssemblyError::TooLarge { bytes: 4, limit: 3 });
        assert_eq!(status.code(), tonic::Code::OutOfRange);
    }
}
