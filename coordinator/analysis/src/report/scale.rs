//! From values to places.

use super::ticks;

/// An axis' scale: a range of values, linear or logarithmic, over a range of places. Places may fall, as those of a vertical axis
/// do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
    from: f64,
    to: f64,
}

impl Scale {
    /// A linear scale over values that are finite; others do not count. `None` if there are none.
    pub(super) fn linear(values: impl IntoIterator<Item = f64>) -> Option<Scale> {
        let (low, high) = hull(values.into_iter().filter(|value| value.is_finite()))?;
        let (low, high) = ticks::widened(low, high);
        Some(Scale { low, high, log: false, from: 0.0, to: 1.0 })
    }

    /// A logarithmic scale over values that are positive; others do not count. `None` if there are none.
    pub(super) fn log(values: impl IntoIterator<Item = f64>) -> Option<Scale> {
        let (low, high) = hull(values.into_iter().filter(|value| *value > 0.0 && value.is_finite()))?;
        let (low, high) = if high > low * (1.0 + 1e-9) { (low, high) } else { (low / 2.0, high * 2.0) };
        Some(Scale { low, high, log: true, from: 0.0, to: 1.0 })
    }

    /// Logarithmic where the values ask for it: all of them positive and the largest more than `ratio` times the smallest.
    pub(super) fn fitting(values: &[f64], ratio: f64) -> Option<Scale> {
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let (low, high) = hull(finite.iter().copied())?;
        if low > 0.0 && high > ratio * low { Scale::log(finite) } else { Scale::linear(finite) }
    }

    /// The scale with so much more room on both sides, as a share of its width.
    pub(super) fn with_room(self, share: f64) -> Scale {
        let (low, high) = (self.inner(self.low), self.inner(self.high));
        let room = share * (high - low);
        Scale { low: self.outer(low - room), high: self.outer(high + room), ..self }
    }

    /// The scale over these places.
    pub(super) fn onto(self, from: f64, to: f64) -> Scale {
        Scale { from, to, ..self }
    }

    /// The smallest and the largest value.
    pub(super) fn domain(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Whether it is logarithmic.
    pub(super) fn is_log(&self) -> bool {
        self.log
    }

    /// The place of a value; values beyond the scale have places beyond its own. `None` for one that has no place.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        if !value.is_finite() || self.log && value <= 0.0 {
            return None;
        }
        let (low, high) = (self.inner(self.low), self.inner(self.high));
        Some(self.from + (self.inner(value) - low) / (high - low) * (self.to - self.from))
    }

    /// The place of a value, or of the nearest end of the scale.
    pub(super) fn clamped(&self, value: f64) -> Option<f64> {
        if value == f64::INFINITY {
            return Some(self.to);
        }
        if value.is_nan() || self.log && value <= 0.0 || value == f64::NEG_INFINITY {
            return (!value.is_nan()).then_some(self.from);
        }
        let (least, most) = (self.from.min(self.to), self.from.max(self.to));
        self.place(value).map(|place| place.clamp(least, most))
    }

    /// Whether a value lies within.
    pub(super) fn contains(&self, value: f64) -> bool {
        value >= self.low && value <= self.high
    }

    /// About `wanted` ticks, all within the scale.
    pub(super) fn ticks(&self, wanted: usize) -> Vec<f64> {
        if self.log {
            return ticks::logarithmic(self.low, self.high, wanted);
        }
        let hair = 1e-9 * (self.high - self.low);
        let within = |tick: &f64| *tick >= self.low - hair && *tick <= self.high + hair;
        let all: Vec<f64> = ticks::linear(self.low, self.high, wanted).into_iter().filter(within).collect();
        // A range just inside two ticks may keep but one: ask for more.
        if all.len() < 2 {
            ticks::linear(self.low, self.high, 2 * wanted).into_iter().filter(within).collect()
        } else {
            all
        }
    }

    fn inner(&self, value: f64) -> f64 {
        if self.log { value.log10() } else { value }
    }

    fn outer(&self, value: f64) -> f64 {
        if self.log { 10_f64.powf(value) } else { value }
    }
}

/// The smallest and the largest value.
fn hull(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().fold(None, |hull, value| match hull {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// Labels of ticks that belong to one axis, and what they are multiplied by, if numbers would be long otherwise: `×10⁻⁴`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Labels {
    /// One label a tick.
    pub(super) texts: Vec<String>,
    /// What an axis' title has to say beside its quantity.
    pub(super) factor: Option<String>,
}

/// The labels of an axis' ticks.
pub(super) fn labels(ticks: &[f64], log: bool) -> Labels {
    let largest = ticks.iter().fold(0.0_f64, |largest, tick| largest.max(tick.abs()));
    if log {
        let (least, most) = (ticks.first().copied().unwrap_or(1.0), largest);
        let texts = ticks.iter().map(|tick| if least < 1e-4 || most >= 1e5 { scientific(*tick) } else { plain(*tick) });
        return Labels { texts: texts.collect(), factor: None };
    }
    let power = if largest > 0.0 { largest.log10().floor() as i32 } else { 0 };
    let power = if (-3..5).contains(&power) { 0 } else { power };
    let scale = 10_f64.powi(power);
    // As many as any of them needs: steps of 1 may begin at 1.5.
    let decimals = ticks.iter().map(|tick| decimals(tick / scale)).max().unwrap_or(0);
    let text = |tick: &f64| {
        let text = format!("{:.decimals$}", tick / scale);
        // A zero has no sign.
        if text.trim_start_matches('-').chars().all(|digit| digit == '0' || digit == '.') {
            text.trim_start_matches('-').to_owned()
        } else {
            text.replace('-', "−")
        }
    };
    let factor = (power != 0).then(|| format!("×10{}", superscript(power)));
    Labels { texts: ticks.iter().map(text).collect(), factor }
}

/// As many decimals as a number has to six digits.
fn decimals(number: f64) -> usize {
    // Dividing by the factor costs the last digits.
    let rounded = format!("{number:.5e}");
    let (digits, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let significant =
        digits.trim_start_matches('-').trim_end_matches('0').trim_end_matches('.').replace('.', "").len() as i32;
    let exponent: i32 = exponent.parse().unwrap_or(0);
    usize::try_from(significant - 1 - exponent).unwrap_or(0)
}

fn plain(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').replace('-', "−")
}

/// `5×10⁻⁴`; decades without the 1.
fn scientific(value: f64) -> String {
    let text = format!("{value:.0e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent = superscript(exponent.parse().unwrap_or(0));
    if digits == "1" { format!("10{exponent}") } else { format!("{digits}×10{exponent}") }
}

fn superscript(number: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raise = |digit: char| digit.to_digit(10).map_or('⁻', |digit| DIGITS[digit as usize]);
    number.to_string().chars().map(raise).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_to_places_and_those_without_one_are_left_out() {
        let scale = Scale::linear([0.0, f64::NAN, 10.0]).unwrap().onto(100.0, 0.0);
        assert_eq!(scale.place(2.5), Some(75.0));
        assert_eq!(scale.place(f64::NAN), None);
        assert_eq!((scale.clamped(20.0), scale.clamped(f64::INFINITY)), (Some(0.0), Some(0.0)));
        let log = Scale::log([1e-4, -3.0, 0.0, 1.0]).unwrap().onto(0.0, 4.0);
        assert!((log.place(1e-2).unwrap() - 2.0).abs() < 1e-12);
        assert_eq!(log.place(0.0), None);
        assert_eq!(log.clamped(0.0), Some(0.0));
        assert_eq!(Scale::linear([f64::NAN]), None);
    }

    #[test]
    fn a_scale_is_logarithmic_where_values_are_positive_and_far_apart() {
        assert!(Scale::fitting(&[1e-4, 1.0], 50.0).unwrap().is_log());
        assert!(!Scale::fitting(&[-1e-4, 1.0], 50.0).unwrap().is_log());
        assert!(!Scale::fitting(&[0.5, 1.0], 50.0).unwrap().is_log());
    }

    #[test]
    fn a_value_alone_has_a_scale_around_it() {
        let scale = Scale::linear([3.0]).unwrap();
        assert!(scale.contains(3.0) && scale.domain().0 < 3.0 && scale.domain().1 > 3.0);
        assert!(scale.ticks(4).len() >= 2);
    }

    #[test]
    fn long_numbers_give_their_power_to_the_title() {
        let small = labels(&[-0.0001, 0.0, 0.0001, 0.0002], false);
        assert_eq!(small.texts, ["−1", "0", "1", "2"]);
        assert_eq!(small.factor.as_deref(), Some("×10⁻⁴"));
        assert_eq!(
            labels(&[0.0, 0.25, 0.5], false),
            Labels { texts: vec!["0.00".into(), "0.25".into(), "0.50".into()], factor: None }
        );
        assert_eq!(labels(&[1e-5, 1e-3], true).texts, ["10⁻⁵", "10⁻³"]);
        assert_eq!(labels(&[0.001, 0.01, 1.0], true).texts, ["0.001", "0.01", "1"]);
    }
}
