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
    /// Which sides have lost seeds.
    pub(crate) lost: Lost,
}

/// Which sides of a comparison have no value for a seed for which the other side has one: they diverged or failed there, and the
/// seeds that are left are those at which they survived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) arm: bool,
    pub(crate) baseline: bool,
}

impl Lost {
    /// Whether a verdict would only say which seeds a side has lost: an arm that lost some is not better for having survived the
    /// others, nor is it worse than a baseline that lost some.
    pub(crate) fn rules_out(self, verdict: &str) -> bool {
        match verdict {
            "better" => self.arm,
            "worse" => self.baseline,
            _ => false,
        }
    }

    /// What either of two comparisons has lost.
    pub(crate) fn or(self, other: Lost) -> Lost {
        Lost { arm: self.arm || other.arm, baseline: self.baseline || other.baseline }
    }
}

impl Matched {
    /// An arm's pair.
    pub(crate) fn arm(runs: &Runs, pair: &Pair, metric: &str, without: &HashSet<u64>) -> Matched {
        let mut matched = Matched {
            cell: pair.cell.clone(),
            arm: pair.arm.clone(),
            variant: pair.variant.clone(),
            baseline_variant: pair.baseline_variant.clone(),
            ..Matched::default()
        };
        for (seed, row) in kept(&pair.rows, without) {
            let Some(baseline_row) = pair.baseline_rows.get(seed) else { continue };
            matched.push(*seed, runs.value(metric, *row), runs.value(metric, *baseline_row));
        }
        matched
    }

    /// A classical hedge on the baseline's test paths. A seed that the baseline has lost has no value of the hedge either, which
    /// the same run measures.
    pub(crate) fn hedge(
        runs: &Runs,
        baseline: &Baseline,
        hedge: &Reference,
        metric: &str,
        without: &HashSet<u64>,
    ) -> Matched {
        let has_lost = |(_, row): (&u64, &usize)| runs.value(metric, *row).is_none();
        let mut matched = Matched {
            cell: baseline.cell.clone(),
            arm: hedge.arm.clone(),
            variant: "default".to_owned(),
            baseline_variant: baseline.variant.clone(),
            ..Matched::default()
        };
        for (seed, row) in kept(&baseline.rows, without) {
            matched.push(*seed, runs.value(&hedge.column, *row), runs.value(metric, *row));
        }
        matched.lost.baseline |= kept(&baseline.rows, without).any(has_lost);
        // A hedge that was not asked for has lost nothing.
        matched.lost.arm &= !matched.seeds.is_empty();
        matched
    }

    /// arm − baseline.
    pub(crate) fn differences(&self) -> Vec<f64> {
        self.values.iter().zip(&self.baseline_values).map(|(arm, baseline)| arm - baseline).collect()
    }

    fn push(&mut self, seed: u64, value: Option<f64>, baseline_value: Option<f64>) {
        match (value, baseline_value) {
            (Some(value), Some(baseline_value)) => {
                self.seeds.push(seed);
                self.values.push(value);
                self.baseline_values.push(baseline_value);
            }
            (None, Some(_)) => self.lost.arm = true,
            (Some(_), None) => self.lost.baseline = true,
            // Both lost it: it speaks for neither.
            (None, None) => {}
        }
    }
}

/// The runs of seeds that did not choose the variant.
fn kept<'a>(
    rows: &'a BTreeMap<u64, usize>,
    without: &'a HashSet<u64>,
) -> impl Iterator<Item = (&'a u64, &'a usize)> + 'a {
    rows.iter().filter(|(seed, _)| !without.contains(seed))
}
