//! The quadratic-exponential scheme (Andersen 2008): the variance's next value has the exact mean and variance, the log
//! price is drawn given both ends of the variance, and the drift is such that the price is a martingale but for μ.
//!
//! With m and s² the exact moments of the next variance, ψ = s²/m² decides: up to 1.5 it is a squared normal, above, an
//! atom at zero and an exponential tail. As written here nothing is divided by what may be zero: r = s²/m stays between
//! ξ²f/2 and ξ²f, and the coefficient of the squared normal is a = r/(2(1 + √(1 − ψ/2))).

use super::Heston;
use super::reversion::{LEAST_XI, Reversion};
use crate::random::normal_cdf;

/// ψ up to which the next variance is a squared normal.
const QUADRATIC_UP_TO: f64 = 1.5;

/// What keeps the drift right.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Drift {
    /// K0* of Andersen's proposition 9: the discounted price is a martingale.
    Martingale,
    /// K0 = −ρκθΔ/ξ, which discretises the drift: to test that the tests can tell.
    #[cfg(test)]
    Plain,
}

/// What steps of one market have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Qe {
    reversion: Reversion,
    /// ξ²f, the bound of r = s²/m.
    spread: f64,
    /// μΔ.
    growth: f64,
    /// K2.
    to_variance: f64,
    /// K3 = K4.
    to_noise: f64,
    /// A = K2 + ½K4: E[e^{A V'}] is what the martingale correction divides by.
    tilt: f64,
    drift: Drift,
    /// K0 + K1v is `plain[0] + plain[1]·v` without the correction.
    #[cfg(test)]
    plain: [f64; 2],
}

impl Qe {
    /// The steps of a market whose volatility of variance is not negligible.
    fn new(heston: &Heston) -> Qe {
        let Heston { kappa, xi, rho, dt, .. } = *heston;
        let reversion = Reversion::new(kappa, heston.theta, dt);
        let to_variance = 0.5 * dt * (kappa * rho / xi - 0.5) + rho / xi;
        let to_noise = 0.5 * dt * (1.0 - rho * rho);
        Qe {
            reversion,
            spread: xi * xi * reversion.memory,
            growth: heston.mu * dt,
            to_variance,
            to_noise,
            tilt: to_variance + 0.5 * to_noise,
            drift: Drift::Martingale,
            #[cfg(test)]
            plain: [-rho * kappa * heston.theta * dt / xi, 0.5 * dt * (kappa * rho / xi - 0.5) - rho / xi],
        }
    }

    /// Whether the martingale correction exists from every variance, that is, whether E[e^{A V'}] is finite.
    ///
    /// Below the squared normal's region, it takes A(r + m)/2 < 1, and r + m grows with the variance; at the regions'
    /// border, where r = 1.5m, m solves 1.5m² = g(m − c/2), with g = ξ²f and c = κθf, and (r + m)/2 is 1.25m. Within
    /// that region, it takes 2Aa < 1. As a function of c/m, the sign of a's derivative is that of g − 4c all over: a lies
    /// between its value at the border, m/2, which asks for less than the above, and its limit for large variances, g/4.
    fn correction_exists(&self) -> bool {
        let (g, c) = (self.spread, self.reversion.gain);
        let mut reach = 0.5 * g;
        if g > 2.0 * QUADRATIC_UP_TO * c {
            let border = (g + (g * (g - 2.0 * QUADRATIC_UP_TO * c)).sqrt()) / (2.0 * QUADRATIC_UP_TO);
            reach = reach.max(0.5 * (1.0 + QUADRATIC_UP_TO) * border);
        }
        self.tilt * reach < 1.0
    }

    /// The log return and the next variance from `v` ≥ 0; `z1` drives the price, `z2` the variance.
    fn step(&self, v: f64, [z1, z2]: [f64; 2]) -> (f64, f64) {
        let (next, log_tilted) = self.variance(v, z2);
        let drift = match self.drift {
            // K1v cancels.
            Drift::Martingale => -log_tilted - 0.5 * self.to_noise * v,
            #[cfg(test)]
            Drift::Plain => self.plain[0] + self.plain[1] * v,
        };
        let noise = (self.to_noise * (v + next)).sqrt() * z1;
        (self.growth + drift + self.to_variance * next + noise, next)
    }

    /// The next variance, and ln E[e^{A V'}].
    fn variance(&self, v: f64, z: f64) -> (f64, f64) {
        let m = self.reversion.mean(v);
        if m <= 0.0 {
            return (0.0, 0.0);
        }
        let r = self.spread * (1.0 - self.reversion.gain / (2.0 * m));
        if r <= QUADRATIC_UP_TO * m {
            let a = r / (2.0 * (1.0 + (1.0 - r / (2.0 * m)).sqrt()));
            // a(1 + b²) = m.
            let root = (m / a - 1.0).sqrt() + z;
            let tilt = self.tilt * a;
            let log_tilted = self.tilt * (m - a) / (1.0 - 2.0 * tilt) - 0.5 * libm::log1p(-2.0 * tilt);
            (a * root * root, log_tilted)
        } else {
            let beta = 2.0 / (r + m);
            // 1 − p, against 1 − U = Φ(−z), which keeps its digits in the tail.
            let (alive, above) = (m * beta, normal_cdf(-z));
            let next = if above >= alive { 0.0 } else { libm::log(alive / above) / beta };
            (next, libm::log1p(alive * self.tilt / (beta - self.tilt)))
        }
    }
}

impl Heston {
    /// Whether the QE scheme's martingale correction exists for these parameters.
    pub(super) fn qe_correction_exists(&self) -> bool {
        self.xi < LEAST_XI || Qe::new(self).correction_exists()
    }

    /// Steps of the quadratic-exponential scheme. No variance is negative.
    pub(super) fn qe(&self, normals: &[f64], price: &mut [f64], variance: &mut [f64]) {
        if self.xi < LEAST_XI {
            return self.with_variance_as_expected(normals, price, variance);
        }
        let qe = Qe::new(self);
        self.in_logs(normals, price, variance, |v, z| qe.step(v, z));
    }

    /// Exact steps under a variance without volatility: the price is lognormal with the variance's integral.
    fn with_variance_as_expected(&self, normals: &[f64], price: &mut [f64], variance: &mut [f64]) {
        let reversion = Reversion::new(self.kappa, self.theta, self.dt);
        let growth = self.mu * self.dt;
        // Both normals drive the price as they do in the limit ξ → 0, so that paths go on there.
        let own = (1.0 - self.rho * self.rho).sqrt();
        self.in_logs(normals, price, variance, |v, [z1, z2]| {
            let total = reversion.integral(v);
            (growth - 0.5 * total + total.sqrt() * (self.rho * z2 + own * z1), reversion.mean(v))
        });
    }

    /// Writes the path of a step that gives the log return and the next variance.
    fn in_logs(
        &self,
        normals: &[f64],
        price: &mut [f64],
        variance: &mut [f64],
        step: impl Fn(f64, [f64; 2]) -> (f64, f64),
    ) {
        let (mut log_return, mut v) = (0.0, self.v0);
        (price[0], variance[0]) = (self.s0, v);
        for (point, z) in (1..price.len()).zip(normals.chunks_exact(2)) {
            let (change, next) = step(v, [z[0], z[1]]);
            (log_return, v) = (log_return + change, next);
            (price[point], variance[point]) = (self.s0 * libm::exp(log_return), v);
        }
    }
}

#[cfg(test)]
#[path = "qe_tests.rs"]
mod tests;
