//! What becomes of reports: the ledger judges, the next part makes durable, and then whoever waits is answered.

use std::time::Duration;

use engine::record::{Provenance, RunOutput};
use proto::{Reason, Verdict};
use sweep::ledger::{Decision, FailureReason, Finish, Millis, Phase, Reported, WorkerId};
use sweep::plan::Outcome;
use tokio::sync::oneshot;

use super::super::group::{Kept, Promise, Waiter};
use super::super::message::{Content, Delivered};
use super::super::progress::FleetError;
use super::super::tally::Cause;
use super::Dispatcher;

impl Dispatcher {
    /// The part that was being stored is durable, or could not be stored. What goes with it for a later coordinator is no
    /// matter of the sweep.
    ///
    /// This is the one place that decides what follows from a broken store. If its state may pass, as a full disk does,
    /// the fleet pauses: no tasks are begun, results that were not acknowledged stay with their workers, which report them
    /// again, and whatever comes is tried again after a while. Otherwise, or if it was to end anyway, it ends.
    ///
    /// # Errors
    /// If the store will not recover.
    pub fn part_ended(&mut self, now: Millis, kept: Kept) -> Result<(), FleetError> {
        let Some(Promise { receipts, waiters }) = self.storing.take() else { return Ok(()) };
        if let Err(error) = kept.records {
            self.keeper.put_off();
            receipts.into_iter().for_each(|(receipt, _)| self.ledger.store_failed(now, receipt));
            // Some of those who wait for the next part wait for this one too. All are to report again.
            self.group.promise.waiters.clear();
            if !error.is_transient() || self.ledger.is_draining() {
                return Err(error.into());
            }
            let wait = self.pause.begin(now);
            tracing::warn!(
                "results cannot be stored: {error}; the sweep pauses and tries again in {wait:?}; nothing is lost, the \
                 workers keep what they have finished"
            );
            return Ok(());
        }
        if !receipts.is_empty() && self.pause.end() {
            tracing::warn!("results can be stored again: the sweep goes on");
        }
        self.keeper.ended(now, kept.handover);
        // What is for a later coordinator may have been all that there was to store.
        self.parts += u64::from(!receipts.is_empty());
        for (receipt, metric) in receipts {
            if let Some(status) = self.ledger.stored(receipt)
                && !self.planned
            {
                self.outcomes.push(Outcome { task: receipt.task(), status, metric });
            }
        }
        waiters.into_iter().for_each(Waiter::answer);
        Ok(())
    }

    pub(super) fn report(
        &mut self,
        worker: WorkerId,
        reports: Vec<Delivered>,
        bytes: usize,
        reply: oneshot::Sender<Vec<Verdict>>,
    ) {
        self.plan_up_to(reports.iter().map(|report| report.run_id));
        let mut waits = false;
        let mut verdicts = Vec::with_capacity(reports.len());
        for report in reports {
            let (verdict, waiting) = self.report_one(worker, report);
            verdicts.push(verdict);
            waits |= waiting;
        }
        if waits {
            self.group.bytes += bytes;
            self.group.promise.waiters.push(Waiter { reply, verdicts });
        } else {
            let _ = reply.send(verdicts);
        }
    }

    /// The verdict on a report, and whether it is to be kept back until the next part is durable.
    fn report_one(&mut self, worker: WorkerId, report: Delivered) -> (Verdict, bool) {
        let Delivered { run_id, attempt, content } = report;
        let cause = Cause::of(&content);
        let (reported, output, verdict) = match content {
            Content::Result { output, fingerprint } => match Finish::new(output.status, fingerprint) {
                Some(finish) => (Reported::Finished(finish), Some(output), Verdict::Duplicate),
                None => return (Verdict::Invalid, false),
            },
            Content::Failure(failure) => {
                let reason = match failure.reason {
                    Reason::Panic => FailureReason::Panic,
                    Reason::Refused => FailureReason::Refused,
                    Reason::Unavailable => FailureReason::Unavailable,
                    Reason::HandedBack => FailureReason::HandedBack,
                    Reason::TimedOut => FailureReason::TimedOut,
                };
                let output = RunOutput::failed("", failure.provenance);
                (Reported::Failed { reason, message: failure.message }, Some(output), Verdict::Noted)
            }
            Content::Incomplete(message) => {
                (Reported::Failed { reason: FailureReason::Incomplete, message }, None, Verdict::Invalid)
            }
            Content::Invalid(problem) => {
                self.tally.invalid_reports += 1;
                let message = format!("its report makes no sense: {problem}");
                (Reported::Failed { reason: FailureReason::Unavailable, message }, None, Verdict::Invalid)
            }
        };
        let failed_elsewhere = || RunOutput::failed("", provenance(attempt));
        match self.ledger.report(worker, run_id, attempt, reported) {
            Decision::Store(receipt) => {
                let output = output.unwrap_or_else(failed_elsewhere);
                if let Some(time) = time_taken(&output.provenance) {
                    self.durations.add((self.terms.arms.0)(receipt.task()), time);
                }
                let metric = self.terms.objective.as_deref().and_then(|name| output.metrics.get(name));
                self.group.add(receipt, metric, output);
                (Verdict::Stored, true)
            }
            Decision::GiveUp { receipt, message } => {
                tracing::warn!(%run_id, attempt, %worker, "task failed: {message}");
                let mut output = output.unwrap_or_else(failed_elsewhere);
                output.error = Some(message);
                self.group.add(receipt, None, output);
                (verdict, true)
            }
            Decision::Wait => (verdict, true),
            // The first result may still be on its way to the store.
            Decision::Conflict => (Verdict::Duplicate, self.ledger.phase(run_id) == Some(Phase::Storing)),
            Decision::Retry => {
                self.tally.retries.add(cause);
                (verdict, false)
            }
            Decision::Duplicate | Decision::Stale => (verdict, false),
            Decision::Unknown => {
                self.tally.unknown_reports += 1;
                (Verdict::Unknown, false)
            }
        }
    }
}

/// How long a run took, if its provenance says so.
fn time_taken(provenance: &Provenance) -> Option<Duration> {
    let times_s = [provenance.simulate_s, provenance.train_s, provenance.evaluate_s];
    let total_s = times_s.into_iter().flatten().reduce(|left, right| left + right)?;
    Duration::try_from_secs_f64(total_s).ok()
}

/// Where a failure comes from that no worker reported.
pub(super) fn provenance(attempt: u32) -> Provenance {
    Provenance { attempt, engine_version: engine::VERSION.to_owned(), ..Provenance::default() }
}
