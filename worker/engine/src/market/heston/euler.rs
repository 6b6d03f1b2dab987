//! Euler steps: absorption and full truncation.

use super::Heston;

impl Heston {
    /// An Euler step of the variance from `v`, whose positive part `v_plus` sets drift and diffusion; `z1` drives the
    /// price, `z2` is independent of it.
    fn variance_step(&self, v: f64, v_plus: f64, [z1, z2]: [f64; 2]) -> f64 {
        let shock = self.rho * z1 + (1.0 - self.rho * self.rho).sqrt() * z2;
        v + self.kappa * (self.theta - v_plus) * self.dt + self.xi * v_plus.sqrt() * self.dt.sqrt() * shock
    }

    /// Euler steps in price and variance, each from the variance's positive part. What is stored may be negative.
    pub(super) fn absorption(&self, normals: &[f64], price: &mut [f64], variance: &mut [f64]) {
        let (mut x, mut v) = (self.s0, self.v0);
        (price[0], variance[0]) = (x, v);
        for (point, z) in (1..price.len()).zip(normals.chunks_exact(2)) {
            let v_plus = v.max(0.0);
            v = self.variance_step(v_plus, v_plus, [z[0], z[1]]);
            x = x + x * self.mu * self.dt + x * v_plus.sqrt() * self.dt.sqrt() * z[0];
            (price[point], variance[point]) = (x, v);
        }
    }

    /// Euler steps in the log price and in an auxiliary variance whose positive part is the variance (Lord, Koekkoek,
    /// van Dijk 2010).
    pub(super) fn full_truncation(&self, normals: &[f64], price: &mut [f64], variance: &mut [f64]) {
        let (mut log_return, mut v) = (0.0, self.v0);
        (price[0], variance[0]) = (self.s0, self.v0);
        for (point, z) in (1..price.len()).zip(normals.chunks_exact(2)) {
            let v_plus = v.max(0.0);
            v = self.variance_step(v, v_plus, [z[0], z[1]]);
            log_return += (self.mu - 0.5 * v_plus) * self.dt + v_plus.sqrt() * self.dt.sqrt() * z[0];
            (price[point], variance[point]) = (self.s0 * libm::exp(log_return), v.max(0.0));
        }
    }
}
