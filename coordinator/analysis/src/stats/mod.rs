//! Tests and estimates over plain samples: pure functions, the random source passed in. One file a method.
//!
//! Every one of them is held against SciPy or statsmodels in `tests/stats.rs`, and what it promises (size, coverage, power)
//! is counted in `tests/calibration.rs`.

mod bca;
mod crossed;
mod flips;
mod hodges_lehmann;
mod holm;
mod iqm;
mod moments;
mod normal;
mod paired;
mod power;
mod resample;
mod sharpe;
mod student;
mod superiority;
mod variance;
mod welch;
mod wilcoxon;

pub use bca::{MeanIntervals, PairBootstrap, RESAMPLES};
pub use crossed::{CROSSED_RESAMPLES, Crossed, Losses, crossed_cvar};
pub use flips::{EXACT_FLIPS, FLIPS, sign_flip};
pub use hodges_lehmann::hodges_lehmann;
pub use holm::holm;
pub use iqm::{IQM_RESAMPLES, IqmDifference, SeedPair, interquartile_mean, iqm_difference};
pub use moments::{Moments, mean, sd};
pub use normal::{ZTest, normal_cdf, normal_quantile};
pub use paired::{Paired, paired_t};
pub use power::{MOST_PAIRS, power, seeds_for_power};
pub use sharpe::{SHARPE_RESAMPLES, Studentised, memmel, sharpe, studentised_sharpe};
pub use student::{TTest, two_sided_p, two_sided_quantile};
pub use superiority::{Share, superiority};
pub use variance::{grambsch, pitman_morgan};
pub use welch::welch_t;
pub use wilcoxon::wilcoxon;

/// The coverage of every interval.
pub const COVERAGE: f64 = 0.95;

/// An interval that holds the true value with a probability of [`COVERAGE`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower bound.
    pub low: f64,
    /// Its upper bound.
    pub high: f64,
}

impl Interval {
    /// The interval of so much on both sides of a centre.
    fn around(centre: f64, half_width: f64) -> Interval {
        Interval { low: centre - half_width, high: centre + half_width }
    }

    /// Whether a value lies within, bounds included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}
