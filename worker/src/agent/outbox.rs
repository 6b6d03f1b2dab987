//! The batch of reports that is on its way. A batch is whatever gathered while the one before was on its way.

use bytes::Bytes;
use proto::chunk::BATCH_OVERHEAD_BYTES;
use proto::limits::MAX_BATCH_REPORTS;
use proto::{Acknowledgement, Reason, Verdict};
use tonic::{Code, Status};

use super::clerk::Clerk;
use super::desk::{Delivery, Desk};

/// What an answer means for the next batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replied {
    /// Everything is acknowledged.
    Done,
    /// What is not acknowledged is to be sent again, after a while.
    Again,
    /// A smaller batch, or another report, is to be sent at once.
    Narrowed,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Outbox {
    deliveries: Vec<Delivery>,
    max_reports: usize,
}

impl Default for Outbox {
    fn default() -> Outbox {
        Outbox { deliveries: Vec::new(), max_reports: MAX_BATCH_REPORTS }
    }
}

impl Outbox {
    /// Takes the next batch. A single report that the coordinator would not accept for its size becomes a failure.
    pub(super) fn fill(&mut self, desk: &mut Desk, clerk: &Clerk, max_batch_bytes: u64) {
        let max_bytes = usize::try_from(max_batch_bytes).unwrap_or(usize::MAX).saturating_sub(BATCH_OVERHEAD_BYTES);
        self.deliveries = desk.batch(self.max_reports, max_bytes);
        if let [only] = &*self.deliveries
            && only.report.len() > max_bytes
        {
            let message = format!(
                "the result takes {} bytes, and the coordinator accepts {max_bytes}: record fewer samples",
                only.report.len()
            );
            self.give_up(desk, clerk, message);
        }
    }

    /// Puts a failure in the place of the only report.
    fn give_up(&mut self, desk: &mut Desk, clerk: &Clerk, message: String) {
        if let [only] = &mut *self.deliveries {
            let refusal = clerk.failure(only.run_id, only.attempt, Reason::Refused, message);
            desk.replaced(only, &refusal);
            *only = refusal;
        }
    }

    /// The encoded reports.
    pub(super) fn reports(&self) -> Vec<Bytes> {
        self.deliveries.iter().map(|delivery| delivery.report.clone()).collect()
    }

    /// How many reports are on their way.
    pub(super) fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// The coordinator has answered: each report's answer is in its place.
    pub(super) fn acknowledged(
        &mut self,
        desk: &mut Desk,
        clerk: &Clerk,
        acknowledgements: Vec<Option<Acknowledgement>>,
    ) -> Replied {
        let mut answers = acknowledgements.into_iter();
        self.deliveries.retain(|delivery| match answers.next().flatten() {
            Some(Acknowledgement { run_id, verdict }) if run_id == delivery.run_id => {
                match verdict {
                    Verdict::Stored | Verdict::Noted => {}
                    Verdict::Duplicate => tracing::debug!(%run_id, "another result was first"),
                    Verdict::Unknown => tracing::warn!(%run_id, "the coordinator has no such task"),
                    Verdict::Invalid => tracing::warn!(%run_id, "the coordinator does not take the result"),
                }
                if verdict == Verdict::Invalid {
                    desk.rejected(delivery, clerk.hands_back("granted again before its result was judged"));
                } else {
                    desk.acknowledged(delivery);
                }
                false
            }
            _ => true,
        });
        if self.deliveries.is_empty() {
            self.max_reports = MAX_BATCH_REPORTS;
            return Replied::Done;
        }
        tracing::warn!("some reports were not acknowledged: sending them again");
        self.put_back(desk);
        Replied::Again
    }

    /// The call failed. If the batch is at fault, it would be refused for ever: the report that is at fault is looked for
    /// by sending fewer at a time; that one is replaced by a failure, and dropped if even that is refused.
    pub(super) fn refused(&mut self, desk: &mut Desk, clerk: &Clerk, status: &Status) -> Replied {
        if matches!(status.code(), Code::DeadlineExceeded | Code::ResourceExhausted) {
            // All of a backlog may take a slow line longer than a call may last, for ever, or be more than something in between
            // lets through: half of it next time.
            self.max_reports = self.deliveries.len().div_ceil(2).max(1);
        }
        if !matches!(status.code(), Code::InvalidArgument | Code::OutOfRange) {
            self.put_back(desk);
            return Replied::Again;
        }
        self.max_reports = self.deliveries.len().div_ceil(2).max(1);
        if let [only] = &*self.deliveries {
            if only.result {
                self.give_up(desk, clerk, format!("the coordinator does not accept the result: {}", status.message()));
            } else {
                tracing::error!(run_id = %only.run_id, "the coordinator does not accept the report: {}", status.message());
                desk.acknowledged(only);
                self.deliveries.clear();
            }
        }
        self.put_back(desk);
        Replied::Narrowed
    }

    /// What is not acknowledged returns to the head of the line.
    pub(super) fn put_back(&mut self, desk: &mut Desk) {
        desk.put_back(std::mem::take(&mut self.deliveries));
    }
}
