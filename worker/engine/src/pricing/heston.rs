//! Semi-analytic European prices and greeks under Heston.
//!
//! Lewis' single integral (Lewis 2000; Andersen & Piterbarg 2010, §8.4) over the characteristic function in the form
//! that has no branch cuts to cross (Albrecher et al. 2007), written so that no digits are lost for small ξ:
//!
//! C = S e^{−qT} − (√(S e^{(r−q)T} K) e^{−rT} / π) ∫₀^∞ Re[e^{iux} φ(u − i/2)] / (u² + ¼) du,  x = ln(S e^{(r−q)T}/K).

use std::f64::consts::PI;

use super::complex::Complex;
use super::quadrature::integrate;

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

/// A price with its derivatives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Greeks {
    /// The price.
    pub price: f64,
    /// ∂/∂S.
    pub delta: f64,
    /// ∂²/∂S².
    pub gamma: f64,
    /// ∂/∂V, with V the variance now.
    pub vega: f64,
}

impl HestonPricer {
    /// ln φ(u − i/2) and its derivative with respect to the variance, φ being the characteristic function of
    /// ln(S_T / forward).
    fn log_characteristic(&self, u: f64, maturity: f64) -> (Complex, Complex) {
        let quadratic = u * u + 0.25;
        let beta = Complex::new(self.kappa - self.rho * self.xi / 2.0, -self.rho * self.xi * u);
        let d = (beta * beta + Complex::new(self.xi * self.xi * quadratic, 0.0)).sqrt();
        let sum = beta + d;
        // (β − d)/ξ² = −(u² + ¼)/(β + d): no difference of near numbers.
        let slope = Complex::new(-quadratic, 0.0) / sum;
        let g = slope * (self.xi * self.xi) / sum;
        let decay_m1 = (d * -maturity).exp_m1();
        let one = Complex::new(1.0, 0.0);
        let one_minus_g = one - g;
        // (1 − g e^{−dT}) / (1 − g) = 1 + z
        let z = -(g * decay_m1) / one_minus_g;
        let by_variance = slope * -1.0 * decay_m1 / (one_minus_g * (one + z));
        let log_ratio = z.ln_1p() * (2.0 / (self.xi * self.xi));
        let constant = (slope * maturity - log_ratio) * (self.kappa * self.theta);
        (constant + by_variance * self.variance, by_variance)
    }

    /// The price and greeks of a call of `strike`, `maturity` years away; at maturity, its payoff.
    ///
    /// # Errors
    /// If the integral does not converge.
    pub fn call(&self, strike: f64, maturity: f64) -> Result<Greeks, PricingError> {
        if maturity <= 0.0 {
            let delta = if self.spot > strike { 1.0 } else { 0.0 };
            return Ok(Greeks { price: (self.spot - strike).max(0.0), delta, gamma: 0.0, vega: 0.0 });
        }
        let forward = self.spot * libm::exp((self.rate - self.dividend) * maturity);
        let x = libm::log(forward / strike);
        let integrand = |u: f64| {
            let (log_phi, by_variance) = self.log_characteristic(u, maturity);
            let wave = (log_phi + Complex::new(0.0, u * x)).exp();
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
        let carried = libm::exp(-self.dividend * maturity);
        let parity = strike * libm::exp(-self.rate * maturity) - self.spot * carried;
        Ok(Greeks { price: call.price + parity, delta: call.delta - carried, ..call })
    }

    /// The integral over [0, ∞), cut off where the integrand is below e^−42, 1e-18, of its value at 0.
    fn integral<const K: usize>(&self, maturity: f64, integrand: &impl Fn(f64) -> [f64; K]) -> Option<[f64; K]> {
        let mut end = 8.0;
        while self.log_characteristic(end, maturity).0.re > -42.0 {
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

    /// v0, θ, κ, ξ, ρ, T, r, q, and prices by strike, at a spot of 100: published values (the first row's are those of
    /// the literature on Lewis' formula) and, beyond ten digits, an independent evaluation.
    type Row = ([f64; 8], &'static [(f64, f64)]);
    const TABLE: &[Row] = &[
        (
            [0.04, 0.25, 4.0, 1.0, -0.5, 1.0, 0.01, 0.02],
            &[
                (80.0, 26.774_758_743_998_854),
                (90.0, 20.933_349_000_596_71),
                (100.0, 16.070_154_917_028_834),
                (110.0, 12.132_211_516_709_845),
                (120.0, 9.024_913_483_457_836),
            ],
        ),
        (
            [0.04, 0.04, 0.5, 1.0, -0.9, 10.0, 0.0, 0.0],
            &[(60.0, 44.329_975_070_2), (100.0, 13.084_670_137), (140.0, 0.295_774_435_8)],
        ),
        (
            [0.04, 0.04, 0.3, 0.9, -0.5, 15.0, 0.0, 0.0],
            &[(60.0, 45.286_863_97), (100.0, 16.649_222_920_4), (140.0, 5.138_190_493_8)],
        ),
        (
            [0.09, 0.09, 1.0, 1.0, -0.3, 5.0, 0.05, 0.0],
            &[(60.0, 56.575_024_669_8), (100.0, 33.596_818_064_6), (140.0, 18.156_956_893_3)],
        ),
        ([0.010201, 0.019, 6.21, 0.61, -0.7, 1.0, 0.0319, 0.0], &[(100.0, 6.806_113_313_5)]),
        ([0.09, 0.09, 2.0, 1.0, -0.3, 5.0, 0.05, 0.0], &[(100.0, 34.999_758_351_2)]),
        (
            [0.04, 0.04, 2.0, 0.5, -0.7, 0.2, 0.0, 0.0],
            &[(90.0, 10.775_594_381_2), (100.0, 3.405_283_957_9), (110.0, 0.292_590_499_3)],
        ),
        (
            [0.04, 0.04, 2.0, 0.5, -0.7, 1.0, 0.0, 0.0],
            &[(90.0, 13.745_601_828_8), (100.0, 7.192_552_080_4), (110.0, 2.831_118_412_5)],
        ),
    ];

    fn pricer([variance, theta, kappa, xi, rho, _, rate, dividend]: [f64; 8]) -> HestonPricer {
        HestonPricer { spot: 100.0, variance, theta, kappa, xi, rho, rate, dividend }
    }

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
    fn greeks_are_difference_quotients() {
        for (parameters, prices) in TABLE {
            let (model, maturity) = (pricer(*parameters), parameters[5]);
            for &(strike, _) in *prices {
                let greeks = model.call(strike, maturity).unwrap();
                let at =
                    |spot: f64, variance: f64| HestonPricer { spot, variance, ..model }.call(strike, maturity).unwrap();
                let (h, k) = (1e-2, 1e-5);
                let (up, down) = (at(100.0 + h, model.variance), at(100.0 - h, model.variance));
                let (more, less) = (at(100.0, model.variance + k), at(100.0, model.variance - k));
                // Central differences: the error is a third derivative times h²/6, and the rounding 1e-13/h.
                assert!((greeks.delta - (up.price - down.price) / (2.0 * h)).abs() <= 1e-6, "delta {strike}");
                assert!((greeks.gamma - (up.delta - down.delta) / (2.0 * h)).abs() <= 1e-6, "gamma {strike}");
                assert!((greeks.vega - (more.price - less.price) / (2.0 * k)).abs() <= 1e-5, "vega {strike}");
            }
        }
    }

    #[test]
    fn puts_are_calls_less_the_forward() {
        let model = pricer(TABLE[0].0);
        let (call, put) = (model.call(90.0, 1.0).unwrap(), model.put(90.0, 1.0).unwrap());
        let forward = 100.0 * libm::exp(-0.02) - 90.0 * libm::exp(-0.01);
        assert!((call.price - put.price - forward).abs() <= 1e-10);
        assert_eq!((put.gamma, put.vega), (call.gamma, call.vega));
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
