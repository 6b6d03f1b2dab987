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

/// What there is to choose from: the variants of every cell and arm, in plan order, and their runs by seed.
pub(crate) struct Candidates<'a> {
    runs: &'a Runs,
    /// The cells, in plan order.
    pub(crate) cells: Vec<u32>,
    by_arm: HashMap<(u32, u32), Vec<Group>>,
    rows: HashMap<Group, BTreeMap<u64, usize>>,
}

impl<'a> Candidates<'a> {
    pub(crate) fn of(runs: &'a Runs) -> Candidates<'a> {
        let (order, rows) = runs.groups();
        // Groups come in plan order, cell by cell.
        let mut cells: Vec<u32> = order.iter().map(|(cell, _, _)| *cell).collect();
        cells.dedup();
        let mut by_arm: HashMap<(u32, u32), Vec<Group>> = HashMap::new();
        for group in order {
            by_arm.entry((group.0, group.1)).or_default().push(group);
        }
        Candidates { runs, cells, by_arm, rows }
    }

    /// An arm's variants in a cell.
    pub(crate) fn variants(&self, cell: u32, arm: &str) -> &[Group] {
        let code = self.runs.arm.code_of(arm);
        code.and_then(|arm| self.by_arm.get(&(cell, arm))).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn cell(&self, cell: u32) -> String {
        self.runs.cell.distinct[cell as usize].clone()
    }

    pub(crate) fn label(&self, group: Group) -> String {
        self.runs.variant.distinct[group.2 as usize].clone()
    }

    fn rows(&self, group: Group) -> BTreeMap<u64, usize> {
        self.rows[&group].clone()
    }

    /// The variant with the best mean over the tuning seeds, and that mean; of equals the first in plan order.
    pub(crate) fn choose(&self, tune: &Tune, variants: &[Group]) -> Option<(Group, f64)> {
        let worse =
            |left: f64, right: f64| if tune.direction == Direction::Maximize { left < right } else { left > right };
        let scored = variants.iter().map(|group| (*group, self.score(tune, *group)));
        scored.reduce(|best, next| if worse(best.1, next.1) { next } else { best })
    }

    /// The mean over the tuning seeds. One that has diverged, failed or not run for a tuning seed is infinitely bad.
    fn score(&self, tune: &Tune, group: Group) -> f64 {
        let seeds = &self.rows[&group];
        let values = tune.seeds.iter().map(|seed| seeds.get(seed).and_then(|row| self.runs.value(&tune.by, *row)));
        let worst = if tune.direction == Direction::Maximize { f64::NEG_INFINITY } else { f64::INFINITY };
        values.map(|value| value.unwrap_or(worst)).sum::<f64>() / tune.seeds.len().max(1) as f64
    }
}

/// The pairs, and every cell's baseline.
pub(crate) fn pairs_and_baselines(
    runs: &Runs,
    question: &Question,
) -> Result<(Vec<Pair>, Vec<Baseline>), QuestionError> {
    let candidates = Candidates::of(runs);
    let (mut all, mut baselines) = (Vec::new(), Vec::new());
    for &cell in &candidates.cells {
        let baseline = choose_baseline(&candidates, question, cell)?;
        let of_cell = Baseline {
            cell: candidates.cell(cell),
            variant: baseline.map(|group| candidates.label(group)).unwrap_or_default(),
            rows: baseline.map(|group| candidates.rows(group)).unwrap_or_default(),
        };
        for arm in &question.arms {
            let variants = candidates.variants(cell, arm);
            let chosen: Vec<Group> = match &question.tune {
                None => variants.to_vec(),
                Some(tune) => candidates.choose(tune, variants).into_iter().map(|(group, _)| group).collect(),
            };
            for group in chosen.into_iter().filter(|group| Some(*group) != baseline) {
                all.push(Pair {
                    cell: of_cell.cell.clone(),
                    arm: arm.clone(),
                    variant: candidates.label(group),
                    baseline_variant: of_cell.variant.clone(),
                    rows: candidates.rows(group),
                    baseline_rows: of_cell.rows.clone(),
                });
            }
        }
        baselines.push(of_cell);
    }
    if question.tune.is_some() {
        // The baseline arm's own choice is no answer to how it compares with itself.
        all.retain(|pair| pair.arm != question.baseline_arm);
    }
    Ok((all, baselines))
}

fn choose_baseline(
    candidates: &Candidates<'_>,
    question: &Question,
    cell: u32,
) -> Result<Option<Group>, QuestionError> {
    let variants = candidates.variants(cell, &question.baseline_arm);
    if let Some(variant) = &question.baseline_variant {
        let code = candidates.runs.variant.code_of(variant);
        return Ok(variants.iter().copied().find(|group| Some(group.2) == code));
    }
    if let Some(tune) = &question.tune {
        return Ok(candidates.choose(tune, variants).map(|(group, _)| group));
    }
    match *variants {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        _ => Err(QuestionError::AmbiguousBaseline {
            cell: candidates.cell(cell),
            arm: question.baseline_arm.clone(),
            count: variants.len(),
        }),
    }
}
