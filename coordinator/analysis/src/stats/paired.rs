//! The paired t test.

use super::moments::{mean, sd};
use super::student::{TTest, two_sided_p, two_sided_quantile};
use super::{COVERAGE, Interval};

/// What differences of pairs say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Paired {
    /// The paired t test.
    pub test: TTest,
    /// The mean difference over the SD of the differences.
    pub d_z: Option<f64>,
    /// The interval of the mean difference.
    pub interval: Option<Interval>,
}

/// The paired t test on differences.
///
/// Fewer than two differences say nothing. All zero: p is 1. All equal and not zero: there is no noise to hold the
/// difference against, so that t, p, d_z and the interval are `None`.
pub fn paired_t(differences: &[f64]) -> Paired {
    let n = differences.len() as f64;
    let (Some(centre), Some(spread)) = (mean(differences), sd(differences)) else { return Paired::default() };
    if differences.iter().all(|difference| *difference == differences[0]) {
        let p = (differences[0] == 0.0).then_some(1.0);
        return Paired { test: TTest { t: None, p }, d_z: None, interval: None };
    }
    let d_z = centre / spread;
    let t = d_z * n.sqrt();
    let half_width = two_sided_quantile(1.0 - COVERAGE, n - 1.0) * spread / n.sqrt();
    Paired {
        test: TTest { t: Some(t), p: Some(two_sided_p(t, n - 1.0)) },
        d_z: Some(d_z),
        interval: Some(Interval::around(centre, half_width)),
    }
}
