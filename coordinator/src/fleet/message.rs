//! What the handlers say to the driver. One message a call, however many tasks it is about.

use engine::RunId;
use engine::record::RunOutput;
use proto::{Failure, Verdict};
use sweep::ledger::{Directives, Lease, TooManyWorkers, UnknownWorker, WorkerId, WorkerInfo};
use tokio::sync::{mpsc, oneshot};

/// A call that waits for an answer.
#[derive(Debug)]
pub(super) enum Message {
    Join {
        info: WorkerInfo,
        reply: oneshot::Sender<Result<WorkerId, TooManyWorkers>>,
    },
    Lease {
        worker: WorkerId,
        max: usize,
        reply: oneshot::Sender<LeaseReply>,
    },
    Heartbeat {
        worker: WorkerId,
        held: Vec<(RunId, u32)>,
        reply: oneshot::Sender<Result<Directives, UnknownWorker>>,
    },
    /// Which tasks of the plan these are; `None` for none.
    Locate {
        run_ids: Vec<RunId>,
        reply: oneshot::Sender<Vec<Option<u64>>>,
    },
    Report {
        worker: WorkerId,
        reports: Vec<Delivered>,
        /// Roughly how much there will be to store.
        bytes: usize,
        /// One verdict for each report; sent when all of them are durable.
        reply: oneshot::Sender<Vec<Verdict>>,
    },
}

/// What needs no answer and must not wait for room in the inbox.
#[derive(Debug)]
pub(super) enum Control {
    Drain,
    /// A grant never left the coordinator.
    Undelivered {
        worker: WorkerId,
        leases: Vec<Lease>,
    },
}

/// One report, checked and hashed by the handler.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) run_id: RunId,
    pub(super) attempt: u32,
    pub(super) content: Content,
}

/// What a report says.
#[derive(Debug)]
pub(super) enum Content {
    Result {
        output: RunOutput,
        fingerprint: u64,
    },
    Failure(Failure),
    /// Something that no worker should say.
    Invalid(String),
}

/// The answer to a call for leases, which may be a while in coming.
#[derive(Debug)]
pub(super) enum LeaseReply {
    Granted(Parcel),
    Finished,
    Unknown(UnknownWorker),
}

/// Leases on their way to the handler. If the handler is gone (its client hung up), they return by themselves.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) worker: WorkerId,
    pub(super) leases: Vec<Lease>,
    pub(super) returns: mpsc::UnboundedSender<Control>,
}

impl Parcel {
    /// The leases, which do not return any more.
    pub(super) fn open(mut self) -> Vec<Lease> {
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
