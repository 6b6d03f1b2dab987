//! Calls of one strike and one time to maturity, priced at very many spots and variances.
//!
//! [`HestonPricer`]'s integral, on a path through the complex plane on which it converges fast for all of them at once
//! (Boyarchenko & Levendorskiĭ 2019): u = b sinh(y + iω), which lies between the poles ±i/2 near 0 and farther out on a
//! ray that rises or falls by the angle ω, so that e^{iux} decays when ω has the sign of x. The trapezoidal rule in y
//! then converges like e^{−2πω/h}, its nodes' distances grow with u, and as ln φ is A(u) + B(u)V, what is costly is done
//! once per node: a price takes an exponential, a sine and a cosine at each.

use std::f64::consts::{FRAC_PI_4, PI};

use super::complex::Complex;
use super::{BlackScholes, Greeks, HestonPricer, PricingError};
use crate::market::{LEAST_XI, Reversion};

/// Calls of one strike and time to maturity under Heston, for any spot and variance.
#[derive(Clone, Debug)]
pub struct HestonSlice {
    model: HestonPricer,
    strike: f64,
    maturity: f64,
    /// e^{−qT} and e^{−rT}.
    carried: f64,
    discount: f64,
    /// ln(forward / spot).
    carry: f64,
    reversion: Reversion,
    /// The contours that rise and fall; `None` where the variance is deterministic or no time is left.
    contours: Option<[Contour; 2]>,
}

/// The nodes of one contour, from u near 0 outwards.
#[derive(Clone, Debug)]
struct Contour(Vec<Node>);

/// A node u of the trapezoidal rule: what is the same for all states.
#[derive(Clone, Copy, Debug)]
struct Node {
    u: Complex,
    /// ln φ(u − i/2) = constant + by_variance · V.
    constant: Complex,
    by_variance: Complex,
    /// du/dy · h / (u² + ¼): the price's weight.
    price: Complex,
    /// The price's weight times iu: its derivative by x.
    slope: Complex,
    /// du/dy · h: gamma's weight.
    density: Complex,
    /// The price's weight times B(u): its derivative by the variance.
    vega: Complex,
}

/// The wider the strip in which the integrand is analytic, the fewer nodes: e^{−2πω/h} is e^{−DIGITS}.
const DIGITS: f64 = 30.0;

/// The integrand's logarithm below which the sum ends: 1e-16.
const NEGLIGIBLE: f64 = -37.0;

/// How near to the pole at i/2 the strip comes: at most to 0.4i.
const HEIGHT: f64 = 0.4;

/// Where the variance is zero, φ may decay like a small power of u; the rest is then beyond any price's digits.
const FARTHEST: f64 = 1e12;

/// Strips of a smaller angle than this would take too many nodes.
const LEAST_ANGLE: f64 = 0.02;

/// The largest |ρ| for which there is always a strip of that angle.
pub const LARGEST_CORRELATION: f64 = 0.9995;

impl HestonSlice {
    /// The calls of `strike`, `maturity` years away, of a model whose spot and variance are disregarded.
    ///
    /// It costs about as much as a hundred calls then do.
    ///
    /// # Errors
    /// If the parameters are not finite, or the correlation so near to ±1 that there is no strip to integrate in.
    pub fn new(model: &HestonPricer, strike: f64, maturity: f64) -> Result<HestonSlice, PricingError> {
        // `f64::max` would pass over NaN.
        let maturity = if maturity < 0.0 { 0.0 } else { maturity };
        let failure = PricingError::NoConvergence { strike, maturity };
        let contours = if maturity == 0.0 || model.xi < LEAST_XI {
            None
        } else {
            let contour = |sign| Contour::new(model, maturity, sign);
            Some([contour(1.0).ok_or(failure)?, contour(-1.0).ok_or(failure)?])
        };
        Ok(HestonSlice {
            model: *model,
            strike,
            maturity,
            carried: libm::exp(-model.dividend * maturity),
            discount: libm::exp(-model.rate * maturity),
            carry: (model.rate - model.dividend) * maturity,
            reversion: Reversion::new(model.kappa, model.theta, maturity),
            contours,
        })
    }

    /// Bytes that its nodes take.
    pub(crate) fn bytes(&self) -> u64 {
        self.contours.iter().flatten().map(|contour| size_of_val(&contour.0[..]) as u64).sum()
    }

    /// The price and greeks of the call at `spot` and at `variance` per year. A variance below zero counts as zero, a
    /// spot below zero is worth nothing, and NaN gives NaN.
    pub fn call(&self, spot: f64, variance: f64) -> Greeks {
        if self.maturity == 0.0 || spot <= 0.0 {
            return Greeks::of_payoff(spot, self.strike);
        }
        // `f64::max` would pass over NaN.
        let variance = if variance < 0.0 { 0.0 } else { variance };
        let total = self.reversion.integral(variance);
        let Some([rising, falling]) = self.contours.as_ref().filter(|_| total > 0.0) else {
            let HestonPricer { rate, dividend, .. } = self.model;
            let model = BlackScholes { spot, variance: total / self.maturity, rate, dividend };
            return model.call_with_total(self.strike, self.maturity, total, self.reversion.memory);
        };
        let x = libm::log(spot / self.strike) + self.carry;
        let contour = if x >= 0.0 { rising } else { falling };
        let [price, slope, density, vega] = contour.sums(x, variance);
        let discounted_spot = spot * self.carried;
        // √(forward · K) e^{−rT} / π
        let scale = (discounted_spot * self.strike * self.discount).sqrt() / PI;
        Greeks {
            price: discounted_spot - scale * price,
            delta: self.carried - scale * (0.5 * price + slope) / spot,
            gamma: scale * density / (spot * spot),
            vega: -scale * vega,
        }
    }
}

impl Contour {
    /// The contour that rises (`sign` 1) or falls (−1), or `None` if there is none.
    fn new(model: &HestonPricer, maturity: f64, sign: f64) -> Option<Contour> {
        // The strip is between the real axis and twice the contour's angle.
        let mut angle = FRAC_PI_4;
        while !decays(model, maturity, sign * angle)? {
            angle *= 0.9;
            if angle < LEAST_ANGLE {
                return None;
            }
        }
        let (middle, start) = (0.5 * sign * angle, HEIGHT / libm::sin(angle));
        let step = PI * angle / DIGITS;
        let mut nodes = Vec::new();
        for place in 0_u32.. {
            let y = f64::from(place) * step;
            let (u, derivative) = point(start, y, middle);
            let (constant, by_variance) = model.log_characteristic(u, maturity);
            // The integrals from −∞ to ∞ are twice those from 0; the node at 0 counts half.
            let density = derivative * if place == 0 { 0.5 * step } else { step };
            let price = density / (u * u + Complex::new(0.25, 0.0));
            let (slope, vega) = (price * u * Complex::new(0.0, 1.0), price * by_variance);
            if ![constant, by_variance, slope].iter().all(|z| z.re.is_finite() && z.im.is_finite()) {
                return None;
            }
            nodes.push(Node { u, constant, by_variance, price, slope, density, vega });
            if constant.re < NEGLIGIBLE || u.abs() > FARTHEST {
                break;
            }
        }
        Some(Contour(nodes))
    }

    /// The integrals of price, its derivative by x, density and vega.
    fn sums(&self, x: f64, variance: f64) -> [f64; 4] {
        let mut sums = [0.0; 4];
        for node in &self.0 {
            let log_modulus = node.constant.re + node.by_variance.re * variance - node.u.im * x;
            if log_modulus < NEGLIGIBLE {
                break;
            }
            let phase = node.constant.im + node.by_variance.im * variance + node.u.re * x;
            let (sin, cos) = libm::sincos(phase);
            let modulus = libm::exp(log_modulus);
            let (re, im) = (modulus * cos, modulus * sin);
            for (sum, weight) in sums.iter_mut().zip([node.price, node.slope, node.density, node.vega]) {
                *sum += weight.re * re - weight.im * im;
            }
        }
        sums
    }
}

/// The point b sinh(y + iω) and its derivative by y.
fn point(start: f64, y: f64, angle: f64) -> (Complex, Complex) {
    let (sin, cos) = libm::sincos(angle);
    let (sinh, cosh) = (libm::sinh(y), libm::cosh(y));
    (Complex::new(start * sinh * cos, start * cosh * sin), Complex::new(start * cosh * cos, start * sinh * sin))
}

/// Whether |φ| stays below 1 for every variance along the strip's outer edge, which lies at this angle. `None` if it is
/// not a number.
fn decays(model: &HestonPricer, maturity: f64, angle: f64) -> Option<bool> {
    let start = HEIGHT / libm::sin(angle.abs());
    let mut y = 0.0;
    loop {
        let (u, _) = point(start, y, angle);
        let (constant, by_variance) = model.log_characteristic(u, maturity);
        if constant.re.is_nan() || by_variance.re.is_nan() {
            return None;
        }
        if constant.re > 0.0 || by_variance.re > 0.0 {
            return Some(false);
        }
        if u.abs() > FARTHEST {
            return Some(true);
        }
        y += 0.25;
    }
}

#[cfg(test)]
#[path = "slice_tests.rs"]
mod tests;
