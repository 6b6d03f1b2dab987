//! The Heston delta (Heston 1993).

use super::{State, Strategy};

/// ∂C/∂S under Heston, at the variance as it is.
pub(super) struct HestonDelta;

impl Strategy for HestonDelta {
    fn position(&self, state: &State, _last: f64, _risk_aversion: f64) -> f64 {
        state.heston.delta
    }
}
