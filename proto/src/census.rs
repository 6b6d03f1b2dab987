//! What decoding a message would take, counted before anything is allocated for it.
//!
//! An item of a list may be two bytes on the wire and hundreds in memory, so that the length of a message says little of
//! what it costs whoever decodes it. A [`Layout`] says which of a message's fields are such lists; what is not in it is
//! no larger decoded than encoded.

use crate::limits::{MAX_BATCH_REPORTS, MAX_EPOCHS, MAX_GRANT_TASKS, MAX_HELD, MAX_OVERRIDES, MAX_SAMPLES};
use crate::v1;

/// For how many items a list of so many has room: it grows by doubling, from four on.
const fn room(items: usize) -> usize {
    match items {
        0 => 0,
        1 | 2 => 4,
        more => 2 * more,
    }
}

/// A message, as far as it grows by being decoded.
#[derive(Debug)]
pub struct Layout {
    /// How many bytes the decoded message takes, without what it points to.
    size: usize,
    parts: &'static [Part],
}

/// A field that grows, or in which something does.
#[derive(Debug)]
struct Part {
    number: u64,
    name: &'static str,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A message of its own.
    One(&'static Layout),
    /// A list of messages, strings or bytes.
    Items { layout: &'static Layout, limit: usize },
    /// A list of integers, which are shorter on the wire the smaller they are.
    Integers { size: usize, limit: usize },
}

/// A message that has to be refused before it is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// A list is longer than anything that this protocol sends.
    #[error("{field} has more than {limit} items")]
    TooMany {
        /// The list.
        field: &'static str,
        /// The limit.
        limit: usize,
    },
    /// All lists together are larger than anything that this protocol sends.
    #[error("its lists would take {bytes} bytes, beyond the limit of {limit}")]
    TooLarge {
        /// How many bytes they would take.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// There are groups in it, which this protocol has never had and whose end would have to be looked for.
    #[error("it has a group")]
    Group,
}

impl From<Excess> for tonic::Status {
    fn from(excess: Excess) -> tonic::Status {
        tonic::Status::out_of_range(format!("the message is refused: {excess}"))
    }
}

/// A message whose layout is known.
pub trait Counted {
    /// Its layout.
    const LAYOUT: &'static Layout;
}

impl Layout {
    const fn of<T>(parts: &'static [Part]) -> Layout {
        Layout { size: size_of::<T>(), parts }
    }

    /// How many bytes the lists of an encoded message take when it is decoded. What is no encoded message is counted as far
    /// as it can be read, which is as far as decoding it would come.
    ///
    /// # Errors
    /// If a list is too long.
    pub fn count(&self, encoded: &[u8]) -> Result<usize, Excess> {
        // Nothing in it grows; and it may be no message at all, but text or bytes.
        if self.parts.is_empty() {
            return Ok(0);
        }
        let mut bytes = 0;
        let mut lengths = [0_usize; 8];
        debug_assert!(self.parts.len() <= lengths.len(), "every part has its count");
        for field in Fields(encoded) {
            let Field { number, content } = field?;
            let Some(place) = self.parts.iter().position(|part| part.number == number) else { continue };
            let Part { name, kind, .. } = &self.parts[place];
            let (items, size, limit) = match (kind, content) {
                (Kind::One(layout), Content::Bytes(content)) => {
                    bytes += layout.count(content)?;
                    continue;
                }
                (Kind::Items { layout, limit }, Content::Bytes(content)) => {
                    bytes += layout.count(content)?;
                    (1, layout.size, *limit)
                }
                (Kind::Integers { size, limit }, Content::Bytes(packed)) => {
                    (packed.iter().filter(|byte| **byte < 0x80).count(), *size, *limit)
                }
                (Kind::Integers { size, limit }, Content::Number) => (1, *size, *limit),
                // Decoding ends here.
                (Kind::One(_) | Kind::Items { .. }, Content::Number) => continue,
            };
            let before = lengths[place];
            lengths[place] += items;
            if lengths[place] > limit {
                return Err(Excess::TooMany { field: name, limit });
            }
            bytes += (room(lengths[place]) - room(before)) * size;
        }
        Ok(bytes)
    }
}

/// A field as it is encoded.
struct Field<'a> {
    number: u64,
    content: Content<'a>,
}

enum Content<'a> {
    Number,
    Bytes(&'a [u8]),
}

/// The fields of an encoded message, up to its end or to where it cannot be read on.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn bytes(&mut self, length: u64) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Excess>;

    fn next(&mut self) -> Option<Result<Field<'a>, Excess>> {
        let key = self.varint()?;
        let content = match key & 7 {
            0 => self.varint().map(|_| Content::Number)?,
            1 => self.bytes(8).map(|_| Content::Number)?,
            2 => {
                let length = self.varint()?;
                Content::Bytes(self.bytes(length)?)
            }
            3 | 4 => return Some(Err(Excess::Group)),
            5 => self.bytes(4).map(|_| Content::Number)?,
            _ => return None,
        };
        Some(Ok(Field { number: key >> 3, content }))
    }
}

const fn one(number: u64, name: &'static str, layout: &'static Layout) -> Part {
    Part { number, name, kind: Kind::One(layout) }
}

const fn items(number: u64, name: &'static str, layout: &'static Layout, limit: usize) -> Part {
    Part { number, name, kind: Kind::Items { layout, limit } }
}

const fn integers(number: u64, name: &'static str, size: usize, limit: usize) -> Part {
    Part { number, name, kind: Kind::Integers { size, limit } }
}

const SAMPLES: Layout = Layout::of::<v1::Samples>(&[]);
const CURVES: Layout = Layout::of::<v1::Curves>(&[integers(1, "epoch", size_of::<u32>(), MAX_EPOCHS)]);
const FINISHED: Layout =
    Layout::of::<v1::Finished>(&[one(5, "curves", &CURVES), items(7, "samples", &SAMPLES, MAX_SAMPLES)]);
const REPORT: Layout = Layout::of::<v1::Report>(&[one(3, "finished", &FINISHED)]);
const RUN_ID: Layout = Layout::of::<bytes::Bytes>(&[]);

/// Of values that are lists the items are not counted: only the coordinator sends them, and workers believe it.
const OVERRIDE: Layout = Layout::of::<v1::Override>(&[]);
const TASK: Layout = Layout::of::<v1::Task>(&[items(3, "overrides", &OVERRIDE, MAX_OVERRIDES)]);

/// Says the layout of each message that is sent on its own.
macro_rules! layouts {
    ($($message:ident: [$($part:expr),*];)*) => {
        $(impl Counted for v1::$message {
            const LAYOUT: &'static Layout = &Layout::of::<v1::$message>(&[$($part),*]);
        })*
    };
}

layouts! {
    JoinRequest: [];
    JoinResponse: [];
    LeaseTasksRequest: [];
    LeaseTasksResponse: [items(2, "base", &OVERRIDE, MAX_OVERRIDES), items(3, "tasks", &TASK, MAX_GRANT_TASKS)];
    HeartbeatRequest: [items(2, "held", &Layout::of::<v1::Held>(&[]), MAX_HELD)];
    HeartbeatResponse: [items(1, "cancel", &RUN_ID, MAX_HELD)];
    ReportResultsRequest: [];
    ResultBatch: [items(2, "reports", &REPORT, MAX_BATCH_REPORTS)];
    ReportResultsResponse: [items(1, "acknowledgements", &Layout::of::<v1::Acknowledgement>(&[]), MAX_BATCH_REPORTS)];
    LeaveRequest: [];
    LeaveResponse: [];
    GetProgressRequest: [];
    GetProgressResponse: [];
    GetBlobRequest: [];
    GetBlobResponse: [];
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    fn batch(reports: Vec<v1::Report>) -> Vec<u8> {
        v1::ResultBatch { worker_id: 7, reports }.encode_to_vec()
    }

    fn finished(samples: usize, epochs: u32) -> v1::Report {
        let curves = v1::Curves { epoch: (0..epochs).collect(), ..v1::Curves::default() };
        let samples = vec![v1::Samples::default(); samples];
        let finished = v1::Finished { curves: Some(curves), samples, ..v1::Finished::default() };
        v1::Report { outcome: Some(v1::report::Outcome::Finished(finished)), ..v1::Report::default() }
    }

    #[test]
    fn lists_are_counted_wherever_they_are() {
        let count = |reports| <v1::ResultBatch as Counted>::LAYOUT.count(&batch(reports)).unwrap();
        let (report, samples) = (size_of::<v1::Report>(), size_of::<v1::Samples>());
        assert_eq!(count(vec![]), 0);
        assert_eq!(count(vec![v1::Report::default(); 3]), 6 * report);
        assert_eq!(count(vec![finished(2, 300); 2]), 4 * report + 2 * (4 * samples + 600 * 4));
    }

    #[test]
    fn integers_that_are_not_packed_are_counted_too() {
        let packed = v1::Curves { epoch: vec![1, 200, 70_000], ..v1::Curves::default() }.encode_to_vec();
        let apart = [0x08, 1, 0x08, 0xc8, 0x01, 0x08, 0xf0, 0xa2, 0x04];
        assert_eq!(v1::Curves::decode(&apart[..]), v1::Curves::decode(&*packed));
        assert_eq!((CURVES.count(&apart), CURVES.count(&packed)), (Ok(6 * 4), Ok(6 * 4)));
    }

    #[test]
    fn what_is_too_long_is_refused_by_its_name() {
        let held = |count| {
            let request = v1::HeartbeatRequest { held: vec![v1::Held::default(); count], ..Default::default() };
            <v1::HeartbeatRequest as Counted>::LAYOUT.count(&request.encode_to_vec())
        };
        assert!(held(MAX_HELD).is_ok());
        let excess = Excess::TooMany { field: "held", limit: MAX_HELD };
        assert_eq!(held(MAX_HELD + 1), Err(excess));
        let status = tonic::Status::from(excess);
        assert_eq!(status.code(), tonic::Code::OutOfRange);
        assert_eq!(status.message(), format!("the message is refused: held has more than {MAX_HELD} items"));
    }

    #[test]
    fn bytes_are_not_taken_for_messages() {
        // The key of a group.
        let cancel = vec![bytes::Bytes::from_static(&[0x13; 16]); 2];
        let response = v1::HeartbeatResponse { cancel, ..Default::default() };
        let counted = <v1::HeartbeatResponse as Counted>::LAYOUT.count(&response.encode_to_vec());
        assert_eq!(counted, Ok(4 * size_of::<bytes::Bytes>()));
    }

    #[test]
    fn what_is_no_message_is_read_as_far_as_it_goes() {
        let layout = <v1::ResultBatch as Counted>::LAYOUT;
        let whole = batch(vec![finished(5, 5); 5]);
        for end in 0..whole.len() {
            assert!(layout.count(&whole[..end]).is_ok());
        }
        assert_eq!(layout.count(&[0xff; 64]), Ok(0));
        assert_eq!(layout.count(&[0x13, 0x14]), Err(Excess::Group));
    }
}
