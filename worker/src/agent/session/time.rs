//! What time brings: calls that are late, tasks that take too long, and the end of a worker that is told to go.

use std::time::Duration;

use engine::RunId;
use proto::{Reason, Welcome};
use tonic::Status;

use super::{Session, Stage};
use crate::agent::desk::Running;
use crate::progress::Cancellation;

impl Session {
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        let lines = [&self.joining, &self.leasing, &self.beating, &self.reporting];
        let lines = lines.into_iter().chain(self.blobs.iter().map(|blob| &blob.line));
        let late: Vec<u64> = lines.filter_map(|line| line.late(now)).collect();
        for number in late {
            self.take_answer(now, number, Err(Status::deadline_exceeded("no answer in time")));
        }
        if let Stage::Joined { welcome: Welcome { task_timeout: Some(limit), .. }, .. } = self.stage {
            self.end_overdue(now, limit);
        }
        self.go(now);
    }

    /// When the next running task is to be asked to end, or given up.
    pub(super) fn next_overdue(&self, limit: Duration) -> Option<Duration> {
        let due = |running: &Running| {
            let asked = running.progress.cancellation() == Some(Cancellation::ByTimeout);
            running.since.saturating_add(limit).saturating_add(if asked {
                self.options.patience
            } else {
                Duration::ZERO
            })
        };
        self.desk.running().map(|(_, running)| due(running)).min()
    }

    /// Asks tasks that take too long to end, and gives up those that do not. Nothing ends a thread from outside: it is
    /// left behind, and another one takes its place.
    pub(super) fn end_overdue(&mut self, now: Duration, limit: Duration) {
        let patience = self.options.patience;
        let mut stuck: Vec<(RunId, u32)> = Vec::new();
        for (run_id, running) in self.desk.running() {
            let due = running.since.saturating_add(limit);
            if now >= due {
                running.progress.cancel(Cancellation::ByTimeout);
            }
            if now >= due.saturating_add(patience) {
                stuck.push((run_id, running.progress.attempt()));
            }
        }
        for (run_id, attempt) in stuck {
            let message = format!(
                "stuck: it was to end after {limit:?} and did not within {patience:?} more; its thread is left behind"
            );
            self.desk.abandon(self.clerk.failure(run_id, attempt, Reason::TimedOut, message));
            self.replacements += 1;
        }
    }

    /// What a farewell has come to.
    pub(super) fn go(&mut self, now: Duration) {
        let Some(farewell) = &mut self.farewell else { return };
        if farewell.cancel.take_if(|due| *due <= now).is_some() {
            self.desk.running().for_each(|(_, running)| running.progress.cancel(Cancellation::ByShutdown));
        }
        if farewell.abandon.take_if(|due| *due <= now).is_some() {
            let running: Vec<(RunId, u32)> =
                self.desk.running().map(|(run_id, running)| (run_id, running.progress.attempt())).collect();
            let hand_back = self.clerk.hands_back("the worker shuts down");
            running.into_iter().for_each(|(run_id, attempt)| self.desk.abandon(hand_back(run_id, attempt)));
        }
        if farewell.end <= now && matches!(self.stage, Stage::Joining | Stage::Joined { .. }) {
            if self.desk.len() > 0 {
                tracing::warn!(undelivered = self.desk.len(), "the grace period is over");
            }
            self.stage = Stage::Ended(Ok(()));
        }
    }
}
