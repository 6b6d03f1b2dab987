//! Why runs ended badly.

use std::collections::HashMap;

use results::{StoreError, Words};

use crate::report::data::Failures;
use crate::runs::Runs;
use crate::sources::Sources;

/// More reasons than these are counted together.
const MOST_REASONS: usize = 20;

/// The reasons, the most frequent first. Errors that differ in numbers alone are one reason.
pub(super) fn failures(sources: &Sources<'_>, runs: &Runs, status: &Words) -> Result<Vec<Failures>, StoreError> {
    let is_bad = |row: usize| matches!(status.get(row), Some("failed" | "diverged"));
    let bad: Vec<usize> = (0..status.codes.len()).filter(|row| is_bad(*row)).collect();
    if bad.is_empty() {
        return Ok(Vec::new());
    }
    let (errors, ids) = (sources.column("error")?, sources.column("run_id")?);
    let mut all: Vec<Failures> = Vec::new();
    let mut known: HashMap<(&str, String), usize> = HashMap::new();
    for row in bad {
        let (status, error) = (status.get(row).unwrap_or_default(), errors.get(row).unwrap_or("no reason is known"));
        let place = *known.entry((status, without_numbers(error))).or_insert_with(|| {
            all.push(Failures {
                status: status.to_owned(),
                reason: error.to_owned(),
                runs: 0,
                arms: Vec::new(),
                example: ids.get(row).unwrap_or_default().to_owned(),
            });
            all.len() - 1
        });
        let failures = &mut all[place];
        failures.runs += 1;
        if let Some(arm) = runs.arm.get(row)
            && failures.arms.iter().all(|known| known != arm)
        {
            failures.arms.push(arm.to_owned());
        }
    }
    all.sort_by_key(|failures| std::cmp::Reverse(failures.runs));
    if all.len() > MOST_REASONS {
        let rest = all.split_off(MOST_REASONS);
        all.push(Failures {
            status: "both".to_owned(),
            reason: format!("{} other reasons", rest.len()),
            runs: rest.iter().map(|failures| failures.runs).sum(),
            arms: Vec::new(),
            example: String::new(),
        });
    }
    Ok(all)
}

fn without_numbers(text: &str) -> String {
    let mut kind = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            digit if digit.is_ascii_digit() => {
                if !kind.ends_with('#') {
                    kind.push('#');
                }
            }
            other => kind.push(other),
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_differ_in_numbers_are_one_reason() {
        assert_eq!(without_numbers("epoch 17: the loss is 1e38"), without_numbers("epoch 4: the loss is 2e9"));
        assert_ne!(without_numbers("epoch 17: the loss"), without_numbers("epoch 17: a gradient"));
    }
}
