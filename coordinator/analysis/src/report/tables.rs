//! The tables of the report, for the page and for `report.md` alike.

use std::collections::HashSet;

use engine::metrics::Direction;
use results::{Comparison, Convergence};

use super::data::{DEFAULT, Failures, Paper, ReportData, interval_of, is_hedge};
use super::number::{count, interval, label, or_dash, p_value, ratio, share, significant};
use super::shortlist::shortlist;
use super::table::Table;
use crate::across::ALL_CELLS;
use crate::summary::Block;

/// All comparisons of a metric: cell by cell the baseline, the arms and the classical hedges, and at last what holds across cells.
pub(super) fn comparison(data: &ReportData, metric: &str) -> Table {
    let mut table = Table::new([
        "cell",
        "arm",
        "variant",
        "#n",
        "#mean",
        "#SD",
        "#difference",
        "#95% interval",
        "#ratio",
        "#d_z",
        "#P(better)",
        "#p (Holm)",
        "verdict",
    ]);
    let direction = data.metrics.iter().find(|known| known.name == metric).map(|known| known.direction);
    let direction = direction.unwrap_or(Direction::Neutral);
    let of_metric = data.comparisons.iter().filter(|row| row.metric == metric);
    let (across, rows): (Vec<&Comparison>, Vec<&Comparison>) = of_metric.partition(|row| row.cell == ALL_CELLS);
    let mut first = shortlist_of_cells(&rows, direction).into_iter().peekable();
    for cell in rows.chunk_by(|left, right| left.cell == right.cell) {
        if let Some(fullest) = cell.iter().max_by_key(|row| row.n)
            && first.peek().is_some_and(|row| row.cell == fullest.cell)
        {
            table.push(baseline_line(fullest));
        }
        for row in cell {
            match first.next_if(|next| std::ptr::eq(*next, *row)) {
                Some(row) => table.push(line(row)),
                None => table.push_folded(line(row)),
            }
        }
    }
    let mut first = shortlist(&across, direction, MOST_AT_FIRST / 2).into_iter().peekable();
    for row in &across {
        let line = [vec!["all cells".to_owned()], line(row).split_off(1)].concat();
        // What holds across the cells is never left out for there being many of them.
        match first.next_if(|next| std::ptr::eq(*next, *row)) {
            Some(_) => table.rows.push(line),
            None => table.push_folded(line),
        }
    }
    without_unknown(table, &["cell", "variant", "95% interval", "ratio", "P(better)"])
}

/// What is shown at first: where there is no room for every arm and hedge of every cell, the arms.
fn shortlist_of_cells<'a>(rows: &[&'a Comparison], direction: Direction) -> Vec<&'a Comparison> {
    let groups: HashSet<(&str, &str)> = rows.iter().map(|row| (row.cell.as_str(), row.arm.as_str())).collect();
    if groups.len() <= MOST_AT_FIRST {
        return shortlist(rows, direction, MOST_AT_FIRST);
    }
    let arms: Vec<&Comparison> = rows.iter().copied().filter(|row| !is_hedge(&row.arm)).collect();
    shortlist(&arms, direction, MOST_AT_FIRST)
}

/// Of more rows than these the most favourable are shown at first.
const MOST_AT_FIRST: usize = 60;

/// The table without those of the named columns that say nothing, and without cell and variant where there is but one.
fn without_unknown(table: Table, columns: &[&str]) -> Table {
    table.without(columns, |text| text.is_empty() || text == "-" || text == DEFAULT)
}

fn baseline_line(row: &Comparison) -> Vec<String> {
    let mut line = vec![label(&row.cell), row.baseline.clone(), label(&row.baseline_variant), count(row.n)];
    line.extend([or_dash(row.baseline_mean), or_dash(row.baseline_sd)]);
    line.extend(std::iter::repeat_n(String::new(), 6));
    line.push("baseline".to_owned());
    line
}

fn interval_words(row: &Comparison) -> String {
    let (low, high) = interval_of(row).unzip();
    interval(low, high)
}

fn line(row: &Comparison) -> Vec<String> {
    let text = |value: Option<f64>, text: fn(f64) -> String| value.map_or_else(|| "-".to_owned(), text);
    let mut line = vec![label(&row.cell), row.arm.clone(), label(&row.variant), count(row.n)];
    line.extend([or_dash(row.mean), or_dash(row.sd), or_dash(row.diff), interval_words(row)]);
    let two_decimals = |number: f64| format!("{number:.2}");
    line.extend([text(row.ratio, ratio), text(row.d_z, two_decimals), text(row.p_better, share)]);
    line.push(text(row.p_holm, p_value));
    line.push(row.verdict.replace('_', " "));
    line
}

/// The ranking where nothing is compared.
pub(super) fn ranking(ranking: &[Block]) -> Table {
    let mut table = Table::new(["cell", "arm", "variant", "#n", "#mean", "#SD"]);
    let lines: usize = ranking.iter().map(|block| block.lines.len()).sum();
    let at_first = if lines <= MOST_AT_FIRST { lines } else { (MOST_AT_FIRST / ranking.len()).max(1) };
    for block in ranking {
        for (place, line) in block.lines.iter().enumerate() {
            let row = vec![
                label(&block.cell),
                line.arm.clone(),
                label(&line.variant),
                count(line.n),
                or_dash(line.mean),
                or_dash(line.sd),
            ];
            // The best come first.
            if place < at_first { table.push(row) } else { table.push_folded(row) }
        }
    }
    without_unknown(table, &["cell", "variant"])
}

/// How soon arms come to where the baseline ends.
pub(super) fn convergence(rows: &[Convergence]) -> Table {
    let never = |value: Option<f64>| value.map_or_else(|| "∞".to_owned(), significant);
    // A median of whole numbers is one, or half way between two.
    let epochs = |value: Option<f64>| value.map_or_else(|| "∞".to_owned(), |epochs| epochs.to_string());
    let bounds = |low, high| format!("[{}, {}]", never(low), never(high));
    let mut table = Table::new([
        "cell",
        "arm",
        "variant",
        "#n",
        "#reached",
        "#epochs",
        "#baseline's epochs",
        "#ratio",
        "#95% interval",
        "#seconds ratio",
        "#p (sign)",
    ]);
    for row in rows {
        let has_interval = crate::median::interval_rank(row.n as usize).is_some();
        table.push(vec![
            label(&row.cell),
            row.arm.clone(),
            label(&row.variant),
            count(row.n),
            count(row.reached),
            epochs(row.epochs_median),
            epochs(row.baseline_epochs_median),
            never(row.epochs_ratio),
            if has_interval { bounds(row.epochs_ratio_low, row.epochs_ratio_high) } else { "-".to_owned() },
            if row.baseline_seconds_median.is_some() { never(row.seconds_ratio) } else { "-".to_owned() },
            row.p_sign.map_or_else(|| "-".to_owned(), p_value),
        ]);
    }
    without_unknown(table, &["cell", "variant"])
}

/// Why runs ended badly.
pub(super) fn failures(failures: &[Failures]) -> Table {
    let mut table = Table::new(["status", "#runs", "arms", "reason", "for example"]);
    for each in failures {
        let arms = super::number::list(&each.arms, 6);
        table.push(vec![each.status.clone(), count(each.runs), arms, each.reason.clone(), each.example.clone()]);
    }
    table
}

/// The paper's Table 2 beside ours.
pub(super) fn performance(paper: &Paper) -> Table {
    let mut table = Table::new(["arm", "", "#P&L variance", "#mean cost", "#Sharpe ratio", "#training time (s)"]);
    const DECIMALS: [usize; 4] = [6, 6, 4, 2];
    for line in &paper.performance {
        let text = |value: Option<f64>, place: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}", decimals = DECIMALS[place]))
        };
        let row = |who: &str, values: [Option<f64>; 4]| {
            let cells = values.into_iter().enumerate().map(|(place, value)| text(value, place));
            [line.arm.clone(), who.to_owned()].into_iter().chain(cells).collect()
        };
        table.push(row("paper", line.printed.map(Some)));
        table.push(row("here", line.ours));
    }
    table
}

/// The paper's Table 1 beside ours.
pub(super) fn tests(paper: &Paper) -> Table {
    let mut table = Table::new(["Welch's t of", "", "#t", "#p"]);
    for line in &paper.tests {
        let row = |who: &str, [t, p]: [Option<f64>; 2]| {
            let text = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
            vec![line.of.clone(), who.to_owned(), text(t), text(p)]
        };
        table.push(row("paper", line.printed.map(Some)));
        table.push(row("here", line.ours));
    }
    table
}

/// What each metric of the answer is.
pub(super) fn glossary(data: &ReportData) -> Table {
    let mut table = Table::new(["metric", "what it is", "unit"]);
    for metric in &data.metrics {
        table.push(vec![metric.name.clone(), metric.definition.clone(), metric.unit.clone()]);
    }
    table
}
