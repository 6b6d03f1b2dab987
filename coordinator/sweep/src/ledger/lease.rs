//! Workers come and go; leases are granted, renewed and lost.

use engine::RunId;

use super::event::Event;
use super::report::{Receipt, Stored, Storing};
use super::task::{Phase, Slot};
use super::time::Millis;
use super::worker::{TooManyWorkers, UnknownWorker, Worker, WorkerId, WorkerInfo};
use super::{Ledger, Place};
use crate::Task;

/// A task that a worker is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The task.
    pub task: Task,
    /// Which attempt at it this is, from 1. No two leases of a task have the same.
    pub attempt: u32,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// Tasks that the worker holds and need not finish.
    pub cancel: Vec<RunId>,
    /// The worker is to take no more tasks.
    pub drain: bool,
    /// Everything has ended: there will be no more tasks, from another coordinator neither.
    pub finished: bool,
    /// When the next heartbeat is due.
    pub next: Millis,
}

impl Ledger {
    /// Admits a worker.
    ///
    /// # Errors
    /// If there are as many as there may be.
    pub fn join(&mut self, now: Millis, info: WorkerInfo) -> Result<WorkerId, TooManyWorkers> {
        if self.workers.len() >= self.config.max_workers {
            return Err(TooManyWorkers { limit: self.config.max_workers });
        }
        let id = WorkerId(u64::from(self.config.incarnation) << 32 | u64::from(self.joined));
        self.joined = self.joined.wrapping_add(1);
        let deadline = now.after(self.config.lease_ttl);
        self.events.push_back(Event::WorkerJoined { worker: id, info: info.clone() });
        self.workers.insert(id, Worker { info, deadline, beats: 0, leases: Default::default() });
        self.deadlines.insert((deadline, id));
        Ok(id)
    }

    /// A worker goes. Its leases return, and their attempts do not count. Returns how many; an unknown worker has none.
    pub fn leave(&mut self, worker: WorkerId) -> usize {
        let Some(gone) = self.workers.get(&worker) else { return 0 };
        let leases: Vec<Slot> = gone.leases.keys().copied().collect();
        for &slot in &leases {
            if !self.drop_backup(slot, worker) {
                self.give_back(slot);
            }
        }
        if let Some(gone) = self.forget(worker) {
            self.events.push_back(Event::WorkerLeft { worker, info: gone.info, leases: leases.len() });
        }
        leases.len()
    }

    /// Grants at most `max` leases, of the tasks that were submitted first; none in a draining ledger.
    ///
    /// # Errors
    /// If the worker is not known.
    pub fn lease(&mut self, now: Millis, worker: WorkerId, max: usize) -> Result<Vec<Lease>, UnknownWorker> {
        let held = self.workers.get(&worker).ok_or(UnknownWorker(worker))?.leases.len();
        let room = if self.draining { 0 } else { self.config.max_leases.saturating_sub(held) };
        let mut leases = Vec::with_capacity(max.min(room).min(self.counts.queued as usize));
        while leases.len() < max.min(room)
            && let Some(slot) = self.queue.first(&self.entries)
        {
            let entry = self.entry_mut(slot);
            entry.begin_next();
            let lease = Lease { task: entry.task, attempt: entry.attempts };
            leases.push(lease);
            self.put(slot, Place::Leased { worker, granted: now, attempt: lease.attempt, adopted: false });
        }
        Ok(leases)
    }

    /// A worker says that it lives and which attempts at which tasks it holds: waiting, running, or ended and not yet
    /// acknowledged.
    ///
    /// - A lease that it should hold and has not listed twice in a row returns, and the attempt counts; unless the
    ///   lease is so young that it may be on its way.
    /// - A task that waits here although the worker holds it (its lease was lost on the way, or it is another
    ///   coordinator's) is leased to it: its work is not to be done twice.
    /// - A task whose result is durable is cancelled, and so is one that the finished plan does not have. When everything has
    ///   ended, whatever is held is cancelled, and no more is to be taken.
    /// - A task that another worker has the lease of runs on: the first to finish wins.
    ///
    /// # Errors
    /// If the worker is not known. It is to join again, and nothing that it holds is lost by that.
    pub fn heartbeat(
        &mut self,
        now: Millis,
        worker: WorkerId,
        held: &[(RunId, u32)],
    ) -> Result<Directives, UnknownWorker> {
        let deadline = now.after(self.config.lease_ttl);
        let known = self.workers.get_mut(&worker).ok_or(UnknownWorker(worker))?;
        self.deadlines.remove(&(known.deadline, worker));
        self.deadlines.insert((deadline, worker));
        known.deadline = deadline;
        known.beats += 1;
        let mut cancel = Vec::new();
        let finished = self.is_finished();
        for &(run_id, attempt) in held {
            let Some(&slot) = self.slots.get(&run_id) else {
                // A plan that is still being drawn up may come to it yet.
                if self.closed {
                    cancel.push(run_id);
                }
                continue;
            };
            match self.entry(slot).phase {
                Phase::Leased(holder) if holder == worker || self.has_backup(slot, worker) => {
                    self.confirm(worker, slot);
                }
                Phase::Queued => self.adopt(now, worker, slot, attempt),
                Phase::Done(_) => cancel.push(run_id),
                Phase::Failed if finished => cancel.push(run_id),
                Phase::Leased(_) | Phase::Storing | Phase::Failed => {}
            }
        }
        for slot in self.missing(now, worker) {
            self.lose(slot, worker);
        }
        Ok(Directives {
            cancel,
            drain: self.draining || finished,
            finished,
            next: now.after(self.config.heartbeat_interval),
        })
    }

    /// Does what is due at `now`: the leases of workers that were silent for too long return, and their attempts count.
    pub fn handle_timeout(&mut self, now: Millis) {
        while let Some(&(deadline, worker)) = self.deadlines.first()
            && deadline <= now
        {
            let leases: Vec<Slot> =
                self.workers.get(&worker).map(|lost| lost.leases.keys().copied().collect()).unwrap_or_default();
            for &slot in &leases {
                self.lose(slot, worker);
            }
            let silence = now.since(deadline) + self.config.lease_ttl;
            self.deadlines.pop_first();
            if let Some(lost) = self.workers.remove(&worker) {
                self.events.push_back(Event::WorkerLost { worker, info: lost.info, leases: leases.len(), silence });
            }
        }
    }

    /// Gives every worker a whole `lease_ttl` from now: the ledger's owner was asleep (a suspended laptop, a stopped
    /// process), and silence in its sleep says nothing about the workers.
    pub fn excuse(&mut self, now: Millis) {
        let deadline = now.after(self.config.lease_ttl);
        for worker in self.workers.values_mut() {
            worker.deadline = worker.deadline.max(deadline);
        }
        self.deadlines = self.workers.iter().map(|(id, worker)| (worker.deadline, *id)).collect();
    }

    fn forget(&mut self, worker: WorkerId) -> Option<Worker> {
        let gone = self.workers.remove(&worker)?;
        self.deadlines.remove(&(gone.deadline, worker));
        Some(gone)
    }

    fn confirm(&mut self, worker: WorkerId, slot: Slot) {
        if let Some(worker) = self.workers.get_mut(&worker)
            && let Some(lease) = worker.leases.get_mut(&slot)
        {
            lease.confirmed = worker.beats;
        }
    }

    /// Leases a waiting task to a worker that holds it already. Not if all that the worker holds is the report of how
    /// the attempt ended. Nor if the attempt is older than the latest: what it reports would not count. (Its result, if
    /// it has one, is as good as any.)
    fn adopt(&mut self, now: Millis, worker: WorkerId, slot: Slot, attempt: u32) {
        let has_room = self.workers.get(&worker).is_some_and(|worker| worker.leases.len() < self.config.max_leases);
        let entry = self.entry(slot);
        let goes_on = attempt > entry.attempts || attempt == entry.attempts && !entry.over;
        if has_room && goes_on {
            self.entry_mut(slot).hear_of(attempt);
            let attempt = self.entry(slot).attempts;
            self.put(slot, Place::Leased { worker, granted: now, attempt, adopted: true });
        }
    }

    /// The leases that the worker does not know of, after the heartbeat that has just been counted.
    fn missing(&mut self, now: Millis, worker: WorkerId) -> Vec<Slot> {
        let grace = self.config.heartbeat_interval * 2;
        let Some(worker) = self.workers.get_mut(&worker) else { return Vec::new() };
        let beats = worker.beats;
        let unconfirmed = worker.leases.iter_mut().filter(|(_, lease)| lease.confirmed < beats);
        unconfirmed
            .filter_map(|(&slot, lease)| {
                if now.since(lease.granted) < grace {
                    lease.confirmed = beats;
                }
                (lease.confirmed + 2 <= beats).then_some(slot)
            })
            .collect()
    }

    /// A lease is lost: the attempt counts, and the task waits again or is given up. A backup is lost without more ado.
    fn lose(&mut self, slot: Slot, worker: WorkerId) {
        if self.drop_backup(slot, worker) {
            return;
        }
        self.counts.lost_leases += 1;
        let held = self.workers.get(&worker).and_then(|worker| worker.leases.get(&slot));
        let attempt = held.map_or(self.entry(slot).attempts, |held| held.attempt);
        let (run_id, strikes) = (self.entry(slot).run_id(), self.strike(slot));
        if strikes < self.config.max_attempts {
            self.give_back(slot);
            self.events.push_back(Event::LeaseLost { run_id, attempt, worker, strikes });
            return;
        }
        let last = self.workers.get(&worker).map_or_else(|| worker.to_string(), |worker| worker.info.to_string());
        let message = format!(
            "given up after {strikes} attempts, the last of which was lost with its worker, {last}: \
             the task may be what ends its workers (out of memory?)"
        );
        self.give_up(slot, attempt, message);
    }

    /// Ends a task without a result that anybody reported.
    pub(super) fn give_up(&mut self, slot: Slot, attempt: u32, message: String) {
        let receipt = self.receipt(slot);
        let what = Stored::Failure(message.clone());
        self.put(slot, Place::Storing(Storing { receipt, what, holder: None, attempt, had_failed: false }));
        self.events.push_back(Event::GaveUp { receipt, attempt, message });
    }

    /// A receipt that nobody has yet.
    pub(super) fn receipt(&mut self, slot: Slot) -> Receipt {
        self.receipts += 1;
        Receipt::new(slot, self.entry(slot).task, self.receipts)
    }
}
