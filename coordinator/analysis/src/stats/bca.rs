//! The bias-corrected and accelerated bootstrap of means of pairs. Efron (1987); Efron and Tibshirani (1993), chapter 14.

use rand::Rng;

use super::normal::{normal_cdf, normal_quantile};
use super::resample::{each_place, quantiles};
use super::{COVERAGE, Interval};

/// Resamples of an interval: with one more, its bounds are ranks.
pub const RESAMPLES: usize = 9_999;

/// Fewer pairs than this have no interval.
const MIN_PAIRS: usize = 3;

/// What the bootstrap says of an arm's and the baseline's mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeanIntervals {
    /// Of the mean difference arm − baseline. `None` for fewer than three pairs, and if all differ by the same.
    pub difference: Option<Interval>,
    /// Of the ratio of the means arm / baseline, as the exponential of its logarithm's. `None` also unless all values are
    /// positive, and if all have the same ratio.
    pub ratio: Option<Interval>,
}

/// The bootstrap of pairs. It keeps its memory from one sample to the next.
///
/// A resample draws pairs, so that what an arm and the baseline have in common stays with them. Difference and ratio come
/// from the same resamples.
#[derive(Clone, Debug, Default)]
pub struct PairBootstrap {
    differences: Vec<f64>,
    pairs: Vec<[f64; 2]>,
    left_out: Vec<f64>,
    resampled_differences: Vec<f64>,
    resampled_ratios: Vec<f64>,
}

impl PairBootstrap {
    /// The intervals of an arm's and the baseline's means, paired by place.
    pub fn intervals(&mut self, random: &mut impl Rng, arm: &[f64], baseline: &[f64]) -> MeanIntervals {
        self.differences.clear();
        self.differences.extend(arm.iter().zip(baseline).map(|(arm, baseline)| arm - baseline));
        let n = self.differences.len();
        if n < MIN_PAIRS {
            return MeanIntervals::default();
        }
        let varies = self.differences.iter().any(|difference| *difference != self.differences[0]);
        let has_ratio = arm.iter().chain(baseline).all(|value| *value > 0.0);
        if has_ratio {
            self.pairs.clear();
            self.pairs.extend(arm.iter().zip(baseline).map(|(arm, baseline)| [*arm, *baseline]));
            self.resample_both(random);
        } else if varies {
            self.resample_differences(random);
        }
        let ratio = if has_ratio { self.ratio() } else { None };
        MeanIntervals { difference: if varies { self.difference() } else { None }, ratio }
    }

    /// Two sums, so that an addition need not wait for the one before.
    fn resample_differences(&mut self, random: &mut impl Rng) {
        let (differences, n) = (&self.differences[..], self.differences.len());
        self.resampled_differences.clear();
        self.resampled_differences.extend((0..RESAMPLES).map(|_| {
            let mut sums = [0.0; 2];
            each_place(random, n, n, |lane, place| sums[lane] += differences[place]);
            (sums[0] + sums[1]) / n as f64
        }));
    }

    fn resample_both(&mut self, random: &mut impl Rng) {
        let (differences, pairs, n) = (&self.differences[..], &self.pairs[..], self.differences.len());
        self.resampled_differences.clear();
        self.resampled_ratios.clear();
        for _ in 0..RESAMPLES {
            let (mut sums, mut sides) = ([0.0; 2], [[0.0; 2]; 2]);
            each_place(random, n, n, |lane, place| {
                // The difference has a sum of its own: that of two sums would have lost its digits.
                sums[lane] += differences[place];
                sides[lane][0] += pairs[place][0];
                sides[lane][1] += pairs[place][1];
            });
            self.resampled_differences.push((sums[0] + sums[1]) / n as f64);
            self.resampled_ratios.push((sides[0][0] + sides[1][0]) / (sides[0][1] + sides[1][1]));
        }
    }

    fn difference(&mut self) -> Option<Interval> {
        let n = self.differences.len() as f64;
        let total: f64 = self.differences.iter().sum();
        self.left_out.clear();
        self.left_out.extend(self.differences.iter().map(|difference| (total - difference) / (n - 1.0)));
        bca(total / n, &mut self.resampled_differences, &self.left_out)
    }

    fn ratio(&mut self) -> Option<Interval> {
        let [arm, baseline] = [0, 1].map(|side| self.pairs.iter().map(|pair| pair[side]).sum::<f64>());
        let (lowest, highest) = self.pairs.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), pair| {
            let ratio = pair[0] / pair[1];
            (low.min(ratio), high.max(ratio))
        });
        // Equal ratios differ by rounding.
        if highest - lowest <= 8.0 * f64::EPSILON * highest {
            return None;
        }
        self.left_out.clear();
        self.left_out.extend(self.pairs.iter().map(|pair| ((arm - pair[0]) / (baseline - pair[1])).ln()));
        // Quantiles of the ratio are those of its logarithm; only the acceleration is not.
        bca(arm / baseline, &mut self.resampled_ratios, &self.left_out)
    }
}

/// The interval of a statistic from its resampled values and its values with one observation left out each. `None` if it
/// is not between its resampled values. Reorders these.
fn bca(statistic: f64, resampled: &mut [f64], left_out: &[f64]) -> Option<Interval> {
    let below: usize =
        resampled.iter().map(|value| usize::from(*value < statistic) + usize::from(*value <= statistic)).sum();
    let bias = normal_quantile(below as f64 / (2 * resampled.len()) as f64);
    let centre = left_out.iter().sum::<f64>() / left_out.len() as f64;
    let (squares, cubes) = left_out.iter().fold((0.0, 0.0), |(squares, cubes), value| {
        let away = centre - value;
        (squares + away * away, cubes + away * away * away)
    });
    let acceleration = cubes / (6.0 * squares * squares.sqrt());
    let fraction = |z: f64| {
        let from_bias = bias + z;
        normal_cdf(bias + from_bias / (1.0 - acceleration * from_bias))
    };
    let z = normal_quantile((1.0 + COVERAGE) / 2.0);
    let (low, high) = (fraction(-z), fraction(z));
    if !low.is_finite() || !high.is_finite() {
        return None;
    }
    quantiles(resampled, [low, high])
}
