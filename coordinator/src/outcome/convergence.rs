//! How soon each arm comes to where the baseline ends, as a terminal shows it.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table};
use results::Convergence;

use super::show::{MAX_LINES, plain_table, trimmed};
use crate::format;

/// The table over all cells, in each the baseline first; nothing without rows. Columns that would say the same in every
/// line are left out.
pub(super) fn show(rows: &[Convergence]) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let mut text = format!(
        "epochs and seconds to the validation loss at which {} ends · medians over seeds, 95% intervals\n",
        first.baseline
    );
    let cells: Vec<&[Convergence]> = rows.chunk_by(|left, right| left.cell == right.cell).collect();
    let columns = Columns {
        cell: cells.len() > 1,
        variant: rows.iter().any(|row| row.variant != "default" || row.baseline_variant != "default"),
    };
    let lines: Vec<Vec<String>> = cells.into_iter().flat_map(|cell| columns.lines(cell)).collect();
    let mut table = plain_table();
    table.set_header(columns.header());
    for line in lines.iter().take(MAX_LINES) {
        table.add_row(line);
    }
    columns.align(&mut table);
    let _ = writeln!(text, "{}", trimmed(&table));
    if lines.len() > MAX_LINES {
        let more = format::count((lines.len() - MAX_LINES) as u64);
        let _ = writeln!(text, "... and {more} more lines, in convergence.parquet");
    }
    text.push('\n');
    text
}

/// Which columns the table has.
struct Columns {
    cell: bool,
    variant: bool,
}

impl Columns {
    fn header(&self) -> Vec<&'static str> {
        let mut header = self.labels("cell", "arm", "variant");
        let ratio = ["x baseline", "[low, high]"];
        header.extend(["n", "reached", "epochs"].into_iter().chain(ratio).chain(["seconds"]).chain(ratio));
        header
    }

    fn labels<T>(&self, cell: T, arm: T, variant: T) -> Vec<T> {
        let labels = [(self.cell, cell), (true, arm), (self.variant, variant)];
        labels.into_iter().filter_map(|(shown, label)| shown.then_some(label)).collect()
    }

    /// The lines of a cell.
    fn lines(&self, rows: &[Convergence]) -> Vec<Vec<String>> {
        let baseline = rows.iter().max_by_key(|row| row.n).map(|row| self.baseline(row));
        baseline.into_iter().chain(rows.iter().map(|row| self.line(row))).collect()
    }

    fn baseline(&self, row: &Convergence) -> Vec<String> {
        let mut line = self.labels(row.cell.clone(), row.baseline.clone(), row.baseline_variant.clone());
        line.extend([format::count(row.n), format::count(row.n)]);
        line.extend([epochs(row.baseline_epochs_median), String::new(), String::new()]);
        line.extend([known(row.baseline_seconds_median), String::new(), String::new()]);
        line
    }

    fn line(&self, row: &Convergence) -> Vec<String> {
        let mut line = self.labels(row.cell.clone(), row.arm.clone(), row.variant.clone());
        line.extend([format::count(row.n), format::count(row.reached)]);
        line.extend([epochs(row.epochs_median), or_never(row.epochs_ratio)]);
        line.push(interval(row.n, row.epochs_ratio_low, row.epochs_ratio_high));
        if row.baseline_seconds_median.is_some() {
            line.extend([or_never(row.seconds_median), or_never(row.seconds_ratio)]);
            line.push(interval(row.n, row.seconds_ratio_low, row.seconds_ratio_high));
        } else {
            line.extend(["-", "-", "-"].map(str::to_owned));
        }
        line
    }

    fn align(&self, table: &mut Table) {
        for place in self.labels((), (), ()).len()..self.header().len() {
            if let Some(column) = table.column_mut(place) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
}

/// A median of epochs, which may lie between two of them.
fn epochs(median: Option<f64>) -> String {
    median.map_or_else(|| NEVER.to_owned(), |epochs| epochs.to_string())
}

const NEVER: &str = "∞";

fn or_never(value: Option<f64>) -> String {
    value.map_or_else(|| NEVER.to_owned(), format::significant)
}

fn known(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), format::significant)
}

/// Too few seeds have no interval; an absent bound of more is infinite.
fn interval(n: u64, low: Option<f64>, high: Option<f64>) -> String {
    if analysis::median::interval_rank(n as usize).is_none() {
        return "-".to_owned();
    }
    format!("[{}, {}]", or_never(low), or_never(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(arm: &str) -> Convergence {
        Convergence {
            cell: "default".into(),
            arm: arm.into(),
            variant: "default".into(),
            baseline: "adam".into(),
            baseline_variant: "default".into(),
            stage: "all".into(),
            n: 8,
            reached: 8,
            target_mean: Some(1.0),
            epochs_median: Some(4.5),
            baseline_epochs_median: Some(9.0),
            epochs_ratio: Some(0.5),
            epochs_ratio_low: Some(0.25),
            epochs_ratio_high: Some(0.75),
            seconds_median: Some(1.5),
            baseline_seconds_median: Some(2.0),
            seconds_ratio: Some(0.75),
            seconds_ratio_low: Some(0.5),
            seconds_ratio_high: Some(1.0),
            p_sign: Some(0.0078125),
        }
    }

    #[test]
    fn the_baseline_stands_first_and_who_never_arrives_shows_it() {
        let some = Convergence { reached: 6, epochs_ratio_high: None, seconds_ratio_high: None, ..row("kfac") };
        let none = Convergence {
            reached: 0,
            epochs_median: None,
            epochs_ratio: None,
            epochs_ratio_low: None,
            epochs_ratio_high: None,
            seconds_median: None,
            seconds_ratio: None,
            seconds_ratio_low: None,
            seconds_ratio_high: None,
            ..row("sgd")
        };
        let expected = "\
epochs and seconds to the validation loss at which adam ends · medians over seeds, 95% intervals
 arm   n  reached  epochs  x baseline  [low, high]  seconds  x baseline  [low, high]
 adam  8        8       9                             2.000
 kfac  8        6     4.5      0.5000  [0.2500, ∞]    1.500      0.7500  [0.5000, ∞]
 sgd   8        0       ∞           ∞       [∞, ∞]        ∞           ∞       [∞, ∞]

";
        assert_eq!(show(&[some, none]), expected);
        assert_eq!(show(&[]), "");
    }

    #[test]
    fn cells_and_variants_are_named_where_there_are_several() {
        let untimed = Convergence {
            cell: "xi=2".into(),
            variant: "lr=1".into(),
            n: 5,
            epochs_ratio_low: None,
            epochs_ratio_high: None,
            seconds_median: None,
            baseline_seconds_median: None,
            ..row("kfac")
        };
        let text = show(&[row("kfac"), untimed]);
        let lines: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0][..4], ["cell", "arm", "variant", "n"]);
        assert_eq!(lines[2][..3], ["default", "kfac", "default"]);
        assert_eq!(lines[3], ["xi=2", "adam", "default", "5", "5", "9", "-"]);
        assert_eq!(lines[4], ["xi=2", "kfac", "lr=1", "5", "8", "4.5", "0.5000", "-", "-", "-", "-"]);
    }

    #[test]
    fn long_answers_are_cut_and_say_so() {
        let rows: Vec<Convergence> = (0..100).map(|arm| row(&format!("arm{arm}"))).collect();
        assert!(show(&rows).contains("... and 61 more lines, in convergence.parquet"));
    }
}
