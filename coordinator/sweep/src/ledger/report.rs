//! What workers report, and what becomes of it.

use engine::{RunId, Status};

use super::event::Event;
use super::task::{Finish, Phase, Slot};
use super::time::Millis;
use super::worker::WorkerId;
use super::{Ledger, Place};
use crate::Task;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reported {
    /// In a result.
    Finished(Finish),
    /// Without one.
    Failed {
        /// The kind of failure, which decides what follows.
        reason: FailureReason,
        /// What happened, for people.
        message: String,
    },
}

/// Why an attempt had no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// The engine panicked. It would again: the task is given up.
    Panic,
    /// The config cannot run: the task is given up.
    Refused,
    /// Something was missing. The attempt counts, and the task is tried again.
    Unavailable,
    /// The worker did not want to. The attempt does not count, and the task is tried again.
    HandedBack,
    /// The attempt took too long. It counts, and the task is tried again.
    TimedOut,
    /// The result lacks some of what is recorded. The attempt counts, and the task is tried again; unless it began for an
    /// earlier coordinator, which may have recorded less.
    Incomplete,
}

/// Stands for one record on its way to durable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    slot: Slot,
    task: Task,
    serial: u64,
}

impl Receipt {
    pub(super) fn new(slot: Slot, task: Task, serial: u64) -> Receipt {
        Receipt { slot, task, serial }
    }

    /// Whose record it is.
    pub fn task(&self) -> Task {
        self.task
    }
}

/// The answer to a report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// The first result: store it, tell [`Ledger::stored`], then acknowledge it.
    Store(Receipt),
    /// The task is given up: store a record of its failure, tell [`Ledger::stored`], then acknowledge the report.
    GiveUp {
        /// What is to be stored.
        receipt: Receipt,
        /// Why, for people.
        message: String,
    },
    /// A record of the task is on its way to storage already: acknowledge this report when that one is durable.
    Wait,
    /// The task's result is durable, and this is the same one.
    Duplicate,
    /// The task has a result that differs from this one: equal ids did not mean equal numbers. The first one stays.
    Conflict,
    /// The task waits for its next attempt, or another worker has the lease.
    Retry,
    /// A failure that changes nothing: of an attempt that was lost before, or of a task that has ended.
    Stale,
    /// The ledger has no such task.
    Unknown,
}

/// A record on its way to storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Storing {
    pub(super) receipt: Receipt,
    pub(super) what: Stored,
    /// Who reported it, and has it until it is acknowledged.
    pub(super) holder: Option<WorkerId>,
    pub(super) attempt: u32,
    /// A record of the task's failure is durable.
    pub(super) had_failed: bool,
}

/// What a record is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Result(Finish),
    Failure(String),
}

impl Ledger {
    /// A worker reports how an attempt ended. It need not hold the lease, and need not even be known: a result is as
    /// good as any, and a failure counts only if it is the current attempt's.
    pub fn report(&mut self, worker: WorkerId, run_id: RunId, attempt: u32, reported: Reported) -> Decision {
        let Some(&slot) = self.slots.get(&run_id) else { return Decision::Unknown };
        match reported {
            Reported::Finished(finish) => self.finished(slot, worker, attempt, finish),
            Reported::Failed { reason, message } => self.failed(slot, worker, attempt, reason, message),
        }
    }

    fn finished(&mut self, slot: Slot, worker: WorkerId, attempt: u32, finish: Finish) -> Decision {
        let first = match self.entry(slot).phase {
            Phase::Queued | Phase::Leased(_) | Phase::Failed => None,
            Phase::Done(first) => Some(first),
            Phase::Storing => match self.storing.get(&slot).map(|storing| &storing.what) {
                Some(&Stored::Result(first)) => Some(first),
                // A result is better than a failure, even one that is being stored.
                Some(Stored::Failure(_)) | None => None,
            },
        };
        match first {
            None => Decision::Store(self.store(slot, worker, attempt, Stored::Result(finish))),
            Some(first) if first != finish => {
                self.counts.conflicts += 1;
                let run_id = self.entry(slot).run_id();
                self.events.push_back(Event::Conflict { run_id, worker });
                Decision::Conflict
            }
            Some(_) if self.entry(slot).phase == Phase::Storing => Decision::Wait,
            Some(_) => {
                self.counts.duplicates += 1;
                Decision::Duplicate
            }
        }
    }

    fn failed(
        &mut self,
        slot: Slot,
        worker: WorkerId,
        attempt: u32,
        reason: FailureReason,
        message: String,
    ) -> Decision {
        let held = self.workers.get(&worker).and_then(|worker| worker.leases.get(&slot));
        let its_own = held.is_some_and(|held| held.attempt == attempt);
        let adopted = held.is_some_and(|held| held.adopted);
        match self.entry(slot).phase {
            Phase::Storing => return Decision::Wait,
            Phase::Leased(_) if its_own => {}
            Phase::Queued | Phase::Leased(_) | Phase::Done(_) | Phase::Failed => return Decision::Stale,
        }
        let entry = self.entry_mut(slot);
        entry.over |= entry.attempts == attempt;
        if self.drop_backup(slot, worker) {
            return Decision::Retry;
        }
        let message = match reason {
            FailureReason::HandedBack => None,
            FailureReason::Incomplete if adopted => None,
            FailureReason::Unavailable | FailureReason::TimedOut | FailureReason::Incomplete => {
                let strikes = self.strike(slot);
                (strikes >= self.config.max_attempts).then(|| format!("given up after {strikes} attempts: {message}"))
            }
            FailureReason::Panic => Some(format!("panicked: {message}")),
            FailureReason::Refused => Some(format!("refused: {message}")),
        };
        match message {
            None => {
                self.give_back(slot);
                Decision::Retry
            }
            Some(message) => {
                let receipt = self.store(slot, worker, attempt, Stored::Failure(message.clone()));
                Decision::GiveUp { receipt, message }
            }
        }
    }

    fn store(&mut self, slot: Slot, worker: WorkerId, attempt: u32, what: Stored) -> Receipt {
        let receipt = self.receipt(slot);
        let had_failed = self.entry(slot).phase == Phase::Failed;
        self.put(slot, Place::Storing(Storing { receipt, what, holder: Some(worker), attempt, had_failed }));
        receipt
    }

    /// A record is durable. Returns the task's status if this ended it; `None` if a result is on its way in the
    /// record's stead.
    pub fn stored(&mut self, receipt: Receipt) -> Option<Status> {
        match self.take_storing(receipt)?.what {
            Stored::Result(finish) => {
                self.put(receipt.slot, Place::Done(finish));
                Some(finish.status())
            }
            Stored::Failure(_) => {
                self.put(receipt.slot, Place::Failed);
                Some(Status::Failed)
            }
        }
    }

    /// A record could not be stored. Whoever reported it has it still, has the lease (again), and will report it again.
    /// If nobody has it, the task waits again; a failure that nobody reported is announced again by
    /// [`Event::GaveUp`].
    pub fn store_failed(&mut self, now: Millis, receipt: Receipt) {
        let Some(storing) = self.take_storing(receipt) else { return };
        let holder = storing.holder.filter(|holder| self.workers.contains_key(holder));
        match (storing.what, holder) {
            _ if storing.had_failed => self.put(receipt.slot, Place::Failed),
            (_, Some(holder)) => {
                // A late report may be of an older attempt; the next lease is to be newer than any.
                self.entry_mut(receipt.slot).hear_of(storing.attempt);
                let attempt = storing.attempt;
                self.put(receipt.slot, Place::Leased { worker: holder, granted: now, attempt, adopted: false });
            }
            (Stored::Result(_), None) => self.put(receipt.slot, Place::Queued),
            (Stored::Failure(message), None) => self.give_up(receipt.slot, storing.attempt, message),
        }
    }

    /// What is being stored under a receipt, unless something else is by now.
    fn take_storing(&self, receipt: Receipt) -> Option<Storing> {
        self.storing.get(&receipt.slot).filter(|storing| storing.receipt == receipt).cloned()
    }
}
