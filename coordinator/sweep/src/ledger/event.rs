//! What the ledger tells those who look on, and what it counts.

use std::time::Duration;

use engine::RunId;

use super::report::Receipt;
use super::worker::{WorkerId, WorkerInfo};

/// A fact, for logs and progress; and one thing to do: [`Event::GaveUp`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A worker joined.
    WorkerJoined {
        /// The worker.
        worker: WorkerId,
        /// How it introduced itself.
        info: WorkerInfo,
    },
    /// A worker left of its own will.
    WorkerLeft {
        /// The worker.
        worker: WorkerId,
        /// How it introduced itself.
        info: WorkerInfo,
        /// How many leases it gave back.
        leases: usize,
    },
    /// A worker was not heard of for too long.
    WorkerLost {
        /// The worker.
        worker: WorkerId,
        /// How it introduced itself.
        info: WorkerInfo,
        /// How many leases were lost with it.
        leases: usize,
        /// How long it had not been heard of.
        silence: Duration,
    },
    /// A lease was lost; the attempt counts, and the task waits again.
    LeaseLost {
        /// The task.
        run_id: RunId,
        /// The attempt that was lost.
        attempt: u32,
        /// Who had the lease.
        worker: WorkerId,
        /// How many attempts count against the task now.
        strikes: u16,
    },
    /// A task was given up without anybody having reported it. A record of the failure is to be stored, and the ledger
    /// to be told with [`Ledger::stored`](super::Ledger::stored) or [`Ledger::store_failed`](super::Ledger::store_failed).
    GaveUp {
        /// What is to be stored.
        receipt: Receipt,
        /// The last attempt.
        attempt: u32,
        /// Why, for people.
        message: String,
    },
    /// A second result for a task differs from the first: equal ids did not mean equal numbers.
    Conflict {
        /// The task.
        run_id: RunId,
        /// Whose result came second.
        worker: WorkerId,
    },
}

/// How many tasks are where, and what has happened to them so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tasks that were submitted.
    pub submitted: u64,
    /// Of these, waiting for a worker.
    pub queued: u64,
    /// Of these, leased to a worker.
    pub leased: u64,
    /// Of these, on their way to durable storage.
    pub storing: u64,
    /// Of these, durable, with finite numbers.
    pub ok: u64,
    /// Of these, durable, diverged.
    pub diverged: u64,
    /// Of these, durable, failed.
    pub failed: u64,
    /// Leases that were lost, backups apart.
    pub lost_leases: u64,
    /// Attempts that counted against their tasks.
    pub strikes: u64,
    /// Backup leases that were granted.
    pub backups: u64,
    /// Results that came a second time.
    pub duplicates: u64,
    /// Results that came a second time and differed.
    pub conflicts: u64,
}

impl Counts {
    /// Tasks whose outcome is durable.
    pub fn ended(&self) -> u64 {
        self.ok + self.diverged + self.failed
    }
}
