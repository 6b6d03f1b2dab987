//! Which cells and variants figures show.

use std::collections::{BTreeMap, HashMap};

use engine::metrics::Direction;

use super::{Findings, Subject};
use crate::runs::{Group, Runs};
use crate::stats::mean;

/// More cells than these do not help: tables have all of them.
const MOST_CELLS: usize = 4;

/// More arms than these cannot be told apart.
const MOST_ARMS: usize = 12;

/// A cell that is shown.
pub(super) struct Shown {
    pub(super) cell: u32,
    pub(super) baseline: Option<Group>,
    pub(super) members: Vec<Member>,
}

/// An arm's variant that is shown.
pub(super) struct Member {
    pub(super) group: Group,
    pub(super) hindsight: bool,
}

/// The first cells of the plan, in each one variant an arm: the one that was tuned or compared; of several, the one that looks best.
pub(super) fn shown(
    runs: &Runs,
    order: &[Group],
    rows: &HashMap<Group, BTreeMap<u64, usize>>,
    subject: &Subject<'_>,
    findings: &Findings,
    arms: &[String],
) -> Vec<Shown> {
    let mut cells: Vec<u32> = order.iter().map(|(cell, _, _)| *cell).collect();
    cells.dedup();
    cells.truncate(MOST_CELLS);
    let (metric, direction) = &subject.metrics[0];
    let chosen = |cell: u32, arm: &str| -> Option<String> {
        let cell = &runs.cell.distinct[cell as usize];
        let question = subject.question?;
        let of_cell = findings.comparisons.iter().filter(|row| row.metric == *metric && row.cell == *cell);
        let mut of_cell = of_cell.filter(|row| arm == question.baseline_arm || row.arm == arm);
        if arm == question.baseline_arm {
            let first = of_cell.next()?;
            return Some(first.baseline_variant.clone()).filter(|variant| !variant.is_empty());
        }
        question.tune.as_ref()?;
        of_cell.next().map(|row| row.variant.clone())
    };
    let score = |group: &Group| -> f64 {
        let values: Vec<f64> = rows[group].values().filter_map(|row| runs.value(metric, *row)).collect();
        let worst = f64::INFINITY;
        mean(&values).map_or(worst, |mean| if *direction == Direction::Maximize { -mean } else { mean })
    };
    let mut all = Vec::new();
    for cell in cells {
        let mut shown = Shown { cell, baseline: None, members: Vec::new() };
        for arm in arms.iter().take(MOST_ARMS) {
            let Some(code) = runs.arm.code_of(arm) else { continue };
            let candidates: Vec<Group> =
                order.iter().copied().filter(|group| group.0 == cell && group.1 == code).collect();
            let variant = chosen(cell, arm).and_then(|variant| runs.variant.code_of(&variant));
            let found = candidates.iter().copied().find(|group| Some(group.2) == variant);
            let best = || candidates.iter().copied().min_by(|left, right| score(left).total_cmp(&score(right)));
            let Some(group) = found.or_else(best) else { continue };
            if subject.question.is_some_and(|question| question.baseline_arm == *arm) {
                shown.baseline = Some(group);
            }
            shown.members.push(Member { group, hindsight: found.is_none() && candidates.len() > 1 });
        }
        all.push(shown);
    }
    all
}
