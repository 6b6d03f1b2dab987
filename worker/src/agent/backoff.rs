//! How long to wait before trying again.

use std::hash::{BuildHasher, Hasher, RandomState};
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

    /// The next wait: between half of the exponential one and all of it.
    pub(super) fn next(&mut self) -> Duration {
        let whole = self.backoff.first.saturating_mul(1 << self.tries.min(20)).min(self.backoff.longest);
        self.tries += 1;
        // Randomness as good as needed, from the seed that every hash map gets.
        let random = RandomState::new().build_hasher().finish();
        whole.mul_f64(0.5 + 0.5 * (random as f64 / u64::MAX as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_millis(1000) };
        let mut waits = backoff.waits();
        for whole in [100, 200, 400, 800, 1000, 1000] {
            let wait = waits.next();
            assert!(wait >= Duration::from_millis(whole / 2) && wait <= Duration::from_millis(whole), "{wait:?}");
        }
        waits.reset();
        assert!(waits.next() <= Duration::from_millis(100));
        for _ in 0..100 {
            assert!(waits.next() <= backoff.longest, "no overflow");
        }
    }
}
