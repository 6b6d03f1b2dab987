//! Everything that is asked of one pair, one cell and one metric.

use engine::metrics::Direction;
use rand::Rng;
use results::Comparison;

use crate::stats::{
    Interval, PairBootstrap, hodges_lehmann, interquartile_mean, mean, paired_t, sd, seeds_for_power, sign_flip,
    superiority, wilcoxon,
};

/// The level of the verdict, after Holm's adjustment, and of the power.
pub const LEVEL: f64 = 0.05;

/// The probability with which `seeds_for_power80` sees an effect.
const POWER: f64 = 0.8;

/// The battery of statistics. It keeps its memory from one pair to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Battery {
    bootstrap: PairBootstrap,
}

impl Battery {
    /// The statistics of an arm's and the baseline's values, paired by place; without names, adjustment and verdict.
    pub(crate) fn row(
        &mut self,
        random: &mut impl Rng,
        arm: &[f64],
        baseline: &[f64],
        direction: Direction,
    ) -> Comparison {
        let differences: Vec<f64> = arm.iter().zip(baseline).map(|(arm, baseline)| arm - baseline).collect();
        let paired = paired_t(&differences);
        let bootstrap = self.bootstrap.intervals(random, arm, baseline);
        let ratio = arm.iter().chain(baseline).all(|value| *value > 0.0).then(|| Some(mean(arm)? / mean(baseline)?));
        let (iqm, baseline_iqm) = (interquartile_mean(arm), interquartile_mean(baseline));
        let better = better(&differences, direction);
        Comparison {
            n: arm.len() as u64,
            mean: mean(arm),
            baseline_mean: mean(baseline),
            sd: sd(arm),
            baseline_sd: sd(baseline),
            diff: mean(&differences),
            diff_low: low(bootstrap.difference),
            diff_high: high(bootstrap.difference),
            t_low: low(paired.interval),
            t_high: high(paired.interval),
            hl_diff: hodges_lehmann(&differences),
            ratio: ratio.flatten(),
            ratio_low: low(bootstrap.ratio),
            ratio_high: high(bootstrap.ratio),
            t: paired.test.t,
            p_t: paired.test.p,
            p_wilcoxon: wilcoxon(&differences),
            p_signflip: sign_flip(random, &differences),
            d_z: paired.d_z,
            p_better: better.map(|better| better.0),
            p_better_low: better.map(|better| better.1.low),
            p_better_high: better.map(|better| better.1.high),
            iqm,
            baseline_iqm,
            iqm_diff: iqm.zip(baseline_iqm).map(|(arm, baseline)| arm - baseline),
            seeds_for_power80: paired.d_z.and_then(|d_z| seeds_for_power(d_z, POWER, LEVEL)).map(|n| n as f64),
            ..Comparison::default()
        }
    }
}

/// The share of differences in the better direction, and its interval; `None` for a metric that has none.
fn better(differences: &[f64], direction: Direction) -> Option<(f64, Interval)> {
    let is_win = |difference: &&f64| match direction {
        Direction::Minimize => **difference < 0.0,
        Direction::Maximize => **difference > 0.0,
        Direction::Neutral => false,
    };
    if direction == Direction::Neutral {
        return None;
    }
    let wins = differences.iter().filter(is_win).count();
    let ties = differences.iter().filter(|difference| **difference == 0.0).count();
    superiority(wins, ties, differences.len()).map(|share| (share.share, share.interval))
}

pub(crate) fn low(interval: Option<Interval>) -> Option<f64> {
    interval.map(|interval| interval.low)
}

pub(crate) fn high(interval: Option<Interval>) -> Option<f64> {
    interval.map(|interval| interval.high)
}
