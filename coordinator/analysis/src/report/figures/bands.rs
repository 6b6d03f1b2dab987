//! Curves over epochs: the median over seeds, the band between the quartiles, and the band between the extremes.

use super::super::data::{Band, Curves, Panel, ReportData};
use super::super::frame::{Key, LINE, Layout, apart};
use super::super::number::{count, significant};
use super::super::palette::Look;
use super::super::scale::Scale;
use super::super::svg::{Anchor, FONT, Svg};
use super::super::table::Table;
use super::super::text::width;
use super::{Drawing, Figure, NARROW, caption, cell_heading, group_name, shown_note};

/// Rows of epochs that a table has for each curve.
const TABLE_EPOCHS: usize = 12;

/// At most so many points of a curve are drawn...
const MOST_POINTS: usize = 120;

/// ...and of all curves of a figure.
const MOST_POINTS_OF_ALL: usize = 2000;

/// Beyond this ratio between the largest and the smallest value an axis is logarithmic.
const LOG_RATIO: f64 = 30.0;

/// Loss against epoch.
pub(super) fn loss(data: &ReportData) -> Option<Figure> {
    figure(data, "loss", "Training loss against epoch", "training loss", |curves| &curves.loss)
}

/// Validation loss against epoch.
pub(super) fn validation(data: &ReportData) -> Option<Figure> {
    figure(data, "validation", "Validation loss against epoch", "validation loss", |curves| &curves.validation)
}

/// Mean P&L against epoch.
pub(super) fn pnl(data: &ReportData) -> Option<Figure> {
    figure(
        data,
        "pnl",
        "Mean P&L against epoch",
        "mean P&L over the epoch's training paths, gross of costs",
        |curves| &curves.pnl,
    )
}

/// Mean cost against epoch.
pub(super) fn cost(data: &ReportData) -> Option<Figure> {
    figure(data, "cost", "Mean cost against epoch", "mean cost over the epoch's training paths", |curves| &curves.cost)
}

/// One line of a drawing.
struct Line<'a> {
    name: String,
    look: Look,
    band: &'a Band,
}

fn figure(data: &ReportData, id: &str, title: &str, axis: &str, pick: fn(&Curves) -> &Band) -> Option<Figure> {
    let mut figure = Figure { id: id.to_owned(), title: title.to_owned(), ..Figure::default() };
    let mut table =
        Table::new(["cell", "arm", "variant", "#seeds", "#epoch", "#min", "#25%", "#median", "#75%", "#max"]);
    let of_panels: Vec<(&Panel, Vec<Line<'_>>)> = data
        .panels
        .iter()
        .map(|panel| (panel, lines(data, panel, pick)))
        .filter(|(_, lines)| !lines.is_empty())
        .collect();
    // One scale, so that cells can be held against each other.
    let (scale, is_cut) = scale(of_panels.iter().flat_map(|(_, lines)| lines))?;
    let curves: usize = of_panels.iter().map(|(_, lines)| lines.len()).sum();
    let most = (MOST_POINTS_OF_ALL / curves.max(1)).clamp(30, MOST_POINTS);
    for (panel, lines) in &of_panels {
        let label = format!("{title}: median and quartiles over seeds of {}", names(lines));
        let draw = |width: f64| draw(lines, (scale, axis), most, width);
        figure.drawings.push(Drawing::new(cell_heading(&panel.cell), &label, draw));
        for group in &panel.groups {
            let Some(curves) = &group.curves else { continue };
            let band = pick(curves);
            for place in thinned(band.epochs.len(), TABLE_EPOCHS) {
                let mut row = vec![panel.cell.clone(), group.arm.clone(), group.variant.clone(), count(curves.seeds)];
                row.push(band.epochs[place].to_string());
                row.extend(band.quantiles[place].iter().map(|value| significant(*value)));
                table.push(row);
            }
        }
    }
    let read = data.panels.iter().flat_map(|panel| &panel.groups).filter_map(|group| group.curves.as_ref());
    let some = read.clone().find(|curves| curves.of > curves.seeds);
    let some = some.map(|curves| format!("The first {} seeds of {} were read.", count(curves.seeds), count(curves.of)));
    figure.caption = caption([
        "Line: median over seeds. Dark band: quartiles. Pale band: all seeds.",
        if is_cut { "Extremes beyond the axis are cut." } else { "" },
        some.as_deref().unwrap_or_default(),
        &shown_note(data),
    ]);
    figure.numbers = table.without_constant(&["cell", "variant"]);
    (!figure.drawings.is_empty()).then_some(figure)
}

fn lines<'a>(data: &ReportData, panel: &'a Panel, pick: fn(&Curves) -> &Band) -> Vec<Line<'a>> {
    let with_curves = panel.groups.iter().filter_map(|group| {
        let band = pick(group.curves.as_ref()?);
        let line = Line { name: group_name(group), look: Look::of(data.look_of(&group.arm)), band };
        (!band.epochs.is_empty()).then_some(line)
    });
    with_curves.collect()
}

fn names(lines: &[Line<'_>]) -> String {
    lines.iter().map(|line| line.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The vertical scale, which shows all quartiles, and the extremes unless they are far away; and whether they are.
fn scale<'a>(lines: impl Iterator<Item = &'a Line<'a>> + Clone) -> Option<(Scale, bool)> {
    let all = || lines.clone().flat_map(|line| line.band.quantiles.iter());
    let inner: Vec<f64> = all().flat_map(|quantiles| quantiles[1..4].iter().copied()).collect();
    let outer: Vec<f64> = all().flat_map(|quantiles| [quantiles[0], quantiles[4]]).collect();
    let fitting = Scale::fitting(&inner, LOG_RATIO)?;
    // As much room above and below as the quartiles take themselves is enough for extremes.
    let (low, high) = fitting.with_room(if fitting.is_log() { 0.5 } else { 1.0 }).domain();
    let kept = outer.iter().copied().filter(|value| *value >= low && *value <= high);
    let cut = outer.iter().any(|value| *value < low || *value > high);
    let beyond = outer.iter().filter(|value| value.is_finite()).map(|value| value.clamp(low, high));
    let shown: Vec<f64> =
        if cut { inner.iter().copied().chain(beyond).collect() } else { inner.iter().copied().chain(kept).collect() };
    let scale = if fitting.is_log() { Scale::log(shown)? } else { Scale::linear(shown)? };
    Some((scale.with_room(0.03), cut))
}

fn draw(lines: &[Line<'_>], (y, axis): (Scale, &str), most: usize, whole: f64) -> Svg {
    let widest = lines.iter().map(|line| width(&line.name, FONT)).fold(0.0, f64::max);
    let height = if whole > NARROW { 260.0 } else { 210.0 };
    // Labels at the ends of lines need no looking up, where there is room for them.
    let direct = lines.len() > 1 && widest <= 0.26 * whole && lines.len() as f64 * LINE <= height;
    let keys = lines.iter().map(|line| Key { look: line.look, name: line.name.clone(), points: false });
    let epochs = lines.iter().flat_map(|line| line.band.epochs.iter().map(|epoch| f64::from(*epoch)));
    let x = Scale::linear(epochs).unwrap_or_else(|| Scale::linear([0.0, 1.0]).expect("two values have a scale"));
    let layout = Layout {
        width: whole,
        height,
        x_title: "epoch",
        y_title: axis,
        x,
        y,
        x_ticks: None,
        left: 0.0,
        right: if direct { widest + 12.0 } else { 10.0 },
        keys: if direct { Vec::new() } else { keys.collect() },
    };
    let (mut svg, frame) = layout.draw();
    let places = |line: &Line<'_>| thinned(line.band.epochs.len(), most);
    for (class, low, high) in [("extreme", 0, 4), ("band", 1, 3)] {
        for line in lines {
            let edges: Vec<(f64, f64, f64)> = places(line)
                .into_iter()
                .filter_map(|place| {
                    let quantiles = &line.band.quantiles[place];
                    let x = frame.x.place(f64::from(line.band.epochs[place]))?;
                    Some((x, frame.y.clamped(quantiles[low])?, frame.y.clamped(quantiles[high])?))
                })
                .collect();
            svg.area(&edges, &format!("{} {class}", line.look.class()));
        }
    }
    for line in lines {
        let points: Vec<Option<(f64, f64)>> = places(line)
            .into_iter()
            .map(|place| {
                let x = frame.x.place(f64::from(line.band.epochs[place]))?;
                Some((x, frame.y.clamped(line.band.quantiles[place][2])?))
            })
            .collect();
        if let [Some(only)] = points[..] {
            svg.marker(only, 4.0, line.look, "fill");
        }
        svg.curve(points, line.look, "curve");
    }
    if direct {
        let last = |line: &Line<'_>| line.band.quantiles.last().and_then(|quantiles| frame.y.clamped(quantiles[2]));
        let ends: Vec<f64> = lines.iter().map(|line| last(line).unwrap_or(frame.area[3])).collect();
        let [_, top, right, bottom] = frame.area;
        for (line, y) in lines.iter().zip(apart(&ends, LINE - 1.0, top, bottom)) {
            svg.text((right + 8.0, y + 4.0), Anchor::Start, &format!("t direct {}", line.look.class()), &line.name);
        }
    }
    svg
}

/// At most so many of `n` places, evenly chosen, the first and the last among them.
pub(super) fn thinned(n: usize, most: usize) -> Vec<usize> {
    if n <= most {
        return (0..n).collect();
    }
    let mut places: Vec<usize> = (0..most).map(|place| place * (n - 1) / (most - 1)).collect();
    places.dedup();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_both_ends() {
        assert_eq!(thinned(3, 5), [0, 1, 2]);
        let places = thinned(1000, 12);
        assert_eq!((places.len(), places[0], places[11]), (12, 0, 999));
    }

    #[test]
    fn extremes_that_are_far_away_do_not_flatten_the_rest() {
        let quantiles = vec![[0.9, 1.0, 1.1, 1.2, 1e6], [0.4, 0.5, 0.6, 0.7, 0.8]];
        let band = Band { epochs: vec![1, 2], quantiles };
        let line = Line { name: "adam".into(), look: Look::of(0), band: &band };
        let (scale, cut) = scale([line].iter()).unwrap();
        assert!(cut && scale.domain().1 < 3.0, "{scale:?}");
    }
}
