//! What a store that is out of room, or out of reach, means for the fleet: it waits, and tries again.
//!
//! While it waits, no tasks are granted and no part is begun. What runs may end; results stay with the workers that have
//! them, which report them again, and each of which holds a bounded amount of them. When a wait is over, the store is tried
//! with what there is, and tasks are granted again: without results there would be nothing to try it with.

use std::time::Duration;

use sweep::ledger::Millis;

/// How long to wait after the first failure in a row; each further one doubles it...
const FIRST: Duration = Duration::from_secs(1);

/// ...up to this.
const LONGEST: Duration = Duration::from_secs(30);

/// Whether the fleet waits for its store.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pause {
    failures: u32,
    until: Option<Millis>,
}

impl Pause {
    /// The store has failed; says how long to wait before it is tried again.
    pub(super) fn begin(&mut self, now: Millis) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.failures.min(20)).min(LONGEST);
        self.failures += 1;
        self.until = Some(now.after(wait));
        wait
    }

    /// The store works; says whether it did not before.
    pub(super) fn end(&mut self) -> bool {
        std::mem::take(self).failures > 0
    }

    /// Whether the store has failed, and not worked since.
    pub(super) fn is_on(&self) -> bool {
        self.failures > 0
    }

    /// Whoever leaves does not wait: the store is tried at once.
    pub(super) fn cut_short(&mut self) {
        self.until = None;
    }

    /// When the store is tried again, if that is yet to come.
    pub(super) fn lasts_until(&self, now: Millis) -> Option<Millis> {
        self.until.filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_begin_anew_when_it_works() {
        let mut pause = Pause::default();
        for wait in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(pause.begin(Millis(0)), Duration::from_secs(wait));
        }
        (0..100).for_each(|_| assert_eq!(pause.begin(Millis(0)), LONGEST, "no overflow"));
        assert!(pause.end());
        assert!(!pause.end());
        assert_eq!(pause.begin(Millis(500)), FIRST);
        assert_eq!(pause.lasts_until(Millis(1_499)), Some(Millis(1_500)));
        assert_eq!(pause.lasts_until(Millis(1_500)), None);
        pause.begin(Millis(1_500));
        pause.cut_short();
        assert_eq!(pause.lasts_until(Millis(1_501)), None);
    }
}
