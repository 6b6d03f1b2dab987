//! No hedge.

use super::{State, Strategy};

/// Nothing is ever held.
pub(super) struct NoHedge;

impl Strategy for NoHedge {
    fn needs_contract(&self) -> bool {
        false
    }

    fn position(&self, _state: &State, _last: f64, _risk_aversion: f64) -> f64 {
        0.0
    }
}
