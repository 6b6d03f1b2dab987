//! How many tasks to grant at a time.

use std::time::Duration;

use sweep::ledger::Millis;

/// How long a grant should last.
const HORIZON: Duration = Duration::from_secs(2);

/// The most tasks in a grant.
pub(super) const LARGEST_GRANT: usize = 4096;

/// How much one worker gets at a time: as many tasks as it has slots at first, then more while it is soon back for
/// more. The worker knows best how long its tasks take and asks for what it can use; this bounds what it can take away
/// from the others if it is mistaken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    slots: usize,
    size: usize,
    last: Option<Millis>,
}

impl Pace {
    pub(super) fn new(slots: u32) -> Pace {
        let slots = (slots as usize).clamp(1, LARGEST_GRANT);
        Pace { slots, size: slots, last: None }
    }

    /// The worker asks for tasks at `now`.
    pub(super) fn asked(&mut self, now: Millis) {
        if let Some(last) = self.last.take() {
            let lasted = now.since(last);
            if lasted < HORIZON / 2 {
                self.size = (self.size * 4).min(LARGEST_GRANT);
            } else if lasted > HORIZON * 2 {
                self.size = (self.size / 2).max(self.slots);
            }
        }
    }

    /// The worker got tasks at `now`; at once, or after waiting, which says nothing about its pace.
    pub(super) fn granted(&mut self, now: Millis) {
        self.last = Some(now);
    }

    /// How many tasks to grant when `queued` wait and the fleet has `fleet_slots`: towards the end everyone gets a fair
    /// part of what is left, so that nobody is busy while all others are done.
    pub(super) fn grant(&self, queued: u64, fleet_slots: u64) -> usize {
        let fair = queued.saturating_mul(self.slots as u64) / fleet_slots.max(1) / 2;
        self.size.min(usize::try_from(fair).unwrap_or(usize::MAX).max(self.slots))
    }

    /// How many tasks a grant may have next time.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_is_soon_back_gets_more_up_to_a_limit() {
        let mut pace = Pace::new(2);
        let mut sizes = Vec::new();
        for step in 0..8 {
            pace.asked(Millis(step * 100));
            sizes.push(pace.grant(u64::MAX, 2));
            pace.granted(Millis(step * 100));
        }
        assert_eq!(sizes, [2, 8, 32, 128, 512, 2048, 4096, 4096]);
        pace.asked(Millis(10_000));
        assert_eq!(pace.size(), 2048);
    }

    #[test]
    fn slow_tasks_are_granted_a_slot_at_a_time() {
        let mut pace = Pace::new(4);
        for step in 0..8 {
            pace.asked(Millis(step * 60_000));
            assert_eq!(pace.grant(1_000, 4), 4);
            pace.granted(Millis(step * 60_000));
        }
    }

    #[test]
    fn what_is_left_is_shared() {
        let mut pace = Pace::new(2);
        (0..8).for_each(|_| (pace.asked(Millis(0)), pace.granted(Millis(0))).0);
        assert_eq!(pace.grant(100_000, 8), 4096);
        assert_eq!(pace.grant(800, 8), 100);
        assert_eq!(pace.grant(3, 8), 2);
    }
}
