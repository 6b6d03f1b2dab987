//! How many rows came to which verdict, and what they are spread over.

use results::Comparison;

use crate::report::number::{list, plural};

/// How many rows came to which verdict.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) total: u64,
    pub(super) better: u64,
    pub(super) worse: u64,
    pub(super) no_difference: u64,
    pub(super) too_few: u64,
    pub(super) undefined: u64,
}

impl Tally {
    pub(super) fn of(rows: &[&Comparison]) -> Tally {
        let mut tally = Tally { total: rows.len() as u64, ..Tally::default() };
        for row in rows {
            *match row.verdict.as_str() {
                "better" => &mut tally.better,
                "worse" => &mut tally.worse,
                "no_difference" => &mut tally.no_difference,
                "too_few_seeds" => &mut tally.too_few,
                _ => &mut tally.undefined,
            } += 1;
        }
        tally
    }

    pub(super) fn words(&self, noun: &str) -> String {
        let all = [
            (self.better, "better"),
            (self.worse, "worse"),
            (self.no_difference, "no different"),
            (self.too_few, "unknown for want of seeds"),
            (self.undefined, "not to be judged"),
        ];
        let parts = all.into_iter().filter(|(number, _)| *number > 0);
        let parts: Vec<String> = parts.map(|(number, word)| format!("{word} in {number}")).collect();
        format!("{} of {} {noun}s", list(&parts, usize::MAX), self.total)
    }
}

/// What rows are spread over: cells, or variants.
pub(super) struct Places {
    pub(super) cells: usize,
    pub(super) rows: usize,
    pub(super) noun: &'static str,
}

impl Places {
    pub(super) fn of(rows: &[&Comparison]) -> Places {
        let mut cells: Vec<&str> = rows.iter().map(|row| row.cell.as_str()).collect();
        cells.sort_unstable();
        cells.dedup();
        let noun = match (cells.len(), rows.len()) {
            (1, _) => "variant",
            (cells, rows) if cells == rows => "cell",
            _ => "comparison",
        };
        Places { cells: cells.len(), rows: rows.len(), noun }
    }

    pub(super) fn counted(&self) -> String {
        plural(self.rows as u64, self.noun)
    }

    pub(super) fn all(&self) -> String {
        if self.rows == 2 { format!("in both {}s", self.noun) } else { format!("in all {}", self.counted()) }
    }

    pub(super) fn any(&self) -> String {
        if self.rows == 2 { format!("in either {}", self.noun) } else { format!("in any of {}", self.counted()) }
    }
}
