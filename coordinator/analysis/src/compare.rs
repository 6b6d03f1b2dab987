//! Paired comparisons of arms with the baseline: the rows of `comparisons.parquet`.

use std::collections::{HashMap, HashSet};

use engine::metrics::Direction;
use rayon::prelude::*;
use results::Comparison;

use crate::across::across;
use crate::battery::Battery;
pub use crate::battery::LEVEL;
use crate::matched::{Lost, Matched};
use crate::question::{Question, QuestionError, pairs_and_baselines};
use crate::reference::references;
use crate::runs::Runs;
use crate::source::source;
use crate::stats::holm;

/// Fewer pairs than this conclude nothing: the smallest two-sided p that an exact paired test can reach, 2^(1−n), is
/// above 0.05 up to n = 5.
pub const MIN_PAIRS: usize = 6;

/// Answers a question: one row for each metric, cell and pair, in this order, and behind a metric's cells one for each pair
/// across them, cell [`ALL_CELLS`](crate::ALL_CELLS).
///
/// Seeds count for which both sides have the metric. With tuning, the seeds that chose are left out. Behind a cell's arms
/// stand the classical hedges that were scored on the same test paths, as a family of their own for Holm's adjustment; the
/// rows across cells are two more families. Bootstraps and sign flips are drawn from sources that the row's own labels
/// address, so that equal results have equal rows, in whatever order and however many rows there are.
pub fn compare(runs: &Runs, question: &Question) -> Result<Vec<Comparison>, QuestionError> {
    let (pairs, baselines) = pairs_and_baselines(runs, question)?;
    let tuning: &HashSet<u64> = &question.tune.iter().flat_map(|tune| tune.seeds.iter().copied()).collect();
    let is_tuned = question.tune.is_some();
    let place: HashMap<&str, usize> =
        baselines.iter().enumerate().map(|(place, baseline)| (baseline.cell.as_str(), place)).collect();
    let mut all = Vec::with_capacity(pairs.len() * question.metrics.len());
    for (metric, direction) in &question.metrics {
        let arms: Vec<Matched> = pairs.iter().map(|pair| Matched::arm(runs, pair, metric, tuning)).collect();
        let hedges_of = |baseline| {
            let of_hedge = move |hedge| Matched::hedge(runs, baseline, &hedge, metric, tuning);
            references(metric).into_iter().map(of_hedge).collect::<Vec<Matched>>()
        };
        let hedges: Vec<Matched> = baselines.iter().flat_map(hedges_of).collect();
        // An arm without values is an answer; a hedge without any was not asked for.
        let measured: Vec<&Matched> = hedges.iter().filter(|hedge| !hedge.seeds.is_empty()).collect();

        let mut rows = judged(cell_by_cell(&arms.iter().collect::<Vec<_>>(), metric, *direction), *direction);
        rows.extend(judged(cell_by_cell(&measured, metric, *direction), *direction));
        // Cell by cell, each cell's arms before its hedges: the sort keeps the order of equals.
        rows.sort_by_key(|row| place.get(row.cell.as_str()).copied().unwrap_or(usize::MAX));
        rows.extend(judged(across(&arms, metric, *direction, is_tuned), *direction));
        rows.extend(judged(across(&hedges, metric, *direction, is_tuned), *direction));
        all.extend(rows.into_iter().map(|row| Comparison {
            metric: metric.clone(),
            baseline: question.baseline_arm.clone(),
            stage: if is_tuned { "confirm" } else { "all" }.to_owned(),
            ..row
        }));
    }
    Ok(all)
}

/// The battery for each pair, and which sides have lost seeds.
fn cell_by_cell(all: &[&Matched], metric: &str, direction: Direction) -> Vec<(Comparison, Lost)> {
    let of_pair = |battery: &mut Battery, matched: &&Matched| {
        let Matched { cell, arm, variant, baseline_variant, values, baseline_values, lost, .. } = *matched;
        let mut random = source(&["pair", metric, cell, arm, variant, baseline_variant]);
        let row = Comparison {
            cell: cell.clone(),
            arm: arm.clone(),
            variant: variant.clone(),
            baseline_variant: baseline_variant.clone(),
            ..battery.row(&mut random, values, baseline_values, direction)
        };
        (row, *lost)
    };
    all.par_iter().map_init(Battery::default, of_pair).collect()
}

/// A family of rows with Holm's adjustment and the verdicts, but for those that lost seeds rule out.
fn judged(rows: Vec<(Comparison, Lost)>, direction: Direction) -> Vec<Comparison> {
    let family: Vec<f64> = rows.iter().filter_map(|(row, _)| row.p_t).collect();
    let mut adjusted = holm(&family).into_iter();
    let judge = |(mut row, lost): (Comparison, Lost)| {
        row.p_holm = row.p_t.and_then(|_| adjusted.next());
        row.verdict = match verdict(&row, direction) {
            verdict if lost.rules_out(verdict) => "undefined".to_owned(),
            verdict => verdict.to_owned(),
        };
        row
    };
    rows.into_iter().map(judge).collect()
}

/// The verdict in words. A metric that has no better side, and differences without noise, are not judged.
fn verdict(row: &Comparison, direction: Direction) -> &'static str {
    let Some(diff) = row.diff else { return "undefined" };
    if row.n < MIN_PAIRS as u64 {
        return "too_few_seeds";
    }
    let Some(p) = row.p_holm else { return "undefined" };
    if p >= LEVEL {
        return "no_difference";
    }
    match direction {
        Direction::Neutral => "undefined",
        Direction::Minimize if diff < 0.0 => "better",
        Direction::Maximize if diff > 0.0 => "better",
        Direction::Minimize | Direction::Maximize => "worse",
    }
}
