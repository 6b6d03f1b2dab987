//! How long tasks take, arm by arm: what is slow is so beside its like.

use std::collections::BTreeMap;
use std::time::Duration;

/// Classes of durations: each is an eighth of a doubling longer than the one before, from a millisecond to three years.
const CLASSES: usize = 8 * 37;

/// With fewer durations than this nothing is said.
const ENOUGH: u64 = 5;

/// The durations of the tasks that finished.
#[derive(Clone, Debug, Default)]
pub(super) struct Durations {
    arms: BTreeMap<u32, Histogram>,
    all: Histogram,
}

#[derive(Clone, Debug)]
struct Histogram {
    counts: Box<[u32; CLASSES]>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: Box::new([0; CLASSES]), total: 0 }
    }
}

/// The class of a duration.
fn class(duration: Duration) -> usize {
    let doublings = (duration.as_secs_f64() * 1e3).max(1.0).log2();
    ((doublings * 8.0).ceil() as usize).min(CLASSES - 1)
}

/// The longest duration of a class.
fn longest(class: usize) -> Duration {
    Duration::from_secs_f64((class as f64 / 8.0).exp2() / 1e3)
}

impl Histogram {
    fn add(&mut self, duration: Duration) {
        self.counts[class(duration)] += 1;
        self.total += 1;
    }

    /// At least as long as 95 in a hundred, by at most nine percent too long; `None` if too few are known.
    fn p95(&self) -> Option<Duration> {
        let rank = (self.total * 95).div_ceil(100);
        let mut seen = 0;
        let reached = |count: &u32| {
            seen += u64::from(*count);
            seen >= rank
        };
        let class = self.counts.iter().position(reached)?;
        (self.total >= ENOUGH).then(|| longest(class))
    }
}

impl Durations {
    /// A task of an arm took this long.
    pub(super) fn add(&mut self, arm: u32, duration: Duration) {
        self.arms.entry(arm).or_default().add(duration);
        self.all.add(duration);
    }

    /// The 95th percentile of an arm's durations, or of all if the arm has too few; `None` if there are too few at all.
    pub(super) fn p95(&self, arm: u32) -> Option<Duration> {
        self.arms.get(&arm).and_then(Histogram::p95).or_else(|| self.all.p95())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_is_the_arms_own_and_a_little_too_long_at_most() {
        let mut durations = Durations::default();
        assert_eq!(durations.p95(0), None);
        (1..=100).for_each(|second| durations.add(0, Duration::from_secs(second)));
        (0..4).for_each(|_| durations.add(1, Duration::from_secs(1_000)));
        let within = |p95: Option<Duration>, true_s: f64| {
            let p95_s = p95.unwrap().as_secs_f64();
            assert!(p95_s >= true_s && p95_s <= true_s * 1.095, "{p95_s} where {true_s} was expected");
        };
        within(durations.p95(0), 95.0);
        // Arm 1 has four durations only.
        within(durations.p95(1), 99.0);
        durations.add(1, Duration::from_secs(1_000));
        within(durations.p95(1), 1_000.0);
    }

    #[test]
    fn any_duration_has_a_class() {
        let mut durations = Durations::default();
        (0..9).for_each(|_| durations.add(0, Duration::ZERO));
        assert_eq!(durations.p95(0), Some(Duration::from_millis(1)));
        (0..900).for_each(|_| durations.add(0, Duration::MAX));
        assert!(durations.p95(0).is_some());
    }
}
