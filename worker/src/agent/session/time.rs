//! What time brings: calls that are late, and tasks that take too long.

use std::time::Duration;

use engine::RunId;
use proto::{Reason, Welcome};
use tonic::Status;

use super::{Session, Stage};
use crate::agent::desk::Running;
use crate::progress::Cancellation;

impl Session {
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        let late: Vec<u64> = self.lines().filter_map(|line| line.late(now)).collect();
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
            let patience = if asked { self.options.patience } else { Duration::ZERO };
            Some(running.since?.saturating_add(limit).saturating_add(patience))
        };
        self.desk.running().filter_map(|(_, running)| due(running)).min()
    }

    /// Asks tasks that take too long to end, and gives up those that do not. Nothing ends a thread from outside: it is
    /// left behind, and another one takes its place.
    pub(super) fn end_overdue(&mut self, now: Duration, limit: Duration) {
        let patience = self.options.patience;
        let mut stuck: Vec<(RunId, u32)> = Vec::new();
        for (run_id, running) in self.desk.running() {
            let Some(since) = running.since else { continue };
            let due = since.saturating_add(limit);
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
}
