//! What a swept parameter does to the primary endpoint: lines where its values have an order, rows where they have none.

use super::super::data::{MOST_LEVELS, ReportData, Sensitivity, Series};
use super::super::frame::{Key, LINE, Layout, apart};
use super::super::number::{count, significant};
use super::super::palette::Look;
use super::super::scale::Scale;
use super::super::svg::{Anchor, FONT, Svg};
use super::super::table::Table;
use super::super::text::width;
use super::rows::{Row, Rows};
use super::{Drawing, Figure, NARROW, axis_of, caption, shown_value};

/// Beyond this ratio between its largest and smallest value a parameter has a logarithmic axis.
const LOG_PARAMETER: f64 = 20.0;

/// More parameters than these nobody looks through.
const MOST_PARAMETERS: usize = 8;

pub(super) fn sensitivity(data: &ReportData) -> Option<Figure> {
    let axis = axis_of(data.primary());
    let mut drawings = Vec::new();
    for sensitivity in data.sensitivities.iter().take(MOST_PARAMETERS) {
        let label = format!("{} against {}", data.primary().name, sensitivity.parameter);
        if sensitivity.ordered {
            let Some(scales) = scales(sensitivity) else { continue };
            let draw = |whole: f64| draw_lines(sensitivity, scales, &axis, whole);
            drawings.push(Drawing::new(sensitivity.parameter.clone(), &label, draw));
        } else {
            let rows = categories(sensitivity, &axis);
            let Some(scale) = rows.scale() else { continue };
            drawings.push(Drawing::new(sensitivity.parameter.clone(), &label, |whole| rows.draw(scale, 0, whole)));
        }
    }
    let mut table = Table::new(["parameter", "of", "#value", "#runs", "#25%", "#median", "#75%"]);
    for sensitivity in &data.sensitivities {
        for series in &sensitivity.series {
            for level in &series.levels {
                let mut row =
                    vec![sensitivity.parameter.clone(), series.name.clone(), level.value.clone(), count(level.runs)];
                row.extend(level.quartiles.map(significant));
                table.push(row);
            }
        }
    }
    let more = data.sensitivities.len().saturating_sub(MOST_PARAMETERS);
    let more = if more > 0 { format!("{more} more parameters are in the numbers.") } else { String::new() };
    let thinned: Vec<String> = data.sensitivities.iter().filter_map(thinned).collect();
    let references = data.sensitivities.iter().flat_map(|each| &each.series).any(|series| series.look.is_none());
    (!drawings.is_empty()).then(|| Figure {
        id: "sensitivity".into(),
        title: format!("What each swept parameter does to {}", data.primary().name),
        caption: caption([
            "Point: median over all runs that have the value, whatever else they have: cells, variants and seeds alike. Bar: their \
             quartiles.",
            if references { "Grey, dashed: the classical hedges on the same paths." } else { "" },
            &thinned.join(" "),
            &more,
        ]),
        drawings,
        numbers: table,
    })
}

/// What is said of a parameter with more values than are looked at.
fn thinned(sensitivity: &Sensitivity) -> Option<String> {
    let levels = sensitivity.series.iter().map(|series| series.levels.len()).max().unwrap_or(0) as u64;
    let is_thinned = levels >= MOST_LEVELS as u64 && sensitivity.values > levels;
    is_thinned
        .then(|| format!("Of {}'s {} values {levels} are shown.", sensitivity.parameter, count(sensitivity.values)))
}

/// The scales of a parameter with numbers for values.
fn scales(sensitivity: &Sensitivity) -> Option<(Scale, Scale)> {
    let levels = || sensitivity.series.iter().flat_map(|series| &series.levels);
    let numbers: Vec<f64> = levels().filter_map(|level| level.number).collect();
    let x = Scale::fitting(&numbers, LOG_PARAMETER)?;
    let own = sensitivity.series.iter().filter(|series| series.look.is_some()).flat_map(|series| &series.levels);
    let values: Vec<f64> = own.flat_map(|level| level.quartiles).collect();
    let near = Scale::fitting(&values, 50.0)?;
    // References count as long as they do not squeeze what is asked about.
    let (low, high) = near.with_room(if near.is_log() { 0.3 } else { 0.8 }).domain();
    let references = sensitivity.series.iter().filter(|series| series.look.is_none()).flat_map(|series| &series.levels);
    let extra = references.map(|level| level.quartiles[1]).filter(|value| *value >= low && *value <= high);
    let all: Vec<f64> = values.iter().copied().chain(extra).collect();
    let y = if near.is_log() { Scale::log(all)? } else { Scale::linear(all)? };
    Some((x.with_room(0.04), y.with_room(0.06)))
}

fn draw_lines(sensitivity: &Sensitivity, (x, y): (Scale, Scale), axis: &str, whole: f64) -> Svg {
    let mut ticks: Vec<(f64, String)> = Vec::new();
    for level in sensitivity.series.iter().flat_map(|series| &series.levels) {
        if let Some(number) = level.number
            && ticks.iter().all(|(known, _)| *known != number)
        {
            ticks.push((number, shown_value(&level.value)));
        }
    }
    ticks.sort_by(|left, right| left.0.total_cmp(&right.0));
    // The values themselves, unless there are too many of them.
    let room: f64 = ticks.iter().map(|(_, label)| width(label, FONT) + 8.0).sum();
    let ticks = (room <= whole - 80.0).then_some(ticks);
    let own = sensitivity.series.iter().filter_map(|series| Some((series, Look::of(series.look?))));
    let own: Vec<(&Series, Look)> = own.collect();
    let keys = own.iter().map(|(series, look)| Key { look: *look, name: series.name.clone(), points: false });
    let layout = Layout {
        width: whole,
        height: if whole > NARROW { 230.0 } else { 190.0 },
        x_title: &sensitivity.parameter,
        y_title: axis,
        x,
        y,
        x_ticks: ticks,
        left: 0.0,
        right: 10.0,
        keys: keys.collect(),
    };
    let (mut svg, frame) = layout.draw();
    let point = |number: Option<f64>, value: f64| {
        Some((frame.x.place(number?)?, frame.y.place(value).filter(|_| frame.y.contains(value))?))
    };
    let references = sensitivity.series.iter().filter(|series| series.look.is_none());
    let mut ends: Vec<(f64, f64, &str)> = Vec::new();
    for series in references {
        let points: Vec<(f64, f64)> =
            series.levels.iter().filter_map(|level| point(level.number, level.quartiles[1])).collect();
        for pair in points.windows(2) {
            svg.line(pair[0], pair[1], "reference");
        }
        ends.extend(points.last().map(|(x, y)| (*x, *y, series.name.as_str())));
    }
    // Each name above the end of its line, or as near as the others let it.
    let above: Vec<f64> = ends.iter().map(|(_, y, _)| y - 5.0).collect();
    let [_, top, _, bottom] = frame.area;
    for ((x, _, name), y) in ends.iter().zip(apart(&above, LINE - 2.0, top + 10.0, bottom - 2.0)) {
        svg.text((x - 2.0, y), Anchor::End, "t reference-name", name);
    }
    // Bars of neighbours stand beside each other.
    let spread = 5.0;
    let shift = |place: usize| spread * (place as f64 - 0.5 * (own.len() as f64 - 1.0));
    for (place, (series, look)) in own.iter().enumerate() {
        let points: Vec<Option<(f64, f64)>> =
            series.levels.iter().map(|level| point(level.number, level.quartiles[1])).collect();
        svg.curve(points.iter().copied(), *look, "curve thin");
        for (level, at) in series.levels.iter().zip(points) {
            let Some((at_x, at_y)) = at else { continue };
            let bar = at_x + shift(place).clamp(-12.0, 12.0);
            let ends = [level.quartiles[0], level.quartiles[2]].map(|value| frame.y.clamped(value).unwrap_or(at_y));
            svg.line((bar, ends[0]), (bar, ends[1]), &format!("{} quartiles", look.class()));
            svg.marker((at_x, at_y), 4.0, *look, "fill");
        }
    }
    svg
}

/// The rows of a parameter whose values have no order.
fn categories<'a>(sensitivity: &Sensitivity, axis: &str) -> Rows<'a> {
    let several = sensitivity.series.iter().filter(|series| series.look.is_some()).count() > 1;
    let mut rows = Vec::new();
    for series in sensitivity.series.iter().filter(|series| series.look.is_some()) {
        for (place, level) in series.levels.iter().enumerate() {
            let [low, middle, high] = level.quartiles;
            rows.push(Row {
                name: shown_value(&level.value),
                numbers: format!("{}, {} to {}", significant(middle), significant(low), significant(high)),
                look: series.look.unwrap_or_default(),
                points: Vec::new(),
                summary: Some((Some(low), middle, Some(high))),
                heading: (several && place == 0).then(|| series.name.clone()),
            });
        }
    }
    Rows { rows, axis: axis.to_owned(), sides: None, references: Vec::new() }
}
