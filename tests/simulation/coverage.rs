//! Which rows of the ledger's table of transitions were not seen.

use std::collections::BTreeSet;

use crate::books::Transition;

/// The specification: a state a block, an event a line.
const TABLE: &str = include_str!("../../coordinator/sweep/src/ledger/tests/table.txt");

/// Events that a simulation of the whole cannot meet, or that change nothing there, and why.
const BEYOND: [(&str, &str); 8] = [
    ("a leaves", "the dispatcher lets go of a worker only if it never got its id, and then it has no leases"),
    ("a leaves, store failed", "as above"),
    ("a leases, draining", "the dispatcher does not ask a ledger that drains"),
    ("incomplete", "nobody edits a sweep file there"),
    ("unavailable of attempt 9", "no worker makes up attempts"),
    ("closed, listed by a", "whether the plan is complete shows in no other row"),
    ("submitted", "a planner plans no task twice; that it plans them shows in the row of the unknown"),
    ("store failed", "seen where something is being stored"),
];

/// A row of the table: state, event, and where the task is afterwards.
fn rows() -> Vec<(&'static str, &'static str, &'static str)> {
    let mut state = "";
    let mut rows = Vec::new();
    for line in TABLE.lines() {
        match line.strip_prefix("    ") {
            None => state = line,
            Some(row) => {
                let (event, outcome) = row.split_at(25);
                let after = outcome.split("→ ").nth(1).unwrap_or_default();
                rows.push((state, event.trim(), after));
            }
        }
    }
    rows
}

/// The rows in which a task changes its place, or somebody is told something about it, and that were not seen.
pub(crate) fn missing(seen: &BTreeSet<Transition>) -> Vec<Transition> {
    let beyond = |event: &str| BEYOND.iter().any(|(name, _)| *name == event);
    let of_report = |event: &str| {
        ["result", "other result", "panic", "refused", "unavailable", "timed out", "handed back", "listed by a"]
            .contains(&event)
    };
    let wanted = rows().into_iter().filter(|(state, event, after)| {
        let moves = !(state.starts_with(after) || *state == "returned" && *after == "queued");
        // What came back waits like what is fresh; and who falls silent is `a`, whoever it is.
        let told = !(*event == "silence" && state.starts_with("leased to b"));
        *state != "returned" && *state != "unknown" && !beyond(event) && told && (moves || of_report(event))
    });
    wanted.map(|(state, event, _)| (state, event)).filter(|row| !seen.contains(row)).collect()
}
