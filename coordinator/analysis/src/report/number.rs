//! Numbers for people.

/// A count with thousands apart: `1,000,000`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 run`, `2 runs`.
pub fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A number to four significant digits; an exponent only where the plain number would be hard to read, a dash for none.
pub fn significant(number: f64) -> String {
    let magnitude = number.abs();
    if number.is_nan() {
        return "-".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "∞".to_owned() } else { "-∞".to_owned() };
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    if !(1e-5..1e7).contains(&magnitude) {
        return format!("{number:.3e}");
    }
    // The place of the leading digit after rounding: 9.9996 is 10.00.
    let exponent: i32 =
        format!("{magnitude:.3e}").split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let decimals = usize::try_from(3 - exponent).unwrap_or(0);
    format!("{number:.decimals$}")
}

/// [`significant`], and `-` for a value that is absent or not finite.
pub fn or_dash(number: Option<f64>) -> String {
    number.filter(|number| number.is_finite()).map_or_else(|| "-".to_owned(), significant)
}

/// A ratio near one, with as many decimals as tell it from one: `0.80`, `0.9987`.
pub fn ratio(ratio: f64) -> String {
    if !(0.1..10.0).contains(&ratio) {
        return significant(ratio);
    }
    // The place of the leading digit of its distance to one, and one more.
    let place = (ratio - 1.0).abs().max(f64::MIN_POSITIVE).log10().floor();
    let decimals = (1.0 - place).clamp(2.0, 5.0) as usize;
    format!("{ratio:.decimals$}")
}

/// A share with two decimals; never `0.00` or `1.00` unless it is none or all.
pub fn share(share: f64) -> String {
    if share > 0.0 && share < 0.005 {
        "<0.01".to_owned()
    } else if (0.995..1.0).contains(&share) {
        ">0.99".to_owned()
    } else {
        format!("{share:.2}")
    }
}

/// A p-value: three decimals, and a bound where these would be zero.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

/// A p-value in a sentence: `p = 0.031`, `p < 0.001`.
pub fn p_words(p: f64) -> String {
    if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") }
}

/// An interval in brackets; a dash if a bound is missing.
pub fn interval(low: Option<f64>, high: Option<f64>) -> String {
    match (low, high) {
        (Some(low), Some(high)) => format!("[{}, {}]", significant(low), significant(high)),
        _ => "-".to_owned(),
    }
}

/// A cell's or a variant's label with its numbers to four digits: those of a logarithmic range have seventeen.
pub fn label(label: &str) -> String {
    let short = |part: &str| match part.split_once('=') {
        Some((key, value)) if value.len() > LONG_VALUE => match value.parse::<f64>() {
            Ok(number) if number.is_finite() => format!("{key}={}", four_digits(number)),
            _ => part.to_owned(),
        },
        _ => part.to_owned(),
    };
    label.split(", ").map(short).collect::<Vec<_>>().join(", ")
}

/// Values that are no longer than this are shown as they are.
const LONG_VALUE: usize = 8;

/// `3.162e-4`, `0.01234`, `1234.5`: four digits and no zeros behind them.
fn four_digits(number: f64) -> String {
    let rounded: f64 = format!("{number:.3e}").parse().unwrap_or(number);
    if rounded != 0.0 && !(1e-3..1e6).contains(&rounded.abs()) { format!("{rounded:e}") } else { rounded.to_string() }
}

/// `numeric version 3`: runs of one numeric version that are configured alike have the same numbers.
pub fn numeric_version(versions: &[u32]) -> String {
    let all: Vec<String> = versions.iter().map(u32::to_string).collect();
    format!("numeric version{} {}", if versions.len() == 1 { "" } else { "s" }, list(&all, 4))
}

/// Names as prose lists them: `a`, `a and b`, `a, b and c`; beyond `most`, how many more there are.
pub fn list(names: &[String], most: usize) -> String {
    let more = names.len().saturating_sub(most);
    let mut shown: Vec<String> = names.iter().take(most).cloned().collect();
    if more > 0 {
        shown.push(format!("{} more", count(more as u64)));
    }
    match shown.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_told_from_one_and_shares_from_none_and_all() {
        let ratios = [(0.8, "0.80"), (0.9987, "0.9987"), (1.0012, "1.0012"), (1.02, "1.020"), (2.345, "2.35")];
        for (number, text) in ratios.into_iter().chain([(1.0, "1.00000"), (0.0123, "0.01230"), (123.4, "123.4")]) {
            assert_eq!(ratio(number), text);
        }
        for (number, text) in [(0.0, "0.00"), (0.004, "<0.01"), (0.5, "0.50"), (0.996, ">0.99"), (1.0, "1.00")] {
            assert_eq!(share(number), text);
        }
    }

    #[test]
    fn labels_have_short_numbers_and_whole_names() {
        for (long, short) in [
            (
                "optimizer.damping=0.0003162277660168379, optimizer.lr=0.001",
                "optimizer.damping=3.162e-4, optimizer.lr=0.001",
            ),
            ("market.dt=0.003968253968", "market.dt=0.003968"),
            ("training.seed=123456789", "training.seed=1.235e8"),
            ("training.paths=10000", "training.paths=10000"),
            ("a=0.123456789", "a=0.1235"),
            ("loss.kind=mean_variance", "loss.kind=mean_variance"),
            ("default", "default"),
            ("", ""),
        ] {
            assert_eq!(label(long), short);
        }
    }

    #[test]
    fn counts_have_thousands_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn numbers_have_four_significant_digits() {
        for (number, text) in [
            (0.003_176_45, "0.003176"),
            (-0.002_514_6, "-0.002515"),
            (9.999_96, "10.00"),
            (56.877_59, "56.88"),
            (123_456.0, "123456"),
            (1.5e-9, "1.500e-9"),
            (0.0, "0"),
            (-0.0, "0"),
            (f64::NAN, "-"),
            (f64::NEG_INFINITY, "-∞"),
        ] {
            assert_eq!(significant(number), text);
        }
    }

    #[test]
    fn names_are_listed_as_prose_does() {
        let names = ["a", "b", "c", "d"].map(str::to_owned);
        assert_eq!(list(&names[..1], 3), "a");
        assert_eq!(list(&names[..2], 3), "a and b");
        assert_eq!(list(&names[..3], 3), "a, b and c");
        assert_eq!(list(&names, 2), "a, b and 2 more");
        assert_eq!(list(&[], 2), "");
    }
}
