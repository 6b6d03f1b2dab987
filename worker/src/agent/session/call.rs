//! What a session asks the coordinator, and what it hears.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::network::{InitialWeights, WeightsDigest, WeightsError};
use proto::{Acknowledgement, Heartbeat, Hello, Lease, Orders, Welcome};

/// A call to the coordinator.
#[derive(Clone, Debug)]
pub struct Call {
    /// What its answer is to be told by.
    pub number: u64,
    /// What is asked.
    pub request: Request,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Request {
    /// To be admitted.
    Join(Hello),
    /// For tasks.
    Lease {
        /// The worker's id.
        worker_id: u64,
        /// How many tasks there is room for.
        max_tasks: usize,
        /// How long the coordinator may wait for tasks.
        wait: Duration,
    },
    /// To keep leases alive.
    Heartbeat(Heartbeat),
    /// To make reports durable.
    Report {
        /// The worker's id.
        worker_id: u64,
        /// Encoded reports, see [`proto::encode_report`].
        reports: Vec<Bytes>,
    },
    /// To be forgotten.
    Leave {
        /// The worker's id.
        worker_id: u64,
    },
    /// For a blob.
    Blob(WeightsDigest),
}

/// What the coordinator answers, each to its own request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To [`Request::Join`].
    Joined(Welcome),
    /// To [`Request::Lease`].
    Leased(Lease),
    /// To [`Request::Heartbeat`].
    Ordered(Orders),
    /// To [`Request::Report`]: one for each report, in order; `None` for one that cannot be read.
    Acknowledged(Vec<Option<Acknowledgement>>),
    /// To [`Request::Leave`].
    Left,
    /// To [`Request::Blob`]: what it says, if it has the right digest.
    Blob(Result<Arc<InitialWeights>, WeightsError>),
}
