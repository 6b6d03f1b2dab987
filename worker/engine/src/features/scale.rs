//! Scales: how a feature is brought to mean 0 and standard deviation 1.

use crate::isa::{Isa, Kernel};
use crate::lanes::{LANES, Vector};

/// The z-score of one feature, in f32 as the notebook has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    mean: f32,
    divisor: f32,
}

impl Scale {
    /// The scale that changes nothing.
    pub(super) const IDENTITY: Scale = Scale { mean: 0.0, divisor: 1.0 };

    /// (x − mean)/(SD + 1e-6).
    pub fn apply(&self, x: f32) -> f32 {
        (x - self.mean) / self.divisor
    }

    /// SD + 1e-6: one unit of what is scaled.
    pub fn unit(&self) -> f32 {
        self.divisor
    }
}

/// Gathers the mean and standard deviation of one feature over a set that comes in blocks.
///
/// Sums are in f64 over deviations from the first value, in lanes, the order of arrival in each: no digits cancel, and a
/// constant feature has exactly its own mean and standard deviation 0, so that it normalises to 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fit {
    count: u64,
    first: f64,
    sums: [f64; LANES],
    squares: [f64; LANES],
}

impl Fit {
    /// Takes the values of a path at some points, the first of which is a multiple of the lanes.
    pub(super) fn push_all(&mut self, values: &[f32]) {
        if self.count == 0 {
            self.first = values.first().copied().map_or(0.0, f64::from);
        }
        self.count += values.len() as u64;
        Isa::detect().run(Push { fit: self, values });
    }

    /// Mean and (n − 1) standard deviation + 1e-6; a single value counts as constant.
    pub(super) fn scale(&self) -> Scale {
        let count = self.count.max(1) as f64;
        let [sum, squares] = [self.sums, self.squares].map(|lanes| lanes.iter().sum::<f64>());
        let spread = (squares - sum * sum / count).max(0.0);
        let variance = spread / (count - 1.0).max(1.0);
        Scale { mean: (self.first + sum / count) as f32, divisor: variance.sqrt() as f32 + 1e-6 }
    }
}

/// Values to be added to a fit's sums.
struct Push<'a> {
    fit: &'a mut Fit,
    values: &'a [f32],
}

impl Kernel for Push<'_> {
    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        let Fit { first, sums, squares, .. } = self.fit;
        let (whole, rest) = self.values.as_chunks::<LANES>();
        let (mut own_sums, mut own_squares) = (Vector(*sums), Vector(*squares));
        for values in whole {
            let mut deviation = Vector::<LANES, f64>::ZERO;
            for (deviation, x) in deviation.0.iter_mut().zip(values) {
                *deviation = f64::from(*x) - *first;
            }
            own_sums = own_sums.add(deviation);
            own_squares = own_squares.add(deviation.mul(deviation));
        }
        (*sums, *squares) = (own_sums.0, own_squares.0);
        for ((sum, square), x) in sums.iter_mut().zip(squares).zip(rest) {
            let deviation = f64::from(*x) - *first;
            *sum += deviation;
            *square += deviation * deviation;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fit(values: &[f32]) -> Scale {
        let mut fit = Fit::default();
        fit.push_all(values);
        fit.scale()
    }

    #[test]
    fn a_constant_normalises_to_zero() {
        for constant in [0.04_f32, 1.0, 100.3, -7e-5] {
            let scale = fit(&[constant; 37]);
            assert_eq!(scale.apply(constant), 0.0);
        }
    }

    proptest! {
        #[test]
        fn the_scaled_set_has_mean_zero_and_deviation_one(values in prop::collection::vec(0.5_f32..1.5, 3..60)) {
            let scale = fit(&values);
            let scaled: Vec<f64> = values.iter().map(|x| f64::from(scale.apply(*x))).collect();
            let moments = crate::statistics::Moments::of(&scaled);
            // f32 of numbers near 1, over their standard deviation.
            let rounding = 1e-6 / f64::from(scale.divisor);
            prop_assert!(moments.mean().abs() <= rounding);
            prop_assert!((moments.variance().sqrt() - 1.0).abs() <= 10.0 * rounding + 1e-6 / f64::from(scale.divisor));
        }
    }
}
