//! What a pricer gives.

/// A price with its derivatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Greeks {
    /// The price.
    pub price: f64,
    /// ∂/∂S.
    pub delta: f64,
    /// ∂²/∂S².
    pub gamma: f64,
    /// ∂/∂V, with V the variance now, per year.
    pub vega: f64,
}

impl Greeks {
    /// Of a call that pays at once: a step in delta, which is 0 where the spot is the strike.
    pub(super) fn of_payoff(spot: f64, strike: f64) -> Greeks {
        let delta = if spot > strike { 1.0 } else { 0.0 };
        Greeks { price: (spot - strike).max(0.0), delta, gamma: 0.0, vega: 0.0 }
    }

    /// The put's, from the call's, by parity: P = C − S·`carried` + K·`discount`.
    pub(super) fn call_to_put(self, spot: f64, carried: f64, strike: f64, discount: f64) -> Greeks {
        Greeks { price: self.price + (strike * discount - spot * carried), delta: self.delta - carried, ..self }
    }
}
