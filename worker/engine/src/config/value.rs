//! Untyped configuration values, as a YAML or JSON scalar or list means them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A value as a user wrote it, before it becomes a typed field of a [`RunConfig`](super::RunConfig).
///
/// Integers and floats stay apart, so that `30` is written back as `30`; a field that wants a number takes both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// The absence of an optional value (`null`).
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction or an exponent. Finite wherever a field accepts it.
    Float(f64),
    /// Text: a choice, a path, or a fraction such as `1/250`.
    Text(String),
    /// A list, for keys such as `features`.
    List(Vec<Value>),
}

impl Value {
    /// What the value is, in the words of an error message.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
        }
    }

    /// Converts a JSON scalar or list; `None` for objects, which are not values but nesting.
    pub fn from_json(json: &serde_json::Value) -> Option<Value> {
        Some(match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(flag) => Value::Bool(*flag),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(int) => Value::Int(int),
                None => Value::Float(number.as_f64()?),
            },
            serde_json::Value::String(text) => Value::Text(text.clone()),
            serde_json::Value::Array(items) => Value::List(items.iter().map(Value::from_json).collect::<Option<_>>()?),
            serde_json::Value::Object(_) => return None,
        })
    }

    /// Converts to JSON. A number that JSON cannot hold (NaN, infinite) becomes text; no valid field holds one.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(flag) => (*flag).into(),
            Value::Int(int) => (*int).into(),
            Value::Float(float) => serde_json::Number::from_f64(*float)
                .map_or_else(|| serde_json::Value::String(float.to_string()), serde_json::Value::Number),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Value::to_json).collect(),
        }
    }
}

impl fmt::Display for Value {
    /// Writes the value the way YAML would be typed: `adam`, `0.001`, `[price, variance]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(flag) => write!(f, "{flag}"),
            Value::Int(int) => write!(f, "{int}"),
            // `{:?}` is the shortest text that reads back as the same number, with an exponent where that is shorter.
            Value::Float(float) => write!(f, "{float:?}"),
            Value::Text(text) => f.write_str(text),
            Value::List(items) => {
                f.write_str("[")?;
                for (position, item) in items.iter().enumerate() {
                    if position > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{item}")?;
                }
                f.write_str("]")
            }
        }
    }
}

impl From<f64> for Value {
    fn from(float: f64) -> Value {
        Value::Float(float)
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Value {
        Value::Int(int)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Value {
        Value::Bool(flag)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_integers_and_floats_apart() {
        for (text, value) in [("30", Value::Int(30)), ("1e-5", Value::Float(1e-5)), ("0.1", Value::Float(0.1))] {
            let json: serde_json::Value = serde_json::from_str(text).expect("valid JSON");
            assert_eq!(Value::from_json(&json), Some(value.clone()));
            assert_eq!(Value::from_json(&value.to_json()), Some(value));
        }
    }

    #[test]
    fn display_is_what_a_user_would_type() {
        let list = Value::List(vec![Value::from("price"), Value::from(1e-5), Value::Int(3)]);
        assert_eq!(list.to_string(), "[price, 1e-5, 3]");
    }
}
