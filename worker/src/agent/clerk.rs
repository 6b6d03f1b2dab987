//! What makes reports, and counts them.

use std::sync::atomic::{AtomicU64, Ordering};

use engine::{RunId, Status};
use proto::{Failure, Outcome, Reason, Report, encode_report};

use super::AgentSummary;
use super::desk::Delivery;
use crate::platform::Identity;

/// Makes reports, on any thread, and counts them.
#[derive(Debug)]
pub struct Clerk {
    pub(super) identity: Identity,
    ok: AtomicU64,
    diverged: AtomicU64,
    failed: AtomicU64,
    handed_back: AtomicU64,
}

impl Clerk {
    /// A clerk that signs as this worker.
    pub fn new(identity: Identity) -> Clerk {
        let zero = AtomicU64::default;
        Clerk { identity, ok: zero(), diverged: zero(), failed: zero(), handed_back: zero() }
    }

    /// The report of a task that ended.
    pub fn report(&self, run_id: RunId, attempt: u32, outcome: Outcome) -> Delivery {
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

    /// Makes the reports of tasks that another worker is to have.
    pub(super) fn hands_back<'a>(&'a self, message: &'a str) -> impl Fn(RunId, u32) -> Delivery + 'a {
        move |run_id, attempt| self.failure(run_id, attempt, Reason::HandedBack, message.to_owned())
    }

    pub(super) fn summary(&self, undelivered: usize) -> AgentSummary {
        AgentSummary {
            ok: self.ok.load(Ordering::Relaxed),
            diverged: self.diverged.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            handed_back: self.handed_back.load(Ordering::Relaxed),
            undelivered: undelivered as u64,
            left_early: false,
        }
    }
}
