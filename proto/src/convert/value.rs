//! Values of config keys, and the overrides made of them.

use engine::Value;

use super::{each, finite};
use crate::error::{Problem, WireError};
use crate::limits::{self, MAX_VALUE_DEPTH};
use crate::v1::{self, value::Kind};

impl From<&Value> for v1::Value {
    fn from(value: &Value) -> v1::Value {
        let kind = match value {
            Value::Null => Kind::NullValue(v1::NullValue {}),
            Value::Bool(flag) => Kind::BoolValue(*flag),
            Value::Int(int) => Kind::IntValue(*int),
            Value::Float(float) => Kind::FloatValue(*float),
            Value::Text(text) => Kind::TextValue(text.clone()),
            Value::List(items) => Kind::ListValue(v1::ListValue { items: items.iter().map(v1::Value::from).collect() }),
        };
        v1::Value { kind: Some(kind) }
    }
}

impl TryFrom<v1::Value> for Value {
    type Error = WireError;

    fn try_from(value: v1::Value) -> Result<Value, WireError> {
        from_wire(value, 0)
    }
}

/// A value that stands inside of `depth` lists.
fn from_wire(value: v1::Value, depth: usize) -> Result<Value, WireError> {
    Ok(match value.kind.ok_or_else(|| WireError::new("kind", Problem::Missing))? {
        Kind::NullValue(v1::NullValue {}) => Value::Null,
        Kind::BoolValue(flag) => Value::Bool(flag),
        Kind::IntValue(int) => Value::Int(int),
        Kind::FloatValue(float) => Value::Float(finite("float_value", float)?),
        Kind::TextValue(text) => Value::Text(limits::bounded("text_value", text, limits::MAX_VALUE_BYTES)?),
        Kind::ListValue(list) => {
            if depth == MAX_VALUE_DEPTH {
                return Err(WireError::new("list_value", Problem::TooDeep { limit: MAX_VALUE_DEPTH }));
            }
            limits::at_most("list_value", list.items.len(), limits::MAX_LIST_ITEMS)?;
            Value::List(each("list_value", list.items, |item| from_wire(item, depth + 1))?)
        }
    })
}

/// Overrides as they travel.
pub(super) fn overrides_to_wire(overrides: &[(String, Value)]) -> Vec<v1::Override> {
    overrides.iter().map(|(key, value)| v1::Override { key: key.clone(), value: Some(value.into()) }).collect()
}

/// Overrides as they arrive. Whether the keys exist and the values fit is the config's business.
pub(super) fn overrides_from_wire(
    field: &str,
    overrides: Vec<v1::Override>,
) -> Result<Vec<(String, Value)>, WireError> {
    limits::at_most(field, overrides.len(), limits::MAX_OVERRIDES)?;
    each(field, overrides, |entry| {
        let key = limits::bounded("key", entry.key, limits::MAX_KEY_BYTES)?;
        let value = entry.value.ok_or_else(|| WireError::new("value", Problem::Missing))?;
        Ok((key, Value::try_from(value).map_err(|error| error.within("value"))?))
    })
}
