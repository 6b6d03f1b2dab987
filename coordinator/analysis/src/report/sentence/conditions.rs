//! Under which conditions an answer holds.

use results::Comparison;

use super::Asked;
use crate::report::data::DEFAULT;
use crate::report::number::{list, plural};
use crate::tuning::Tuning;

/// What the answer rests on: tuning, its budgets, and the paths that all seeds share.
pub(super) fn conditions(asked: &Asked<'_>, rows: &[&Comparison]) -> String {
    let mut parts = Vec::new();
    match asked.tuning {
        Some(tuning) => {
            parts.push(format!(
                "Each arm's variant was chosen by {} on {} and confirmed on the others, which are the ones counted here.",
                tuning.by,
                plural(tuning.seeds.len() as u64, "seed")
            ));
            parts.extend(budgets(tuning));
        }
        None if rows.iter().any(|row| row.variant != DEFAULT) => {
            parts.push("Nothing was tuned: every variant is compared as it is configured.".to_owned());
        }
        None if !rows.is_empty() => parts.push("Nothing was tuned: each arm runs as it is configured.".to_owned()),
        None => {}
    }
    parts.extend(shared_paths(&asked.metric.name));
    parts.join(" ")
}

/// Unequal budgets are an advantage to whoever has the larger one.
fn budgets(tuning: &Tuning) -> Option<String> {
    let budgets = tuning.budgets();
    if tuning.is_unequal() {
        let had: Vec<String> = budgets.iter().map(|budget| format!("{} had {budget}", budget.arm)).collect();
        return Some(format!(
            "Budgets are unequal, in favour of the larger: of variants to choose from, {}.",
            list(&had, 12)
        ));
    }
    let first = budgets.first()?;
    match (first.fewest, first.most) {
        (_, 1) => None,
        (fewest, most) if fewest == most => Some(format!("Every arm had {} to choose from.", plural(most, "variant"))),
        _ => Some(format!("Every arm had {first} variants to choose from, in each cell as many as the others.")),
    }
}

/// What all seeds of a cell have in common, and what intervals therefore do not cover.
pub(super) fn shared_paths(metric: &str) -> Option<String> {
    let set = match metric.split_once('.')?.0 {
        "test" => "test",
        "validation" => "validation",
        "train" => {
            return Some(format!(
                "Replicates are seeds, each with its own paths and initial weights; {metric} is measured on training paths, so \
                 it says how training went and not how well the result hedges."
            ));
        }
        _ => return None,
    };
    Some(format!(
        "Replicates are seeds, and all seeds of a cell are scored on one {set} set: intervals and p-values hold given these \
         paths."
    ))
}
