//! Backup leases: near the end, idle workers run the slowest tasks as well.

use std::time::Duration;

use engine::RunId;

use super::lease::Lease;
use super::task::{Phase, Slot};
use super::time::Millis;
use super::worker::{Held, UnknownWorker, WorkerId};
use super::{Ledger, Place};
use crate::Task;

impl Ledger {
    /// Leased tasks without a backup that `is_slow` by the age of their lease, the oldest lease first, with who has it.
    pub fn slow(&self, now: Millis, is_slow: impl Fn(Task, Duration) -> bool) -> Vec<(RunId, WorkerId)> {
        let mut slow = Vec::new();
        for (&holder, worker) in &self.workers {
            for (&slot, held) in &worker.leases {
                let task = self.entry(slot).task;
                if !self.backups.contains_key(&slot) && is_slow(task, now.since(held.granted)) {
                    slow.push((held.granted, slot, holder));
                }
            }
        }
        slow.sort();
        slow.into_iter().map(|(_, slot, holder)| (self.entry(slot).run_id(), holder)).collect()
    }

    /// Leases a task to a second worker. `None` if the task is not leased, has a backup, or is this worker's own, if the
    /// worker has no room, or the ledger drains.
    ///
    /// # Errors
    /// If the worker is not known.
    pub fn back_up(&mut self, now: Millis, worker: WorkerId, run_id: RunId) -> Result<Option<Lease>, UnknownWorker> {
        let (draining, max_leases) = (self.draining, self.config.max_leases);
        let Some(&slot) = self.slots.get(&run_id) else { return Ok(None) };
        let leased_elsewhere = matches!(self.entry(slot).phase, Phase::Leased(holder) if holder != worker);
        let second = self.workers.get_mut(&worker).ok_or(UnknownWorker(worker))?;
        if draining || !leased_elsewhere || self.backups.contains_key(&slot) || second.leases.len() >= max_leases {
            return Ok(None);
        }
        // The latest attempt is this one from now on. That the one before was counted, if it was, stays so.
        let entry = &mut self.entries[slot.index()];
        entry.attempts = entry.attempts.saturating_add(1);
        entry.over = false;
        let lease = Lease { task: entry.task, attempt: entry.attempts };
        let confirmed = second.beats;
        second.leases.insert(slot, Held { granted: now, confirmed, attempt: lease.attempt, adopted: false });
        self.backups.insert(slot, worker);
        self.counts.backups += 1;
        Ok(Some(lease))
    }

    /// Whether the worker has a task's backup lease.
    pub(super) fn has_backup(&self, slot: Slot, worker: WorkerId) -> bool {
        self.backups.get(&slot) == Some(&worker)
    }

    /// Takes the backup lease away from a worker; whether it had it.
    pub(super) fn drop_backup(&mut self, slot: Slot, worker: WorkerId) -> bool {
        let had = self.has_backup(slot, worker);
        if had {
            self.backups.remove(&slot);
            if let Some(worker) = self.workers.get_mut(&worker) {
                worker.leases.remove(&slot);
            }
        }
        had
    }

    /// A task's lease ends without a report that would end the task: its backup takes the lease's place, or it waits.
    pub(super) fn give_back(&mut self, slot: Slot) {
        let backup = self.backups.get(&slot).and_then(|worker| Some((*worker, self.workers.get(worker)?)));
        let place = backup.and_then(|(worker, second)| {
            let &Held { granted, attempt, adopted, .. } = second.leases.get(&slot)?;
            Some(Place::Leased { worker, granted, attempt, adopted })
        });
        // That the attempt before was counted says nothing of the backup's, which is the attempt that counts from now on.
        self.entry_mut(slot).struck &= place.is_none();
        self.put(slot, place.unwrap_or(Place::Queued));
    }
}
