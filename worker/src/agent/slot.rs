//! The threads that tasks run on. The engine is bound by the processor: one thread a slot.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use engine::{RunId, Status};
use proto::{Failure, Outcome, Reason, Report, encode_report};

use super::AgentSummary;
use super::desk::{Delivery, Desk, Job};
use crate::attempt::attempt;
use crate::panic::caught;
use crate::platform::Identity;
use crate::progress::Progress;
use crate::runner::Runner;

/// What makes reports, and counts them.
pub(super) struct Clerk {
    pub(super) identity: Identity,
    ok: AtomicU64,
    diverged: AtomicU64,
    failed: AtomicU64,
    handed_back: AtomicU64,
}

impl Clerk {
    pub(super) fn new(identity: Identity) -> Clerk {
        let zero = AtomicU64::default;
        Clerk { identity, ok: zero(), diverged: zero(), failed: zero(), handed_back: zero() }
    }

    /// The report of a task that ended.
    pub(super) fn report(&self, run_id: RunId, attempt: u32, outcome: Outcome) -> Delivery {
        let counter = match &outcome {
            Outcome::Finished(output) => match output.status {
                Status::Ok => &self.ok,
                Status::Diverged => &self.diverged,
                Status::Failed => &self.failed,
            },
            Outcome::Failed(Failure { reason: Reason::HandedBack, .. }) => &self.handed_back,
            Outcome::Failed(failure) => {
                tracing::warn!(%run_id, attempt, reason = ?failure.reason, "task failed: {}", failure.message);
                &self.failed
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let result = matches!(outcome, Outcome::Finished(_));
        let report = encode_report(&Report { run_id, attempt, outcome });
        Delivery { run_id, attempt, result, report }
    }

    /// The report of a task that failed outside of the engine.
    pub(super) fn failure(&self, run_id: RunId, attempt: u32, reason: Reason, message: String) -> Delivery {
        let provenance = self.identity.provenance(attempt);
        self.report(run_id, attempt, Outcome::Failed(Failure { reason, message, provenance }))
    }

    /// The report of a task that another worker is to have.
    pub(super) fn hand_back(&self, run_id: RunId, attempt: u32, message: &str) -> Delivery {
        self.failure(run_id, attempt, Reason::HandedBack, message.to_owned())
    }

    pub(super) fn summary(&self, undelivered: usize) -> AgentSummary {
        AgentSummary {
            ok: self.ok.load(Ordering::Relaxed),
            diverged: self.diverged.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            handed_back: self.handed_back.load(Ordering::Relaxed),
            undelivered: undelivered as u64,
        }
    }
}

/// The slots of an agent. Dropped, they let go of their threads: those that run something end with its epoch.
pub(super) struct Slots {
    desk: Arc<Desk>,
    threads: Vec<JoinHandle<()>>,
}

impl Slots {
    pub(super) fn start(
        count: usize,
        desk: &Arc<Desk>,
        clerk: &Arc<Clerk>,
        runner: &Arc<dyn Runner>,
    ) -> io::Result<Slots> {
        let mut slots = Slots { desk: Arc::clone(desk), threads: Vec::with_capacity(count) };
        for slot in 0..count {
            let (desk, clerk, runner) = (Arc::clone(desk), Arc::clone(clerk), Arc::clone(runner));
            let thread = thread::Builder::new().name(format!("slot-{slot}"));
            slots.threads.push(thread.spawn(move || work(&desk, &clerk, &*runner))?);
        }
        Ok(slots)
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        if self.desk.close() {
            for thread in self.threads.drain(..) {
                // A slot that panicked outside of a run has said so; there is nothing to add.
                let _ = thread.join();
            }
        }
    }
}

fn work(desk: &Desk, clerk: &Clerk, runner: &dyn Runner) {
    let mut last = None;
    while let Some((job, progress)) = desk.next(last.take()) {
        let start = Instant::now();
        // A panic in the engine's run is caught where it happens; this one is for what leads up to it.
        let outcome = caught(|| run(&job, &progress, clerk, runner)).unwrap_or_else(|message| {
            let provenance = clerk.identity.provenance(progress.attempt());
            Outcome::Failed(Failure { reason: Reason::Panic, message, provenance })
        });
        if matches!(outcome, Outcome::Finished(_)) {
            tracing::debug!(run_id = %job.task.run_id, "run finished");
        }
        let delivery = clerk.report(job.task.run_id, progress.attempt(), outcome);
        last = Some((delivery, progress, start.elapsed()));
    }
}

fn run(job: &Job, progress: &Progress, clerk: &Clerk, runner: &dyn Runner) -> Outcome {
    match job.terms.config(&job.task, job.weights.as_ref()) {
        Ok(config) => attempt(runner, &config, &job.terms.record, progress, &clerk.identity),
        Err(error) => {
            let provenance = clerk.identity.provenance(progress.attempt());
            Outcome::Failed(Failure { reason: Reason::Refused, message: error.to_string(), provenance })
        }
    }
}
