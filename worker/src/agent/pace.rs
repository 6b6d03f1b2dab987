//! How many tasks to have in store, so that slots never wait and no other worker starves.

use std::time::Duration;

/// How long the store lasts.
const HORIZON: Duration = Duration::from_secs(2);

/// The most tasks to have in store.
const LARGEST_STORE: usize = 16_384;

/// Weight of the newest task in the mean.
const GAIN: f64 = 0.1;

/// How long tasks take lately.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    mean_s: Option<f64>,
}

impl Pace {
    /// A task took this long.
    pub(super) fn took(&mut self, time: Duration) {
        let time_s = time.as_secs_f64();
        self.mean_s = Some(self.mean_s.map_or(time_s, |mean_s| mean_s + GAIN * (time_s - mean_s)));
    }

    /// How many tasks to have in store; one a slot as long as nothing is known.
    pub(super) fn store(&self, slots: usize) -> usize {
        let Some(mean_s) = self.mean_s else { return slots };
        // The quotient is infinite for tasks that take no time; the cast saturates.
        let tasks = (HORIZON.as_secs_f64() * slots as f64 / mean_s).ceil() as usize;
        tasks.clamp(1, LARGEST_STORE.max(slots))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_lasts_for_the_horizon() {
        let mut pace = Pace::default();
        assert_eq!(pace.store(8), 8);
        pace.took(Duration::from_millis(100));
        assert_eq!(pace.store(8), 160);
        let mut slow = Pace::default();
        slow.took(Duration::from_secs(60));
        assert_eq!(slow.store(8), 1);
        let mut instant = Pace::default();
        instant.took(Duration::ZERO);
        assert_eq!(instant.store(2), LARGEST_STORE);
    }
}
