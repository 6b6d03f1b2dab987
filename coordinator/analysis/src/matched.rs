//! What an arm's variant and the baseline came to with the same seeds.

use std::collections::{BTreeMap, HashSet};

use crate::question::{Baseline, Pair};
use crate::reference::Reference;
use crate::runs::Runs;

/// A metric's values of both sides of a comparison, for the seeds that both have, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Matched {
    pub(crate) cell: String,
    pub(crate) arm: String,
    pub(crate) variant: String,
    pub(crate) baseline_variant: String,
    pub(crate) seeds: Vec<u64>,
    pub(crate) values: Vec<f64>,
    pub(crate) baseline_values: Vec<f64>,
    /// The verdict that a side's lost seeds rule out.
    pub(crate) excluded: Option<&'static str>,
}

impl Matched {
    /// An arm's pair. Where the arm has lost seeds it is not better: it is so where it survived.
    pub(crate) fn arm(runs: &Runs, pair: &Pair, metric: &str, without: &HashSet<u64>) -> Matched {
        let mut matched = Matched {
            cell: pair.cell.clone(),
            arm: pair.arm.clone(),
            variant: pair.variant.clone(),
            baseline_variant: pair.baseline_variant.clone(),
            excluded: arm_lost_seeds(runs, pair, metric, without).then_some("better"),
            ..Matched::default()
        };
        for (seed, row) in kept(&pair.rows, without) {
            let Some(baseline_row) = pair.baseline_rows.get(seed) else { continue };
            matched.push(*seed, runs.value(metric, *row), runs.value(metric, *baseline_row));
        }
        matched
    }

    /// A classical hedge on the baseline's test paths. Where the baseline has lost seeds the hedge is not worse: it was held
    /// against what survived.
    pub(crate) fn hedge(
        runs: &Runs,
        baseline: &Baseline,
        hedge: &Reference,
        metric: &str,
        without: &HashSet<u64>,
    ) -> Matched {
        let lost = |(_, row): (&u64, &usize)| runs.value(metric, *row).is_none();
        let mut matched = Matched {
            cell: baseline.cell.clone(),
            arm: hedge.arm.clone(),
            variant: "default".to_owned(),
            baseline_variant: baseline.variant.clone(),
            excluded: kept(&baseline.rows, without).any(lost).then_some("worse"),
            ..Matched::default()
        };
        for (seed, row) in kept(&baseline.rows, without) {
            matched.push(*seed, runs.value(&hedge.column, *row), runs.value(metric, *row));
        }
        matched
    }

    /// arm − baseline.
    pub(crate) fn differences(&self) -> Vec<f64> {
        self.values.iter().zip(&self.baseline_values).map(|(arm, baseline)| arm - baseline).collect()
    }

    fn push(&mut self, seed: u64, value: Option<f64>, baseline_value: Option<f64>) {
        let (Some(value), Some(baseline_value)) = (value, baseline_value) else { return };
        self.seeds.push(seed);
        self.values.push(value);
        self.baseline_values.push(baseline_value);
    }
}

/// The runs of seeds that did not choose the variant.
fn kept<'a>(
    rows: &'a BTreeMap<u64, usize>,
    without: &'a HashSet<u64>,
) -> impl Iterator<Item = (&'a u64, &'a usize)> + 'a {
    rows.iter().filter(|(seed, _)| !without.contains(seed))
}

/// Whether the arm has no value for a seed for which the baseline has one: it diverged or failed there.
fn arm_lost_seeds(runs: &Runs, pair: &Pair, metric: &str, without: &HashSet<u64>) -> bool {
    kept(&pair.baseline_rows, without).any(|(seed, baseline_row)| {
        let arm_row = pair.rows.get(seed);
        let arm = arm_row.and_then(|row| runs.value(metric, *row));
        arm_row.is_some() && arm.is_none() && runs.value(metric, *baseline_row).is_some()
    })
}
