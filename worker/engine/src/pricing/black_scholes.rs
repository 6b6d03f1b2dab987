//! European prices and greeks under Black and Scholes, in closed form.

use std::f64::consts::PI;

use super::Greeks;
use crate::random::normal_cdf;

/// What a European option is priced by under a constant variance. Rates and variance are per year.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlackScholes {
    /// Price of the underlying.
    pub spot: f64,
    /// Variance, the square of the volatility.
    pub variance: f64,
    /// Riskless rate, continuously compounded.
    pub rate: f64,
    /// Dividend yield, continuously compounded.
    pub dividend: f64,
}

impl BlackScholes {
    /// The price and greeks of a call of `strike`, `maturity` years away (Black & Scholes 1973, Merton 1973).
    ///
    /// Without variance, time or a spot left it is the discounted payoff on the forward, whose delta is a step and whose gamma
    /// and vega count as 0 at the step too.
    pub fn call(&self, strike: f64, maturity: f64) -> Greeks {
        let maturity = maturity.max(0.0);
        self.call_with_total(strike, maturity, self.variance * maturity, maturity)
    }

    /// The price and greeks of a put, by put–call parity.
    pub fn put(&self, strike: f64, maturity: f64) -> Greeks {
        let maturity = maturity.max(0.0);
        let [carried, discount] = [self.dividend, self.rate].map(|rate| libm::exp(-rate * maturity));
        self.call(strike, maturity).call_to_put(self.spot, carried, strike, discount)
    }

    /// The call where the variance until maturity is `total`, and grows by `per_variance` with the variance now.
    pub(super) fn call_with_total(&self, strike: f64, maturity: f64, total: f64, per_variance: f64) -> Greeks {
        let [carried, discount] = [self.dividend, self.rate].map(|rate| libm::exp(-rate * maturity));
        if total <= 0.0 || self.spot <= 0.0 {
            let payoff = Greeks::of_payoff(self.spot * carried, strike * discount);
            return Greeks { delta: payoff.delta * carried, ..payoff };
        }
        let deviation = total.sqrt();
        let moneyness = libm::log(self.spot / strike) + (self.rate - self.dividend) * maturity;
        let d1 = moneyness / deviation + 0.5 * deviation;
        let d2 = d1 - deviation;
        let density = libm::exp(-0.5 * d1 * d1) / (2.0 * PI).sqrt();
        let delta = carried * normal_cdf(d1);
        Greeks {
            price: self.spot * delta - strike * discount * normal_cdf(d2),
            delta,
            gamma: carried * density / (self.spot * deviation),
            // ∂C/∂w = S e^{−qT} φ(d1) / (2√w).
            vega: self.spot * carried * density / (2.0 * deviation) * per_variance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The call, the put and the call's delta of the example below.
    const HULL: [f64; 3] = [4.759_422_392_871_533, 0.808_599_372_900_093_6, 0.779_131_290_942_669];

    /// Hull, *Options, Futures, and Other Derivatives*, example 15.6: 42, 40, 10%, 20%, half a year: 4.76 and 0.81; and
    /// the digits beyond, from mpmath's normal distribution.
    #[test]
    fn hulls_example_comes_out() {
        let model = BlackScholes { spot: 42.0, variance: 0.04, rate: 0.1, dividend: 0.0 };
        let (call, put) = (model.call(40.0, 0.5), model.put(40.0, 0.5));
        assert!((call.price - HULL[0]).abs() <= 1e-13, "{}", call.price);
        assert!((put.price - HULL[1]).abs() <= 1e-13, "{}", put.price);
        assert!((call.delta - HULL[2]).abs() <= 1e-14, "{}", call.delta);
    }

    #[test]
    fn without_variance_the_call_is_the_discounted_payoff_on_the_forward() {
        let model = BlackScholes { spot: 100.0, variance: 0.0, rate: 0.05, dividend: 0.02 };
        let (carried, discount) = (libm::exp(-0.02), libm::exp(-0.05));
        let inside = Greeks { price: 100.0 * carried - 102.0 * discount, delta: carried, gamma: 0.0, vega: 0.0 };
        assert_eq!(model.call(102.0, 1.0), inside, "the forward is 103");
        assert_eq!(model.call(104.0, 1.0), Greeks { price: 0.0, delta: 0.0, gamma: 0.0, vega: 0.0 });
        assert_eq!(model.put(104.0, 1.0).delta, -carried);
    }

    #[test]
    fn at_maturity_and_after_it_is_the_payoff() {
        let model = BlackScholes { spot: 100.0, variance: 0.04, rate: 0.05, dividend: 0.02 };
        for maturity in [0.0, -0.1] {
            let [inside, at, outside] = [90.0, 100.0, 110.0].map(|strike| model.call(strike, maturity));
            assert_eq!([inside.price, at.price, outside.price], [10.0, 0.0, 0.0]);
            assert_eq!([inside.delta, at.delta, outside.delta], [1.0, 0.0, 0.0]);
            assert_eq!(model.put(110.0, maturity).price, 10.0);
        }
    }

    proptest! {
        #[test]
        fn puts_are_calls_less_the_forward(
            spot in 50.0..200.0_f64, variance in 0.0..0.5_f64, rate in -0.05..0.1_f64, dividend in 0.0..0.1_f64,
            strike in 50.0..200.0_f64, maturity in 0.0..20.0_f64,
        ) {
            let model = BlackScholes { spot, variance, rate, dividend };
            let forward = spot * libm::exp(-dividend * maturity) - strike * libm::exp(-rate * maturity);
            let (call, put) = (model.call(strike, maturity), model.put(strike, maturity));
            prop_assert!((call.price - put.price - forward).abs() <= 1e-10);
            prop_assert!(call.price >= forward.max(0.0) - 1e-12 && put.price >= (-forward).max(0.0) - 1e-12);
        }

        #[test]
        fn greeks_are_difference_quotients(
            variance in 0.01..0.5_f64, rate in -0.05..0.1_f64, dividend in 0.0..0.1_f64, strike in 70.0..140.0_f64,
            maturity in 0.1..5.0_f64,
        ) {
            let model = BlackScholes { spot: 100.0, variance, rate, dividend };
            let (h, k) = (1e-3, 1e-6);
            for price in [BlackScholes::call, BlackScholes::put] {
                let at = |spot: f64, variance: f64| price(&BlackScholes { spot, variance, ..model }, strike, maturity);
                let greeks = at(100.0, variance);
                let (up, down) = (at(100.0 + h, variance), at(100.0 - h, variance));
                let (more, less) = (at(100.0, variance + k), at(100.0, variance - k));
                // Third derivatives are at most 0.1 in S (times h²/6) and, for vega, vega/w² ≤ 1e7 (times k²/6); the
                // prices' rounding of 3e-14 is divided by 2h or 2k.
                prop_assert!((greeks.delta - (up.price - down.price) / (2.0 * h)).abs() <= 1e-7);
                prop_assert!((greeks.gamma - (up.delta - down.delta) / (2.0 * h)).abs() <= 1e-7);
                prop_assert!((greeks.vega - (more.price - less.price) / (2.0 * k)).abs() <= 1e-5);
            }
        }
    }
}
