//! Semi-analytic European prices and greeks under Heston.
//!
//! Lewis' single integral (Lewis 2000; Andersen & Piterbarg 2010, §8.4) over the characteristic function in the form
//! that has no branch cuts to cross (Albrecher et al. 2007), written so that no digits are lost for small ξ:
//!
//! C = S e^{−qT} − (√(S e^{(r−q)T} K) e^{−rT} / π) ∫₀^∞ Re[e^{iux} φ(u − i/2)] / (u² + ¼) du,  x = ln(S e^{(r−q)T}/K).
//!
//! Where the volatility of variance is negligible, the variance counts as deterministic, as it does in the market.

use std::f64::consts::PI;

use super::complex::Complex;
use super::quadrature::integrate;
use super::{Greeks, HestonSlice};

/// What a European option is priced by. Rates, variances and speeds are per year.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HestonPricer {
    /// Price of the underlying.
    pub spot: f64,
    /// Variance now.
    pub variance: f64,
    /// Long-run variance.
    pub theta: f64,
    /// Speed of mean reversion.
    pub kappa: f64,
    /// Volatility of variance.
    pub xi: f64,
    /// Correlation.
    pub rho: f64,
    /// Riskless rate, continuously compounded.
    pub rate: f64,
    /// Dividend yield, continuously compounded.
    pub dividend: f64,
}

/// Why there is no price.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PricingError {
    /// The integral does not come to an end or is not a number: the parameters are far from any market's.
    #[error(
        "the Heston price at strike {strike} and maturity {maturity} cannot be computed: its integral does not converge"
    )]
    NoConvergence {
        /// The strike.
        strike: f64,
        /// The maturity in years.
        maturity: f64,
    },
}

impl HestonPricer {
    /// A(u) and B(u) of ln φ(u − i/2) = A + BV, φ being the characteristic function of ln(S_T / forward) and V the
    /// variance now.
    pub(super) fn log_characteristic(&self, u: Complex, maturity: f64) -> (Complex, Complex) {
        let quadratic = u * u + Complex::new(0.25, 0.0);
        let skew = self.rho * self.xi;
        let beta = Complex::new(self.kappa - skew / 2.0 + skew * u.im, -skew * u.re);
        let d = (beta * beta + quadratic * (self.xi * self.xi)).sqrt();
        let sum = beta + d;
        // (β − d)/ξ² = −(u² + ¼)/(β + d): no difference of near numbers.
        let slope = -quadratic / sum;
        let g = slope * (self.xi * self.xi) / sum;
        let decay_m1 = (d * -maturity).exp_m1();
        let one = Complex::new(1.0, 0.0);
        let one_minus_g = one - g;
        // (1 − g e^{−dT}) / (1 − g) = 1 + z
        let z = -(g * decay_m1) / one_minus_g;
        let by_variance = slope * -1.0 * decay_m1 / (one_minus_g * (one + z));
        let log_ratio = z.ln_1p() * (2.0 / (self.xi * self.xi));
        ((slope * maturity - log_ratio) * (self.kappa * self.theta), by_variance)
    }

    /// The price and greeks of a call of `strike`, `maturity` years away; at maturity, its payoff.
    ///
    /// # Errors
    /// If the integral does not converge.
    pub fn call(&self, strike: f64, maturity: f64) -> Result<Greeks, PricingError> {
        let call = match HestonSlice::new(self, strike, maturity) {
            Ok(slice) => slice.call(self.spot, self.variance),
            // There is no contour for correlations next to ±1.
            Err(_) => self.call_on_the_real_line(strike, maturity)?,
        };
        if call.price.is_finite() { Ok(call) } else { Err(PricingError::NoConvergence { strike, maturity }) }
    }

    /// The call by adaptive quadrature, which takes longer and does not come to an end next to zero variance, but asks
    /// nothing of the integrand: the contour's oracle, and what remains for correlations next to ±1.
    ///
    /// # Errors
    /// If the integral does not converge.
    pub(super) fn call_on_the_real_line(&self, strike: f64, maturity: f64) -> Result<Greeks, PricingError> {
        let forward = self.spot * libm::exp((self.rate - self.dividend) * maturity);
        let x = libm::log(forward / strike);
        let integrand = |u: f64| {
            let (constant, by_variance) = self.log_characteristic(Complex::new(u, 0.0), maturity);
            let wave = (constant + by_variance * self.variance + Complex::new(0.0, u * x)).exp();
            let weight = 1.0 / (u * u + 0.25);
            // Price; its derivative by ln S (the factor iu, beside ½); gamma's; vega's.
            [wave.re * weight, -wave.im * u * weight, wave.re, (wave * by_variance).re * weight]
        };
        let integral = self.integral(maturity, &integrand);
        let [price, slope, density, vega] = integral.ok_or(PricingError::NoConvergence { strike, maturity })?;
        let discounted_spot = self.spot * libm::exp(-self.dividend * maturity);
        let scale = (forward * strike).sqrt() * libm::exp(-self.rate * maturity) / PI;
        Ok(Greeks {
            price: discounted_spot - scale * price,
            delta: (discounted_spot - scale * (0.5 * price + slope)) / self.spot,
            gamma: scale * density / (self.spot * self.spot),
            vega: -scale * vega,
        })
    }

    /// The price and greeks of a put, by put–call parity.
    ///
    /// # Errors
    /// If the call has no price.
    pub fn put(&self, strike: f64, maturity: f64) -> Result<Greeks, PricingError> {
        let call = self.call(strike, maturity)?;
        let maturity = maturity.max(0.0);
        let [carried, discount] = [self.dividend, self.rate].map(|rate| libm::exp(-rate * maturity));
        Ok(call.call_to_put(self.spot, carried, strike, discount))
    }

    /// The integral over [0, ∞), cut off where the integrand is below e^−42, 1e-18, of its value at 0.
    fn integral<const K: usize>(&self, maturity: f64, integrand: &impl Fn(f64) -> [f64; K]) -> Option<[f64; K]> {
        let log_modulus = |u: f64| {
            let (constant, by_variance) = self.log_characteristic(Complex::new(u, 0.0), maturity);
            constant.re + by_variance.re * self.variance
        };
        let mut end = 8.0;
        while log_modulus(end) > -42.0 {
            end *= 1.5;
            if end > 1e9 {
                return None;
            }
        }
        // Most of the area is near 0: pieces that double in length begin where halving would end.
        let mut total = [0.0; K];
        let (mut low, mut high) = (0.0, (end / 64.0).min(1.0));
        while low < end {
            let part = integrate(low, high, 1e-14, integrand)?;
            for (sum, value) in total.iter_mut().zip(part) {
                *sum += value;
            }
            (low, high) = (high, (high * 2.0).min(end));
        }
        Some(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::BlackScholes;
    use crate::pricing::published::{TABLE, pricer};
    use proptest::prelude::*;

    #[test]
    fn published_prices_come_out() {
        for (parameters, prices) in TABLE {
            for &(strike, expected) in *prices {
                let price = pricer(*parameters).call(strike, parameters[5]).unwrap().price;
                assert!((price - expected).abs() <= 1e-9, "{parameters:?} {strike}: {price} for {expected}");
            }
        }
    }

    #[test]
    fn published_prices_come_out_on_the_real_line_too() {
        for (parameters, prices) in TABLE {
            for &(strike, expected) in *prices {
                let price = pricer(*parameters).call_on_the_real_line(strike, parameters[5]).unwrap().price;
                assert!((price - expected).abs() <= 1e-9, "{parameters:?} {strike}: {price} for {expected}");
            }
        }
    }

    fn assert_greeks_are_difference_quotients(model: &HestonPricer, option: impl Fn(&HestonPricer) -> Greeks) {
        let at = |spot: f64, variance: f64| option(&HestonPricer { spot, variance, ..*model });
        let greeks = option(model);
        let (h, k) = (1e-2, 1e-5);
        let (up, down) = (at(100.0 + h, model.variance), at(100.0 - h, model.variance));
        let (more, less) = (at(100.0, model.variance + k), at(100.0, model.variance - k));
        // Central differences: the error is a third derivative times h²/6, and the rounding 1e-13/h.
        assert!((greeks.delta - (up.price - down.price) / (2.0 * h)).abs() <= 1e-6, "delta {model:?}");
        assert!((greeks.gamma - (up.delta - down.delta) / (2.0 * h)).abs() <= 1e-6, "gamma {model:?}");
        assert!((greeks.vega - (more.price - less.price) / (2.0 * k)).abs() <= 1e-5, "vega {model:?}");
    }

    #[test]
    fn greeks_are_difference_quotients() {
        for (parameters, prices) in TABLE {
            let (model, maturity) = (pricer(*parameters), parameters[5]);
            for &(strike, _) in *prices {
                assert_greeks_are_difference_quotients(&model, |model| model.call(strike, maturity).unwrap());
                assert_greeks_are_difference_quotients(&model, |model| model.put(strike, maturity).unwrap());
            }
        }
    }

    /// Parity, and that neither option is worth less than what it pays at the forward.
    fn assert_parity(model: &HestonPricer, strike: f64, maturity: f64) {
        let (call, put) = (model.call(strike, maturity).unwrap(), model.put(strike, maturity).unwrap());
        let carried = libm::exp(-model.dividend * maturity);
        let forward = model.spot * carried - strike * libm::exp(-model.rate * maturity);
        assert!((call.price - put.price - forward).abs() <= 1e-10, "{model:?} {strike} {maturity}");
        assert!((call.delta - put.delta - carried).abs() <= 1e-12, "{model:?} {strike} {maturity}");
        assert_eq!((put.gamma, put.vega), (call.gamma, call.vega));
        assert!(call.price >= forward.max(0.0) - 1e-10 && put.price >= (-forward).max(0.0) - 1e-10);
    }

    #[test]
    fn puts_are_calls_less_the_forward() {
        for (parameters, _) in TABLE {
            for strike in [10.0, 60.0, 100.0, 140.0, 500.0] {
                assert_parity(&pricer(*parameters), strike, parameters[5]);
            }
        }
    }

    proptest! {
        #[test]
        fn puts_are_calls_less_the_forward_anywhere(
            variance in 0.0..0.5_f64, theta in 0.0..0.5_f64, kappa in 0.0..6.0_f64, xi in 0.0..2.0_f64,
            rho in -0.99..0.99_f64, rate in -0.05..0.1_f64, dividend in 0.0..0.1_f64, strike in 30.0..300.0_f64,
            maturity in 0.0..10.0_f64,
        ) {
            let model = HestonPricer { spot: 100.0, variance, theta, kappa, xi, rho, rate, dividend };
            assert_parity(&model, strike, maturity);
        }

        /// Where the variance starts at θ, or nothing pulls it, and its volatility is negligible, it is constant.
        #[test]
        fn without_volatility_of_variance_it_is_black_and_scholes(
            variance in 0.01..0.5_f64, pull in prop_oneof![Just(0.0), 0.0..6.0_f64], rho in -1.0..=1.0_f64,
            rate in -0.05..0.1_f64, strike in 50.0..200.0_f64, maturity in 0.01..10.0_f64,
        ) {
            let (theta, kappa, dividend) = (if pull == 0.0 { 0.3 } else { variance }, pull, 0.01);
            let model = HestonPricer { spot: 100.0, variance, theta, kappa, xi: 0.9e-3, rho, rate, dividend };
            let closed = BlackScholes { spot: 100.0, variance, rate, dividend };
            let (ours, expected) = (model.call(strike, maturity).unwrap(), closed.call(strike, maturity));
            prop_assert!((ours.price - expected.price).abs() <= 1e-11);
            prop_assert!((ours.delta - expected.delta).abs() <= 1e-12);
            prop_assert!((ours.gamma - expected.gamma).abs() <= 1e-12);
            // The variance now counts for f(T) of the T years.
            let memory = if pull == 0.0 { maturity } else { -libm::expm1(-pull * maturity) / pull };
            prop_assert!((ours.vega - expected.vega * memory / maturity).abs() <= 1e-9);
        }
    }

    /// Prices are smooth in ξ: what two prices above the threshold extrapolate to is the price below it, up to a
    /// quarter of ξ²∂²C/∂ξ² and, without correlation, the price itself is. Convexity in the total variance gives the
    /// order: ½∂²C/∂w² Var(∫V) ≤ ½ · 1500 · ξ²·0.09/3 = 2e-5 at ξ = 1e-3.
    #[test]
    fn prices_go_on_where_the_variance_begins_to_count_as_deterministic() {
        for (kappa, rho) in [(2.0, -0.7), (2.0, 0.0), (0.0, -0.7), (0.0, 0.7)] {
            let at = |strike: f64, xi: f64| {
                let model = HestonPricer { xi, kappa, rho, variance: 0.09, ..pricer(TABLE[6].0) };
                model.call(strike, 1.0).unwrap()
            };
            for strike in [80.0, 100.0, 120.0] {
                let [below, above, twice] = [0.999_999e-3, 1e-3, 2e-3].map(|xi| at(strike, xi));
                let extrapolated = 2.0 * above.price - twice.price;
                assert!((extrapolated - below.price).abs() <= 4e-5, "{strike}: {extrapolated} {}", below.price);
                // The first-order term: S ∂²C/∂S∂w, below 200 here, times the covariance ρξVT²/2 ≤ 0.045ρξ.
                assert!((above.price - below.price).abs() <= 4e-5 + 9.0 * rho.abs() * 1e-3, "price at {strike}");
                assert!((above.delta - below.delta).abs() <= 1e-3, "delta at {strike}");
                assert!((above.vega / below.vega - 1.0).abs() <= 1e-3, "vega at {strike}");
            }
        }
    }

    #[test]
    fn correlations_without_a_contour_are_priced_on_the_real_line() {
        // Continuous in ρ: the same as next to it, to a slope of some 5 per unit of ρ.
        let at = |rho: f64| HestonPricer { rho, ..pricer(TABLE[7].0) }.call(100.0, 1.0).unwrap().price;
        for end in [-1.0, 1.0] {
            assert!((at(end) - at(0.999 * end)).abs() <= 5e-3, "{} {}", at(end), at(0.999 * end));
        }
    }

    #[test]
    fn the_price_at_maturity_is_the_payoff() {
        let model = pricer(TABLE[0].0);
        assert_eq!(model.call(90.0, 0.0).unwrap().price, 10.0);
        assert_eq!(model.put(110.0, 0.0).unwrap().price, 10.0);
    }

    #[test]
    fn what_cannot_be_priced_is_an_error() {
        let model = HestonPricer { variance: f64::NAN, ..pricer(TABLE[0].0) };
        assert!(matches!(model.call(100.0, 1.0), Err(PricingError::NoConvergence { .. })));
    }
}
