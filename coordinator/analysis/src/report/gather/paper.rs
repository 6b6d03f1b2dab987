//! The tables of Enkhbayar 2024, as printed, beside a sweep that repeats the experiment.

use std::collections::HashSet;

use results::Pooled;

use crate::report::data::{Paper, PaperLine, PaperTest};
use crate::runs::Runs;
use crate::stats::mean;

/// Table 2: P&L variance, mean cost, Sharpe ratio, training time in seconds.
const PERFORMANCE: [(&str, [f64; 4]); 2] =
    [("adam", [0.003176, 0.003432, -0.0025, 3.40]), ("kfac", [0.002084, 0.000745, 0.0401, 3.29])];

/// Table 1: Welch's t of Adam minus K-FAC and its p.
const TESTS: [(&str, &str, [f64; 2]); 2] =
    [("P&L", "train.pnl", [-1.5372, 0.1243]), ("cost", "train.cost", [56.8776, 0.0])];

/// The columns of runs that Table 2 is about.
pub(super) const COLUMNS: [&str; 5] =
    ["train.pnl_variance", "train.mean_cost", "train.sharpe", "time.simulate_s", "time.train_s"];

/// Both tables, for sweeps that are called `paper_…` and have the paper's arms: of their first cell.
pub(super) fn paper(name: &str, runs: &Runs, pooled: &[Pooled]) -> Option<Paper> {
    if !name.starts_with("paper_") {
        return None;
    }
    // The paper has one market.
    let cell = runs.cell.codes.iter().flatten().min().copied()?;
    let mut paper = Paper::default();
    for (arm, printed) in PERFORMANCE {
        let code = runs.arm.code_of(arm)?;
        let is_of_arm = |row: &usize| runs.arm.codes[*row] == Some(code) && runs.cell.codes[*row] == Some(cell);
        let rows: Vec<usize> = (0..runs.seed.len()).filter(is_of_arm).collect();
        let over = |value: &dyn Fn(usize) -> Option<f64>| {
            let known: Vec<f64> = rows.iter().filter_map(|row| value(*row)).collect();
            mean(&known)
        };
        let seconds = |row: usize| Some(runs.value(COLUMNS[3], row)? + runs.value(COLUMNS[4], row)?);
        let ours = [
            over(&|row| runs.value(COLUMNS[0], row)),
            over(&|row| runs.value(COLUMNS[1], row)),
            over(&|row| runs.value(COLUMNS[2], row)),
            over(&seconds),
        ];
        let measured = rows.iter().filter(|row| runs.value(COLUMNS[0], **row).is_some());
        let seeds: HashSet<u64> = measured.map(|row| runs.seed[*row]).collect();
        paper.seeds = paper.seeds.max(seeds.len() as u64);
        paper.performance.push(PaperLine { arm: arm.to_owned(), printed, ours });
    }
    for (of, metric, printed) in TESTS {
        let row = pooled.iter().find(|row| row.metric == metric && row.arm == "kfac" && row.baseline == "adam");
        if let Some(row) = row {
            paper.tests.push(PaperTest { of: of.to_owned(), printed, ours: [row.welch_t, row.p], seed: row.seed });
        }
    }
    Some(paper)
}
