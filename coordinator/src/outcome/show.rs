//! The comparison as a terminal shows it.

use std::fmt::Write;

use analysis::{ALL_CELLS, Block, Line, Sensitivity, Tuning};
use comfy_table::{Cell, CellAlignment, Table};
use engine::metrics::Direction;

use crate::format;

/// Longer answers are cut: the whole is in the tables.
pub(super) const MAX_LINES: usize = 40;

/// What a table is about.
pub(super) struct Heading<'a> {
    pub(super) metric: &'a str,
    pub(super) direction: Direction,
    pub(super) tuning: Option<&'a Tuning>,
}

/// One metric's answer over all cells. Columns that would say the same in every line are left out.
pub(super) fn blocks(heading: &Heading<'_>, blocks: &[Block]) -> String {
    let mut text = headline(heading);
    text.push('\n');
    let lines = || blocks.iter().flat_map(|block| block.lines.iter().map(move |line| (block, line)));
    if lines().all(|(_, line)| line.n == 0) {
        text.push_str(" no run has a value\n\n");
        return text;
    }
    let columns = Columns {
        cell: blocks.len() > 1,
        variant: lines().any(|(_, line)| line.variant != "default"),
        comparison: lines().any(|(_, line)| line.verdict.is_some()),
    };
    let mut table = plain_table();
    table.set_header(columns.header());
    // What holds across the cells is worth more than any one of them: it is kept where there are too many.
    let (across, cells): (Vec<_>, Vec<_>) = lines().partition(|(block, _)| block.cell == ALL_CELLS);
    for (block, line) in cells.iter().take(MAX_LINES).chain(across.iter().take(MAX_LINES)) {
        table.add_row(columns.row(block, line));
    }
    columns.align(&mut table);
    let _ = writeln!(text, "{}", trimmed(&table));
    let left_out = cells.len().saturating_sub(MAX_LINES) + across.len().saturating_sub(MAX_LINES);
    if left_out > 0 {
        let _ = writeln!(text, "... and {} more lines, in the tables", format::count(left_out as u64));
    }
    text.push('\n');
    text
}

/// The sensitivity to every swept parameter in one table; nothing if nothing was swept.
pub(super) fn sensitivities(all: &[Sensitivity], metrics: &[String]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut table = plain_table();
    let header = ["parameter", "value", "runs"].map(str::to_owned);
    table.set_header(header.iter().chain(metrics));
    for Sensitivity { parameter, levels } in all {
        for level in levels.iter().take(MAX_LINES) {
            let means = level.means.iter().map(|mean| mean.map_or_else(|| "-".to_owned(), format::significant));
            let runs = match level.measured {
                all if all == level.runs => format::count(all),
                some => format!("{}/{}", format::count(some), format::count(level.runs)),
            };
            table.add_row([parameter.clone(), level.value.clone(), runs].into_iter().chain(means));
        }
        if levels.len() > MAX_LINES {
            let more = format::count((levels.len() - MAX_LINES) as u64);
            table.add_row([parameter.clone(), format!("... and {more} more")]);
        }
    }
    for place in 1..3 + metrics.len() {
        if let Some(column) = table.column_mut(place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("sensitivity · means over all runs that have the value\n{}\n\n", trimmed(&table))
}

/// A table without frames: it is read by people and cut by `awk`.
pub(super) fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table
}

/// The table without the blanks at the ends of its lines.
pub(super) fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn headline(heading: &Heading<'_>) -> String {
    let mut text = heading.metric.to_owned();
    match heading.direction {
        Direction::Minimize => text.push_str(" · smaller is better"),
        Direction::Maximize => text.push_str(" · larger is better"),
        Direction::Neutral => {}
    }
    if let Some(tuning) = heading.tuning {
        let seeds = format::plural(tuning.seeds.len() as u64, "seed");
        let _ = write!(text, " · each arm's variant chosen by {} on {seeds}, confirmed on the others", tuning.by);
        if tuning.is_unequal() {
            let budgets = tuning.budgets().into_iter().map(|budget| format!("{} of {budget}", budget.arm));
            let _ =
                write!(text, "\nunequal budgets · variants to choose from: {}", budgets.collect::<Vec<_>>().join(", "));
        }
    }
    text
}

/// Which columns the table has.
struct Columns {
    cell: bool,
    variant: bool,
    comparison: bool,
}

impl Columns {
    fn header(&self) -> Vec<&'static str> {
        let mut header = Vec::new();
        if self.cell {
            header.push("cell");
        }
        header.push("arm");
        if self.variant {
            header.push("variant");
        }
        header.extend(["n", "mean", "sd"]);
        if self.comparison {
            header.extend(["difference", "d_z", "p (Holm)", "verdict"]);
        }
        header
    }

    fn row(&self, block: &Block, line: &Line) -> Vec<Cell> {
        let number = |value: Option<f64>| Cell::new(value.map_or_else(|| "-".to_owned(), format::significant));
        let mut row = Vec::new();
        if self.cell {
            row.push(Cell::new(if block.cell == ALL_CELLS { "all cells" } else { &block.cell }));
        }
        row.push(Cell::new(&line.arm));
        if self.variant {
            row.push(Cell::new(&line.variant));
        }
        row.extend([Cell::new(format::count(line.n)), number(line.mean), number(line.sd)]);
        if self.comparison {
            match &line.verdict {
                None => row.extend(["", "", "", "baseline"].map(Cell::new)),
                Some(verdict) => {
                    let p = line.p_holm.map_or_else(|| "-".to_owned(), format::p_value);
                    let d_z = line.d_z.map_or_else(|| "-".to_owned(), |d_z| format!("{d_z:.2}"));
                    row.extend([number(line.diff), Cell::new(d_z), Cell::new(p), Cell::new(verdict.replace('_', " "))]);
                }
            }
        }
        row
    }

    fn align(&self, table: &mut Table) {
        for (place, name) in self.header().into_iter().enumerate() {
            let is_number = matches!(name, "n" | "mean" | "sd" | "difference" | "d_z" | "p (Holm)");
            if let Some(column) = table.column_mut(place).filter(|_| is_number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use analysis::Level;

    fn line(arm: &str, verdict: Option<&str>) -> Line {
        Line {
            arm: arm.into(),
            variant: "default".into(),
            n: 20,
            mean: Some(0.003_176_45),
            sd: Some(0.001),
            diff: verdict.map(|_| -0.0011),
            p_holm: verdict.map(|_| 0.000_02),
            d_z: verdict.map(|_| -0.812),
            verdict: verdict.map(str::to_owned),
        }
    }

    #[test]
    fn one_cell_without_variants_needs_neither_column() {
        let block = Block {
            cell: "default".into(),
            metric: "test.loss".into(),
            lines: vec![line("adam", None), line("kfac", Some("no_difference"))],
        };
        let heading = Heading { metric: "test.loss", direction: Direction::Minimize, tuning: None };
        let text = blocks(&heading, &[block]);
        assert!(text.starts_with("test.loss · smaller is better\n"), "{text}");
        assert!(!text.contains("cell") && !text.contains("variant"), "{text}");
        for part in ["0.003176", "-0.001100", "-0.81", "<0.001", "no difference", "baseline"] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
    }

    #[test]
    fn unequal_budgets_are_told() {
        let choice = |arm: &str, variants| analysis::Choice {
            cell: "default".into(),
            arm: arm.into(),
            variant: "lr=1".into(),
            variants,
            score: Some(1.0),
        };
        let mut tuning = Tuning {
            by: "validation.loss".into(),
            direction: Direction::Minimize,
            seeds: vec![0, 1],
            choices: vec![choice("adam", 3), choice("kfac", 3)],
        };
        let text = |tuning: &Tuning| {
            headline(&Heading { metric: "test.loss", direction: Direction::Minimize, tuning: Some(tuning) })
        };
        let equal = "test.loss · smaller is better · each arm's variant chosen by validation.loss on 2 seeds, confirmed on the \
                     others";
        assert_eq!(text(&tuning), equal);
        tuning.choices[1].variants = 7;
        assert_eq!(text(&tuning), format!("{equal}\nunequal budgets · variants to choose from: adam of 3, kfac of 7"));
    }

    #[test]
    fn what_holds_across_cells_is_not_cut() {
        let block = |cell: &str, lines: Vec<Line>| Block { cell: cell.into(), metric: "test.loss".into(), lines };
        let many = (0..100).map(|arm| line(&format!("arm{arm}"), Some("better"))).collect();
        let heading = Heading { metric: "test.loss", direction: Direction::Minimize, tuning: None };
        let text = blocks(&heading, &[block("xi=1", many), block(ALL_CELLS, vec![line("kfac", Some("worse"))])]);
        assert!(text.contains(" all cells  kfac") && text.contains("... and 60 more lines"), "{text}");
    }

    #[test]
    fn sensitivities_stand_in_one_table() {
        let level =
            |value: &str, mean: Option<f64>| Level { value: value.into(), runs: 24, measured: 24, means: vec![mean] };
        let levels = vec![level("0.0", Some(3.25)), Level { measured: 0, ..level("0.01", None) }];
        let table = Sensitivity { parameter: "costs.rate".into(), levels };
        let text = sensitivities(&[table], &["test.turnover".to_owned()]);
        let expected = "sensitivity · means over all runs that have the value\n \
                        parameter   value  runs  test.turnover\n \
                        costs.rate    0.0    24          3.250\n \
                        costs.rate   0.01  0/24              -\n\n";
        assert_eq!(text, expected);
        assert_eq!(sensitivities(&[], &[]), "");
    }

    #[test]
    fn long_answers_are_cut_and_say_so() {
        let lines = (0..100).map(|arm| line(&format!("arm{arm}"), Some("better"))).collect();
        let block = Block { cell: "default".into(), metric: "test.loss".into(), lines };
        let heading = Heading { metric: "test.loss", direction: Direction::Minimize, tuning: None };
        assert!(blocks(&heading, &[block]).contains("... and 60 more lines"));
    }
}
