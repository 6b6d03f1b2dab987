//! The paper's way of comparing: training samples pooled over a run's epochs, Welch's t within a seed.
//!
//! It takes paths for replicates, which they are not (they share the network's weights), so it describes one seed and
//! is never pooled over seeds.

use std::collections::HashMap;

use engine::RunId;
use results::{Pooled, StoreError};

use crate::error::AnswerError;
use crate::question::{Question, pairs};
use crate::runs::Runs;
use crate::sources::Sources;
use crate::stats::{Moments, welch_t};

/// A run's training samples.
#[derive(Clone, Copy, Debug, Default)]
struct Training {
    pnl: Moments,
    cost: Moments,
}

/// The rows of `pooled.parquet`: pairs in the question's order, seeds rising, P&L before cost; none without training
/// samples. Samples are read in one pass, and only their moments are kept, a hundred bytes a run.
pub fn pooled<'a>(
    sources: impl Into<Sources<'a>>,
    runs: &Runs,
    question: &Question,
) -> Result<Vec<Pooled>, AnswerError> {
    let sources = sources.into();
    let moments = training_moments(&sources)?;
    if moments.is_empty() {
        return Ok(Vec::new());
    }
    let ids = sources.ids()?;
    let of_row = |row: usize| moments.get(&ids[row]?).copied();
    let mut all = Vec::new();
    for pair in pairs(runs, question)? {
        for (seed, row) in &pair.rows {
            let Some(baseline_row) = pair.baseline_rows.get(seed) else { continue };
            let (Some(arm), Some(baseline)) = (of_row(*row), of_row(*baseline_row)) else { continue };
            for (metric, arm, baseline) in
                [("train.pnl", &arm.pnl, &baseline.pnl), ("train.cost", &arm.cost, &baseline.cost)]
            {
                let welch = welch_t(baseline, arm);
                all.push(Pooled {
                    cell: pair.cell.clone(),
                    seed: *seed,
                    metric: metric.to_owned(),
                    arm: pair.arm.clone(),
                    variant: pair.variant.clone(),
                    baseline: question.baseline_arm.clone(),
                    baseline_variant: pair.baseline_variant.clone(),
                    n: arm.n(),
                    baseline_n: baseline.n(),
                    mean: arm.mean(),
                    baseline_mean: baseline.mean(),
                    variance: arm.population_variance(),
                    baseline_variance: baseline.population_variance(),
                    sharpe: arm.sharpe(),
                    baseline_sharpe: baseline.sharpe(),
                    welch_t: welch.t,
                    p: welch.p,
                });
            }
        }
    }
    Ok(all)
}

/// The moments of each run's training samples.
fn training_moments(sources: &Sources<'_>) -> Result<HashMap<RunId, Training>, StoreError> {
    let mut moments: HashMap<RunId, Training> = HashMap::new();
    sources.each_sample(|run, batch, rows| {
        let Some(train) = batch.set.code_of("train") else { return };
        for row in rows.filter(|row| batch.set.codes[*row] == Some(train)) {
            let training = moments.entry(run).or_default();
            // A sample that is not finite was stored as null: it is left out, as a diverged run's metrics are.
            for (into, value) in [(&mut training.pnl, batch.pnl[row]), (&mut training.cost, batch.cost[row])] {
                if value.is_finite() {
                    into.push(f64::from(value));
                }
            }
        }
    })?;
    Ok(moments)
}
