//! The classical hedges as rows of an answer: what a run measured of them on its own test paths.

use std::collections::{BTreeMap, HashMap};

use engine::hedges::Hedge;
use engine::metrics::index_of;

use crate::runs::{Group, Runs};

/// A classical hedge in the place of an arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `hedge.<name>`, which no arm can be called.
    pub arm: String,
    /// The column that holds for it what a metric holds for the network.
    pub column: String,
}

/// The hedges that have a counterpart of this metric; none for metrics that are not of the test set.
pub fn references(metric: &str) -> Vec<Reference> {
    let Some(name) = metric.strip_prefix("test.") else { return Vec::new() };
    let of_hedge = |word: &&str| {
        let arm = format!("hedge.{word}");
        let column = format!("{arm}.{name}");
        index_of(&column).map(|_| Reference { arm, column })
    };
    Hedge::WORDS.iter().filter_map(of_hedge).collect()
}

/// The columns that an answer about these metrics reads beside them.
pub fn reference_columns<'a>(metrics: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    metrics.into_iter().flat_map(references).map(|reference| reference.column).collect()
}

impl Runs {
    /// A hedge's values by seed, on the test sets of these runs.
    fn reference_values(&self, reference: &Reference, rows: &BTreeMap<u64, usize>) -> Vec<f64> {
        rows.values().filter_map(|row| self.value(&reference.column, *row)).collect()
    }

    /// A hedge's values in a cell: those of the first of its groups that has any, since a group that diverged has none.
    pub(crate) fn reference_in_cell(
        &self,
        reference: &Reference,
        cell: u32,
        order: &[Group],
        rows: &HashMap<Group, BTreeMap<u64, usize>>,
    ) -> Vec<f64> {
        let groups = order.iter().filter(|group| group.0 == cell);
        let values = groups.map(|group| self.reference_values(reference, &rows[group]));
        values.into_iter().find(|values| !values.is_empty()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_metrics_have_hedges_beside_them() {
        let all = references("test.cvar95");
        assert_eq!(all.len(), Hedge::WORDS.len());
        assert_eq!(all[2], Reference { arm: "hedge.heston_delta".into(), column: "hedge.heston_delta.cvar95".into() });
        assert_eq!(references("validation.loss"), []);
        assert_eq!(references("train.loss_final"), []);
    }
}
