//! Scales: how a feature is brought to mean 0 and standard deviation 1.

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
/// Sums are in f64 over deviations from the first value, in the order of arrival: no digits cancel, blocks change no
/// bit, and a constant feature has exactly its own mean and standard deviation 0, so that it normalises to 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fit {
    count: u64,
    first: f64,
    sum: f64,
    squares: f64,
}

impl Fit {
    pub(super) fn push(&mut self, x: f32) {
        let x = f64::from(x);
        if self.count == 0 {
            self.first = x;
        }
        let deviation = x - self.first;
        self.count += 1;
        self.sum += deviation;
        self.squares += deviation * deviation;
    }

    /// Mean and (n − 1) standard deviation + 1e-6; a single value counts as constant.
    pub(super) fn scale(&self) -> Scale {
        let count = self.count.max(1) as f64;
        let spread = (self.squares - self.sum * self.sum / count).max(0.0);
        let variance = spread / (count - 1.0).max(1.0);
        Scale { mean: (self.first + self.sum / count) as f32, divisor: variance.sqrt() as f32 + 1e-6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fit(values: &[f32]) -> Scale {
        let mut fit = Fit::default();
        values.iter().for_each(|x| fit.push(*x));
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
