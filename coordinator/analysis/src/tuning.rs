//! What each arm's choice of a variant has cost, and what came of it.

use std::fmt;

use engine::metrics::Direction;

use crate::question::{Candidates, Question};
use crate::report::number::count;
use crate::runs::Runs;

/// How the variants of a question were chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// The metric by whose mean they were chosen.
    pub by: String,
    /// Which way it is better.
    pub direction: Direction,
    /// The seeds that chose.
    pub seeds: Vec<u64>,
    /// The choices: cells in plan order, in each the arms in the question's.
    pub choices: Vec<Choice>,
}

/// An arm's choice in a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The cell.
    pub cell: String,
    /// The arm.
    pub arm: String,
    /// The variant that was chosen.
    pub variant: String,
    /// How many there were to choose from: the budget, in runs a seed.
    pub variants: u64,
    /// The chosen one's mean over the seeds; `None` if every variant lost one of them.
    pub score: Option<f64>,
}

/// From how many variants an arm's was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget<'a> {
    /// The arm.
    pub arm: &'a str,
    /// In the cell where there were fewest.
    pub fewest: u64,
    /// In the cell where there were most.
    pub most: u64,
}

/// `3`, or `2 to 3` where cells differ.
impl fmt::Display for Budget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", count(self.fewest))?;
        if self.most > self.fewest { write!(f, " to {}", count(self.most)) } else { Ok(()) }
    }
}

impl Tuning {
    /// How the question's variants were chosen; `None` if they were not.
    pub fn of(runs: &Runs, question: &Question) -> Option<Tuning> {
        let tune = question.tune.as_ref()?;
        let candidates = Candidates::of(runs);
        let mut choices = Vec::new();
        for &cell in &candidates.cells {
            for arm in &question.arms {
                let variants = candidates.variants(cell, arm);
                let Some((chosen, score)) = candidates.choose(tune, variants) else { continue };
                choices.push(Choice {
                    cell: candidates.cell(cell),
                    arm: arm.clone(),
                    variant: candidates.label(chosen),
                    variants: variants.len() as u64,
                    score: score.is_finite().then_some(score),
                });
            }
        }
        Some(Tuning { by: tune.by.clone(), direction: tune.direction, seeds: tune.seeds.clone(), choices })
    }

    /// Each arm's budget, arms in the question's order.
    pub fn budgets(&self) -> Vec<Budget<'_>> {
        let mut budgets: Vec<Budget<'_>> = Vec::new();
        for choice in &self.choices {
            match budgets.iter_mut().find(|budget| budget.arm == choice.arm) {
                Some(budget) => {
                    budget.fewest = choice.variants.min(budget.fewest);
                    budget.most = choice.variants.max(budget.most);
                }
                None => budgets.push(Budget { arm: &choice.arm, fewest: choice.variants, most: choice.variants }),
            }
        }
        budgets
    }

    /// Whether in some cell one arm had more variants to choose from than another: the best of many is better by chance alone.
    pub fn is_unequal(&self) -> bool {
        let mut cells = self.choices.chunk_by(|left, right| left.cell == right.cell);
        cells.any(|cell| cell.iter().any(|choice| choice.variants != cell[0].variants))
    }
}
