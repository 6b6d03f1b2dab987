//! Statistics of samples, summed in f64 in a fixed order.

use crate::isa::{Isa, Kernel};
use crate::kernel::dot;

/// Count, mean and sum of squared deviations of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// The moments of a sample, in two passes.
    pub fn of(sample: &[f64]) -> Moments {
        Moments::over(sample.iter().copied())
    }

    /// The same of numbers that come one by one, twice.
    pub fn over(sample: impl ExactSizeIterator<Item = f64> + Clone) -> Moments {
        let count = sample.len();
        if count == 0 {
            return Moments::default();
        }
        let mean = sample.clone().sum::<f64>() / count as f64;
        let squares = sample.map(|x| (x - mean) * (x - mean)).sum();
        Moments { count: count as u64, mean, squares }
    }

    /// The moments of both samples together (Chan, Golub, LeVeque 1983).
    pub fn merge(self, other: Moments) -> Moments {
        if self.count == 0 || other.count == 0 {
            return if self.count == 0 { other } else { self };
        }
        let count = self.count + other.count;
        let difference = other.mean - self.mean;
        let share = other.count as f64 / count as f64;
        Moments {
            count,
            mean: self.mean + difference * share,
            squares: self.squares + other.squares + difference * difference * self.count as f64 * share,
        }
    }

    /// Mean; NaN for an empty sample.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.mean }
    }

    /// Variance with divisor n − 1; NaN for fewer than two.
    pub fn variance(&self) -> f64 {
        if self.count < 2 { f64::NAN } else { self.squares / (self.count - 1) as f64 }
    }

    /// Variance with divisor n; NaN for an empty sample.
    pub fn population_variance(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.squares / self.count as f64 }
    }

    /// The paper's Sharpe ratio: mean over (population standard deviation + 1e-6).
    pub fn paper_sharpe(&self) -> f64 {
        self.mean() / (self.population_variance().sqrt() + 1e-6)
    }
}

/// The number of a sample's `count` values in its tail of probability `1 − level`, with its fraction.
///
/// What is within 1e-9 of a whole number is one: 0.1 · 1000 is 99.99999999999997 in floats.
pub fn tail_count(count: usize, level: f64) -> f64 {
    let size = count as f64 * (1.0 - level);
    if (size - size.round()).abs() < 1e-9 { size.round() } else { size }
}

/// Value at risk and expected shortfall at `level` in \[0, 1) of losses sorted from the largest down: the loss of rank
/// ⌊k⌋ + 1, and the mean of the k largest of which the last counts by its fraction, with k = n(1 − level).
///
/// NaN for an empty sample.
pub fn tail_risk(descending: &[f64], level: f64) -> [f64; 2] {
    let Some(last) = descending.len().checked_sub(1) else { return [f64::NAN; 2] };
    let size = tail_count(descending.len(), level);
    let whole = (size as usize).min(last + 1);
    let fraction = size - whole as f64;
    let sum = descending[..whole].iter().sum::<f64>();
    let marginal = descending[whole.min(last)];
    let partial = if fraction > 0.0 { fraction * marginal } else { 0.0 };
    [marginal, (sum + partial) / size]
}

/// Sorts from the largest down. The order is total, so the result is the same whatever the order was.
pub fn sort_descending(sample: &mut [f64]) {
    sample.sort_unstable_by(|a, b| b.total_cmp(a));
}

/// Mean absolute correlation over all pairs of columns that vary, of a row-major matrix with `cols` columns; `None` if
/// fewer than two vary.
pub fn mean_absolute_correlation(rows: &[f64], cols: usize) -> Option<f64> {
    let count = rows.len() / cols.max(1);
    let column = |col: usize| rows.iter().skip(col).step_by(cols);
    let mut standardised = Vec::new();
    for col in 0..cols {
        let mean = column(col).sum::<f64>() / count as f64;
        let norm = column(col).map(|x| (x - mean) * (x - mean)).sum::<f64>().sqrt();
        if norm > 0.0 {
            standardised.push(column(col).map(|x| (x - mean) / norm).collect::<Vec<f64>>());
        }
    }
    let mut sum = 0.0;
    Isa::detect().run(Correlations { columns: &standardised, sum: &mut sum });
    let pairs = standardised.len() * standardised.len().saturating_sub(1) / 2;
    (pairs > 0).then(|| sum / pairs as f64)
}

/// The sum of the absolute products of every two columns.
struct Correlations<'a> {
    columns: &'a [Vec<f64>],
    sum: &'a mut f64,
}

impl Kernel for Correlations<'_> {
    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        for (place, a) in self.columns.iter().enumerate() {
            for b in &self.columns[..place] {
                *self.sum += dot(a, b).abs();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use proptest::prelude::*;

    #[test]
    fn tails_agree_with_the_oracle() {
        let golden = golden::engine();
        let mut losses: Vec<f64> = golden.numbers("tail.pnl").iter().map(|pnl| -pnl).collect();
        sort_descending(&mut losses);
        for (count, level, name) in
            [(101, 0.95, "101_95"), (101, 0.99, "101_99"), (100, 0.9, "100_90"), (7, 0.99, "7_99")]
        {
            let mut part: Vec<f64> = golden.numbers("tail.pnl")[..count].iter().map(|pnl| -pnl).collect();
            sort_descending(&mut part);
            golden::assert_close(&tail_risk(&part, level), &golden.numbers(&format!("tail.{name}")), 1e-14);
        }
    }

    #[test]
    fn a_tail_that_is_whole_but_for_rounding_is_whole() {
        assert_eq!(tail_count(1000, 0.9), 100.0);
        let losses: Vec<f64> = (0..1000).rev().map(f64::from).collect();
        assert_eq!(tail_risk(&losses, 0.9), [899.0, 949.5]);
        assert_eq!(tail_risk(&losses, 0.0), [0.0, 499.5]);
        assert!(tail_risk(&[], 0.9)[0].is_nan());
    }

    #[test]
    fn correlation_of_columns() {
        let rows = [1.0, 2.0, 5.0, 2.0, 4.0, 5.0, 3.0, 6.0, 5.0];
        let correlation = mean_absolute_correlation(&rows, 3).unwrap();
        assert!((correlation - 1.0).abs() < 1e-15, "a constant column is left out");
        assert_eq!(mean_absolute_correlation(&[1.0, 5.0, 2.0, 5.0], 2), None);
        assert_eq!(mean_absolute_correlation(&[], 0), None);
    }

    proptest! {
        #[test]
        fn merged_moments_are_those_of_the_whole(sample in prop::collection::vec(-1e3..1e3_f64, 0..40), cut in 0_usize..40) {
            let cut = cut.min(sample.len());
            let merged = Moments::of(&sample[..cut]).merge(Moments::of(&sample[cut..]));
            let whole = Moments::of(&sample);
            prop_assert_eq!(merged.count, whole.count);
            if !sample.is_empty() {
                prop_assert!((merged.mean() - whole.mean()).abs() <= 1e-11);
                prop_assert!((merged.squares - whole.squares).abs() <= 1e-12 * (1.0 + whole.squares));
            }
        }

        #[test]
        fn shortfall_is_at_least_the_value_at_risk(mut losses in prop::collection::vec(-10.0..10.0_f64, 1..200), level in 0.0..0.999_f64) {
            sort_descending(&mut losses);
            let [var, cvar] = tail_risk(&losses, level);
            prop_assert!(cvar >= var - 1e-9);
        }
    }
}
