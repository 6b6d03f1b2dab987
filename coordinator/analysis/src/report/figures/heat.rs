//! Heat maps: the primary endpoint over two swept numbers.

use engine::metrics::Direction;

use super::super::data::{Heat, ReportData};
use super::super::frame::LINE;
use super::super::number::significant;
use super::super::palette::sequential;
use super::super::scale::Scale;
use super::super::svg::{Anchor, FONT, Svg};
use super::super::table::Table;
use super::super::text::{fitted, width};
use super::{Drawing, Figure, NARROW, caption, shown_value};

pub(super) fn maps(data: &ReportData) -> Option<Figure> {
    let metric = data.primary();
    let mut drawings = Vec::new();
    let mut table = Table::new(["arm", "parameter", "#value", "parameter ", "#value ", "#median"]);
    for heat in &data.heats {
        let values: Vec<f64> = heat.medians.iter().flatten().flatten().copied().collect();
        let Some(scale) = Scale::fitting(&values, 50.0) else { continue };
        let label = format!("Median {} of {} over {} and {}", metric.name, heat.arm, heat.x.0, heat.y.0);
        let heading = if data.arms.len() > 1 { heat.arm.clone() } else { String::new() };
        drawings.push(Drawing::new(heading, &label, |whole| draw(heat, scale, metric.direction, whole)));
        for (y, row) in heat.y.1.iter().zip(&heat.medians) {
            for (x, median) in heat.x.1.iter().zip(row) {
                let names = [heat.arm.clone(), heat.y.0.clone(), y.clone(), heat.x.0.clone(), x.clone()];
                table.push(names.into_iter().chain([super::super::number::or_dash(*median)]).collect());
            }
        }
    }
    let better = match metric.direction {
        Direction::Minimize => "Yellow is smaller, which is better.",
        Direction::Maximize => "Yellow is larger, which is better.",
        Direction::Neutral => "Yellow is smaller.",
    };
    (!drawings.is_empty()).then(|| Figure {
        id: "heat".into(),
        title: format!("{} over two parameters", metric.name),
        caption: caption(["Median over all runs that have both values.", better]),
        drawings,
        numbers: table,
    })
}

fn draw(heat: &Heat, scale: Scale, direction: Direction, whole: f64) -> Svg {
    let names: Vec<String> = heat.y.1.iter().map(|value| shown_value(value)).collect();
    let left = names.iter().map(|name| width(name, FONT)).fold(0.0, f64::max).min(0.3 * whole) + 8.0;
    let (columns, rows) = (heat.x.1.len() as f64, heat.y.1.len() as f64);
    let side = (whole - left - 2.0) / columns;
    let height = (260.0 / rows).clamp(22.0, if whole > NARROW { 44.0 } else { 38.0 });
    let top = LINE + 8.0;
    let bottom = top + rows * height;
    let legend = bottom + 2.0 * LINE + 18.0;
    let mut svg = Svg::new(whole, legend + LINE + 14.0);
    svg.text((0.0, 12.0), Anchor::Start, "t axis-title", &fitted(&heat.y.0, FONT, whole));
    let share = |value: f64| scale.onto(0.0, 1.0).clamped(value).unwrap_or(0.5);
    // Light is better, or small.
    let shade =
        |value: f64| sequential(if direction == Direction::Maximize { share(value) } else { 1.0 - share(value) });
    for (line, (name, medians)) in names.iter().zip(&heat.medians).enumerate() {
        // The first value stands at the bottom, as on any other axis.
        let y = bottom - (line as f64 + 1.0) * height;
        svg.text((left - 6.0, y + 0.5 * height + 4.0), Anchor::End, "t tick", &fitted(name, FONT, left - 6.0));
        for (column, median) in medians.iter().enumerate() {
            let corner = (left + column as f64 * side, y);
            let size = (side - 1.0, height - 1.0);
            let Some(median) = median.filter(|median| median.is_finite()) else {
                svg.rect(corner, size, "void");
                continue;
            };
            let (fill, dark) = shade(median);
            svg.filled_rect(corner, size, "cell", &fill);
            let text = short(median);
            if width(&text, FONT) <= side - 4.0 {
                let class = if dark { "t on-light" } else { "t on-dark" };
                svg.text((corner.0 + 0.5 * side, y + 0.5 * height + 4.0), Anchor::Middle, class, &text);
            }
        }
    }
    let mut free = 0.0;
    for (column, value) in heat.x.1.iter().enumerate() {
        let text = shown_value(value);
        let half = 0.5 * width(&text, FONT);
        let middle = (left + (column as f64 + 0.5) * side).min(whole - half);
        if middle - half >= free {
            svg.text((middle, bottom + LINE), Anchor::Middle, "t tick", &text);
            free = middle + half + 4.0;
        }
    }
    svg.text((whole, bottom + 2.0 * LINE + 2.0), Anchor::End, "t axis-title", &fitted(&heat.x.0, FONT, whole));
    draw_key(&mut svg, scale, shade, legend, whole);
    svg
}

/// The colours and what they stand for.
fn draw_key(svg: &mut Svg, scale: Scale, shade: impl Fn(f64) -> (String, bool), y: f64, whole: f64) {
    const STEPS: usize = 24;
    let (low, high) = scale.domain();
    let length = 0.5 * whole;
    for step in 0..STEPS {
        let share = (step as f64 + 0.5) / STEPS as f64;
        let value = if scale.is_log() { low * (high / low).powf(share) } else { low + share * (high - low) };
        let corner = (share * length - 0.5 * length / STEPS as f64, y);
        svg.filled_rect(corner, (length / STEPS as f64 + 0.5, 10.0), "cell", &shade(value).0);
    }
    svg.text((0.0, y + 24.0), Anchor::Start, "t tick", &short(low));
    svg.text((length, y + 24.0), Anchor::End, "t tick", &short(high));
}

/// Three digits are as many as fit into a cell.
fn short(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-3..1e5).contains(&magnitude) {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e");
    }
    let text = significant(value);
    let digits = text.chars().filter(char::is_ascii_digit).collect::<String>();
    let leading = digits.trim_start_matches('0').len();
    if leading > 3 && text.contains('.') { text[..text.len() - 1].trim_end_matches('.').to_owned() } else { text }
}
