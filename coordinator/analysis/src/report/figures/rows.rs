//! Figures of rows: a name, and on a shared horizontal axis the row's points and their summary. Names stand above their row, so
//! that long ones fit on a phone.

use super::super::frame::{LINE, horizontal_ticks, joined};
use super::super::palette::Look;
use super::super::scale::Scale;
use super::super::svg::{Anchor, FONT, Svg};
use super::super::text::{fitted, width};
use super::bands::thinned;

/// A row.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// Its name.
    pub(super) name: String,
    /// Its numbers in words, if there is room for them.
    pub(super) numbers: String,
    /// The place of its look.
    pub(super) look: usize,
    /// Its points.
    pub(super) points: Vec<f64>,
    /// Its summary: a value, and an interval around it.
    pub(super) summary: Option<(Option<f64>, f64, Option<f64>)>,
    /// A heading above it, where a new group of rows begins.
    pub(super) heading: Option<String>,
}

/// A figure of rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows<'a> {
    pub(super) rows: Vec<Row>,
    /// What the axis shows.
    pub(super) axis: String,
    /// A line at zero, with what is to its left and to its right.
    pub(super) sides: Option<(&'a str, &'a str)>,
    /// Lines at values that everything is to be held against.
    pub(super) references: Vec<(String, f64)>,
}

/// At most so many points are drawn in a figure, in all of its drawings...
const MOST_POINTS: usize = 4000;

/// ...and in a row.
const MOST_POINTS_A_ROW: usize = 200;

const LANE_WITH_POINTS: f64 = 38.0;
/// Of a lane with points, the lower part that is the summary's.
const SUMMARY: f64 = 12.0;
const LANE: f64 = 14.0;
const RADIUS: f64 = 3.0;

impl Rows<'_> {
    /// The scale that shows all rows, and the references that are not far beyond them.
    pub(super) fn scale(&self) -> Option<Scale> {
        let own: Vec<f64> = self
            .rows
            .iter()
            .flat_map(|row| {
                let summary = row.summary.map(|(low, middle, high)| [low, Some(middle), high]);
                row.points.iter().copied().chain(summary.into_iter().flatten().flatten())
            })
            .collect();
        let zero = self.sides.map(|_| 0.0);
        let scale = Scale::fitting(&own, 50.0)?;
        if scale.is_log() && zero.is_none() {
            return Some(scale.with_room(0.04));
        }
        let (low, high) = Scale::linear(own.iter().copied().chain(zero))?.domain();
        let reach = 1.5 * (high - low);
        let near = self
            .references
            .iter()
            .map(|(_, value)| *value)
            .filter(|value| *value > low - reach && *value < high + reach);
        Some(Scale::linear(near.chain([low, high]))?.with_room(0.04))
    }

    /// How many points a row of these figures may have, so that all together are no more than a page can bear.
    pub(super) fn points_a_row(all: &[Rows<'_>]) -> usize {
        let rows: usize = all.iter().map(|rows| rows.rows.len()).sum();
        (MOST_POINTS / rows.max(1)).clamp(30, MOST_POINTS_A_ROW)
    }

    /// One scale for several figures, so that they can be held against each other.
    pub(super) fn shared_scale(all: &[Rows<'_>]) -> Option<Scale> {
        let together = Rows {
            rows: all.iter().flat_map(|rows| rows.rows.iter().cloned()).collect(),
            references: all.iter().flat_map(|rows| rows.references.iter().cloned()).collect(),
            sides: all.first()?.sides,
            axis: String::new(),
        };
        together.scale()
    }

    /// Draws it, with at most so many points a row, evenly chosen by rank.
    pub(super) fn draw(&self, scale: Scale, most_points: usize, whole: f64) -> Svg {
        let x = scale.onto(8.0, whole - 8.0);
        let has_points = self.rows.iter().any(|row| !row.points.is_empty());
        let lane = if has_points { LANE_WITH_POINTS } else { LANE };
        let headings = self.rows.iter().filter(|row| row.heading.is_some()).count() as f64;
        let shown: Vec<&(String, f64)> = self.references.iter().filter(|(_, value)| x.contains(*value)).collect();
        let reference_lines = reference_labels(&shown, &x, whole);
        let sides_height = if self.sides.is_some() { LINE + 4.0 } else { 0.0 };
        let top =
            sides_height + reference_lines.iter().map(|(line, ..)| line + 1).max().unwrap_or(0) as f64 * LINE + 4.0;
        let bottom = top + self.rows.len() as f64 * (LINE + lane + 4.0) + headings * (LINE + 8.0);
        let mut svg = Svg::new(whole, bottom + 2.0 * LINE + 10.0);
        let (ticks, factor) = horizontal_ticks(&x, whole - 16.0);
        for (tick, _) in &ticks {
            if let Some(place) = x.place(*tick) {
                svg.line((place, top), (place, bottom), if *tick == 0.0 { "zero" } else { "grid" });
            }
        }
        if let Some((left, right)) = self.sides {
            if let Some(zero) = x.place(0.0) {
                svg.line((zero, 0.0), (zero, bottom), "zero");
            }
            self.draw_sides(&mut svg, left, right, x.place(0.0).unwrap_or(0.5 * whole), whole);
        }
        for (line, place, middle, name) in &reference_lines {
            let y = sides_height + *line as f64 * LINE;
            svg.line((*place, y + LINE), (*place, bottom), "reference");
            svg.text((*middle, y + 12.0), Anchor::Middle, "t reference-name", name);
        }
        let mut y = top;
        for row in &self.rows {
            if let Some(heading) = &row.heading {
                svg.text((0.0, y + LINE), Anchor::Start, "t heading", &fitted(heading, 1.08 * FONT, whole));
                y += LINE + 8.0;
            }
            draw_row(&mut svg, row, &x, (y, lane), most_points, whole);
            y += LINE + lane + 4.0;
        }
        svg.line((8.0, bottom), (whole - 8.0, bottom), "axis");
        let mut free = f64::NEG_INFINITY;
        for (tick, label) in ticks {
            let Some(place) = x.place(tick) else { continue };
            let half = 0.5 * width(&label, FONT);
            let middle = place.min(whole - half).max(half);
            svg.line((place, bottom), (place, bottom + 4.0), "axis");
            if middle - half >= free {
                svg.text((middle, bottom + LINE + 1.0), Anchor::Middle, "t tick", &label);
                free = middle + half + 6.0;
            }
        }
        let title = fitted(&joined(&self.axis, factor.as_deref()), FONT, whole);
        svg.text((whole, bottom + 2.0 * LINE + 4.0), Anchor::End, "t axis-title", &title);
        svg
    }

    /// Says what the two sides of zero mean; a side with too little room is left out if the other can be read.
    fn draw_sides(&self, svg: &mut Svg, left: &str, right: &str, zero: f64, whole: f64) {
        let (to_left, to_right) = (format!("← {left}"), format!("{right} →"));
        if width(&to_left, FONT) <= zero - 6.0 {
            svg.text((zero - 6.0, 12.0), Anchor::End, "t side", &to_left);
        }
        if width(&to_right, FONT) <= whole - zero - 6.0 {
            svg.text((zero + 6.0, 12.0), Anchor::Start, "t side", &to_right);
        }
    }
}

/// The lines on which references' names stand, so that none touches another, their places, and the names.
fn reference_labels(references: &[&(String, f64)], x: &Scale, whole: f64) -> Vec<(usize, f64, f64, String)> {
    let mut sorted: Vec<(f64, &str)> =
        references.iter().filter_map(|(name, value)| Some((x.place(*value)?, name.as_str()))).collect();
    sorted.sort_by(|left, right| left.0.total_cmp(&right.0));
    let mut ends: Vec<f64> = Vec::new();
    let labels = sorted.into_iter().map(|(place, name)| {
        let name = fitted(name, FONT, whole);
        let half = 0.5 * width(&name, FONT);
        let middle = place.min(whole - half).max(half);
        let line = ends.iter().position(|end| *end + 8.0 <= middle - half).unwrap_or(ends.len());
        if line == ends.len() {
            ends.push(middle + half)
        } else {
            ends[line] = middle + half
        }
        (line, place, middle, name)
    });
    labels.collect()
}

fn draw_row(svg: &mut Svg, row: &Row, x: &Scale, (y, lane): (f64, f64), most_points: usize, whole: f64) {
    let look = Look::of(row.look);
    let numbers_width = width(&row.numbers, FONT);
    let name_room = whole - 16.0;
    let both = width(&row.name, FONT) + numbers_width + 16.0 <= name_room;
    svg.open("row", &format!("{} {}", row.name, row.numbers));
    svg.marker((7.0, y + 8.0), 4.5, look, "fill");
    svg.text((16.0, y + 12.0), Anchor::Start, "t", &fitted(&row.name, FONT, name_room));
    if both && !row.numbers.is_empty() {
        svg.text((whole, y + 12.0), Anchor::End, "t number", &row.numbers);
    }
    let has_points = !row.points.is_empty();
    let points_height = if has_points { lane - SUMMARY } else { 0.0 };
    let centre_of_points = y + LINE + 2.0 + 0.5 * points_height;
    let mut points: Vec<f64> = row.points.iter().copied().filter(|point| point.is_finite()).collect();
    points.sort_by(f64::total_cmp);
    let shown: Vec<f64> =
        thinned(points.len(), most_points).into_iter().filter_map(|place| x.clamped(points[place])).collect();
    let swarm = swarm(&shown, (0.5 * points_height - RADIUS).max(0.0));
    let places: Vec<(f64, f64)> = shown.iter().zip(swarm).map(|(at, shift)| (*at, centre_of_points + shift)).collect();
    svg.markers(&places, RADIUS, look, "dot");
    // Beside the points, which it would hide.
    let middle = y + LINE + lane - if has_points { 0.5 * SUMMARY - 1.0 } else { 0.5 * lane };
    if let Some((low, centre, high)) = row.summary {
        if let (Some(low), Some(high)) = (low.and_then(|low| x.clamped(low)), high.and_then(|high| x.clamped(high))) {
            svg.line((low, middle), (high, middle), "interval");
            for end in [low, high] {
                svg.line((end, middle - 4.0), (end, middle + 4.0), "interval");
            }
        }
        if let Some(centre) = x.clamped(centre) {
            svg.marker((centre, middle), 4.5, Look::of(3), "centre");
        }
    }
    svg.close();
}

/// How far each of the points, sorted by place, is moved up or down so that it does not cover its neighbours, as far as there is
/// room.
fn swarm(places: &[f64], most: f64) -> Vec<f64> {
    let mut shifts = vec![0.0; places.len()];
    let mut begin = 0;
    while begin < places.len() {
        // Points of one column, as wide as a point.
        let column = places[begin..].iter().take_while(|place| **place < places[begin] + 1.6 * RADIUS).count();
        let step = (1.5 * RADIUS).min(2.0 * most / (column.max(2) - 1) as f64);
        for place in 0..column {
            // Around the middle: 0, +1, −1, +2, −2, …
            let rank = place.div_ceil(2) as f64;
            let shift = if place % 2 == 1 { rank } else { -rank } * step;
            shifts[begin + place] = shift.clamp(-most, most);
        }
        begin += column;
    }
    shifts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_references_share_a_line_only_where_they_do_not_touch() {
        let x = Scale::linear([0.0, 10.0]).unwrap().onto(0.0, 300.0);
        let all = [("black_scholes_delta".to_owned(), 5.0), ("heston_delta".to_owned(), 5.2), ("none".to_owned(), 9.0)];
        let labels = reference_labels(&all.iter().collect::<Vec<_>>(), &x, 300.0);
        assert_eq!(labels.iter().map(|label| label.0).collect::<Vec<_>>(), [0, 1, 0]);
    }

    #[test]
    fn a_reference_far_away_does_not_squeeze_the_rows() {
        let row = Row { points: vec![2.2, 2.4], ..Row::default() };
        let references = vec![("none".to_owned(), 11.7), ("heston_delta".to_owned(), 2.6)];
        let rows = Rows { rows: vec![row], references, ..Rows::default() };
        let (_, high) = rows.scale().unwrap().domain();
        assert!(high < 3.0 && high > 2.6, "{high}");
    }

    proptest! {
        #[test]
        fn swarms_stay_in_their_lane(mut places in prop::collection::vec(0.0..100.0_f64, 0..80)) {
            places.sort_by(f64::total_cmp);
            prop_assert!(swarm(&places, 12.0).iter().all(|shift| shift.abs() <= 12.0));
        }
    }
}
