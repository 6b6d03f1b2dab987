//! The lease ledger: which task is where, who works on it, and what is to be done when.
//!
//! A state machine without sockets, clock or threads. Time is an argument, the next deadline a return value
//! ([`Ledger::poll_timeout`]), and every transition is total: a late, doubled or unknown report is the normal case and
//! has an answer. One owner, the coordinator's driver, turns messages into calls and answers into messages.
//!
//! ```text
//!            lease, or a heartbeat lists it           first result, or given up
//!   Queued ────────────────────────────────▶ Leased ───────────────────────────▶ Storing ──▶ Done
//!     ▲                                        │                                    │  └───▶ Failed
//!     └── lost, handed back, to be retried ────┘ ◀──────── the store failed ────────┘            │ late result
//!                                                                  ▲─────────────────────────────┘
//! ```
//!
//! Execution is at least once and results are exactly once: a task's first result wins, whoever it comes from. What
//! wins is `Storing` until [`Ledger::stored`], and only then may it be acknowledged.
//!
//! A task has one lease, and near the end of a sweep perhaps a second one, the backup ([`Ledger::back_up`]): an idle worker
//! runs it as well, and the first to finish wins. What becomes of a backup costs its task nothing. If the first lease is
//! lost or given back, the backup takes its place.

mod backup;
mod event;
mod invariants;
mod lease;
mod queue;
mod report;
mod task;
#[cfg(test)]
mod tests;
mod time;
mod worker;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use engine::{RunId, Status};

pub use event::{Counts, Event};
pub use invariants::{Broken, INVARIANTS, Invariant};
pub use lease::{Directives, Lease};
pub use report::{Decision, FailureReason, Receipt, Reported};
pub use task::{Finish, Phase};
pub use time::Millis;
pub use worker::{TooManyWorkers, UnknownWorker, WorkerId, WorkerInfo};

use crate::Task;
use queue::Queue;
use report::Storing;
use task::{Entry, RunIdMap, Slot};
use worker::{Held, Worker};

/// What the ledger goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerConfig {
    /// How long a worker may be silent before its leases return. Several heartbeats long.
    pub lease_ttl: Duration,
    /// How often a worker is to send a heartbeat. A lease younger than two of these may still be on its way to the
    /// worker, so a heartbeat without it says nothing.
    pub heartbeat_interval: Duration,
    /// How many attempts may count against a task: at the last one it is given up.
    pub max_attempts: u16,
    /// How many workers are admitted.
    pub max_workers: usize,
    /// How many leases one worker may hold.
    pub max_leases: usize,
    /// Told apart from other coordinators' lives by this: worker ids are never the same in two of them.
    pub incarnation: u32,
}

impl Default for LedgerConfig {
    fn default() -> LedgerConfig {
        LedgerConfig {
            lease_ttl: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(5),
            max_attempts: 3,
            max_workers: 10_000,
            max_leases: 32_768,
            incarnation: 0,
        }
    }
}

/// The ledger. See the [module](self).
#[derive(Clone, Debug)]
pub struct Ledger {
    config: LedgerConfig,
    entries: Vec<Entry>,
    slots: RunIdMap<Slot>,
    queue: Queue,
    storing: BTreeMap<Slot, Storing>,
    /// Of leased tasks, who else runs them.
    backups: BTreeMap<Slot, WorkerId>,
    /// Tasks that have not ended and of which attempts count.
    struck: BTreeSet<Slot>,
    /// How often the strikes of tasks that have not ended changed.
    strike_changes: u64,
    workers: BTreeMap<WorkerId, Worker>,
    /// Each worker's deadline, soonest first.
    deadlines: BTreeSet<(Millis, WorkerId)>,
    /// Workers that ever joined.
    joined: u32,
    /// Receipts that were ever given out.
    receipts: u64,
    counts: Counts,
    events: VecDeque<Event>,
    closed: bool,
    draining: bool,
}

/// Where a task is to go, with what its place needs to know.
enum Place {
    Queued,
    Leased { worker: WorkerId, granted: Millis, attempt: u32, adopted: bool },
    Storing(Storing),
    Done(Finish),
    Failed,
}

impl Ledger {
    /// A ledger without tasks and workers. A limit of zero attempts means one.
    pub fn new(config: LedgerConfig) -> Ledger {
        Ledger {
            config: LedgerConfig { max_attempts: config.max_attempts.max(1), ..config },
            entries: Vec::new(),
            slots: RunIdMap::default(),
            queue: Queue::default(),
            storing: BTreeMap::new(),
            backups: BTreeMap::new(),
            struck: BTreeSet::new(),
            strike_changes: 0,
            workers: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            joined: 0,
            receipts: 0,
            counts: Counts::default(),
            events: VecDeque::new(),
            closed: false,
            draining: false,
        }
    }

    /// Adds a task. Returns whether it is new: a known one is left as it is.
    pub fn submit(&mut self, task: Task) -> bool {
        self.submit_with_strikes(task, 0)
    }

    /// Adds a task of which an earlier coordinator knew that `strikes` attempts count against it.
    pub fn submit_with_strikes(&mut self, task: Task, strikes: u16) -> bool {
        let slot = Slot::new(self.entries.len());
        if *self.slots.entry(task.run_id).or_insert(slot) != slot {
            return false;
        }
        // One attempt is always left: a task is given up for what is seen here.
        let strikes = strikes.min(self.config.max_attempts - 1);
        self.entries.push(Entry::new(task, strikes));
        if strikes > 0 {
            self.struck.insert(slot);
        }
        self.counts.submitted += 1;
        self.counts.queued += 1;
        true
    }

    /// There will be no more tasks. (If there are all the same, they are done.)
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Grants no more leases. What is leased may end, and results are stored.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Whether no more leases are granted.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Nothing is leased and nothing is on its way to the store: to stop here wastes no work.
    pub fn is_settled(&self) -> bool {
        self.counts.leased == 0 && self.counts.storing == 0
    }

    /// Every task has ended, and there will be no more.
    pub fn is_finished(&self) -> bool {
        self.closed && self.counts.queued == 0 && self.is_settled()
    }

    /// How many tasks are where.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many workers there are.
    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// How a worker introduced itself.
    pub fn worker(&self, worker: WorkerId) -> Option<&WorkerInfo> {
        self.workers.get(&worker).map(|worker| &worker.info)
    }

    /// The workers, by their id, with the number of leases that each holds.
    pub fn workers(&self) -> impl Iterator<Item = (WorkerId, &WorkerInfo, usize)> {
        self.workers.iter().map(|(id, worker)| (*id, &worker.info, worker.leases.len()))
    }

    /// The workers, those that have been silent for longest first, with the number of leases that each holds and the moment of its
    /// last heartbeat.
    pub fn by_silence(&self) -> impl Iterator<Item = (WorkerId, &WorkerInfo, usize, Millis)> {
        let ttl = u64::try_from(self.config.lease_ttl.as_millis()).unwrap_or(u64::MAX);
        self.deadlines.iter().filter_map(move |(deadline, id)| {
            let worker = self.workers.get(id)?;
            Some((*id, &worker.info, worker.leases.len(), Millis(deadline.0.saturating_sub(ttl))))
        })
    }

    /// When the oldest lease was granted. Looks at every lease.
    pub fn oldest_lease(&self) -> Option<Millis> {
        self.workers.values().flat_map(|worker| worker.leases.values()).map(|lease| lease.granted).min()
    }

    /// A task by its run id.
    pub fn task(&self, run_id: RunId) -> Option<Task> {
        self.slots.get(&run_id).map(|&slot| self.entry(slot).task)
    }

    /// Where a task is.
    pub fn phase(&self, run_id: RunId) -> Option<Phase> {
        self.slots.get(&run_id).map(|&slot| self.entry(slot).phase)
    }

    /// Who runs a leased task beside the one that has the lease.
    pub fn backup(&self, run_id: RunId) -> Option<WorkerId> {
        self.backups.get(self.slots.get(&run_id)?).copied()
    }

    /// Whether what is being stored of a task is a result, and no failure.
    pub fn is_storing_result(&self, run_id: RunId) -> bool {
        let storing = self.slots.get(&run_id).and_then(|slot| self.storing.get(slot));
        storing.is_some_and(|storing| matches!(storing.what, report::Stored::Result(_)))
    }

    /// The tasks that have not ended and of which attempts count, with how many. What a later coordinator is to know:
    /// it passes them to [`Ledger::submit_with_strikes`].
    pub fn strikes(&self) -> impl Iterator<Item = (RunId, u16)> {
        self.struck.iter().map(|&slot| (self.entry(slot).run_id(), self.entry(slot).strikes))
    }

    /// How often [`Ledger::strikes`] has changed.
    pub fn strike_changes(&self) -> u64 {
        self.strike_changes
    }

    /// The next fact, oldest first. Whoever owns the ledger is to ask until there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Ledger::handle_timeout`] is to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Millis> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// Checks all [`INVARIANTS`]. Looks at every task: for tests, simulation and debug builds.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn check(&self) -> Result<(), Broken> {
        INVARIANTS
            .iter()
            .try_for_each(|&(name, holds)| holds(self).map_err(|violation| Broken { invariant: name, violation }))
    }

    /// The latest attempt counts against a task. Returns how many do.
    fn strike(&mut self, slot: Slot) -> u16 {
        let limit = self.config.max_attempts;
        let entry = self.entry_mut(slot);
        let (before, after) = (entry.strikes, entry.strike(limit));
        if after != before {
            self.struck.insert(slot);
            self.strike_changes += 1;
            self.counts.strikes += 1;
        }
        after
    }

    fn entry(&self, slot: Slot) -> &Entry {
        &self.entries[slot.index()]
    }

    fn entry_mut(&mut self, slot: Slot) -> &mut Entry {
        &mut self.entries[slot.index()]
    }

    /// Moves a task from wherever it is to its next place. The only code that changes a task's phase, so that a task
    /// cannot be left behind anywhere.
    fn put(&mut self, slot: Slot, place: Place) {
        match self.entry(slot).phase {
            Phase::Queued => self.queue.remove(slot),
            Phase::Leased(holder) => {
                let backup = self.backups.remove(&slot);
                for worker in [Some(holder), backup].into_iter().flatten() {
                    if let Some(worker) = self.workers.get_mut(&worker) {
                        worker.leases.remove(&slot);
                    }
                }
            }
            Phase::Storing => {
                self.storing.remove(&slot);
            }
            Phase::Done(_) | Phase::Failed => {}
        }
        let phase = match place {
            Place::Queued => {
                self.queue.insert(slot);
                Phase::Queued
            }
            Place::Leased { worker: holder, granted, attempt, adopted } => {
                if let Some(worker) = self.workers.get_mut(&holder) {
                    let confirmed = worker.beats;
                    worker.leases.insert(slot, Held { granted, confirmed, attempt, adopted });
                }
                Phase::Leased(holder)
            }
            Place::Storing(storing) => {
                self.storing.insert(slot, storing);
                Phase::Storing
            }
            Place::Done(finish) => Phase::Done(finish),
            Place::Failed => Phase::Failed,
        };
        if matches!(phase, Phase::Done(_) | Phase::Failed) && self.struck.remove(&slot) {
            self.strike_changes += 1;
        }
        let before = std::mem::replace(&mut self.entry_mut(slot).phase, phase);
        *self.counts.of(before) -= 1;
        *self.counts.of(phase) += 1;
    }
}

impl Counts {
    /// The count of the tasks in a phase.
    pub(super) fn of(&mut self, phase: Phase) -> &mut u64 {
        match phase {
            Phase::Queued => &mut self.queued,
            Phase::Leased(_) => &mut self.leased,
            Phase::Storing => &mut self.storing,
            Phase::Done(finish) if finish.status() == Status::Diverged => &mut self.diverged,
            Phase::Done(_) => &mut self.ok,
            Phase::Failed => &mut self.failed,
        }
    }
}
