//! What has happened, for logs and those who look on.

use engine::record::RunOutput;
use sweep::ledger::{Event, Millis};

use super::super::progress::{Happening, Roster, WorkerState};
use super::Dispatcher;
use super::reports::provenance;

/// So many happenings are kept for those who look on.
const HAPPENINGS: usize = 50;

/// Nobody looks through more workers than these.
const ROSTER_WORKERS: usize = 1000;

impl Dispatcher {
    /// Who works, and what has happened lately.
    pub fn roster(&self, now: Millis) -> Roster {
        let workers = self.ledger.by_silence().take(ROSTER_WORKERS).map(|(_, info, leases, heard)| WorkerState {
            name: info.to_string(),
            slots: info.slots,
            leases,
            silence: now.since(heard),
        });
        let happenings = self.happenings.iter().map(|(moment, what, bad)| Happening {
            ago: now.since(*moment),
            what: what.clone(),
            bad: *bad,
        });
        Roster {
            at: None,
            workers: workers.collect(),
            lease_ttl: self.terms.ledger.lease_ttl,
            heartbeat_interval: self.terms.ledger.heartbeat_interval,
            happenings: happenings.collect(),
            pending: self.pending_since.map(|since| now.since(since)),
            oldest_lease: self.ledger.oldest_lease().map(|granted| now.since(granted)),
        }
    }

    /// Logs what has happened, and takes over what has to be stored without anybody having reported it.
    pub(super) fn note_events(&mut self, now: Millis) {
        while let Some(event) = self.ledger.poll_event() {
            match event {
                Event::WorkerJoined { worker, info } => {
                    self.tally.workers_joined += 1;
                    tracing::info!(%worker, name = info.name, host = info.host, slots = info.slots, "worker {info} joined");
                    self.happened(now, false, format!("worker {info} joined"));
                }
                Event::WorkerLeft { worker, info, leases } => {
                    self.forget(worker, info.slots);
                    self.tally.workers_left += 1;
                    tracing::info!(%worker, name = info.name, host = info.host, leases, "worker {info} left");
                    self.happened(now, false, format!("worker {info} left"));
                }
                Event::WorkerLost { worker, info, leases, silence } => {
                    self.forget(worker, info.slots);
                    self.tally.workers_lost += 1;
                    tracing::warn!(%worker, name = info.name, host = info.host, leases, "worker {info} is lost: not heard of for {silence:?}");
                    let what = format!("worker {info} is lost, and {leases} of its tasks are tried again");
                    self.happened(now, true, what);
                }
                Event::LeaseLost { run_id, attempt, worker, strikes } => {
                    self.tally.retries.lost += 1;
                    tracing::warn!(%run_id, attempt, %worker, strikes, "a lease was lost, the task is tried again");
                }
                Event::GaveUp { receipt, attempt, message } => {
                    tracing::warn!(run_id = %receipt.task().run_id, attempt, "task failed: {message}");
                    self.happened(now, true, format!("task {} failed: {message}", receipt.task().run_id));
                    self.group.add(receipt, None, RunOutput::failed(message, provenance(attempt)));
                }
                Event::Conflict { run_id, worker } => {
                    tracing::error!(
                        %run_id, %worker,
                        "two results of one run differ: equal ids did not give equal numbers; the first one is kept"
                    );
                    self.happened(now, true, format!("two results of run {run_id} differ; the first one is kept"));
                }
            }
        }
    }

    /// Remembers what has happened for those who look on.
    pub(super) fn happened(&mut self, now: Millis, bad: bool, what: String) {
        if self.happenings.len() == HAPPENINGS {
            self.happenings.pop_front();
        }
        self.happenings.push_back((now, what, bad));
    }
}
