//! How fast this machine trains: kernels and whole runs, against its own peak and against Adam.
//!
//! Times drift on shared machines. So everything that is compared is measured in turns, and the peak anew beside every
//! figure.

mod kernels;
mod runs;
mod scaling;

use std::time::Instant;

use engine::speed::multiply_adds;

pub use kernels::{Kernel, Pass, kernels};
pub use runs::{BenchError, Case, Timing, cases, time_runs};
pub use scaling::{Scaling, scaling};

/// Rounds of multiply-adds of one look at the peak: a fraction of a millisecond.
const PEAK_ROUNDS: u32 = 10_000;
/// Looks of which the best counts.
const PEAK_LOOKS: u32 = 10;

/// One core's peak in f32, in floating-point operations a second.
pub fn peak() -> f64 {
    (0..PEAK_LOOKS)
        .map(|_| {
            let begun = Instant::now();
            let flops = multiply_adds(PEAK_ROUNDS);
            flops / begun.elapsed().as_secs_f64()
        })
        .fold(0.0, f64::max)
}

/// Seconds that something takes.
fn seconds(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}

/// The middle value, or the mean of the middle two; NaN of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => 0.5 * (values[even / 2 - 1] + values[even / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
