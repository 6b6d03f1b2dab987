//! What the merge asks of a plan.

use std::borrow::Cow;

use engine::{RunId, Value};

/// A plan, as the merge sees it: a table of runs by their dense index.
pub trait PlanTable: Sync {
    /// Number of runs.
    fn len(&self) -> u64;

    /// Whether there is no run.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The identity of run `index`; several runs may share one.
    fn run_id(&self, index: u64) -> RunId;

    /// Where run `index` stands in the sweep.
    fn labels(&self, index: u64) -> RowLabels<'_>;

    /// The swept parameters, in the order of their columns.
    fn swept(&self) -> &[SweptColumn];

    /// The value of swept parameter `column` in run `index`; `None` if the run's config has no such key.
    fn swept_value(&self, index: u64, column: usize) -> Option<Value>;
}

/// Where a run stands in the sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLabels<'a> {
    /// The arm's name.
    pub arm: Cow<'a, str>,
    /// The variant's label.
    pub variant: Cow<'a, str>,
    /// The cell's label.
    pub cell: Cow<'a, str>,
    /// The seed.
    pub seed: u64,
}

/// A column of a swept parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweptColumn {
    /// The dotted name.
    pub name: String,
    /// The type of its values.
    pub kind: SweptKind,
}

/// The type of a swept column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweptKind {
    /// Numbers, at least one of them with a fraction or an exponent: Float64.
    Number,
    /// Whole numbers: Int64.
    Integer,
    /// `true` and `false`: Boolean.
    Boolean,
    /// Anything else, lists and mixtures included, as text: String.
    Text,
}

impl SweptKind {
    /// The type that fits all of the values; nulls fit every type.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a Value>) -> SweptKind {
        let one = |value: &Value| match value {
            Value::Null => None,
            Value::Bool(_) => Some(SweptKind::Boolean),
            Value::Int(_) => Some(SweptKind::Integer),
            Value::Float(_) => Some(SweptKind::Number),
            Value::Text(_) | Value::List(_) => Some(SweptKind::Text),
        };
        let kinds = values.into_iter().filter_map(one);
        let all = kinds.reduce(|left, right| match (left, right) {
            _ if left == right => left,
            (SweptKind::Integer, SweptKind::Number) | (SweptKind::Number, SweptKind::Integer) => SweptKind::Number,
            _ => SweptKind::Text,
        });
        all.unwrap_or(SweptKind::Text)
    }
}

/// A value in a column of text.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Text(text) => Some(text.clone()),
        other => serde_json::to_string(other).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_takes_the_narrowest_type_that_fits() {
        let kind = |values: &[Value]| SweptKind::of(values);
        assert_eq!(kind(&[Value::Int(1), Value::Float(0.5)]), SweptKind::Number);
        assert_eq!(kind(&[Value::Int(1), Value::Null]), SweptKind::Integer);
        assert_eq!(kind(&[Value::Bool(true)]), SweptKind::Boolean);
        assert_eq!(kind(&[Value::Bool(true), Value::Int(1)]), SweptKind::Text);
        assert_eq!(kind(&[Value::List(vec![])]), SweptKind::Text);
        assert_eq!(kind(&[]), SweptKind::Text);
    }
}
