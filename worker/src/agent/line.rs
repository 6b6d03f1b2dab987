//! One kind of call, of which one is under way at a time.

use std::time::Duration;

use super::backoff::{Backoff, Waits};

/// See the [module](self).
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The call's number, and when it counts as failed.
    under_way: Option<(u64, Duration)>,
    waits: Waits,
    /// When the next call may be made.
    next: Duration,
}

impl Line {
    pub(super) fn new(backoff: Backoff) -> Line {
        Line { under_way: None, waits: backoff.waits(), next: Duration::ZERO }
    }

    /// Whether a call may be made now.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.under_way.is_none() && self.next <= now
    }

    /// When something is due: the next call, or the failure of the one that is under way.
    pub(super) fn due(&self) -> Option<Duration> {
        Some(self.under_way.map_or(self.next, |(_, deadline)| deadline))
    }

    pub(super) fn begin(&mut self, number: u64, deadline: Duration) {
        self.under_way = Some((number, deadline));
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Whether this call is under way.
    pub(super) fn is(&self, number: u64) -> bool {
        self.under_way.is_some_and(|(current, _)| current == number)
    }

    /// Whether this call was under way; it is no longer.
    pub(super) fn ended(&mut self, number: u64) -> bool {
        let ours = self.is(number);
        if ours {
            self.under_way = None;
        }
        ours
    }

    /// The call that should have been answered by now.
    pub(super) fn late(&self, now: Duration) -> Option<u64> {
        self.under_way.filter(|(_, deadline)| *deadline <= now).map(|(number, _)| number)
    }

    /// Waits for the call that is under way no longer than until then.
    pub(super) fn end_by(&mut self, deadline: Duration) {
        if let Some((_, until)) = &mut self.under_way {
            *until = deadline.min(*until);
        }
    }

    /// The call went well; the next one may be made at `next`.
    pub(super) fn went_well(&mut self, next: Duration) {
        self.waits.reset();
        self.next = next;
    }

    /// The call failed. Returns how long the next one is to wait.
    pub(super) fn failed(&mut self, now: Duration, random: f64) -> Duration {
        self.failed_at_most(now, random, Duration::MAX)
    }

    /// [`Line::failed`], with a longest wait.
    pub(super) fn failed_at_most(&mut self, now: Duration, random: f64, longest: Duration) -> Duration {
        let wait = self.waits.next(random).min(longest);
        self.next = now + wait;
        wait
    }

    /// How often it failed in a row.
    pub(super) fn tries(&self) -> u32 {
        self.waits.tries()
    }

    /// Whatever was under way is of no interest any more.
    pub(super) fn forget(&mut self, now: Duration) {
        self.under_way = None;
        self.went_well(now);
    }
}
