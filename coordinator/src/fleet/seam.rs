//! What the fleet needs from the rest of the coordinator.

use std::error::Error;
use std::future::Future;

use bytes::Bytes;
use engine::record::Record;
use engine::{Preset, RunRecord, Value};
use results::Handover;

use super::shape::Shape;

/// Durable storage for what runs leave behind.
pub trait Sink: Send + 'static {
    /// Stores records. They are durable when this returns `Ok`; after an error none, some or all of them may be, and
    /// storing them again does no harm.
    fn append(&mut self, records: Vec<RunRecord>) -> impl Future<Output = Result<(), SinkError>> + Send;

    /// Leaves this to a later coordinator ([`FleetOptions::handover`](super::FleetOptions::handover)), in the place of what
    /// was left before. A sink that does not outlive this one need not.
    fn hand_over(&mut self, handover: Handover) -> impl Future<Output = Result<(), SinkError>> + Send {
        let _ = handover;
        std::future::ready(Ok(()))
    }
}

/// Records could not be stored.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct SinkError {
    #[source]
    error: Box<dyn Error + Send + Sync>,
    transient: bool,
}

impl SinkError {
    /// Whatever the storage says; it will say so again.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> SinkError {
        SinkError { error: error.into(), transient: false }
    }

    /// Whatever the storage says of a condition that may pass, such as a full disk.
    pub fn transient(error: impl Into<Box<dyn Error + Send + Sync>>) -> SinkError {
        SinkError { error: error.into(), transient: true }
    }

    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        self.transient
    }
}

/// What a task's index in the plan stands for. Called from many threads, once or twice a task: it has to be quick.
pub trait TaskSource: Send + Sync + 'static {
    /// The preset of every task, and what every task sets over it.
    fn base(&self) -> (Preset, Vec<(String, Value)>);

    /// What to keep of each run.
    fn record(&self) -> Record;

    /// The seed of a task.
    fn seed(&self, index: u64) -> u64;

    /// What a task sets over the base.
    fn overrides(&self, index: u64) -> Vec<(String, Value)>;

    /// Which tasks a task's duration is compared with: those of the same arm.
    fn arm(&self, index: u64) -> u32 {
        let _ = index;
        0
    }

    /// A task's complete config as JSON.
    fn config_json(&self, index: u64) -> String;

    /// How much a task's run leaves behind.
    fn shape(&self, index: u64) -> Shape;

    /// The content of a blob that a task's config names by its digest.
    fn blob(&self, digest: &str) -> Option<Bytes>;
}
