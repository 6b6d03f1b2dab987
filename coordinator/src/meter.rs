//! What is measured while a sweep runs: for those who operate it, never for results.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The bounds of a histogram's buckets, in milliseconds: from the smallest part to the longest run.
const BOUNDS_MS: [u64; 12] = [1, 4, 16, 64, 256, 1_000, 4_000, 16_000, 64_000, 256_000, 1_000_000, 4_000_000];

/// How often things took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    /// How many lie in each bucket, and not in one below.
    buckets: [AtomicU64; BOUNDS_MS.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Counts one more.
    pub fn observe(&self, time: Duration) {
        let bucket = BOUNDS_MS.partition_point(|bound| Duration::from_millis(*bound) < time);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// For each bound how many are not above it; how many there are; and their sum.
    pub fn read(&self) -> (Vec<(Duration, u64)>, u64, Duration) {
        let mut below = 0;
        let mut cumulative = self.buckets.iter().map(|bucket| {
            below += bucket.load(Ordering::Relaxed);
            below
        });
        let bounds = BOUNDS_MS.iter().map(|bound| Duration::from_millis(*bound));
        let buckets: Vec<_> = bounds.zip(cumulative.by_ref()).collect();
        let above = cumulative.next().unwrap_or_default();
        (buckets, above, Duration::from_micros(self.sum_us.load(Ordering::Relaxed)))
    }
}

/// The measurements of a sweep.
#[derive(Debug, Default)]
pub struct Meter {
    /// How long it took to make a part durable.
    pub store: Histogram,
    /// How long runs were computed for.
    pub task: Histogram,
    store_failures: AtomicU64,
}

impl Meter {
    /// A record was stored that took so many seconds.
    pub fn record(&self, seconds: Option<f64>) {
        if let Some(time) = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            self.task.observe(time);
        }
    }

    /// A part could not be stored.
    pub fn store_failed(&self) {
        self.store_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Parts that could not be stored.
    pub fn store_failures(&self) -> u64 {
        self.store_failures.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_bound_and_what_is_below() {
        let histogram = Histogram::default();
        for ms in [0, 1, 2, 4, 5, 5_000_000] {
            histogram.observe(Duration::from_millis(ms));
        }
        let (buckets, count, sum) = histogram.read();
        let below: Vec<u64> = buckets.iter().map(|(_, below)| *below).collect();
        assert_eq!(below, [2, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]);
        assert_eq!((count, sum), (6, Duration::from_millis(5_000_012)));
    }

    #[test]
    fn times_that_are_none_are_not_counted() {
        let meter = Meter::default();
        for seconds in [None, Some(f64::NAN), Some(-1.0), Some(f64::INFINITY), Some(0.5)] {
            meter.record(seconds);
        }
        assert_eq!(meter.task.read().1, 1);
    }
}
