//! Workers and the leases they hold.

use std::collections::BTreeMap;
use std::fmt;

use super::task::Slot;
use super::time::Millis;

/// Names a worker from its joining to its end. Never given out twice, not even by a later coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a worker introduced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// The machine's name.
    pub host: String,
    /// The worker's name on the machine.
    pub name: String,
    /// How many tasks it runs at a time.
    pub slots: u32,
}

impl fmt::Display for WorkerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.name, self.host)
    }
}

/// The ledger has no such worker: it was lost, or another coordinator's. It is to join again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("worker {0} is not known here: join again")]
pub struct UnknownWorker(pub WorkerId);

/// There are as many workers as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {limit} workers already, and no more are admitted")]
pub struct TooManyWorkers {
    /// As many as there may be.
    pub limit: usize,
}

/// A worker that has joined and was heard of since.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) info: WorkerInfo,
    /// When it counts as lost, unless a heartbeat comes.
    pub(super) deadline: Millis,
    /// How many heartbeats came.
    pub(super) beats: u64,
    /// Ordered, so that everything that follows from a loss is the same in every replay.
    pub(super) leases: BTreeMap<Slot, Held>,
}

/// The ledger's side of a lease.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) granted: Millis,
    /// Which attempt at the task it is.
    pub(super) attempt: u32,
    /// The worker held it before there was a lease of this ledger: it may be an earlier coordinator's.
    pub(super) adopted: bool,
    /// The number of the last heartbeat that listed the lease, or did not have to.
    pub(super) confirmed: u64,
}
