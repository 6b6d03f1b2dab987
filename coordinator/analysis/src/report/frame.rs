//! The frame of a figure: its plot area, axes, ticks and legend.

use super::palette::Look;
use super::scale::{Scale, labels};
use super::svg::{Anchor, FONT, Svg};
use super::text::{fitted, width};

/// Space between a tick's label and the axis.
const GAP: f64 = 6.0;

/// Height of a line of text.
pub(super) const LINE: f64 = 16.0;

/// A key of a legend.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// The look of what it names.
    pub(super) look: Look,
    /// Its name.
    pub(super) name: String,
    /// Whether it stands for points rather than a line.
    pub(super) points: bool,
}

/// The names of what a figure shows, in rows.
#[derive(Clone, Debug)]
pub(super) struct Legend {
    rows: Vec<Vec<(Key, f64)>>,
}

impl Legend {
    const SWATCH: f64 = 26.0;
    const SPACE: f64 = 14.0;

    /// Lays keys out in rows of a width. A single key needs no legend.
    pub(super) fn new(keys: Vec<Key>, room: f64) -> Legend {
        let mut rows: Vec<Vec<(Key, f64)>> = Vec::new();
        if keys.len() < 2 {
            return Legend { rows };
        }
        let mut left = 0.0;
        for key in keys {
            let name = fitted(&key.name, FONT, room - Legend::SWATCH);
            let needed = Legend::SWATCH + width(&name, FONT);
            let key = Key { name, ..key };
            match rows.last_mut() {
                Some(row) if needed <= left => {
                    row.push((key, room - left));
                    left -= needed + Legend::SPACE;
                }
                _ => {
                    rows.push(vec![(key, 0.0)]);
                    left = room - needed - Legend::SPACE;
                }
            }
        }
        Legend { rows }
    }

    /// How high it is.
    pub(super) fn height(&self) -> f64 {
        if self.rows.is_empty() { 0.0 } else { self.rows.len() as f64 * LINE + 6.0 }
    }

    /// Draws it with its upper left corner at a place.
    pub(super) fn draw(&self, svg: &mut Svg, (x, y): (f64, f64)) {
        for (place, row) in self.rows.iter().enumerate() {
            let middle = y + place as f64 * LINE + 0.5 * LINE;
            for (key, shift) in row {
                let x = x + shift;
                if key.points {
                    svg.marker((x + 10.0, middle), 4.0, key.look, "fill");
                } else {
                    svg.curve([Some((x, middle)), Some((x + 21.0, middle))], key.look, "curve");
                }
                svg.text((x + Legend::SWATCH, middle + 4.0), Anchor::Start, "t", &key.name);
            }
        }
    }
}

/// The scales of a figure's two axes, on the places of its plot area.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// The horizontal axis.
    pub(super) x: Scale,
    /// The vertical axis.
    pub(super) y: Scale,
    /// The left, top, right and bottom edge of the plot area.
    pub(super) area: [f64; 4],
}

/// What is to be framed.
#[derive(Clone, Debug)]
pub(super) struct Layout<'a> {
    /// Width of the whole drawing.
    pub(super) width: f64,
    /// Height of the plot area.
    pub(super) height: f64,
    /// What the horizontal axis shows.
    pub(super) x_title: &'a str,
    /// What the vertical axis shows; stands above it, so that it is read without turning one's head.
    pub(super) y_title: &'a str,
    /// The horizontal scale.
    pub(super) x: Scale,
    /// The vertical scale.
    pub(super) y: Scale,
    /// The horizontal ticks, if they are not the scale's own.
    pub(super) x_ticks: Option<Vec<(f64, String)>>,
    /// The least room to the left of the plot area, so that figures below each other line up.
    pub(super) left: f64,
    /// Room to the right of the plot area.
    pub(super) right: f64,
    /// The legend's keys.
    pub(super) keys: Vec<Key>,
}

impl Layout<'_> {
    /// Draws the frame; what is shown in it comes after.
    pub(super) fn draw(self) -> (Svg, Frame) {
        let y_ticks = self.y.ticks((self.height / 42.0) as usize);
        let y_labels = labels(&y_ticks, self.y.is_log());
        let widest = y_labels.texts.iter().map(|label| width(label, FONT)).fold(0.0, f64::max);
        let left = (widest + GAP + 4.0).ceil().max(self.left);
        let right = self.width - self.right.max(10.0);
        let legend = Legend::new(self.keys, self.width);
        let title_height = if self.y_title.is_empty() { 8.0 } else { LINE + 8.0 };
        let top = legend.height() + title_height;
        let bottom = top + self.height;
        let x_title_height = if self.x_title.is_empty() { 0.0 } else { LINE };
        let mut svg = Svg::new(self.width, bottom + LINE + 6.0 + x_title_height);
        legend.draw(&mut svg, (0.0, 0.0));
        let frame =
            Frame { x: self.x.onto(left, right), y: self.y.onto(bottom, top), area: [left, top, right, bottom] };
        if !self.y_title.is_empty() {
            let title = joined(self.y_title, y_labels.factor.as_deref());
            svg.text((0.0, legend.height() + 12.0), Anchor::Start, "t axis-title", &fitted(&title, FONT, self.width));
        }
        for (tick, label) in y_ticks.iter().zip(&y_labels.texts) {
            if let Some(y) = frame.y.place(*tick) {
                svg.line((left, y), (right, y), if *tick == 0.0 { "zero" } else { "grid" });
                svg.text((left - GAP, y + 4.0), Anchor::End, "t tick", label);
            }
        }
        frame.draw_x(&mut svg, self.x_title, self.x_ticks, self.width);
        (svg, frame)
    }
}

impl Frame {
    /// Draws the horizontal axis with its labels, as many as do not touch.
    fn draw_x(&self, svg: &mut Svg, title: &str, ticks: Option<Vec<(f64, String)>>, whole: f64) {
        let [left, _, right, bottom] = self.area;
        svg.line((left, bottom), (right, bottom), "axis");
        let (ticks, factor) = match ticks {
            Some(ticks) => (ticks, None),
            None => horizontal_ticks(&self.x, right - left),
        };
        let mut free = f64::NEG_INFINITY;
        for (tick, label) in ticks {
            let Some(x) = self.x.place(tick) else { continue };
            svg.line((x, bottom), (x, bottom + 4.0), "axis");
            let label = fitted(&label, FONT, whole);
            let half = 0.5 * width(&label, FONT);
            // A label that would reach beyond the drawing moves in.
            let middle = x.min(whole - half).max(half);
            if middle - half >= free {
                svg.text((middle, bottom + LINE + 1.0), Anchor::Middle, "t tick", &label);
                free = middle + half + GAP;
            }
        }
        if !title.is_empty() {
            let title = fitted(&joined(title, factor.as_deref()), FONT, whole);
            svg.text((whole, bottom + 2.0 * LINE + 3.0), Anchor::End, "t axis-title", &title);
        }
    }
}

/// The ticks of a horizontal axis, fewer and fewer until their labels do not touch, and the factor for its title.
pub(super) fn horizontal_ticks(scale: &Scale, room: f64) -> (Vec<(f64, String)>, Option<String>) {
    let mut wanted = ((room / 70.0) as usize).clamp(2, 9);
    loop {
        let ticks = scale.ticks(wanted);
        let labels = labels(&ticks, scale.is_log());
        let total: f64 = labels.texts.iter().map(|label| width(label, FONT) + 2.0 * GAP).sum();
        if total <= room || wanted <= 2 {
            return (ticks.into_iter().zip(labels.texts).collect(), labels.factor);
        }
        wanted -= 1;
    }
}

/// A title with the factor of its axis.
pub(super) fn joined(title: &str, factor: Option<&str>) -> String {
    match factor {
        Some(factor) => format!("{title} ({factor})"),
        None => title.to_owned(),
    }
}

/// Where labels beside places are to stand so that none touches another: as near as can be, in the same order, within bounds.
pub(super) fn apart(places: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|left, right| places[*left].total_cmp(&places[*right]));
    // Labels that would touch stand as one block, centred on the mean of what they belong to.
    let mut blocks: Vec<(f64, Vec<usize>)> = Vec::new();
    let half = |block: &(f64, Vec<usize>)| 0.5 * gap * (block.1.len() as f64 - 1.0);
    let within = |centre: f64, half: f64| centre.max(low + half).min((high - half).max(low + half));
    for place in order {
        let mut block = (within(places[place], 0.0), vec![place]);
        while let Some(last) = blocks.last()
            && last.0 + half(last) + gap > block.0 - half(&block)
        {
            let (_, mut members) = blocks.pop().unwrap_or_default();
            members.extend(std::mem::take(&mut block.1));
            let mean = members.iter().map(|member| places[*member]).sum::<f64>() / members.len() as f64;
            block = (mean, members);
            block.0 = within(mean, half(&block));
        }
        blocks.push(block);
    }
    let mut apart = vec![0.0; places.len()];
    for block in &blocks {
        for (place, member) in block.1.iter().enumerate() {
            apart[*member] = block.0 - half(block) + place as f64 * gap;
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(name: &str) -> Key {
        Key { look: Look::of(0), name: name.into(), points: false }
    }

    #[test]
    fn a_legend_takes_the_rows_that_it_needs() {
        let keys = || ["adam", "kfac_ggn_reduce", "kfac_empirical_reduce", "sgd"].map(key).to_vec();
        assert!(Legend::new(keys(), 900.0).height() < Legend::new(keys(), 300.0).height());
        assert_eq!(Legend::new(vec![key("adam")], 300.0).height(), 0.0);
        for row in Legend::new(keys(), 200.0).rows {
            let (last, shift) = row.last().unwrap();
            assert!(shift + Legend::SWATCH + width(&last.name, FONT) <= 200.0);
        }
    }

    proptest! {
        #[test]
        fn labels_that_fit_do_not_touch_and_keep_their_order(places in prop::collection::vec(0.0..200.0_f64, 1..10)) {
            let apart = apart(&places, 14.0, 0.0, 200.0);
            for left in 0..places.len() {
                prop_assert!((-1e-9..=200.0 + 1e-9).contains(&apart[left]), "{apart:?}");
                for right in 0..left {
                    prop_assert!((apart[left] - apart[right]).abs() >= 14.0 - 1e-9, "{apart:?}");
                    if places[left] != places[right] {
                        prop_assert_eq!(places[left] < places[right], apart[left] < apart[right]);
                    }
                }
            }
        }
    }
}
