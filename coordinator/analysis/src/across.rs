//! A pair across its cells: the rows of cell `*`.
//!
//! Seeds are what is replicated here, too: a seed's value is its mean over the cells, which share its weights and paths. Two
//! columns look at the cells instead: Wilcoxon's test of their means, and the interquartile means of all values.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use engine::metrics::Direction;
use rayon::prelude::*;
use results::Comparison;

use crate::battery::{Battery, high, low};
use crate::matched::{Lost, Matched};
use crate::source::source;
use crate::stats::{SeedPair, iqm_difference, mean, wilcoxon};

/// The cell of rows that summarise all cells.
pub const ALL_CELLS: &str = "*";

/// A variant that is another one from cell to cell.
const VARIOUS: &str = "*";

/// One row for each arm's variant that has values in more than one cell, without adjustment and verdict, and which sides
/// have lost seeds, in cells that have lost all of theirs, too. A tuned arm is one, whatever its variant in a cell.
pub(crate) fn across<'a>(
    all: &'a [Matched],
    metric: &str,
    direction: Direction,
    is_tuned: bool,
) -> Vec<(Comparison, Lost)> {
    let mut pairs: Vec<Vec<&'a Matched>> = Vec::new();
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    for matched in all {
        let key = (matched.arm.as_str(), if is_tuned { "" } else { matched.variant.as_str() });
        let place = *places.entry(key).or_insert_with(|| {
            pairs.push(Vec::new());
            pairs.len() - 1
        });
        pairs[place].push(matched);
    }
    pairs.retain(|cells| cells.iter().filter(|cell| !cell.seeds.is_empty()).count() > 1);
    let of_cells = |battery: &mut Battery, cells: &Vec<&Matched>| row(battery, cells, metric, direction);
    pairs.par_iter().map_init(Battery::default, of_cells).collect()
}

fn row(battery: &mut Battery, all: &[&Matched], metric: &str, direction: Direction) -> (Comparison, Lost) {
    let cells: &Vec<&Matched> = &all.iter().copied().filter(|cell| !cell.seeds.is_empty()).collect();
    let (arm, variant) = (cells[0].arm.clone(), common(cells, |cell| &cell.variant));
    let baseline_variant = common(cells, |cell| &cell.baseline_variant);
    let mut random = source(&["across", metric, &arm, &variant, &baseline_variant]);
    let (values, baseline_values) = seed_means(cells);
    let of_seeds = battery.row(&mut random, &values, &baseline_values, direction);
    let iqm = iqm_difference(&mut random, &seed_pairs(cells));
    let interval = iqm.and_then(|iqm| iqm.interval);
    let row = Comparison {
        cell: ALL_CELLS.to_owned(),
        arm,
        variant,
        baseline_variant,
        p_wilcoxon: wilcoxon(&cells.iter().filter_map(|cell| mean(&cell.differences())).collect::<Vec<f64>>()),
        iqm: iqm.map(|iqm| iqm.arm),
        baseline_iqm: iqm.map(|iqm| iqm.baseline),
        iqm_diff: iqm.map(|iqm| iqm.arm - iqm.baseline),
        iqm_diff_low: low(interval),
        iqm_diff_high: high(interval),
        ..of_seeds
    };
    (row, all.iter().fold(Lost::default(), |lost, cell| lost.or(cell.lost)))
}

/// Each seed's mean over the cells, of the arm and of the baseline, for the seeds that every cell has.
fn seed_means(cells: &[&Matched]) -> (Vec<f64>, Vec<f64>) {
    let mut of_seeds: BTreeMap<u64, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for cell in cells {
        for (seed, (value, baseline_value)) in cell.seeds.iter().zip(cell.values.iter().zip(&cell.baseline_values)) {
            let (values, baseline_values) = of_seeds.entry(*seed).or_default();
            values.push(*value);
            baseline_values.push(*baseline_value);
        }
    }
    let whole = of_seeds.into_values().filter(|(values, _)| values.len() == cells.len());
    whole.filter_map(|(values, baseline_values)| Some((mean(&values)?, mean(&baseline_values)?))).unzip()
}

/// The pairs of all cells, seeds by their places among all of them.
fn seed_pairs(cells: &[&Matched]) -> Vec<SeedPair> {
    let seeds: BTreeSet<u64> = cells.iter().flat_map(|cell| cell.seeds.iter().copied()).collect();
    let places: HashMap<u64, usize> = seeds.into_iter().zip(0..).collect();
    let of_cell = |cell: &&Matched| -> Vec<SeedPair> {
        let values = cell.values.iter().zip(&cell.baseline_values);
        let pair = |(seed, (arm, baseline)): (&u64, (&f64, &f64))| SeedPair {
            seed: places[seed],
            arm: *arm,
            baseline: *baseline,
        };
        cell.seeds.iter().zip(values).map(pair).collect()
    };
    cells.iter().flat_map(of_cell).collect()
}

/// What all cells have in common, or [`VARIOUS`].
fn common(cells: &[&Matched], label: impl Fn(&Matched) -> &String) -> String {
    let first = label(cells[0]);
    let is_common = cells.iter().all(|cell| label(cell) == first);
    if is_common { first.clone() } else { VARIOUS.to_owned() }
}
