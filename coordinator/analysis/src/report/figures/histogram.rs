//! Distributions over paths, an outline an arm.

use super::super::data::{Histogram, QUANTILES, ReportData, SampleShape};
use super::super::frame::{Key, Layout};
use super::super::number::{count, significant};
use super::super::palette::Look;
use super::super::scale::Scale;
use super::super::svg::Svg;
use super::super::table::Table;
use super::{Drawing, Figure, NARROW, caption, cell_heading, group_name, shown_note};

pub(super) fn pnl(data: &ReportData) -> Option<Figure> {
    figure(data, "pnl-distribution", "Distribution of P&L", "P&L, gross of costs", |shape| &shape.pnl)
}

pub(super) fn cost(data: &ReportData) -> Option<Figure> {
    figure(data, "cost-distribution", "Distribution of cost", "cost", |shape| &shape.cost)
}

fn figure(
    data: &ReportData,
    id: &str,
    title: &str,
    axis: &str,
    pick: fn(&SampleShape) -> &Histogram,
) -> Option<Figure> {
    let mut columns =
        Table::new(["cell", "arm", "variant", "#values", "#1%", "#5%", "#25%", "#median", "#75%", "#95%", "#99%"]);
    let mut drawings = Vec::new();
    let mut set = String::new();
    for panel in &data.panels {
        let mut outlines: Vec<(Key, &Histogram)> = Vec::new();
        for group in &panel.groups {
            let Some(shape) = &group.samples else { continue };
            set.clone_from(&shape.set);
            let histogram = pick(shape);
            let mut row = vec![panel.cell.clone(), group.arm.clone(), group.variant.clone(), count(histogram.n)];
            row.extend(histogram.quantiles.iter().map(|value| significant(*value)));
            if row.len() == 4 + QUANTILES.len() {
                columns.push(row);
            }
            let key = Key { look: Look::of(data.look_of(&group.arm)), name: group_name(group), points: false };
            outlines.push((key, histogram));
        }
        let Some((x, y)) = scales(&outlines) else { continue };
        let label = format!("{title} over paths, by arm");
        drawings.push(Drawing::new(cell_heading(&panel.cell), &label, |whole| draw(&outlines, x, y, axis, whole)));
    }
    let pool = if set == "train" {
        "Over the training paths of all recorded epochs and seeds, as the paper has it."
    } else {
        "Over the held-out paths of all seeds, after the last epoch."
    };
    (!drawings.is_empty()).then(|| Figure {
        id: id.into(),
        title: title.into(),
        caption: caption([
            pool,
            "Values beyond the middle 99.8% are in the numbers and not in the picture.",
            &shown_note(data),
        ]),
        drawings,
        numbers: columns.without_constant(&["cell", "variant"]),
    })
}

/// Shares of a histogram's values by bin.
fn shares(histogram: &Histogram) -> impl Iterator<Item = f64> {
    histogram.counts.iter().map(|count| *count as f64 / histogram.n.max(1) as f64)
}

fn scales(outlines: &[(Key, &Histogram)]) -> Option<(Scale, Scale)> {
    let x = Scale::linear(outlines.iter().flat_map(|(_, histogram)| histogram.edges.iter().copied()))?;
    let y = Scale::linear(
        outlines.iter().flat_map(|(_, histogram)| shares(histogram)).map(|share| 100.0 * share).chain([0.0]),
    )?;
    Some((x, y))
}

fn draw(outlines: &[(Key, &Histogram)], x: Scale, y: Scale, axis: &str, whole: f64) -> Svg {
    let layout = Layout {
        width: whole,
        height: if whole > NARROW { 210.0 } else { 180.0 },
        x_title: axis,
        y_title: "% of values",
        x,
        y,
        x_ticks: None,
        left: 0.0,
        right: 10.0,
        keys: outlines.iter().map(|(key, _)| key.clone()).collect(),
    };
    let (mut svg, frame) = layout.draw();
    for (key, histogram) in outlines {
        let mut steps: Vec<Option<(f64, f64)>> = Vec::new();
        let mut areas: Vec<(f64, f64, f64)> = Vec::new();
        let bottom = frame.area[3];
        for (edges, share) in histogram.edges.windows(2).zip(shares(histogram)) {
            let height = frame.y.clamped(100.0 * share).unwrap_or(bottom);
            for edge in edges {
                let place = frame.x.place(*edge);
                steps.push(place.map(|place| (place, height)));
                areas.extend(place.map(|place| (place, bottom, height)));
            }
        }
        svg.area(&areas, &format!("{} extreme", key.look.class()));
        svg.curve(steps, key.look, "curve thin");
    }
    svg
}
