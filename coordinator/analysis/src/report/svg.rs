//! A drawing: the few shapes that figures are made of, as text.
//!
//! Colours, strokes and sizes are classes of the page's style sheet, so that a drawing follows the reader's theme. Whatever has a
//! coordinate that is not finite is not drawn.

use std::fmt::Write;

use super::palette::{Look, Marker};

/// The size of ordinary text in drawings; the style sheet has the same.
pub(super) const FONT: f64 = 12.0;

/// Where a text stands by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// To the right of it.
    Start,
    /// Around it.
    Middle,
    /// To the left of it.
    End,
}

impl Anchor {
    fn word(self) -> &'static str {
        match self {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }
}

/// A drawing in the making.
#[derive(Clone, Debug)]
pub(super) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    /// An empty drawing of this size in pixels.
    pub(super) fn new(width: f64, height: f64) -> Svg {
        Svg { width, height, body: String::new() }
    }

    /// The finished drawing; `label` is read to those who do not see it.
    pub(super) fn finish(self, label: &str) -> String {
        let (width, height) = (number(self.width), number(self.height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             role=\"img\" aria-label=\"{}\">{}</svg>",
            escaped(label),
            self.body
        )
    }

    /// A straight line.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        if [from.0, from.1, to.0, to.1].iter().all(|place| place.is_finite()) {
            let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(number);
            let _ = write!(self.body, r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="{class}"/>"#);
        }
    }

    /// A line through points, in an arm's look; it is broken where a point is `None`.
    pub(super) fn curve(&mut self, points: impl IntoIterator<Item = Option<(f64, f64)>>, look: Look, class: &str) {
        let path = path(points);
        if !path.is_empty() {
            let dashes = match look.dashes() {
                "" => String::new(),
                dashes => format!(r#" stroke-dasharray="{dashes}""#),
            };
            let _ = write!(self.body, r#"<path d="{path}" class="{} {class}"{dashes}/>"#, look.class());
        }
    }

    /// The area between two lines over the same points.
    pub(super) fn area(&mut self, edges: &[(f64, f64, f64)], class: &str) {
        let forth = edges.iter().map(|(x, low, _)| Some((*x, *low)));
        let back = edges.iter().rev().map(|(x, _, high)| Some((*x, *high)));
        let finite = edges.iter().all(|(x, low, high)| x.is_finite() && low.is_finite() && high.is_finite());
        if edges.len() > 1 && finite {
            let outline = path(forth.chain(back));
            let _ = write!(self.body, r#"<path d="{outline}Z" class="{class}"/>"#);
        }
    }

    /// A rectangle.
    pub(super) fn rect(&mut self, corner: (f64, f64), size: (f64, f64), class: &str) {
        self.filled_rect(corner, size, class, "");
    }

    /// A rectangle of a colour that the style sheet does not have.
    pub(super) fn filled_rect(&mut self, corner: (f64, f64), size: (f64, f64), class: &str, fill: &str) {
        let all = [corner.0, corner.1, size.0.max(0.0), size.1.max(0.0)];
        if all.iter().all(|place| place.is_finite()) {
            let [x, y, width, height] = all.map(number);
            let fill = if fill.is_empty() { String::new() } else { format!(r#" fill="{fill}""#) };
            let _ =
                write!(self.body, r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" class="{class}"{fill}/>"#);
        }
    }

    /// A data point in an arm's look, `radius` large.
    pub(super) fn marker(&mut self, at: (f64, f64), radius: f64, look: Look, class: &str) {
        self.markers(&[at], radius, look, class);
    }

    /// Data points in an arm's look, as one shape.
    pub(super) fn markers(&mut self, all: &[(f64, f64)], radius: f64, look: Look, class: &str) {
        let mut data = String::new();
        for &(x, y) in all.iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
            if look.marker() == Marker::Circle {
                let (left, r, across) = (number(x - radius), number(radius), number(2.0 * radius));
                let _ = write!(data, "M{left} {}a{r} {r} 0 1 0 {across} 0a{r} {r} 0 1 0 -{across} 0Z", number(y));
            } else {
                let corner = |(dx, dy): &(f64, f64)| Some((x + radius * dx, y + radius * dy));
                data.push_str(&path(look.marker().outline().iter().map(corner)));
                data.push('Z');
            }
        }
        if !data.is_empty() {
            let _ = write!(self.body, r#"<path d="{data}" class="{} {class}"/>"#, look.class());
        }
    }

    /// A text on one line. Its height is taken from the class.
    pub(super) fn text(&mut self, at: (f64, f64), anchor: Anchor, class: &str, text: &str) {
        if at.0.is_finite() && at.1.is_finite() {
            let [x, y] = [at.0, at.1].map(number);
            let (anchor, text) = (anchor.word(), escaped(text));
            let _ = write!(self.body, r#"<text x="{x}" y="{y}" text-anchor="{anchor}" class="{class}">{text}</text>"#);
        }
    }

    /// Begins a group whose members share a class, and that shows `title` under a pointer. To be closed.
    pub(super) fn open(&mut self, class: &str, title: &str) {
        let _ = write!(self.body, r#"<g class="{class}">"#);
        if !title.is_empty() {
            let _ = write!(self.body, "<title>{}</title>", escaped(title));
        }
    }

    /// Ends the group that was begun last.
    pub(super) fn close(&mut self) {
        self.body.push_str("</g>");
    }
}

/// The data of a path through points, broken where there is none.
fn path(points: impl IntoIterator<Item = Option<(f64, f64)>>) -> String {
    let mut data = String::new();
    let mut pen_is_down = false;
    for point in points {
        match point.filter(|(x, y)| x.is_finite() && y.is_finite()) {
            Some((x, y)) => {
                let _ = write!(data, "{}{} {}", if pen_is_down { 'L' } else { 'M' }, number(x), number(y));
                pen_is_down = true;
            }
            None => pen_is_down = false,
        }
    }
    data
}

/// A coordinate to a tenth of a pixel.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Text as XML and HTML have it, within elements and quoted attributes. Characters that XML cannot have are replaced.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\t' | '\n' | '\r' => safe.push(' '),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawing(draw: impl FnOnce(&mut Svg)) -> String {
        let mut svg = Svg::new(100.0, 50.0);
        draw(&mut svg);
        svg.finish("a \"label\" & <more>")
    }

    #[test]
    fn text_is_escaped_wherever_it_stands() {
        let text = drawing(|svg| {
            svg.open("row", "<script>\u{1}");
            svg.text((1.0, 2.0), Anchor::End, "t", "a<b & \"c\"");
            svg.close();
        });
        let parsed = roxmltree::Document::parse(&text).unwrap();
        assert_eq!(parsed.root_element().attribute("aria-label"), Some("a \"label\" & <more>"));
        let texts: Vec<_> = parsed.descendants().filter(|node| node.is_text()).filter_map(|node| node.text()).collect();
        assert_eq!(texts, ["<script>\u{fffd}", "a<b & \"c\""]);
    }

    #[test]
    fn what_has_no_place_is_not_drawn() {
        let text = drawing(|svg| {
            svg.line((f64::NAN, 0.0), (1.0, 1.0), "l");
            svg.rect((0.0, 0.0), (f64::INFINITY, 1.0), "r");
            svg.marker((0.0, f64::NAN), 3.0, Look::of(0), "m");
            svg.text((f64::NAN, 0.0), Anchor::Start, "t", "x");
            svg.area(&[(0.0, 0.0, f64::NAN), (1.0, 0.0, 1.0)], "a");
            svg.curve([None, Some((1.0, f64::NAN))], Look::of(0), "c");
        });
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert_eq!(roxmltree::Document::parse(&text).unwrap().root_element().children().count(), 0);
    }

    #[test]
    fn a_line_is_broken_where_points_are_missing() {
        let points = [Some((0.0, 0.0)), Some((1.0, 1.25)), None, Some((3.0, 0.0)), Some((4.0, -0.01))];
        assert_eq!(path(points), "M0 0L1 1.2M3 0L4 0");
    }

    #[test]
    fn every_marker_is_drawn() {
        for place in 0..7 {
            let text = drawing(|svg| svg.marker((10.0, 10.0), 3.0, Look::of(place), "m"));
            assert_eq!(roxmltree::Document::parse(&text).unwrap().root_element().children().count(), 1);
        }
    }
}
