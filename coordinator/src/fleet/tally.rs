//! What has become of attempts, reports and workers so far. Counters, which only grow.

use proto::Reason;

/// See the [module](self).
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
    /// The worker could not run it, and another one still runs it.
    pub backup_failed: u64,
}

impl Retries {
    /// An attempt ended for this reason (`None`: in a report that makes no sense), and its task goes on.
    pub(super) fn add(&mut self, reason: Option<Reason>) {
        let count = match reason {
            None => &mut self.invalid,
            Some(Reason::HandedBack) => &mut self.handed_back,
            Some(Reason::Unavailable) => &mut self.unavailable,
            Some(Reason::TimedOut) => &mut self.timed_out,
            // Of any other attempt than a backup these end the task.
            Some(Reason::Panic | Reason::Refused) => &mut self.backup_failed,
        };
        *count += 1;
    }
}
