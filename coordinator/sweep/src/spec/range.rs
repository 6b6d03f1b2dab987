//! Ranges: the values from `min` to `max` by `step` or `count`.

use engine::Value;

use super::decimal::Decimal;

/// Why a range has no values.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum RangeError {
    #[error("steps are exact in decimal, and {0} is no decimal number with at most 30 digits")]
    NoDecimal(String),
    #[error("has too many digits for exact steps")]
    TooFine,
    #[error("has {count} values; the run_cap is {cap}")]
    TooMany { count: i128, cap: u64 },
    #[error("gives only {distinct} different whole numbers with a count of {count}")]
    Repeats { count: u64, distinct: usize },
}

/// `min`, `min + step`, … up to `max`, which is included if a step hits it. `step` is positive and `min ≤ max`.
pub(crate) fn steps(min: &str, max: &str, step: &str, cap: u64) -> Result<Vec<Value>, RangeError> {
    let read = |text: &str| Decimal::parse(text).ok_or_else(|| RangeError::NoDecimal(text.to_owned()));
    let aligned = Decimal::align([read(min)?, read(max)?, read(step)?]);
    let ([min, max, step], exponent) = aligned.ok_or(RangeError::TooFine)?;
    let span = max.checked_sub(min).ok_or(RangeError::TooFine)?;
    let count = span / step + 1;
    if count > i128::from(cap) {
        return Err(RangeError::TooMany { count, cap });
    }
    Ok((0..count).map(|i| Decimal::value(min + i * step, exponent)).collect())
}

/// `count` values from `min` to `max` in equal steps, both included; `count ≥ 2`. Exact in decimal where the texts and
/// the steps are.
pub(crate) fn linear(min: (f64, &str), max: (f64, &str), count: u64) -> Vec<Value> {
    let last = i128::from(count) - 1;
    let decimals = match (Decimal::parse(min.1), Decimal::parse(max.1)) {
        (Some(a), Some(b)) => Decimal::align([a, b]),
        _ => None,
    };
    (0..=last).map(|i| exact(decimals, i, last).unwrap_or_else(|| between(min.0, max.0, i, last))).collect()
}

/// The value `i` of `last` as a decimal with at most eight digits more than the ends.
fn exact(decimals: Option<([i128; 2], i32)>, i: i128, last: i128) -> Option<Value> {
    let ([min, max], exponent) = decimals?;
    let mut numerator = min.checked_mul(last - i)?.checked_add(max.checked_mul(i)?)?;
    for digits in 0..=8 {
        if numerator % last == 0 {
            return Some(Decimal::value(numerator / last, exponent - digits));
        }
        numerator = numerator.checked_mul(10)?;
    }
    None
}

fn between(min: f64, max: f64, i: i128, last: i128) -> Value {
    let t = i as f64 / last as f64;
    Value::Float(if i == last { max } else { min + t * (max - min) })
}

/// `count` values from `min` to `max` in equal ratios, both included; `0 < min ≤ max`, `count ≥ 2`.
pub(crate) fn logarithmic(min: f64, max: f64, count: u64) -> Vec<Value> {
    let (low, high) = (libm::log(min), libm::log(max));
    let last = count - 1;
    let value = |i: u64| match i {
        0 => min,
        i if i == last => max,
        i => snapped(libm::exp(low + (high - low) * (i as f64 / last as f64))).clamp(min, max),
    };
    (0..count).map(|i| Value::Float(value(i))).collect()
}

/// The short decimal that `number` is but for rounding: a grid from 1e-4 to 1e-1 has 1e-3 in it, not
/// 0.0009999999999999994.
fn snapped(number: f64) -> f64 {
    let short: f64 = format!("{number:.11e}").parse().expect("a formatted float parses");
    if (short - number).abs() <= 2e-14 * number.abs() { short } else { number }
}

/// The values rounded to whole numbers.
///
/// # Errors
/// If two of them round to one number.
pub(crate) fn rounded(values: Vec<Value>, count: u64) -> Result<Vec<Value>, RangeError> {
    let whole = |value: &Value| match value {
        Value::Float(float) => float.round() as i64,
        Value::Int(int) => *int,
        _ => unreachable!("ranges are numbers"),
    };
    let mut numbers: Vec<i64> = values.iter().map(whole).collect();
    numbers.dedup();
    if (numbers.len() as u64) < count {
        return Err(RangeError::Repeats { count, distinct: numbers.len() });
    }
    Ok(numbers.into_iter().map(Value::Int).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn floats(values: &[Value]) -> Vec<f64> {
        values
            .iter()
            .map(|value| match value {
                Value::Float(float) => *float,
                Value::Int(int) => *int as f64,
                other => panic!("{other}"),
            })
            .collect()
    }

    #[test]
    fn steps_are_exact_and_include_both_ends() {
        assert_eq!(steps("0.1", "0.3", "0.1", 10).unwrap(), [0.1, 0.2, 0.3].map(Value::Float));
        assert_eq!(steps("1", "10", "3", 10).unwrap(), [1, 4, 7, 10].map(Value::Int));
        assert_eq!(floats(&steps("0", "1", "0.3", 10).unwrap()), [0.0, 0.3, 0.6, 0.9]);
        assert_eq!(floats(&steps("-1e-3", "1e-3", "1e-3", 10).unwrap()), [-1e-3, 0.0, 1e-3]);
        assert_eq!(steps("0", "1", "1e-9", 1000), Err(RangeError::TooMany { count: 1_000_000_001, cap: 1000 }));
        assert!(matches!(steps("1/3", "1", "0.1", 10), Err(RangeError::NoDecimal(_))));
    }

    #[test]
    fn linear_grids_are_short_decimals_where_they_can_be() {
        let tenths = floats(&linear((0.0, "0"), (1.0, "1"), 11));
        assert_eq!(tenths, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]);
        let thirds = floats(&linear((0.0, "0"), (1.0, "1"), 4));
        assert_eq!((thirds[0], thirds[3]), (0.0, 1.0));
        assert!((thirds[1] - 1.0 / 3.0).abs() < 1e-16);
        assert_eq!(floats(&linear((0.25, "1/4"), (1.0, "1"), 2)), [0.25, 1.0]);
    }

    #[test]
    fn log_grids_hit_the_powers_of_ten() {
        let grid = floats(&logarithmic(1e-4, 1e-1, 7));
        assert_eq!([grid[0], grid[2], grid[4], grid[6]], [1e-4, 1e-3, 1e-2, 1e-1]);
    }

    #[test]
    fn whole_numbers_do_not_repeat() {
        let grid = |count| rounded(logarithmic(1.0, 100.0, count), count);
        assert_eq!(grid(3).unwrap(), [1, 10, 100].map(Value::Int));
        assert!(matches!(grid(50), Err(RangeError::Repeats { count: 50, .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_step_is_the_float_of_its_decimal_text(start in -500_i64..500, step in 1_i64..50, n in 0_i64..60) {
            let text = |hundredths: i64| {
                let sign = if hundredths < 0 { "-" } else { "" };
                format!("{sign}{}.{:02}", hundredths.abs() / 100, hundredths.abs() % 100)
            };
            let values = steps(&text(start), &text(start + n * step), &text(step), 1000).unwrap();
            let expected: Vec<f64> = (0..=n).map(|i| text(start + i * step).parse().unwrap()).collect();
            prop_assert_eq!(floats(&values), expected);
        }
    }
}
