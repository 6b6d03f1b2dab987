//! What seeds say: paired differences, every seed's endpoint, intervals over cells, correlation of features.

use engine::metrics::Direction;
use results::Comparison;

use super::super::data::{DEFAULT, Group, Panel, ReportData, interval_of, named};
use super::super::number::{count, interval, or_dash, p_value, significant};
use super::super::shortlist::shortlist;
use super::super::table::Table;
use super::rows::{Row, Rows};
use super::{Drawing, Figure, axis_of, caption, cell_heading, group_name, shown_note};
use crate::across::ALL_CELLS;

/// More rows than these nobody looks through.
const MOST_ROWS: usize = 40;

/// Intervals over cells: one row a cell and arm.
pub(super) fn forest(data: &ReportData) -> Option<Figure> {
    let metric = data.primary();
    let rows = plotted_rows(data);
    if data.counts.cells < 2 || rows.len() < 2 {
        return None;
    }
    let baseline = data.baseline.as_deref()?;
    let is_across = |row: &&Comparison| row.metric == metric.name && row.cell == ALL_CELLS && row.diff.is_some();
    let across: Vec<&Comparison> = data.comparisons.iter().filter(is_across).collect();
    let across = shortlist(&across, metric.direction, MOST_ROWS / 2);
    let mut lines: Vec<Row> = Vec::new();
    let mut cell = "";
    for row in shortlist(&rows, metric.direction, MOST_ROWS) {
        let heading = (row.cell != cell).then(|| row.cell.clone());
        cell = &row.cell;
        lines.push(Row { heading, ..of_comparison(data, row) });
    }
    for (place, row) in across.into_iter().enumerate() {
        let heading = (place == 0).then(|| "mean over all cells".to_owned());
        lines.push(Row { heading, ..of_comparison(data, row) });
    }
    let (left, right) = sides(metric.direction, baseline);
    let figure =
        Rows { rows: lines, axis: difference_axis(data), sides: Some((&left, &right)), references: Vec::new() };
    let scale = figure.scale()?;
    let label = format!("Mean difference from {baseline} in {}, cell by cell, with 95% intervals", metric.name);
    let note = if rows.len() > MOST_ROWS {
        format!(
            "Of {} rows those of each arm's most favourable variants, cell by cell; comparisons.parquet has all.",
            count(rows.len() as u64)
        )
    } else {
        String::new()
    };
    Some(Figure {
        id: "forest".into(),
        title: "Differences, cell by cell".into(),
        caption: caption(["Diamond: mean difference over seeds. Bar: 95% interval.", &note]),
        drawings: vec![Drawing::new("", &label, |whole| figure.draw(scale, 0, whole))],
        numbers: comparison_numbers(&rows),
    })
}

/// Paired differences, one point a seed.
pub(super) fn paired(data: &ReportData) -> Option<Figure> {
    let metric = data.primary();
    let baseline = data.baseline.as_deref()?;
    let (left, right) = sides(metric.direction, baseline);
    let (mut figures, mut cells, mut drawings) = (Vec::new(), Vec::new(), Vec::new());
    let mut table = Table::new(["cell", "arm", "variant", "#seed", "#difference"]);
    for panel in &data.panels {
        let groups = panel.groups.iter().filter(|group| !group.differences.is_empty());
        let rows: Vec<Row> = groups
            .map(|group| {
                let points = group.differences.iter().map(|(_, difference)| *difference).collect();
                match find(data, panel, group) {
                    Some(row) => Row { points, ..of_comparison(data, row) },
                    None => Row { name: group_name(group), look: data.look_of(&group.arm), points, ..Row::default() },
                }
            })
            .collect();
        for group in &panel.groups {
            for (seed, difference) in &group.differences {
                let row = [panel.cell.clone(), group.arm.clone(), group.variant.clone(), seed.to_string()];
                table.push(row.into_iter().chain([significant(*difference)]).collect());
            }
        }
        let figure = Rows { rows, axis: difference_axis(data), sides: Some((&left, &right)), references: Vec::new() };
        if !figure.rows.is_empty() {
            figures.push(figure);
            cells.push(panel);
        }
    }
    let (scale, most) = (Rows::shared_scale(&figures)?, Rows::points_a_row(&figures));
    for (figure, panel) in figures.iter().zip(cells) {
        let label = format!("{} minus {baseline}, one point a seed", metric.name);
        drawings.push(Drawing::new(cell_heading(&panel.cell), &label, |whole| figure.draw(scale, most, whole)));
    }
    (!drawings.is_empty()).then(|| Figure {
        id: "paired".into(),
        title: "Differences, seed by seed".into(),
        caption: caption([
            "One point a seed: the arm's value less the baseline's, on the same paths and initial weights. Diamond: mean. Bar: 95% interval of the mean.",
            &shown_note(data),
        ]),
        drawings,
        numbers: table.without_constant(&["cell", "variant"]),
    })
}

/// The endpoint of every seed, with the classical hedges beside it.
pub(super) fn every_seed(data: &ReportData) -> Option<Figure> {
    let metric = data.primary();
    let mut far: Vec<String> = Vec::new();
    let mut figure =
        values_figure(data, |group| &group.values, |panel| panel.hedges.clone(), &axis_of(metric), &mut far)?;
    figure.id = "values".into();
    figure.title = format!("{} of every seed", metric.name);
    far.sort();
    far.dedup();
    let far = if far.is_empty() { String::new() } else { format!("Beyond the axis: {}.", far.join(", ")) };
    let hedges = data.panels.iter().any(|panel| !panel.hedges.is_empty());
    figure.caption = caption([
        "One point a seed. Diamond: median. Bar: quartiles.",
        if hedges { "Dashed lines: the classical hedges on the same paths." } else { "" },
        &far,
        &shown_note(data),
    ]);
    Some(figure)
}

/// Mean absolute correlation between the head's inputs.
pub(super) fn correlation(data: &ReportData) -> Option<Figure> {
    let mut figure = values_figure(
        data,
        |group| &group.correlations,
        |_| Vec::new(),
        "mean |correlation| between hidden units",
        &mut Vec::new(),
    )?;
    figure.id = "correlation".into();
    figure.title = "Correlation of features".into();
    figure.caption = caption([
        "Mean absolute correlation between pairs of the head's inputs after training, one point a seed: near 1, the network has few \
         features of its own. Diamond: median. Bar: quartiles.",
        &shown_note(data),
    ]);
    Some(figure)
}

/// A figure of the groups' values, with quartiles.
fn values_figure(
    data: &ReportData,
    values: fn(&Group) -> &Vec<(u64, f64)>,
    references: fn(&Panel) -> Vec<(String, f64)>,
    axis: &str,
    far: &mut Vec<String>,
) -> Option<Figure> {
    let (mut figure, mut all, mut cells) = (Figure::default(), Vec::new(), Vec::new());
    let mut table = Table::new(["cell", "arm", "variant", "#seeds", "#min", "#25%", "#median", "#75%", "#max"]);
    for panel in &data.panels {
        let mut rows = Vec::new();
        for group in &panel.groups {
            let mut points: Vec<f64> = values(group).iter().map(|(_, value)| *value).collect();
            points.sort_by(f64::total_cmp);
            let Some(five) = super::super::quantile::five(&points) else { continue };
            let numbers = format!("{}, {} to {}", significant(five[2]), significant(five[1]), significant(five[3]));
            let summary = Some((Some(five[1]), five[2], Some(five[3])));
            let look = data.look_of(&group.arm);
            let mut row =
                vec![panel.cell.clone(), group.arm.clone(), group.variant.clone(), count(points.len() as u64)];
            row.extend(five.map(significant));
            table.push(row);
            rows.push(Row { name: group_name(group), numbers, look, points, summary, heading: None });
        }
        let rows = Rows { rows, axis: axis.to_owned(), sides: None, references: references(panel) };
        if !rows.rows.is_empty() {
            all.push(rows);
            cells.push(panel);
        }
    }
    let (scale, most) = (Rows::shared_scale(&all)?, Rows::points_a_row(&all));
    for (rows, panel) in all.iter().zip(cells) {
        for (name, value) in &rows.references {
            let mut row = vec![panel.cell.clone(), format!("hedge.{name}"), DEFAULT.to_owned(), "1".to_owned()];
            row.extend([*value; 5].map(significant));
            table.push(row);
            if !scale.contains(*value) {
                far.push(format!("{name} {}", significant(*value)));
            }
        }
        let label = format!("{axis} of every seed, by arm");
        figure.drawings.push(Drawing::new(cell_heading(&panel.cell), &label, |whole| rows.draw(scale, most, whole)));
    }
    figure.numbers = table.without_constant(&["cell", "variant"]);
    (!figure.drawings.is_empty()).then_some(figure)
}

/// The rows that figures over cells show: of the primary endpoint, the shown variants where cells are shown, and otherwise all.
pub(super) fn plotted_rows(data: &ReportData) -> Vec<&Comparison> {
    let rows = data.arms_rows(&data.primary().name);
    rows.into_iter().filter(|row| row.diff.is_some()).collect()
}

fn find<'a>(data: &'a ReportData, panel: &Panel, group: &Group) -> Option<&'a Comparison> {
    let rows = data.comparisons.iter().filter(|row| row.metric == data.primary().name && row.cell == panel.cell);
    rows.into_iter().find(|row| row.arm == group.arm && row.variant == group.variant)
}

fn of_comparison(data: &ReportData, row: &Comparison) -> Row {
    let bounds = interval_of(row);
    let middle = row.diff.filter(|middle| middle.is_finite());
    let (low, high) = bounds.unzip();
    let words = if bounds.is_some() { format!(" {}", interval(low, high)) } else { String::new() };
    Row {
        name: named(&row.arm, &row.variant),
        numbers: middle.map(|middle| format!("{}{words}", significant(middle))).unwrap_or_default(),
        look: data.look_of(&row.arm),
        points: Vec::new(),
        summary: middle.map(|middle| (low, middle, high)),
        heading: None,
    }
}

/// What is left and right of no difference.
fn sides(direction: Direction, baseline: &str) -> (String, String) {
    let (better, worse) = (format!("better than {baseline}"), format!("worse than {baseline}"));
    match direction {
        Direction::Minimize => (better, worse),
        Direction::Maximize => (worse, better),
        Direction::Neutral => (format!("less than {baseline}"), format!("more than {baseline}")),
    }
}

fn difference_axis(data: &ReportData) -> String {
    format!("difference in {}", data.primary().name)
}

fn comparison_numbers(rows: &[&Comparison]) -> Table {
    let mut table =
        Table::new(["cell", "arm", "variant", "#n", "#difference", "#95% interval", "#p (Holm)", "verdict"]);
    for row in rows {
        table.push(vec![
            row.cell.clone(),
            row.arm.clone(),
            row.variant.clone(),
            count(row.n),
            or_dash(row.diff),
            interval(interval_of(row).map(|bounds| bounds.0), interval_of(row).map(|bounds| bounds.1)),
            row.p_holm.map_or_else(|| "-".to_owned(), p_value),
            row.verdict.replace('_', " "),
        ]);
    }
    table.without_constant(&["cell", "variant"])
}
