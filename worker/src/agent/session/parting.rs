//! How a session ends: told to go, with nothing left to do, or without a coordinator.

use std::time::Duration;

use engine::RunId;
use tonic::{Code, Status};

use super::{Answer, LAST_CALL, Session, Stage};
use crate::agent::AgentError;
use crate::progress::Cancellation;

/// How long to wait for the answer to the last call. A worker that cannot say that it goes is missed after its lease.
const LAST_WORD: Duration = Duration::from_secs(1);

/// How a worker that is told to go spends its grace: most of it on what runs; then that is asked to end with its epoch;
/// then it is left behind. The rest is for delivering, and the last of it for saying that it goes.
#[derive(Debug)]
pub(super) struct Farewell {
    cancel: Option<Duration>,
    abandon: Option<Duration>,
    part: Duration,
    end: Duration,
}

impl Farewell {
    fn new(now: Duration, grace: Duration) -> Farewell {
        let after = |share: f64| now.saturating_add(grace.mul_f64(share));
        Farewell { cancel: Some(after(0.7)), abandon: Some(after(0.85)), part: after(0.96), end: after(1.0) }
    }

    /// When its next turn is due.
    pub(super) fn due(&self, now_parting: bool) -> Duration {
        let last = if now_parting { self.end } else { self.part };
        self.cancel.or(self.abandon).unwrap_or(last)
    }
}

/// How it ended, if not well.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    /// The coordinator will not work with this worker, and says why.
    Refused(String),
    /// The coordinator was not heard of for so long.
    Unreachable(Duration),
}

impl Session {
    /// How the session ended, if it has: there is nothing left to do, the grace is over, the coordinator refuses the
    /// worker, or there is no coordinator any more.
    pub fn ended(&self) -> Option<Result<(), AgentError>> {
        let Stage::Ended(end) = &self.stage else { return None };
        Some(end.clone().map_err(|ending| match ending {
            Ending::Refused(message) => AgentError::Refused { message },
            Ending::Unreachable(silence) => AgentError::Unreachable { silence, undelivered: self.desk.len() as u64 },
        }))
    }

    /// Takes no more tasks, finishes or hands back what there is, and ends within the grace.
    pub fn leave(&mut self, now: Duration) {
        if self.farewell.is_some() {
            return;
        }
        let grace = self.options.grace;
        tracing::info!(?grace, held = self.desk.len(), "going: finishing what runs, handing back the rest");
        self.farewell = Some(Farewell::new(now, grace));
        self.desk.leave(self.clerk.hands_back("the worker shuts down"));
        self.leasing.end_by(now + LAST_CALL);
    }

    /// Whether an answer shows that the coordinator is there. What says that nobody is may come from in between.
    pub(super) fn is_sign_of_life(answer: &Result<Answer, Status>) -> bool {
        match answer {
            Ok(_) => true,
            Err(status) => matches!(
                status.code(),
                Code::NotFound | Code::InvalidArgument | Code::OutOfRange | Code::ResourceExhausted
            ),
        }
    }

    /// When the coordinator will have been silent for too long.
    pub(super) fn given_up(&self) -> Option<Duration> {
        let waits = self.farewell.is_none() && !matches!(self.stage, Stage::Parting { .. });
        self.options.give_up_after.filter(|_| waits).map(|limit| self.heard.saturating_add(limit))
    }

    /// What a farewell has come to, and whether it is time to part.
    pub(super) fn go(&mut self, now: Duration) {
        if self.given_up().is_some_and(|due| due <= now) && !matches!(self.stage, Stage::Ended(_)) {
            self.stage = Stage::Ended(Err(Ending::Unreachable(now.saturating_sub(self.heard))));
        }
        if let Some(farewell) = &mut self.farewell {
            let (part, end) = (farewell.part, farewell.end);
            if farewell.cancel.take_if(|due| *due <= now).is_some() {
                self.desk.running().for_each(|(_, running)| running.progress.cancel(Cancellation::ByShutdown));
            }
            if farewell.abandon.take_if(|due| *due <= now).is_some() {
                let running: Vec<(RunId, u32)> =
                    self.desk.running().map(|(run_id, running)| (run_id, running.progress.attempt())).collect();
                let hand_back = self.clerk.hands_back("the worker shuts down");
                running.into_iter().for_each(|(run_id, attempt)| self.desk.abandon(hand_back(run_id, attempt)));
            }
            if part <= now && self.desk.len() > 0 && matches!(self.stage, Stage::Joining | Stage::Joined { .. }) {
                tracing::warn!(undelivered = self.desk.len(), "the grace period is over");
                self.part();
            }
            if end <= now && !matches!(self.stage, Stage::Ended(_)) {
                self.stage = Stage::Ended(Ok(()));
            }
        }
        let settled = self.desk.len() == 0 && !self.leasing.is_under_way();
        if settled && (self.farewell.is_some() || self.finished && self.options.exit_when_done) {
            self.part();
        }
    }

    /// Nothing is left but to tell the coordinator, so that it need not learn it from silence.
    fn part(&mut self) {
        match &self.stage {
            Stage::Joining => self.stage = Stage::Ended(Ok(())),
            Stage::Joined { welcome, .. } => {
                let worker_id = welcome.worker_id;
                // A delivery that is under way may still be acknowledged; nothing else is of interest.
                let lines = [&mut self.joining, &mut self.leasing, &mut self.beating];
                let blobs = self.blobs.iter_mut().map(|blob| &mut blob.line);
                lines.into_iter().chain(blobs).for_each(|line| line.forget(Duration::ZERO));
                self.stage = Stage::Parting { worker_id };
            }
            Stage::Parting { .. } | Stage::Ended(_) => {}
        }
    }

    /// Until when to wait for the answer to the last call.
    pub(super) fn last_word(&self, now: Duration) -> Duration {
        let end = self.farewell.as_ref().map_or(Duration::MAX, |farewell| farewell.end);
        (now + LAST_WORD).min(end)
    }

    /// The coordinator knows that the worker goes, or is not there to be told.
    pub(super) fn left(&mut self, answer: Result<Answer, Status>) {
        match answer {
            Ok(Answer::Left) => {}
            Ok(other) => self.unreadable(&other),
            Err(status) => tracing::debug!("cannot say goodbye: {}", status.message()),
        }
        self.stage = Stage::Ended(Ok(()));
    }
}
