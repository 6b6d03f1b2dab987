//! The table of runs, as far as a comparison needs it.

use std::collections::{BTreeMap, HashMap};

use results::{StoreError, Tables, Words};

use crate::sources::Sources;

/// Columns of the runs.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// Arms.
    pub arm: Words,
    /// Variants.
    pub variant: Words,
    /// Cells.
    pub cell: Words,
    /// Seeds.
    pub seed: Vec<u64>,
    /// Metrics by name.
    pub metrics: BTreeMap<String, Vec<Option<f64>>>,
}

/// Where runs stand: places of words in `cell`, `arm` and `variant`.
pub(crate) type Group = (u32, u32, u32);

impl Runs {
    /// Reads these metrics of all runs.
    pub fn load<'a>(tables: &Tables, metrics: impl IntoIterator<Item = &'a str>) -> Result<Runs, StoreError> {
        Sources::from(tables).runs(metrics)
    }

    /// A metric's column; of no value for a metric that was not loaded.
    pub(crate) fn value(&self, metric: &str, row: usize) -> Option<f64> {
        self.metrics.get(metric)?[row]
    }

    /// The groups of runs in plan order, cell by cell, and the rows of each by seed. Of two runs of a group with one seed the first
    /// counts.
    pub(crate) fn groups(&self) -> (Vec<Group>, HashMap<Group, BTreeMap<u64, usize>>) {
        let mut order = Vec::new();
        let mut rows: HashMap<Group, BTreeMap<u64, usize>> = HashMap::new();
        for row in 0..self.seed.len() {
            let codes = (self.cell.codes[row], self.arm.codes[row], self.variant.codes[row]);
            let (Some(cell), Some(arm), Some(variant)) = codes else { continue };
            let group = (cell, arm, variant);
            let seeds = rows.entry(group).or_insert_with(|| {
                order.push(group);
                BTreeMap::new()
            });
            seeds.entry(self.seed[row]).or_insert(row);
        }
        // Several sweeps' runs come sweep by sweep. Cells are numbered as they first appear.
        order.sort_by_key(|(cell, _, _)| *cell);
        (order, rows)
    }
}
