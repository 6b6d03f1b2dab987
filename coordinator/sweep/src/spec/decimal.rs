//! Exact decimal numbers, so that steps of 0.1 from 0.1 to 0.3 are three values and the last one is 0.3.

use engine::Value;

/// `mantissa · 10^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    mantissa: i128,
    exponent: i32,
}

/// More digits than these are no number that a user steps through.
const MAX_DIGITS: i32 = 30;

impl Decimal {
    /// Reads a decimal number as it is written: `0.1`, `1e-4`, `-30`. `None` for other text and for too many digits.
    pub(crate) fn parse(text: &str) -> Option<Decimal> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(&digits);
        if unsigned.is_empty() || unsigned.len() > MAX_DIGITS as usize || !unsigned.bytes().all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let exponent = exponent.checked_sub(fraction.len() as i32)?;
        (exponent.abs() <= 400).then_some(Decimal { mantissa: digits.parse().ok()?, exponent })
    }

    /// The mantissas of `numbers` over one common exponent; `None` if they are too far apart.
    pub(crate) fn align<const N: usize>(numbers: [Decimal; N]) -> Option<([i128; N], i32)> {
        let exponent = numbers.iter().map(|number| number.exponent).min()?;
        let mut mantissas = [0; N];
        for (mantissa, number) in mantissas.iter_mut().zip(numbers) {
            let shift = number.exponent - exponent;
            let factor = if shift > MAX_DIGITS { None } else { 10_i128.checked_pow(shift as u32) };
            *mantissa = if number.mantissa == 0 { 0 } else { number.mantissa.checked_mul(factor?)? };
        }
        Some((mantissas, exponent))
    }

    /// The value that a user would have typed: whole numbers stay whole, others are the nearest float.
    pub(crate) fn value(mantissa: i128, exponent: i32) -> Value {
        let whole = match u32::try_from(exponent) {
            Ok(up) => 10_i128.checked_pow(up).and_then(|factor| mantissa.checked_mul(factor)),
            Err(_) => 10_i128
                .checked_pow(exponent.unsigned_abs())
                .and_then(|factor| (mantissa % factor == 0).then_some(mantissa / factor)),
        };
        match whole.and_then(|int| i64::try_from(int).ok()) {
            Some(int) => Value::Int(int),
            // Reading the decimal text rounds once, to the float that the text itself would have given.
            None => Value::Float(format!("{mantissa}e{exponent}").parse().expect("a decimal number parses")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_read_exactly() {
        let read = |text| Decimal::parse(text).map(|d| Decimal::value(d.mantissa, d.exponent));
        assert_eq!(read("0.1"), Some(Value::Float(0.1)));
        assert_eq!(read("-1e-4"), Some(Value::Float(-1e-4)));
        assert_eq!(read("3."), Some(Value::Int(3)));
        assert_eq!(read(".5"), Some(Value::Float(0.5)));
        assert_eq!(read("2e3"), Some(Value::Int(2000)));
        for bad in ["", "1/250", "abc", "1e", "-", "1e9999", "0x10", "1.2.3", "1234567890123456789012345678901"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_too_far_apart_do_not_align() {
        let [a, b] = ["1e100", "1e-100"].map(|text| Decimal::parse(text).unwrap());
        assert_eq!(Decimal::align([a, b]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_value_is_the_float_of_its_text(mantissa in -1_000_000_i64..1_000_000, places in 0_usize..12) {
            let negative = if mantissa < 0 { "-" } else { "" };
            let digits = format!("{:0>width$}", mantissa.abs(), width = places + 1);
            let text = format!("{negative}{}.{}", &digits[..digits.len() - places], &digits[digits.len() - places..]);
            let decimal = Decimal::parse(&text).unwrap();
            let float = match Decimal::value(decimal.mantissa, decimal.exponent) {
                Value::Int(int) => int as f64,
                Value::Float(float) => float,
                other => panic!("{other}"),
            };
            prop_assert_eq!(float, text.parse::<f64>().unwrap());
        }
    }
}
