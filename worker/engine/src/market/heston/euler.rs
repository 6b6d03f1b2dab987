//! Euler steps: absorption and full truncation.

use super::Heston;
use crate::isa::Kernel;
use crate::lanes::LANES;
use crate::market::Model;

/// Paths of the absorption scheme to be simulated, as many as there are lanes.
pub(super) struct Absorption<'a> {
    pub(super) heston: &'a Heston,
    pub(super) normals: &'a [f64],
    pub(super) price: &'a mut [f64],
    pub(super) variance: &'a mut [f64],
}

impl Kernel for Absorption<'_> {
    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        self.heston.absorption_of::<LANES>(self.normals, self.price, self.variance);
    }
}

impl Heston {
    /// An Euler step of the variance from `v`, whose positive part `v_plus` sets drift and diffusion; `z1` drives the
    /// price, `z2` is independent of it.
    #[inline(always)]
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

    /// [`Heston::absorption`] of N paths, whose normals, prices and variances lie one path after the other: the same bits, and
    /// no step waits for another path's.
    #[inline(always)]
    fn absorption_of<const N: usize>(&self, normals: &[f64], price: &mut [f64], variance: &mut [f64]) {
        let steps = self.steps();
        let points = steps + 1;
        let (mut x, mut v) = ([self.s0; N], [self.v0; N]);
        for point in 0..points {
            for lane in 0..N {
                (price[lane * points + point], variance[lane * points + point]) = (x[lane], v[lane]);
            }
            if point == steps {
                break;
            }
            let (mut z1, mut z2) = ([0.0; N], [0.0; N]);
            for lane in 0..N {
                let place = 2 * (lane * steps + point);
                (z1[lane], z2[lane]) = (normals[place], normals[place + 1]);
            }
            for lane in 0..N {
                let v_plus = v[lane].max(0.0);
                v[lane] = self.variance_step(v_plus, v_plus, [z1[lane], z2[lane]]);
                x[lane] = x[lane] + x[lane] * self.mu * self.dt + x[lane] * v_plus.sqrt() * self.dt.sqrt() * z1[lane];
            }
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
