//! What a plain YAML scalar means: the core schema of YAML 1.2.
//!
//! YAML 1.1, which most parsers in Python speak, reads `1e-5` as text and `no` as a boolean; here `1e-5` is a number and
//! `no` is text.

use engine::Value;

/// The value of an unquoted scalar.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let (negative, magnitude) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if matches!(magnitude, ".inf" | ".Inf" | ".INF") {
        return Value::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    let signed = magnitude.len() < text.len();
    if let (false, Some(octal)) = (signed, text.strip_prefix("0o"))
        && let Ok(int) = i64::from_str_radix(octal, 8)
        && is_digits(octal)
    {
        return Value::Int(int);
    }
    if let (false, Some(hex)) = (signed, text.strip_prefix("0x"))
        && let Ok(int) = i64::from_str_radix(hex, 16)
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return Value::Int(int);
    }
    if is_digits(magnitude)
        && let Ok(int) = text.parse()
    {
        return Value::Int(int);
    }
    // `parse` would take `inf` and `nan` too, which are text in YAML.
    match text.parse() {
        Ok(float) if is_float(magnitude) => Value::Float(float),
        _ => Value::Text(text.to_owned()),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let exponent_fits = exponent.is_none_or(|digits| is_digits(digits.strip_prefix(['-', '+']).unwrap_or(digits)));
    let mantissa_fits = match mantissa.split_once('.') {
        None => is_digits(mantissa),
        Some(("", fraction)) => is_digits(fraction),
        Some((whole, fraction)) => is_digits(whole) && (fraction.is_empty() || is_digits(fraction)),
    };
    mantissa_fits && exponent_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_yaml_users_mean() {
        for (text, value) in [
            ("1e-5", Value::Float(1e-5)),
            ("1E5", Value::Float(1e5)),
            ("-.5", Value::Float(-0.5)),
            ("3.", Value::Float(3.0)),
            ("30", Value::Int(30)),
            ("-7", Value::Int(-7)),
            ("007", Value::Int(7)),
            ("0x1F", Value::Int(31)),
            ("0o17", Value::Int(15)),
            ("99999999999999999999", Value::Float(1e20)),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
            ("1/250", Value::from("1/250")),
            ("1_000", Value::from("1_000")),
            ("inf", Value::from("inf")),
            ("nan", Value::from("nan")),
            ("no", Value::from("no")),
            ("+", Value::from("+")),
            (".", Value::from(".")),
            ("e5", Value::from("e5")),
            ("0x+5", Value::from("0x+5")),
            ("1e", Value::from("1e")),
            ("~", Value::Null),
            ("True", Value::Bool(true)),
        ] {
            assert_eq!(resolve(text), value, "{text}");
        }
        assert!(matches!(resolve(".nan"), Value::Float(float) if float.is_nan()));
    }
}
