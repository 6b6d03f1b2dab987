//! The paper's Tables 1 and 2, as a terminal shows them: training paths of all epochs pooled, one run an arm.

use std::fmt::Write;

use analysis::Runs;
use comfy_table::{CellAlignment, Table};
use engine::record::Record;
use results::Pooled;

use super::show::{plain_table, trimmed};
use crate::format;

/// More runs than these are for the Parquet file.
const MAX_SEEDS: usize = 4;

/// One run's line of Table 2.
struct Line {
    arm: String,
    variant: String,
    pnl_variance: Option<f64>,
    mean_cost: Option<f64>,
    sharpe: Option<f64>,
}

/// The two tables for each cell and seed.
pub(super) fn show(rows: &[Pooled], times: &Runs, record: &Record) -> String {
    let mut text = String::new();
    let groups: Vec<&[Pooled]> = rows.chunk_by(|a, b| (&a.cell, a.seed) == (&b.cell, b.seed)).collect();
    for group in groups.iter().take(MAX_SEEDS) {
        let first = &group[0];
        let cell = if first.cell == "default" { String::new() } else { format!("{}, ", first.cell) };
        let _ = writeln!(text, "{}, pooled · {cell}seed {}", pool(record), first.seed);
        let _ = writeln!(text, "{}\n", trimmed(&performance(group, times)));
        let _ = writeln!(text, "{}\n", trimmed(&tests(group)));
    }
    if groups.len() > MAX_SEEDS {
        let _ = writeln!(text, "... and {} more runs of each arm in pooled.parquet\n", groups.len() - MAX_SEEDS);
    }
    text
}

/// What is pooled: the paper's tables need all epochs and all paths.
fn pool(record: &Record) -> String {
    match &record.samples {
        Some(samples) if !samples.all_epochs => {
            format!("at most {} training paths of the last epoch alone", format::count(samples.max_paths))
        }
        Some(samples) if samples.max_paths < 10_000 => {
            format!("at most {} training paths of each epoch", format::count(samples.max_paths))
        }
        _ => "training paths of all epochs".to_owned(),
    }
}

/// Table 2: variance of the P&L, mean cost, Sharpe ratio and training time of each arm, the baseline first.
fn performance(group: &[Pooled], times: &Runs) -> Table {
    let mut lines: Vec<Line> = Vec::new();
    for row in group {
        let sides = [
            (&row.baseline, &row.baseline_variant, row.baseline_mean, row.baseline_variance, row.baseline_sharpe),
            (&row.arm, &row.variant, row.mean, row.variance, row.sharpe),
        ];
        for (arm, variant, mean, variance, sharpe) in sides {
            let known = lines.iter().position(|line| line.arm == *arm && line.variant == *variant);
            let place = known.unwrap_or_else(|| {
                let (arm, variant) = (arm.clone(), variant.clone());
                lines.push(Line { arm, variant, pnl_variance: None, mean_cost: None, sharpe: None });
                lines.len() - 1
            });
            let line = &mut lines[place];
            if row.metric == "train.pnl" {
                (line.pnl_variance, line.sharpe) = (variance, sharpe);
            } else {
                line.mean_cost = mean;
            }
        }
    }
    let mut table = plain_table();
    table.set_header(["arm", "variant", "P&L variance", "mean cost", "Sharpe ratio", "training time (s)"]);
    for line in &lines {
        let seconds = seconds(times, line, &group[0].cell, group[0].seed);
        table.add_row([
            line.arm.clone(),
            line.variant.clone(),
            fixed(line.pnl_variance, 6),
            fixed(line.mean_cost, 6),
            fixed(line.sharpe, 4),
            fixed(seconds, 2),
        ]);
    }
    align_from(&mut table, 2);
    table
}

/// Seconds that a run's training took, simulation included, as the notebook counts them.
fn seconds(times: &Runs, line: &Line, cell: &str, seed: u64) -> Option<f64> {
    let row = (0..times.seed.len()).find(|&row| {
        times.seed[row] == seed
            && times.arm.get(row) == Some(&line.arm)
            && times.variant.get(row) == Some(&line.variant)
            && times.cell.get(row) == Some(cell)
    })?;
    Some(times.metrics["time.simulate_s"][row]? + times.metrics["time.train_s"][row]?)
}

/// Table 1: Welch's t of the baseline's values minus each arm's.
fn tests(group: &[Pooled]) -> Table {
    let mut table = plain_table();
    table.set_header(["Welch's t", "of", "t", "p"]);
    for row in group {
        let what = if row.metric == "train.pnl" { "P&L" } else { "cost" };
        let of = format!("{} - {}", row.baseline, row.arm);
        table.add_row([what.to_owned(), of, fixed(row.welch_t, 2), fixed(row.p, 4)]);
    }
    align_from(&mut table, 2);
    table
}

/// A number to so many decimals, as papers print them.
fn fixed(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

fn align_from(table: &mut Table, first: usize) {
    for place in first..table.column_count() {
        if let Some(column) = table.column_mut(place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
