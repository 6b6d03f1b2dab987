//! Paired comparisons of arms with the baseline: the rows of `comparisons.parquet`.

use std::collections::{HashMap, HashSet};

use engine::metrics::Direction;
use results::Comparison;

use crate::question::{Baseline, Pair, Question, QuestionError, pairs_and_baselines};
use crate::reference::{Reference, references};
use crate::runs::Runs;
use crate::stats::{holm, mean, paired_t, sd};

/// Fewer pairs than this conclude nothing: the smallest two-sided p that an exact paired test can reach, 2^(1−n), is
/// above 0.05 up to n = 5.
pub const MIN_PAIRS: usize = 6;

/// The level of the verdict, after Holm's adjustment.
pub const LEVEL: f64 = 0.05;

/// Answers a question: one row for each metric, cell and pair, in this order. What later tests will fill in is null.
///
/// Seeds count for which both sides have the metric. With tuning, the seeds that chose are left out. Behind a cell's arms
/// stand the classical hedges that were scored on the same test paths, as a family of their own for Holm's adjustment.
pub fn compare(runs: &Runs, question: &Question) -> Result<Vec<Comparison>, QuestionError> {
    let (pairs, baselines) = pairs_and_baselines(runs, question)?;
    let tuning: HashSet<u64> = question.tune.iter().flat_map(|tune| tune.seeds.iter().copied()).collect();
    let stage = if question.tune.is_some() { "confirm" } else { "all" };
    let mut all = Vec::with_capacity(pairs.len() * question.metrics.len());
    for (metric, direction) in &question.metrics {
        let label = |row: Comparison, cell: &str, arm: &str, variant: &str, baseline_variant: &str| Comparison {
            cell: cell.to_owned(),
            metric: metric.clone(),
            arm: arm.to_owned(),
            variant: variant.to_owned(),
            baseline: question.baseline_arm.clone(),
            baseline_variant: baseline_variant.to_owned(),
            stage: stage.to_owned(),
            ..row
        };
        let of_arms = pairs.iter().map(|pair| {
            let (arm, baseline) = matched(runs, pair, metric, &tuning);
            // Better where it survived is not better.
            let excluded = arm_lost_seeds(runs, pair, metric, &tuning).then_some("better");
            (label(row(&arm, &baseline), &pair.cell, &pair.arm, &pair.variant, &pair.baseline_variant), excluded)
        });
        let mut rows = judged(of_arms.collect(), *direction);
        let mut hedges = Vec::new();
        for Baseline { cell, variant, rows } in &baselines {
            let lost = |(seed, row): (&u64, &usize)| !tuning.contains(seed) && runs.value(metric, *row).is_none();
            // Nor is a hedge worse than a baseline that is only judged where it survived.
            let excluded = rows.iter().any(lost).then_some("worse");
            for Reference { arm, column } in references(metric) {
                let seeds = rows.iter().filter(|(seed, _)| !tuning.contains(seed));
                let values = seeds.filter_map(|(_, row)| Some((runs.value(&column, *row)?, runs.value(metric, *row)?)));
                let (hedge, baseline): (Vec<f64>, Vec<f64>) = values.unzip();
                if !hedge.is_empty() {
                    hedges.push((label(self::row(&hedge, &baseline), cell, &arm, "default", variant), excluded));
                }
            }
        }
        rows.extend(judged(hedges, *direction));
        // Cell by cell, each cell's arms before its hedges: the sort keeps the order of equals.
        let place: HashMap<&str, usize> =
            baselines.iter().enumerate().map(|(place, baseline)| (baseline.cell.as_str(), place)).collect();
        rows.sort_by_key(|row| place.get(row.cell.as_str()).copied().unwrap_or(usize::MAX));
        all.extend(rows);
    }
    Ok(all)
}

/// A family of rows with Holm's adjustment and the verdicts, but for the one that lost seeds exclude for a row.
fn judged(rows: Vec<(Comparison, Option<&str>)>, direction: Direction) -> Vec<Comparison> {
    let family: Vec<f64> = rows.iter().filter_map(|(row, _)| row.p_t).collect();
    let mut adjusted = holm(&family).into_iter();
    let judge = |(mut row, excluded): (Comparison, Option<&str>)| {
        row.p_holm = row.p_t.and_then(|_| adjusted.next());
        row.verdict = match verdict(&row, direction) {
            verdict if Some(verdict) == excluded => "undefined".to_owned(),
            verdict => verdict.to_owned(),
        };
        row
    };
    rows.into_iter().map(judge).collect()
}

/// The values of both sides for the seeds that both have.
fn matched(runs: &Runs, pair: &Pair, metric: &str, without: &HashSet<u64>) -> (Vec<f64>, Vec<f64>) {
    let seeds = pair.rows.iter().filter(|(seed, _)| !without.contains(seed));
    let values = seeds.filter_map(|(seed, row)| {
        let baseline_row = *pair.baseline_rows.get(seed)?;
        Some((runs.value(metric, *row)?, runs.value(metric, baseline_row)?))
    });
    values.unzip()
}

/// Whether the arm has no value for a seed for which the baseline has one: it diverged or failed there.
fn arm_lost_seeds(runs: &Runs, pair: &Pair, metric: &str, without: &HashSet<u64>) -> bool {
    let mut seeds = pair.baseline_rows.iter().filter(|(seed, _)| !without.contains(seed));
    seeds.any(|(seed, baseline_row)| {
        let arm_row = pair.rows.get(seed);
        let arm = arm_row.and_then(|row| runs.value(metric, *row));
        arm_row.is_some() && arm.is_none() && runs.value(metric, *baseline_row).is_some()
    })
}

fn row(arm: &[f64], baseline: &[f64]) -> Comparison {
    let differences: Vec<f64> = arm.iter().zip(baseline).map(|(arm, baseline)| arm - baseline).collect();
    let paired = paired_t(&differences);
    Comparison {
        n: arm.len() as u64,
        mean: mean(arm),
        baseline_mean: mean(baseline),
        sd: sd(arm),
        baseline_sd: sd(baseline),
        diff: mean(&differences),
        t: paired.test.t,
        p_t: paired.test.p,
        d_z: paired.d_z,
        ..Comparison::default()
    }
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
