//! What has become of attempts, reports and workers so far. Counters, which only grow.

use proto::Reason;

use super::message::Content;

/// What has come to what, since the coordinator began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Attempts that were begun: leases that were granted, backups among them.
    pub attempts: u64,
    /// Attempts without a result whose tasks are tried again.
    pub retries: Retries,
    /// Reports that make no sense, or do not fit their task.
    pub invalid_reports: u64,
    /// Reports of tasks that this sweep does not have.
    pub unknown_reports: u64,
    /// Workers that joined.
    pub workers_joined: u64,
    /// Workers that left of their own will.
    pub workers_left: u64,
    /// Workers that were not heard of for too long.
    pub workers_lost: u64,
}

/// Why tasks are tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retries {
    /// The lease was lost.
    pub lost: u64,
    /// The worker gave the task back.
    pub handed_back: u64,
    /// The worker lacked something.
    pub unavailable: u64,
    /// The attempt took too long.
    pub timed_out: u64,
    /// The report made no sense.
    pub invalid: u64,
    /// The result lacked what this sweep records: it was computed for another version of the file.
    pub incomplete: u64,
    /// The worker could not run it, and another one still runs it.
    pub backup_failed: u64,
}

/// Why an attempt has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its worker says so.
    Failure(Reason),
    /// Its report made no sense.
    Invalid,
    /// Its result lacked something.
    Incomplete,
}

impl Cause {
    /// What it would be, should there be no result in a report.
    pub(super) fn of(content: &Content) -> Cause {
        match content {
            Content::Failure(failure) => Cause::Failure(failure.reason),
            Content::Incomplete(_) => Cause::Incomplete,
            Content::Invalid(_) | Content::Result { .. } => Cause::Invalid,
        }
    }
}

impl Retries {
    /// An attempt ended for this cause, and its task goes on.
    pub(super) fn add(&mut self, cause: Cause) {
        let count = match cause {
            Cause::Invalid => &mut self.invalid,
            Cause::Incomplete => &mut self.incomplete,
            Cause::Failure(Reason::HandedBack) => &mut self.handed_back,
            Cause::Failure(Reason::Unavailable) => &mut self.unavailable,
            Cause::Failure(Reason::TimedOut) => &mut self.timed_out,
            // Of any other attempt than a backup these end the task.
            Cause::Failure(Reason::Panic | Reason::Refused) => &mut self.backup_failed,
        };
        *count += 1;
    }
}
