//! What the handlers say to the driver. One message a call, however many tasks it is about.

use engine::RunId;
use engine::record::RunOutput;
use proto::{Failure, Held, Verdict};
use sweep::ledger::{Directives, Lease, TooManyWorkers, UnknownWorker, WorkerId, WorkerInfo};
use tokio::sync::{mpsc, oneshot};

/// A call that waits for an answer.
#[derive(Debug)]
pub enum Message {
    /// A worker wants to be admitted.
    Join {
        /// How it introduces itself.
        info: WorkerInfo,
        /// It is a process of its own, and outlives this one.
        remote: bool,
        /// Its id.
        reply: oneshot::Sender<Result<WorkerId, TooManyWorkers>>,
    },
    /// A worker asks for tasks.
    Lease {
        /// Who asks.
        worker: WorkerId,
        /// How many it has room for.
        max: usize,
        /// What it gets, when there is something.
        reply: oneshot::Sender<LeaseReply>,
    },
    /// A worker says that it lives.
    Heartbeat {
        /// Who.
        worker: WorkerId,
        /// What it holds, and how far that is.
        held: Vec<Held>,
        /// Its orders.
        reply: oneshot::Sender<Result<Directives, UnknownWorker>>,
    },
    /// A worker goes.
    Leave {
        /// Who.
        worker: WorkerId,
        /// Whether it was there.
        reply: oneshot::Sender<Result<(), UnknownWorker>>,
    },
    /// Which tasks of the plan these are; `None` for none.
    Locate {
        /// Of which runs.
        run_ids: Vec<RunId>,
        /// Their indices.
        reply: oneshot::Sender<Vec<Option<u64>>>,
    },
    /// A worker says what became of tasks.
    Report {
        /// Who.
        worker: WorkerId,
        /// What became of them.
        reports: Vec<Delivered>,
        /// Roughly how much there will be to store.
        bytes: usize,
        /// One verdict for each report; sent when all of them are durable.
        reply: oneshot::Sender<Vec<Verdict>>,
    },
}

/// What needs no answer and must not wait for room in the inbox.
#[derive(Debug)]
pub enum Control {
    /// Begin no more tasks.
    Drain,
    /// A grant never left the coordinator.
    Undelivered {
        /// For whom it was.
        worker: WorkerId,
        /// What it was of.
        leases: Vec<Lease>,
    },
}

/// One report, checked and hashed by the handler.
#[derive(Debug)]
pub struct Delivered {
    /// The task.
    pub run_id: RunId,
    /// The attempt at it.
    pub attempt: u32,
    /// What became of it.
    pub content: Content,
}

/// What a report says.
#[derive(Debug)]
pub enum Content {
    /// A result.
    Result {
        /// The result.
        output: RunOutput,
        /// The digest of its numbers, see [`fingerprint`](super::fingerprint()).
        fingerprint: u64,
    },
    /// No result.
    Failure(Failure),
    /// A result that lacks some of what is recorded.
    Incomplete(String),
    /// Something that no worker should say.
    Invalid(String),
}

/// The answer to a call for leases, which may be a while in coming.
#[derive(Debug)]
pub enum LeaseReply {
    /// Some tasks.
    Granted(Parcel),
    /// There will be no more: the sweep is over.
    Finished,
    /// There will be no more from this coordinator.
    Draining,
    /// The worker is to join again.
    Unknown(UnknownWorker),
}

/// Leases on their way to the handler. If the handler is gone (its client hung up), they return by themselves.
#[derive(Debug)]
pub struct Parcel {
    pub(super) worker: WorkerId,
    pub(super) leases: Vec<Lease>,
    pub(super) returns: mpsc::UnboundedSender<Control>,
}

impl Parcel {
    /// The leases, which do not return any more.
    pub fn open(mut self) -> Vec<Lease> {
        std::mem::take(&mut self.leases)
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if !self.leases.is_empty() {
            let leases = std::mem::take(&mut self.leases);
            // If the driver is gone, so is its ledger.
            let _ = self.returns.send(Control::Undelivered { worker: self.worker, leases });
        }
    }
}
