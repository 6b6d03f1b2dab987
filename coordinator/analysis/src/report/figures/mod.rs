//! The figures: each one kind of picture, drawn for a screen and for a phone, with its numbers beside it.

mod bands;
mod heat;
mod histogram;
mod lines;
mod rows;
mod seeds;
mod walk;

use engine::metrics::Direction;

use super::data::{DEFAULT, Metric, ReportData, named};
use super::svg::Svg;
use super::table::Table;

/// How wide a drawing is on a screen: two stand side by side on a desktop.
pub(super) const WIDE: f64 = 520.0;

/// How wide a drawing is on a phone.
pub(super) const NARROW: f64 = 340.0;

/// A figure.
#[derive(Clone, Debug, Default)]
pub(super) struct Figure {
    /// Names it in links.
    pub(super) id: String,
    /// What it shows.
    pub(super) title: String,
    /// How to read it.
    pub(super) caption: String,
    /// Its drawings, one a cell or parameter.
    pub(super) drawings: Vec<Drawing>,
    /// The numbers behind it.
    pub(super) numbers: Table,
}

/// A drawing in two widths.
#[derive(Clone, Debug)]
pub(super) struct Drawing {
    /// What sets it apart from its neighbours; may be empty.
    pub(super) heading: String,
    /// SVG, [`WIDE`] wide.
    pub(super) wide: String,
    /// SVG, [`NARROW`] wide.
    pub(super) narrow: String,
}

impl Drawing {
    /// Draws it in both widths; `label` is read to those who do not see it.
    fn new(heading: impl Into<String>, label: &str, draw: impl Fn(f64) -> Svg) -> Drawing {
        Drawing { heading: heading.into(), wide: draw(WIDE).finish(label), narrow: draw(NARROW).finish(label) }
    }
}

/// A part of the report: figures, and lines about those that could not be drawn.
#[derive(Clone, Debug, Default)]
pub(super) struct Section {
    /// Its title.
    pub(super) title: &'static str,
    /// Its figures.
    pub(super) figures: Vec<Figure>,
    /// What is not there, and how to have it.
    pub(super) absent: Vec<String>,
}

impl Section {
    fn new(title: &'static str) -> Section {
        Section { title, ..Section::default() }
    }

    /// Adds a figure, or the line that says how to have it.
    fn add(&mut self, figure: Option<Figure>, absent: &str) {
        match figure {
            Some(figure) => self.figures.push(figure),
            None if absent.is_empty() => {}
            None => self.absent.push(absent.to_owned()),
        }
    }
}

/// All figures that the data have.
pub(super) fn sections(data: &ReportData) -> Vec<Section> {
    let mut seeds = Section::new("Over seeds");
    seeds.add(seeds::forest(data), "");
    seeds.add(seeds::paired(data), "");
    seeds.add(seeds::every_seed(data), "");
    seeds.add(seeds::correlation(data), "");

    let mut training = Section::new("Training");
    let no_curves = if data.live && data.record.curves {
        "The curves of so many runs are left out while the sweep runs; the report at its end has them."
    } else {
        "Curves over epochs were not recorded: put record: {curves: true} into the sweep file and run it again; only what \
         is missing is computed."
    };
    training.add(bands::loss(data), no_curves);
    training.add(bands::validation(data), "");
    training.add(bands::pnl(data), "");
    training.add(bands::cost(data), "");

    let mut paths = Section::new("Paths");
    let no_samples = if data.live && data.record.samples.is_some() {
        "Distributions of P&L and cost over paths are left out while the sweep runs; the report at its end has them."
    } else {
        "Distributions of P&L and cost over paths were not recorded: put record: {samples: {sets: [test], epochs: last}} into the \
         sweep file and run it again."
    };
    paths.add(histogram::pnl(data), no_samples);
    paths.add(histogram::cost(data), "");
    paths.add(
        walk::positions(data),
        "No path of the test set: the sweep has evaluation.test_paths: 0, or no shown run ended well.",
    );

    let mut sensitivity = Section::new("Sensitivity");
    sensitivity.add(lines::sensitivity(data), "");
    sensitivity.add(heat::maps(data), "");

    let all = [seeds, training, paths, sensitivity];
    all.into_iter().filter(|section| !section.figures.is_empty() || !section.absent.is_empty()).collect()
}

/// `test.loss, smaller is better`.
fn axis_of(metric: &Metric) -> String {
    match metric.direction {
        Direction::Minimize => format!("{}, smaller is better", metric.name),
        Direction::Maximize => format!("{}, larger is better", metric.name),
        Direction::Neutral => metric.name.clone(),
    }
}

/// The heading of a cell's drawing; empty for the only cell.
fn cell_heading(cell: &str) -> String {
    if cell == DEFAULT { String::new() } else { cell.to_owned() }
}

/// What a caption says of cells that are not shown, and of variants that were chosen in hindsight.
fn shown_note(data: &ReportData) -> String {
    let mut parts = Vec::new();
    let cells = data.counts.cells.saturating_sub(data.panels.len() as u64);
    if cells > 0 {
        parts.push(format!("{} of {} cells are shown.", data.panels.len(), data.counts.cells));
    }
    if data.panels.iter().flat_map(|panel| &panel.groups).any(|group| group.hindsight) {
        parts.push(format!(
            "Of an arm with several variants the one with the best {} is shown: a choice in hindsight.",
            data.primary().name
        ));
    }
    parts.join(" ")
}

/// Sentences in one caption.
fn caption<const N: usize>(parts: [&str; N]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The name of a group in a panel: its arm, and its variant where the arm has several.
fn group_name(group: &super::data::Group) -> String {
    named(&group.arm, &group.variant)
}

/// Ticks of a horizontal axis that are values which were swept.
fn shown_value(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 && number.abs() < 1e6 => format!("{number}"),
        Ok(number) if number != 0.0 && (number.abs() < 1e-3 || number.abs() >= 1e6) => {
            // Values that a logarithmic range gave need no seventeen digits.
            let short = format!("{number:.2e}");
            let (digits, exponent) = short.split_once('e').unwrap_or((&short, "0"));
            format!("{}e{exponent}", digits.trim_end_matches('0').trim_end_matches('.'))
        }
        Ok(number) if number.is_finite() => {
            let short = super::number::significant(number);
            let cut = if short.contains('.') { short.trim_end_matches('0').trim_end_matches('.') } else { &short };
            cut.to_owned()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swept_values_are_short() {
        for (text, short) in [
            ("0.0003162277660168379", "3.16e-4"),
            ("0.01", "0.01"),
            ("1e-5", "1e-5"),
            ("2.0", "2"),
            ("-0.7", "-0.7"),
            ("1000000000", "1e9"),
            ("adam", "adam"),
        ] {
            assert_eq!(shown_value(text), short);
        }
    }
}
