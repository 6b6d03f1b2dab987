//! Prometheus's text format, version 0.0.4.

use std::fmt::{Display, Write as _};

use crate::meter::Histogram;

/// What a family of series is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    Gauge,
}

/// A page that is being written. Names and label names are ours, and valid; label values may be anything.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// A family of one series.
    pub(super) fn one(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) {
        self.family(kind.word(), name, help);
        self.line(format_args!("{name} {value}"));
    }

    /// A family with one label, a series for each of its values.
    pub(super) fn each<V: Display>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        label: &str,
        series: impl IntoIterator<Item = (&'static str, V)>,
    ) {
        self.family(kind.word(), name, help);
        for (label_value, value) in series {
            self.line(format_args!("{name}{{{label}=\"{}\"}} {value}", escaped(label_value)));
        }
    }

    /// A gauge of 1 that says what is what in its labels.
    pub(super) fn info(&mut self, name: &str, help: &str, labels: &[(&str, String)]) {
        self.family(Kind::Gauge.word(), name, help);
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        self.line(format_args!("{name}{{{}}} 1", labels.join(",")));
    }

    /// A histogram of seconds.
    pub(super) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family("histogram", name, help);
        let (buckets, count, sum) = histogram.read();
        for (bound, below) in buckets {
            self.line(format_args!("{name}_bucket{{le=\"{}\"}} {below}", bound.as_secs_f64()));
        }
        self.line(format_args!("{name}_bucket{{le=\"+Inf\"}} {count}"));
        self.line(format_args!("{name}_sum {}", sum.as_secs_f64()));
        self.line(format_args!("{name}_count {count}"));
    }

    /// The page.
    pub(super) fn text(self) -> String {
        self.0
    }

    fn family(&mut self, kind: &str, name: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Text can always be written to.
        let _ = writeln!(self.0, "{line}");
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

/// A label's value between quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
