//! The minimum-variance delta: the price alone is traded, and also hedges as much of the variance as moves with it
//! (Bakshi, Cao, Chen 1997).

use super::{State, Strategy};

/// ∂C/∂S + ρξ/S·∂C/∂V.
pub(super) struct MinimumVarianceDelta;

/// The position that makes the instantaneous variance of the hedged book least.
pub(super) fn target(state: &State) -> f64 {
    state.heston.delta + state.leverage / state.spot * state.heston.vega
}

impl Strategy for MinimumVarianceDelta {
    fn position(&self, state: &State, _last: f64, _risk_aversion: f64) -> f64 {
        target(state)
    }
}
