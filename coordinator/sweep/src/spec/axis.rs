//! Axes: the parameters of a sweep with the values that they take.

use engine::Value;

use super::yaml::Place;

/// One parameter and its values.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// The dotted config key.
    pub(crate) key: String,
    /// The YAML path of its definition.
    pub(crate) path: String,
    /// Where it is defined.
    pub(crate) place: Place,
    /// What it can be.
    pub(crate) domain: Domain,
}

/// What a parameter can be.
#[derive(Clone, Debug)]
pub(crate) enum Domain {
    /// One of these; never empty.
    Values {
        /// As a config holds them, once the spec is checked.
        values: Vec<Value>,
        /// Where each stands; empty where they are generated.
        places: Vec<Place>,
    },
    /// Whatever is drawn; only with `method: random`.
    Drawn(Distribution),
}

/// What a parameter is drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Distribution {
    /// Uniform between `min` and `max`.
    Uniform { min: f64, max: f64 },
    /// The logarithm is uniform; rounded for parameters that are whole numbers.
    LogUniform { min: f64, max: f64, whole: bool },
    /// Each of the whole numbers from `min` to `max` is as likely as any other.
    Integer { min: i64, max: i64 },
    /// Normal with mean `mu` and standard deviation `sigma`; rounded for parameters that are whole numbers.
    Normal { mu: f64, sigma: f64, whole: bool },
}

impl Axis {
    /// Whether it takes more than one value.
    pub(crate) fn varies(&self) -> bool {
        match &self.domain {
            Domain::Values { values, .. } => values.len() > 1,
            Domain::Drawn(_) => true,
        }
    }

    /// Where a value stands, or else the axis.
    pub(crate) fn value_place(&self, index: usize) -> Place {
        match &self.domain {
            Domain::Values { places, .. } => places.get(index).copied().unwrap_or(self.place),
            Domain::Drawn(_) => self.place,
        }
    }

    /// The index of a value, `None` if it is none of the axis's.
    pub(crate) fn index_of(&self, value: &Value) -> Option<usize> {
        match &self.domain {
            Domain::Values { values, .. } => values.iter().position(|known| equal(known, value)),
            Domain::Drawn(_) => None,
        }
    }
}

/// Whether two values are one to a user: `1` and `1.0` are.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(int), Value::Float(float)) | (Value::Float(float), Value::Int(int)) => *int as f64 == *float,
        _ => a == b,
    }
}

/// Text that is the same for values that are [`equal`].
pub(crate) fn fingerprint(value: &Value) -> String {
    match value {
        Value::Float(float) if float.fract() == 0.0 && float.abs() < 9e15 => format!("n{}", *float as i64),
        Value::Float(float) => format!("n{float:?}"),
        Value::Int(int) => format!("n{int}"),
        Value::Text(text) => format!("t{text}"),
        Value::List(items) => {
            let items = items.iter().map(|item| {
                let print = fingerprint(item);
                format!("{}:{print}", print.len())
            });
            format!("l{}", items.collect::<String>())
        }
        Value::Null | Value::Bool(_) => value.to_string(),
    }
}
