//! The Black–Scholes delta (Black & Scholes 1973).

use super::{State, Strategy};

/// ∂C/∂S at the volatility √θ.
pub(super) struct BlackScholesDelta;

impl Strategy for BlackScholesDelta {
    fn position(&self, state: &State, _last: f64, _risk_aversion: f64) -> f64 {
        state.black_scholes.delta
    }
}
