//! Under which conditions an answer holds.

use results::Comparison;

use super::Asked;
use crate::report::data::{DEFAULT, Tuning};
use crate::report::number::{count, list, plural};

/// What the answer rests on: tuning, its budgets, and the paths that all seeds share.
pub(super) fn conditions(asked: &Asked<'_>, rows: &[&Comparison]) -> String {
    let mut parts = Vec::new();
    match asked.tuning {
        Some(tuning) => {
            parts.push(format!(
                "Each arm's variant was chosen by {} on {} and confirmed on the others, which are the ones counted here.",
                tuning.by,
                plural(tuning.seeds, "seed")
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
    let (first, rest) = tuning.budgets.split_first()?;
    if rest.iter().all(|(_, variants)| *variants == first.1) {
        return (first.1 > 1).then(|| format!("Every arm had {} to choose from.", plural(first.1, "variant")));
    }
    let all: Vec<String> = tuning.budgets.iter().map(|(arm, variants)| format!("{arm} {}", count(*variants))).collect();
    Some(format!("Budgets are unequal, in favour of the larger: of variants to choose from, {}.", have(&all)))
}

fn have(all: &[String]) -> String {
    let had: Vec<String> = all
        .iter()
        .map(|each| match each.rsplit_once(' ') {
            Some((arm, number)) => format!("{arm} had {number}"),
            None => each.clone(),
        })
        .collect();
    list(&had, 12)
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
