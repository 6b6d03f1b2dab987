//! What a sweep asks, and which pairs of variants answer it.

use std::collections::{BTreeMap, HashMap};

use engine::metrics::Direction;

use crate::runs::{Group, Runs};

/// A question to the results.
#[derive(Clone, Debug)]
pub struct Question {
    /// The arm that the others are held against.
    pub baseline_arm: String,
    /// Its variant; `None` if it has but one, or if it is tuned.
    pub baseline_variant: Option<String>,
    /// The metrics to compare, and which way each is better.
    pub metrics: Vec<(String, Direction)>,
    /// How each arm's variant is chosen; without it, all variants are compared.
    pub tune: Option<Tune>,
    /// The arms, in the order of the answer.
    pub arms: Vec<String>,
}

/// How variants are chosen.
#[derive(Clone, Debug)]
pub struct Tune {
    /// The seeds that choose. They never enter the confirmation.
    pub seeds: Vec<u64>,
    /// The metric by whose mean they choose.
    pub by: String,
    /// Which way it is better.
    pub direction: Direction,
}

/// Why a question cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// The baseline is no variant but several.
    #[error("cell {cell:?}: the baseline {arm} has {count} variants; name one of them, or tune")]
    AmbiguousBaseline {
        /// In which cell.
        cell: String,
        /// The baseline's arm.
        arm: String,
        /// How many variants it has there.
        count: usize,
    },
}

/// An arm's variant to hold against the baseline's in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The cell.
    pub cell: String,
    /// The arm.
    pub arm: String,
    /// Its variant.
    pub variant: String,
    /// The baseline's variant; empty if the cell has none.
    pub baseline_variant: String,
    /// The runs of the arm's variant, by seed.
    pub(crate) rows: BTreeMap<u64, usize>,
    /// The runs of the baseline's variant, by seed.
    pub(crate) baseline_rows: BTreeMap<u64, usize>,
}

/// A cell's baseline; without runs if the cell has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Baseline {
    pub(crate) cell: String,
    pub(crate) variant: String,
    /// Its runs, by seed.
    pub(crate) rows: BTreeMap<u64, usize>,
}

/// The pairs that answer the question: cells in plan order, arms in the question's.
pub fn pairs(runs: &Runs, question: &Question) -> Result<Vec<Pair>, QuestionError> {
    pairs_and_baselines(runs, question).map(|(pairs, _)| pairs)
}

/// The pairs, and every cell's baseline.
pub(crate) fn pairs_and_baselines(
    runs: &Runs,
    question: &Question,
) -> Result<(Vec<Pair>, Vec<Baseline>), QuestionError> {
    let (order, rows) = runs.groups();
    // Groups come in plan order, cell by cell.
    let mut cells: Vec<u32> = order.iter().map(|(cell, _, _)| *cell).collect();
    cells.dedup();
    let mut by_arm: HashMap<(u32, u32), Vec<Group>> = HashMap::new();
    for group in &order {
        by_arm.entry((group.0, group.1)).or_default().push(*group);
    }
    let variants = |cell: u32, arm: &str| -> Vec<Group> {
        let code = runs.arm.code_of(arm);
        code.and_then(|arm| by_arm.get(&(cell, arm))).cloned().unwrap_or_default()
    };
    let label = |group: &Group| runs.variant.distinct[group.2 as usize].clone();
    let (mut all, mut baselines) = (Vec::new(), Vec::new());
    for cell in cells {
        let cell_label = runs.cell.distinct[cell as usize].clone();
        let baseline = choose_baseline(runs, question, &rows, &cell_label, variants(cell, &question.baseline_arm))?;
        baselines.push(Baseline {
            cell: cell_label.clone(),
            variant: baseline.as_ref().map(label).unwrap_or_default(),
            rows: baseline.map(|group| rows[&group].clone()).unwrap_or_default(),
        });
        for arm in &question.arms {
            let mut candidates = variants(cell, arm);
            if let Some(tune) = &question.tune {
                candidates = choose(runs, tune, &rows, &candidates).into_iter().collect();
            }
            for group in candidates.iter().filter(|group| Some(**group) != baseline) {
                all.push(Pair {
                    cell: cell_label.clone(),
                    arm: arm.clone(),
                    variant: label(group),
                    baseline_variant: baseline.as_ref().map(label).unwrap_or_default(),
                    rows: rows[group].clone(),
                    baseline_rows: baseline.map(|group| rows[&group].clone()).unwrap_or_default(),
                });
            }
        }
    }
    if question.tune.is_some() {
        // The baseline arm's own choice is no answer to how it compares with itself.
        all.retain(|pair| pair.arm != question.baseline_arm);
    }
    Ok((all, baselines))
}

fn choose_baseline(
    runs: &Runs,
    question: &Question,
    rows: &HashMap<Group, BTreeMap<u64, usize>>,
    cell: &str,
    candidates: Vec<Group>,
) -> Result<Option<Group>, QuestionError> {
    if let Some(variant) = &question.baseline_variant {
        let code = runs.variant.code_of(variant);
        return Ok(candidates.into_iter().find(|group| Some(group.2) == code));
    }
    if let Some(tune) = &question.tune {
        return Ok(choose(runs, tune, rows, &candidates));
    }
    match candidates[..] {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        _ => Err(QuestionError::AmbiguousBaseline {
            cell: cell.to_owned(),
            arm: question.baseline_arm.clone(),
            count: candidates.len(),
        }),
    }
}

/// The candidate with the best mean over the tuning seeds; of equals the first in plan order. One that has diverged,
/// failed or not run for a tuning seed counts as infinitely bad.
fn choose(
    runs: &Runs,
    tune: &Tune,
    rows: &HashMap<Group, BTreeMap<u64, usize>>,
    candidates: &[Group],
) -> Option<Group> {
    let score = |group: &Group| -> f64 {
        let seeds = &rows[group];
        let values = tune.seeds.iter().map(|seed| seeds.get(seed).and_then(|row| runs.value(&tune.by, *row)));
        let worst = if tune.direction == Direction::Maximize { f64::NEG_INFINITY } else { f64::INFINITY };
        let mean = values.map(|value| value.unwrap_or(worst)).sum::<f64>() / tune.seeds.len().max(1) as f64;
        if tune.direction == Direction::Maximize { -mean } else { mean }
    };
    let scored = candidates.iter().map(|group| (score(group), *group));
    scored.reduce(|best, next| if next.0 < best.0 { next } else { best }).map(|(_, group)| group)
}
