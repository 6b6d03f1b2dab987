//! The normal distribution.

use std::f64::consts::SQRT_2;

use statrs::distribution::{ContinuousCDF, Normal};

/// A statistic that is standard normal if there is no difference, and its two-sided p.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ZTest {
    /// The statistic.
    pub z: Option<f64>,
    /// The probability of one at least as far from zero.
    pub p: Option<f64>,
}

impl ZTest {
    /// The test of a statistic.
    pub(super) fn of(z: f64) -> ZTest {
        ZTest { z: Some(z), p: Some(two_sided(z)) }
    }
}

/// P(|Z| ≥ |z|).
pub(super) fn two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() / SQRT_2)
}

/// P(Z ≤ x), to fifteen digits in both tails; statrs' own has ten.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / SQRT_2)
}

/// The value below which Z lies with probability `p`; infinite for 0 and 1.
pub fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}
