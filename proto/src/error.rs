//! Why a message is refused.

use std::fmt;

/// A message that is no value of its domain type: which field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct WireError {
    /// The field's path within the message, e.g. `tasks[3].overrides[0].value`.
    pub field: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The message needs the field.
    #[error("is missing")]
    Missing,
    /// The number is infinite, or NaN where nothing may be absent.
    #[error("is {value}, which is not finite")]
    NotFinite {
        /// The number.
        value: f64,
    },
    /// The list or the bytes have the wrong number of elements.
    #[error("has length {length}, but {expected} is needed")]
    Length {
        /// How long it is.
        length: usize,
        /// How long it has to be.
        expected: usize,
    },
    /// The string or the list is longer than anything that this protocol sends.
    #[error("has length {length}, beyond the limit of {limit}")]
    TooLong {
        /// How long it is.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The number is outside of its range.
    #[error("is {value}; allowed: {low} to {high}")]
    OutOfRange {
        /// The number.
        value: u64,
        /// The smallest that is allowed.
        low: u64,
        /// The largest that is allowed.
        high: u64,
    },
    /// The enum has no such number, or it is unspecified.
    #[error("is {number}, which this version does not know")]
    UnknownEnum {
        /// The number.
        number: i32,
    },
    /// The word is none of those that are known.
    #[error("is {word:?}, which this version does not know")]
    UnknownWord {
        /// The word.
        word: String,
    },
    /// The values are nested more deeply than any config's.
    #[error("is nested more than {limit} deep")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// The field contradicts another.
    #[error("contradicts {other}")]
    Contradiction {
        /// The other field.
        other: &'static str,
    },
}

impl WireError {
    /// A problem with a field of the message at hand.
    pub fn new(field: impl Into<String>, problem: Problem) -> WireError {
        WireError { field: field.into(), problem }
    }

    /// The same error, seen from the message that holds this one under `field`.
    #[must_use]
    pub fn within(self, field: impl fmt::Display) -> WireError {
        let field = if self.field.is_empty() { field.to_string() } else { format!("{field}.{}", self.field) };
        WireError { field, ..self }
    }

    /// The same error, seen from the message that holds this one as an item of the list `field`.
    #[must_use]
    pub fn within_item(self, field: &str, item: usize) -> WireError {
        self.within(format_args!("{field}[{item}]"))
    }
}

impl From<WireError> for tonic::Status {
    fn from(error: WireError) -> tonic::Status {
        tonic::Status::invalid_argument(error.to_string())
    }
}
