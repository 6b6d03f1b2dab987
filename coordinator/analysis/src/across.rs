//! A pair across its cells: the rows of cell `*`.

use std::collections::{BTreeSet, HashMap};

use engine::metrics::Direction;
use rand::Rng;
use rayon::prelude::*;
use results::Comparison;

use crate::battery::{better, high, low};
use crate::matched::Matched;
use crate::source::source;
use crate::stats::{SeedPair, hodges_lehmann, iqm_difference, mean, sd, wilcoxon};

/// The cell of rows that summarise all cells.
pub const ALL_CELLS: &str = "*";

/// A variant that is another one from cell to cell.
const VARIOUS: &str = "*";

/// One row for each arm's variant that has values in more than one cell, without adjustment and verdict, and the verdict
/// that lost seeds rule out. A tuned arm is one, whatever its variant in a cell.
pub(crate) fn across<'a>(
    all: &'a [Matched],
    metric: &str,
    direction: Direction,
    is_tuned: bool,
) -> Vec<(Comparison, Option<&'static str>)> {
    let mut pairs: Vec<Vec<&'a Matched>> = Vec::new();
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    for matched in all.iter().filter(|matched| !matched.seeds.is_empty()) {
        let key = (matched.arm.as_str(), if is_tuned { "" } else { matched.variant.as_str() });
        let place = *places.entry(key).or_insert_with(|| {
            pairs.push(Vec::new());
            pairs.len() - 1
        });
        pairs[place].push(matched);
    }
    pairs.retain(|cells| cells.len() > 1);
    pairs.par_iter().map(|cells| row(cells, metric, direction)).collect()
}

fn row(cells: &[&Matched], metric: &str, direction: Direction) -> (Comparison, Option<&'static str>) {
    let (arm, variant) = (cells[0].arm.clone(), common(cells, |cell| &cell.variant));
    let baseline_variant = common(cells, |cell| &cell.baseline_variant);
    let mut random = source(&["across", metric, &arm, &variant, &baseline_variant]);
    let row = Comparison { arm, variant, baseline_variant, ..statistics(&mut random, cells, direction) };
    (row, cells.iter().find_map(|cell| cell.excluded))
}

fn statistics(random: &mut impl Rng, cells: &[&Matched], direction: Direction) -> Comparison {
    let means =
        |side: fn(&Matched) -> &Vec<f64>| -> Vec<f64> { cells.iter().filter_map(|cell| mean(side(cell))).collect() };
    let (arm, baseline) = (means(|cell| &cell.values), means(|cell| &cell.baseline_values));
    let difference = |cell: &&Matched| {
        let pairs = cell.values.iter().zip(&cell.baseline_values);
        mean(&pairs.map(|(arm, baseline)| arm - baseline).collect::<Vec<f64>>())
    };
    let differences: Vec<f64> = cells.iter().filter_map(difference).collect();
    let iqm = iqm_difference(random, &seed_pairs(cells));
    let interval = iqm.and_then(|iqm| iqm.interval);
    Comparison {
        cell: ALL_CELLS.to_owned(),
        n: cells.len() as u64,
        mean: mean(&arm),
        baseline_mean: mean(&baseline),
        sd: sd(&arm),
        baseline_sd: sd(&baseline),
        diff: mean(&differences),
        hl_diff: hodges_lehmann(&differences),
        p_wilcoxon: wilcoxon(&differences),
        // Cells are no sample of cells: the share of them has no interval.
        p_better: better(&differences, direction).map(|better| better.0),
        iqm: iqm.map(|iqm| iqm.arm),
        baseline_iqm: iqm.map(|iqm| iqm.baseline),
        iqm_diff: iqm.map(|iqm| iqm.arm - iqm.baseline),
        iqm_diff_low: low(interval),
        iqm_diff_high: high(interval),
        ..Comparison::default()
    }
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
