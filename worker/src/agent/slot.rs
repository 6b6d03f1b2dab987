//! The threads that tasks run on. The engine is bound by the processor: one thread a slot.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use proto::{Failure, Outcome, Reason};

use super::clerk::Clerk;
use super::desk::{Job, Weights};
use super::office::Office;
use crate::attempt::{Turn, attempt};
use crate::panic::caught;
use crate::progress::Progress;
use crate::runner::Runner;

/// The slots of an agent. Dropped, they let go of their threads: those that run something end with its epoch.
pub(super) struct Slots {
    office: Arc<Office>,
    clerk: Arc<Clerk>,
    runner: Arc<dyn Runner>,
    threads: Vec<JoinHandle<()>>,
}

impl Slots {
    pub(super) fn start(
        count: usize,
        office: &Arc<Office>,
        clerk: &Arc<Clerk>,
        runner: &Arc<dyn Runner>,
    ) -> io::Result<Slots> {
        let (office, clerk, runner) = (Arc::clone(office), Arc::clone(clerk), Arc::clone(runner));
        let mut slots = Slots { office, clerk, runner, threads: Vec::with_capacity(count) };
        slots.add(count)?;
        Ok(slots)
    }

    /// Starts more threads.
    pub(super) fn add(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let (office, clerk, runner) = (Arc::clone(&self.office), Arc::clone(&self.clerk), Arc::clone(&self.runner));
            let thread = thread::Builder::new().name(format!("slot-{}", self.threads.len()));
            let span = tracing::Span::current();
            self.threads.push(thread.spawn(move || span.in_scope(|| work(&office, &clerk, &*runner)))?);
        }
        Ok(())
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        if self.office.close() {
            for thread in self.threads.drain(..) {
                // A slot that panicked outside of a run has said so; there is nothing to add.
                let _ = thread.join();
            }
        }
    }
}

fn work(office: &Office, clerk: &Clerk, runner: &dyn Runner) {
    let mut last = None;
    while let Some((job, progress)) = office.next(last.take()) {
        let start = Instant::now();
        let span = tracing::info_span!("task", run_id = %job.task.run_id, attempt = progress.attempt()).entered();
        // A panic in the engine's run is caught where it happens; this one is for what leads up to it.
        let outcome = caught(|| run(&job, &progress, office, clerk, runner)).unwrap_or_else(|message| {
            let provenance = clerk.identity.provenance(progress.attempt());
            Outcome::Failed(Failure { reason: Reason::Panic, message, provenance })
        });
        if matches!(outcome, Outcome::Finished(_)) {
            tracing::debug!("run finished");
        }
        let delivery = clerk.report(job.task.run_id, progress.attempt(), outcome);
        drop(span);
        last = Some((delivery, progress, start.elapsed()));
    }
}

fn run(job: &Job, progress: &Arc<Progress>, office: &Office, clerk: &Clerk, runner: &dyn Runner) -> Outcome {
    let weights = match &job.weights {
        Weights::Here(weights) => Some(weights),
        Weights::Drawn | Weights::Awaited(_) => None,
    };
    match job.terms.config(&job.task, weights) {
        Ok(config) => {
            // The time that a task may take is that of its engine.
            let turn = |turn| match turn {
                Turn::Waits => office.with(|session, _| session.waits(job.task.run_id, progress)),
                Turn::Begins => {
                    office.with(|session, now| session.begins(now, job.task.run_id, progress));
                    office.nudge();
                }
            };
            attempt(runner, &config, &job.terms.record, progress, &clerk.identity, &turn)
        }
        Err(error) => {
            let provenance = clerk.identity.provenance(progress.attempt());
            Outcome::Failed(Failure { reason: Reason::Refused, message: error.to_string(), provenance })
        }
    }
}
