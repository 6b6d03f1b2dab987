//! Classical hedges: what people use today, scored on the same paths as the network.

mod black_scholes_delta;
mod choice;
mod heston_delta;
mod minimum_variance_delta;
mod none;
mod whalley_wilmott;

pub(crate) use choice::HedgeScores;

use crate::config::declare::typed_choices;
use crate::pricing::Greeks;

typed_choices! {
    /// A hedge that needs no training.
    pub enum Hedge by strategy: Strategy {
        /// No hedge: no position at any time.
        None(none::NoHedge) = "none",
        /// The Black–Scholes delta at the volatility √θ.
        BlackScholesDelta(black_scholes_delta::BlackScholesDelta) = "black_scholes_delta",
        /// The Heston delta ∂C/∂S.
        HestonDelta(heston_delta::HestonDelta) = "heston_delta",
        /// The delta of least variance under Heston, ∂C/∂S + ρξ/S·∂C/∂V.
        MinimumVarianceDelta(minimum_variance_delta::MinimumVarianceDelta) = "minimum_variance_delta",
        /// Whalley and Wilmott's band around the Black–Scholes delta, with Black–Scholes' gamma at √θ.
        WhalleyWilmott(whalley_wilmott::BLACK_SCHOLES) = "whalley_wilmott",
        /// Whalley and Wilmott's band around the minimum-variance delta, with Heston's gamma.
        WhalleyWilmottHeston(whalley_wilmott::HESTON) = "whalley_wilmott_heston",
    }
}

/// What a hedge may know when it decides: the greeks are those of what the hedger owes, so that holding `delta` offsets
/// it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// Price of the underlying, in currency.
    pub spot: f64,
    /// What trading one unit of the underlying costs now, in currency.
    pub unit_cost: f64,
    /// Black–Scholes greeks at the volatility √θ.
    pub black_scholes: Greeks,
    /// Heston greeks.
    pub heston: Greeks,
    /// ρξ: how the variance moves with the price's return.
    pub leverage: f64,
}

/// A hedge: a rule that turns what is known now and the last position into a position.
pub trait Strategy: Sync {
    /// Whether it says nothing without a contract.
    fn needs_contract(&self) -> bool {
        true
    }

    /// Risk aversions of which the validation set chooses the one with the lowest CVaR at 95%; empty for a hedge that
    /// has none.
    fn risk_aversions(&self) -> &'static [f64] {
        &[]
    }

    /// The position from now on. `risk_aversion` is 1 for a hedge that has none.
    fn position(&self, state: &State, last: f64, risk_aversion: f64) -> f64;
}
