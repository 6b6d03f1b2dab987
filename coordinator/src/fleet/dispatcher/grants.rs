//! Who gets which tasks: calls that wait, and second leases of slow tasks near the end.

use std::time::Duration;

use sweep::Task;
use sweep::ledger::Millis;

use super::super::message::{LeaseReply, Parcel};
use super::super::pace::Pace;
use super::{Dispatcher, Parked};

/// How often to look for tasks that are slow enough for a backup.
const BACKUP_INTERVAL: Duration = Duration::from_secs(1);

/// A task is slow if its lease is older than this, and than twice the 95th percentile of its arm.
const SLOW: Duration = Duration::from_secs(10);

impl Dispatcher {
    pub(super) fn lease(&mut self, now: Millis, parked: Parked) {
        if self.no_more_tasks() {
            let finished = self.ledger.is_finished();
            self.tell(parked.worker, finished);
            let _ = parked.reply.send(if finished { LeaseReply::Finished } else { LeaseReply::Draining });
            return;
        }
        if self.grants_nothing(now) && self.paces.contains_key(&parked.worker) {
            self.parked.push_back(parked);
            return;
        }
        let pace = self.paces.get(&parked.worker).copied().unwrap_or_else(|| Pace::new(1));
        let grant = pace.grant(self.ledger.counts().queued, self.slots).min(parked.max);
        match self.ledger.lease(now, parked.worker, grant) {
            Err(unknown) => {
                let _ = parked.reply.send(LeaseReply::Unknown(unknown));
            }
            Ok(leases) if leases.is_empty() => self.parked.push_back(parked),
            Ok(leases) => {
                self.tally.attempts += leases.len() as u64;
                if let Some(pace) = self.paces.get_mut(&parked.worker) {
                    pace.granted(now);
                }
                let parcel = Parcel { worker: parked.worker, leases, returns: self.returns.clone() };
                let _ = parked.reply.send(LeaseReply::Granted(parcel));
            }
        }
    }

    /// Answers the calls that wait, first come, first served.
    pub(super) fn serve_parked(&mut self, now: Millis) {
        if self.parked.len() > 2 * self.ledger.worker_count() {
            self.parked.retain(|parked| !parked.reply.is_closed());
        }
        // As many as there are now: who cannot be served is parked again behind them.
        for _ in 0..self.parked.len() {
            let nothing_to_grant = self.ledger.counts().queued == 0 || self.grants_nothing(now);
            if nothing_to_grant && !self.no_more_tasks() {
                break;
            }
            let Some(parked) = self.parked.pop_front() else { break };
            if !parked.reply.is_closed() {
                self.lease(now, parked);
            }
        }
    }

    /// Whether no tasks are granted for now, whatever waits: the store is waited for, or workers of an earlier coordinator.
    fn grants_nothing(&self, now: Millis) -> bool {
        self.reunion.is_on() || self.pause.lasts_until(now).is_some()
    }

    /// Whether there are workers with nothing to do and tasks that others are slow with.
    pub(super) fn looks_for_backups(&self) -> bool {
        let counts = self.ledger.counts();
        !self.parked.is_empty() && counts.queued == 0 && counts.leased > 0 && !self.no_more_tasks()
    }

    /// Has workers that have nothing to do run the tasks that others are slowest with.
    pub(super) fn back_up(&mut self, now: Millis) {
        if !self.looks_for_backups() || now < self.next_backups || self.pause.is_on() {
            return;
        }
        self.next_backups = now.after(BACKUP_INTERVAL);
        let is_slow = |task: Task, age: Duration| {
            let p95 = if age < SLOW { None } else { self.durations.p95((self.terms.arms.0)(task)) };
            p95.is_some_and(|p95| age > p95.saturating_mul(2))
        };
        let mut slow = self.ledger.slow(now, is_slow);
        for Parked { worker, max, reply } in std::mem::take(&mut self.parked) {
            let slots = self.ledger.worker(worker).map_or(0, |info| info.slots as usize);
            let mut leases = Vec::new();
            if !reply.is_closed() {
                slow.retain(|&(run_id, holder)| {
                    if leases.len() >= slots.min(max) || holder == worker {
                        return true;
                    }
                    let granted = self.ledger.back_up(now, worker, run_id).ok().flatten();
                    leases.extend(granted);
                    granted.is_none()
                });
            }
            if leases.is_empty() {
                self.parked.push_back(Parked { worker, max, reply });
            } else {
                self.tally.attempts += leases.len() as u64;
                tracing::info!(%worker, count = leases.len(), "slow tasks are given to a second worker");
                let parcel = Parcel { worker, leases, returns: self.returns.clone() };
                let _ = reply.send(LeaseReply::Granted(parcel));
            }
        }
    }
}
