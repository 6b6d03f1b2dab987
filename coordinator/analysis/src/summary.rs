//! The short answer: one block for each cell and metric.

use engine::metrics::Direction;
use results::Comparison;

use crate::reference::references;
use crate::runs::Runs;
use crate::stats::{mean, sd};

/// A block of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The cell.
    pub cell: String,
    /// The metric.
    pub metric: String,
    /// Its lines: the baseline first, or the best first in a ranking.
    pub lines: Vec<Line>,
}

/// A line of the answer: an arm's variant. The comparison's part is `None` for the baseline and in rankings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// The arm.
    pub arm: String,
    /// Its variant.
    pub variant: String,
    /// Seeds.
    pub n: u64,
    /// Mean over the seeds.
    pub mean: Option<f64>,
    /// Standard deviation over the seeds.
    pub sd: Option<f64>,
    /// Mean of arm − baseline over the pairs.
    pub diff: Option<f64>,
    /// The p of the paired t, adjusted by Holm.
    pub p_holm: Option<f64>,
    /// The effect size.
    pub d_z: Option<f64>,
    /// The verdict in words.
    pub verdict: Option<String>,
}

/// The answer to a question, from its comparisons: metrics and cells in their order, in each the baseline and then the
/// arms in theirs, each arm's variants by mean difference, the most favourable first.
pub fn summarise(comparisons: &[Comparison], metrics: &[(String, Direction)]) -> Vec<Block> {
    let same = |left: &Comparison, right: &Comparison| (&left.metric, &left.cell) == (&right.metric, &right.cell);
    let blocks = comparisons.chunk_by(same).map(|rows| {
        let first = &rows[0];
        let direction = metrics.iter().find(|(name, _)| *name == first.metric).map(|(_, direction)| *direction);
        let baseline = rows.iter().max_by_key(|row| row.n).unwrap_or(first);
        let mut lines = vec![Line {
            arm: baseline.baseline.clone(),
            variant: baseline.baseline_variant.clone(),
            n: baseline.n,
            mean: baseline.baseline_mean,
            sd: baseline.baseline_sd,
            ..Line::default()
        }];
        for arm in rows.chunk_by(|left, right| left.arm == right.arm) {
            let mut arm: Vec<&Comparison> = arm.iter().collect();
            arm.sort_by(|left, right| order(left.diff, right.diff, direction));
            lines.extend(arm.into_iter().map(|row| Line {
                arm: row.arm.clone(),
                variant: row.variant.clone(),
                n: row.n,
                mean: row.mean,
                sd: row.sd,
                diff: row.diff,
                p_holm: row.p_holm,
                d_z: row.d_z,
                verdict: Some(row.verdict.clone()),
            }));
        }
        Block { cell: first.cell.clone(), metric: first.metric.clone(), lines }
    });
    blocks.collect()
}

/// All arms and variants of each cell, and the classical hedges beside them, by their mean of `metric`, the best first,
/// those without values last; equals in plan order.
pub fn ranking(runs: &Runs, metric: &str, direction: Direction) -> Vec<Block> {
    let (order_of_plan, rows) = runs.groups();
    let mut blocks: Vec<Block> = Vec::new();
    for group in &order_of_plan {
        let values: Vec<f64> = rows[group].values().filter_map(|row| runs.value(metric, *row)).collect();
        let line = Line {
            arm: runs.arm.distinct[group.1 as usize].clone(),
            variant: runs.variant.distinct[group.2 as usize].clone(),
            n: values.len() as u64,
            mean: mean(&values),
            sd: sd(&values),
            ..Line::default()
        };
        let cell = &runs.cell.distinct[group.0 as usize];
        // Groups come in plan order, cell by cell.
        match blocks.last_mut().filter(|block| block.cell == *cell) {
            Some(block) => block.lines.push(line),
            None => blocks.push(Block { cell: cell.clone(), metric: metric.to_owned(), lines: vec![line] }),
        }
    }
    let mut cells: Vec<u32> = order_of_plan.iter().map(|(cell, _, _)| *cell).collect();
    cells.dedup();
    for (block, cell) in blocks.iter_mut().zip(cells) {
        for reference in references(metric) {
            let values = runs.reference_in_cell(&reference, cell, &order_of_plan, &rows);
            if !values.is_empty() {
                let (mean, sd) = (mean(&values), sd(&values));
                let n = values.len() as u64;
                block.lines.push(Line {
                    arm: reference.arm,
                    variant: "default".into(),
                    n,
                    mean,
                    sd,
                    ..Line::default()
                });
            }
        }
        block.lines.sort_by(|left, right| order(left.mean, right.mean, Some(direction)));
    }
    blocks
}

/// The better first, absent values last.
fn order(left: Option<f64>, right: Option<f64>, direction: Option<Direction>) -> std::cmp::Ordering {
    match (left, right) {
        (Some(left), Some(right)) => match direction {
            Some(Direction::Maximize) => right.total_cmp(&left),
            Some(Direction::Minimize) => left.total_cmp(&right),
            Some(Direction::Neutral) | None => std::cmp::Ordering::Equal,
        },
        (left, right) => left.is_none().cmp(&right.is_none()),
    }
}
