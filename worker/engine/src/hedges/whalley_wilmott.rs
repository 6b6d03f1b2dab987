//! The band of Whalley & Wilmott 1997: trade only as far as the nearer edge of Δ ± (3kΓ²/(2a))^⅓, with k the cost of
//! trading one unit (cS for costs in proportion to notional) and a the risk aversion, at rate 0.

use super::{State, Strategy, minimum_variance_delta};

/// A band around a delta, as wide as a gamma makes it.
pub(super) struct WhalleyWilmott {
    delta: fn(&State) -> f64,
    gamma: fn(&State) -> f64,
}

/// Around the Black–Scholes delta.
pub(super) const BLACK_SCHOLES: WhalleyWilmott =
    WhalleyWilmott { delta: |state| state.black_scholes.delta, gamma: |state| state.black_scholes.gamma };

/// Around the minimum-variance delta, with Heston's gamma.
pub(super) const HESTON: WhalleyWilmott =
    WhalleyWilmott { delta: minimum_variance_delta::target, gamma: |state| state.heston.gamma };

impl Strategy for WhalleyWilmott {
    fn risk_aversions(&self) -> &'static [f64] {
        &[0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0]
    }

    fn position(&self, state: &State, last: f64, risk_aversion: f64) -> f64 {
        let (delta, gamma) = ((self.delta)(state), (self.gamma)(state));
        let half_width = libm::cbrt(1.5 * state.unit_cost * gamma * gamma / risk_aversion);
        // Not `clamp`, which panics where the edges are not numbers.
        last.max(delta - half_width).min(delta + half_width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::Greeks;

    fn state(unit_cost: f64) -> State {
        let greeks = Greeks { price: 3.0, delta: 0.5, gamma: 0.05, vega: 10.0 };
        State { spot: 100.0, unit_cost, black_scholes: greeks, heston: greeks, leverage: -0.35 }
    }

    #[test]
    fn it_trades_to_the_nearer_edge_and_no_further() {
        // k = 0.1, Γ = 0.05, a = 1: (1.5 · 0.1 · 0.0025)^⅓ = 0.000375^⅓ = 0.07211…
        let width = 0.072_112_478_515;
        let from = |last| BLACK_SCHOLES.position(&state(0.1), last, 1.0);
        assert!((from(0.0) - (0.5 - width)).abs() < 1e-11);
        assert!((from(1.0) - (0.5 + width)).abs() < 1e-11);
        assert_eq!(from(0.55), 0.55, "inside the band nothing is traded");
    }

    #[test]
    fn the_other_form_stands_around_the_minimum_variance_delta() {
        // Without costs there is no band: 0.5 − 0.35/100 · 10.
        assert!((HESTON.position(&state(0.0), 0.9, 1.0) - 0.465).abs() < 1e-15);
    }

    #[test]
    fn more_risk_aversion_narrows_the_band() {
        let widths: Vec<f64> =
            BLACK_SCHOLES.risk_aversions().iter().map(|a| BLACK_SCHOLES.position(&state(0.1), 1.0, *a)).collect();
        assert!(widths.windows(2).all(|pair| pair[0] > pair[1]));
    }
}
