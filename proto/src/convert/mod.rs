//! Wire ↔ domain. Towards the wire every conversion is total; from it, a value that passes is right.
//!
//! On the wire NaN stands for an absent number. Infinities, lists whose lengths do not match, enums that this version
//! does not know and whatever is beyond the [`limits`](crate::limits) are refused with a
//! [`WireError`] that names the field.

mod acknowledgement;
mod curves;
mod heartbeat;
mod join;
mod lease;
mod output;
mod report;
mod standing;
mod value;

pub use acknowledgement::{Acknowledgement, Verdict};
pub use heartbeat::{Heartbeat, Held, Orders};
pub use join::{Hello, Welcome};
pub use lease::{Grant, Lease, TaskGrant};
pub use report::{Failure, Outcome, Reason, Report};
pub use standing::Standing;

use bytes::Bytes;
use engine::RunId;

use crate::error::{Problem, WireError};

/// A run id as 16 bytes.
pub(crate) fn run_id_to_wire(run_id: RunId) -> Bytes {
    Bytes::copy_from_slice(&run_id.0)
}

/// A run id from 16 bytes.
pub(crate) fn run_id_from_wire(field: &str, bytes: &[u8]) -> Result<RunId, WireError> {
    let bytes: [u8; 16] =
        bytes.try_into().map_err(|_| WireError::new(field, Problem::Length { length: bytes.len(), expected: 16 }))?;
    Ok(RunId(bytes))
}

/// An optional number as a number; what is not finite counts as absent.
fn number_to_wire(number: Option<f64>) -> f64 {
    number.filter(|number| number.is_finite()).unwrap_or(f64::NAN)
}

/// A number that may be absent.
fn number_from_wire(field: &str, number: f64) -> Result<Option<f64>, WireError> {
    if number.is_nan() { Ok(None) } else { finite(field, number).map(Some) }
}

/// A number that is finite.
fn finite(field: &str, value: f64) -> Result<f64, WireError> {
    if value.is_finite() { Ok(value) } else { Err(WireError::new(field, Problem::NotFinite { value })) }
}

/// Converts every item of a list, naming the item in the error.
fn each<W, D>(field: &str, items: Vec<W>, convert: impl Fn(W) -> Result<D, WireError>) -> Result<Vec<D>, WireError> {
    items
        .into_iter()
        .enumerate()
        .map(|(position, item)| convert(item).map_err(|error| error.within_item(field, position)))
        .collect()
}
