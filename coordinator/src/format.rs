//! Numbers and durations for people.

use std::time::Duration;

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

/// A number to four significant digits; an exponent only where the plain number would be hard to read.
pub fn significant(number: f64) -> String {
    let magnitude = number.abs();
    if number == 0.0 || !number.is_finite() {
        return number.to_string();
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

/// A p-value: three decimals, and a bound where these would be zero.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

/// A duration in its two largest units: `3m 07s`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A size in bytes: `1.2 GB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    if unit == 0 || size >= 99.5 { format!("{size:.0} {}", UNITS[unit]) } else { format!("{size:.1} {}", UNITS[unit]) }
}

/// `1 run`, `2 runs`.
pub fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Text in lines of at most `width` characters, broken at spaces; longer words stay whole.
pub fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::with_capacity(text.len());
    for paragraph in text.trim().lines() {
        let mut column = 0;
        for word in paragraph.split_whitespace() {
            let length = word.chars().count();
            if column > 0 && column + 1 + length > width {
                wrapped.push('\n');
                column = 0;
            } else if column > 0 {
                wrapped.push(' ');
                column += 1;
            }
            wrapped.push_str(word);
            column += length;
        }
        wrapped.push('\n');
    }
    wrapped.truncate(wrapped.trim_end().len());
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert_eq!(significant(number), text);
        }
    }

    #[test]
    fn durations_have_two_units() {
        for (seconds, text) in [(0, "0.0s"), (59, "59s"), (187, "3m 07s"), (7260, "2h 01m")] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn text_is_broken_at_spaces() {
        assert_eq!(wrap("one two  three\nfour", 8), "one two\nthree\nfour");
        assert_eq!(wrap("unbreakable", 3), "unbreakable");
        assert_eq!(wrap("", 3), "");
    }

    #[test]
    fn sizes_have_units() {
        for (size, text) in [(0, "0 B"), (999, "999 B"), (1_500, "1.5 kB"), (123_456_789, "123 MB")] {
            assert_eq!(bytes(size), text);
        }
    }
}
