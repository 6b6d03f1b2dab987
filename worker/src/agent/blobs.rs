//! Initial weights by their digest, each fetched once a worker.

use std::collections::HashMap;
use std::sync::Arc;

use engine::network::{InitialWeights, WeightsDigest, WeightsError};
use proto::limits::MAX_BLOB_BYTES;
use proto::{Assembler, AssemblyError, v1};

use super::backoff::Backoff;
use super::session::{Client, describe, is_final};

/// How often to try before the tasks that need the blob are given back.
const TRIES: u32 = 4;

/// Why a blob is not there.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum BlobError {
    /// It could not be had: another worker may have more luck.
    #[error("the initial weights {digest} could not be fetched: {reason}")]
    Unavailable {
        /// Which.
        digest: WeightsDigest,
        /// Why.
        reason: String,
    },
    /// It is there, and it is no weights.
    #[error("the initial weights {digest} cannot be used: {error}")]
    Unusable {
        /// Which.
        digest: WeightsDigest,
        /// Why.
        error: WeightsError,
    },
}

/// The blobs that were fetched.
#[derive(Debug, Default)]
pub(super) struct Blobs(HashMap<WeightsDigest, Result<Arc<InitialWeights>, BlobError>>);

impl Blobs {
    /// A blob, from the coordinator if it is not here yet. Content decides: what it says once of usable or not is so
    /// for ever; that it could not be had is not remembered.
    pub(super) async fn get(
        &mut self,
        client: &Client,
        digest: WeightsDigest,
        backoff: Backoff,
    ) -> Result<Arc<InitialWeights>, BlobError> {
        if let Some(known) = self.0.get(&digest) {
            return known.clone();
        }
        let content = fetch(client, digest, backoff).await?;
        let weights =
            InitialWeights::parse(&content).map(Arc::new).map_err(|error| BlobError::Unusable { digest, error });
        self.0.insert(digest, weights.clone());
        weights
    }
}

async fn fetch(client: &Client, digest: WeightsDigest, backoff: Backoff) -> Result<bytes::Bytes, BlobError> {
    let mut waits = backoff.waits();
    let mut tries = 1;
    loop {
        let reason = match fetch_once(client, digest).await {
            Ok(content) if WeightsDigest::of(&content) == digest => return Ok(content),
            Ok(content) => format!("what arrived has the digest {}", WeightsDigest::of(&content)),
            Err(FetchError::Status(status)) if status.code() == tonic::Code::NotFound || is_final(&status) => {
                return Err(BlobError::Unavailable { digest, reason: status.message().to_owned() });
            }
            Err(error) => error.to_string(),
        };
        if tries == TRIES {
            return Err(BlobError::Unavailable { digest, reason });
        }
        tries += 1;
        tokio::time::sleep(waits.next()).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{}", describe(.0))]
    Status(#[from] tonic::Status),
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
}

async fn fetch_once(client: &Client, digest: WeightsDigest) -> Result<bytes::Bytes, FetchError> {
    let request = v1::GetBlobRequest { digest: digest.to_string() };
    let mut pieces = client.clone().get_blob(request).await?.into_inner();
    let mut assembler = Assembler::new(MAX_BLOB_BYTES);
    while let Some(message) = pieces.message().await? {
        assembler.push(message.piece)?;
    }
    Ok(assembler.finish())
}
