//! How long to wait before trying again.

use std::time::Duration;

/// Exponential backoff with jitter: a fleet that lost its coordinator must not come back all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first wait.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(10) }
    }
}

impl Backoff {
    /// Waits, one after the other.
    pub(super) fn waits(self) -> Waits {
        Waits { backoff: self, tries: 0 }
    }
}

/// The waits of one row of failures.
#[derive(Clone, Debug)]
pub(super) struct Waits {
    backoff: Backoff,
    tries: u32,
}

impl Waits {
    /// Starts from the beginning: something went well.
    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }

    /// How many waits there were since the beginning.
    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    /// The next wait: between half of the exponential one and all of it, by `random` from 0 to 1.
    pub(super) fn next(&mut self, random: f64) -> Duration {
        let whole = self.backoff.first.saturating_mul(1 << self.tries.min(20)).min(self.backoff.longest);
        self.tries += 1;
        whole.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_millis(1000) };
        for random in [0.0, 0.3, 1.0] {
            let mut waits = backoff.waits();
            for whole in [100, 200, 400, 800, 1000, 1000] {
                let wait = waits.next(random);
                assert!(wait >= Duration::from_millis(whole / 2) && wait <= Duration::from_millis(whole), "{wait:?}");
            }
            waits.reset();
            assert!(waits.next(random) <= Duration::from_millis(100));
            for _ in 0..100 {
                assert!(waits.next(random) <= backoff.longest, "no overflow");
            }
        }
    }
}
