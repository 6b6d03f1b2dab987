//! Group commit: what is gathered for the next part, and who waits for it to be durable.

use std::time::Duration;

use engine::RunRecord;
use engine::record::RunOutput;
use proto::Verdict;
use results::Handover;
use sweep::Task;
use sweep::ledger::{Millis, Receipt};
use tokio::sync::oneshot;

use super::seam::{SinkError, TaskSource};

/// When a part is written.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// At most one part in this time...
    pub interval: Duration,
    /// ...unless there are as many bytes...
    pub bytes: usize,
    /// ...or as many records.
    pub records: usize,
}

/// A record that is to be durable.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) task: Task,
    pub(super) output: RunOutput,
}

/// Somebody who gets an answer when everything before it is durable.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) reply: oneshot::Sender<Vec<Verdict>>,
    pub(super) verdicts: Vec<Verdict>,
}

/// What the next part will consist of.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) pending: Vec<Pending>,
    pub(super) promise: Promise,
    pub(super) bytes: usize,
}

/// What is to be done when a part is durable, or is not.
#[derive(Debug, Default)]
pub(super) struct Promise {
    /// The tasks, each with the value of the metric that the planner looks at.
    pub(super) receipts: Vec<(Receipt, Option<f64>)>,
    pub(super) waiters: Vec<Waiter>,
}

/// The records of one part, not yet put together, and what else is to be stored.
#[derive(Debug)]
pub struct Part {
    pending: Vec<Pending>,
    handover: Option<Handover>,
}

/// What became of a part.
#[derive(Debug)]
pub struct Kept {
    /// Its records are durable, or none of them need be.
    pub records: Result<(), SinkError>,
    /// What a later coordinator is to know is, too; `Ok` if it was not tried because the records are not.
    pub handover: Result<(), SinkError>,
}

impl Kept {
    /// All of it is durable.
    pub fn whole() -> Kept {
        Kept { records: Ok(()), handover: Ok(()) }
    }
}

impl Waiter {
    /// Everything before is durable.
    pub(super) fn answer(self) {
        // Whoever is gone will report again.
        let _ = self.reply.send(self.verdicts);
    }
}

impl Group {
    pub(super) fn add(&mut self, receipt: Receipt, metric: Option<f64>, output: RunOutput) {
        self.pending.push(Pending { task: receipt.task(), output });
        self.promise.receipts.push((receipt, metric));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.promise.waiters.is_empty()
    }

    /// When the part is due, if the last one was begun at `last` and, if `idle`, nothing else is to be expected.
    pub(super) fn due(&self, now: Millis, last: Option<Millis>, idle: bool, rhythm: Rhythm) -> Option<Millis> {
        if self.is_empty() {
            return None;
        }
        let at_once = idle || self.bytes >= rhythm.bytes || self.pending.len() >= rhythm.records;
        Some(if at_once { now } else { last.map_or(now, |last| last.after(rhythm.interval)) })
    }

    /// Begins the next group, and returns this one, with what else is to be stored.
    pub(super) fn take(&mut self, handover: Option<Handover>) -> (Part, Promise) {
        let group = std::mem::take(self);
        (Part { pending: group.pending, handover }, group.promise)
    }
}

impl Part {
    /// What a later coordinator is to know, in the place of what was stored before; `None` if nothing has changed.
    pub fn take_handover(&mut self) -> Option<Handover> {
        self.handover.take()
    }

    /// The tasks whose records are in it.
    pub fn tasks(&self) -> impl Iterator<Item = Task> {
        self.pending.iter().map(|pending| pending.task)
    }

    /// Puts the records together: configs are long, so this is no work for the driver.
    pub fn into_records(self, source: &dyn TaskSource) -> Vec<RunRecord> {
        let record = source.record();
        let whole = |Pending { task, output }| RunRecord {
            run_id: task.run_id,
            config: source.config_json(task.index),
            record: record.clone(),
            output,
        };
        self.pending.into_iter().map(whole).collect()
    }
}
