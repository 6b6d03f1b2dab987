//! Where the variance is expected to be after a while.

/// Below this volatility of variance, a variance counts as deterministic: the quotients by ξ of the QE scheme and by ξ²
/// of the characteristic function would have lost their digits.
pub(crate) const LEAST_XI: f64 = 1e-3;

/// The mean of the variance over a length of time: dE[V] = κ(θ − E[V])dt. Without volatility of variance, the variance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reversion {
    /// The length of time, in years.
    duration: f64,
    /// e^{−κΔ}, the share of today's variance that is left after it.
    pub(super) decay: f64,
    /// f = (1 − e^{−κΔ})/κ, in years: how long today's variance lasts. Its limit for κ → 0 is the whole time.
    pub(crate) memory: f64,
    /// κθf: what the pull to the long-run variance adds, per year.
    pub(super) gain: f64,
    theta: f64,
}

impl Reversion {
    /// Over `duration` years, with κ per year and θ a variance per year.
    pub(crate) fn new(kappa: f64, theta: f64, duration: f64) -> Reversion {
        let speed = kappa * duration;
        // f is Δ(1 − κΔ/2 + …), which rounds to Δ; the quotient of denormal numbers would not.
        let memory = if speed < f64::EPSILON { duration } else { -libm::expm1(-speed) / kappa };
        Reversion { duration, decay: libm::exp(-speed), memory, gain: kappa * theta * memory, theta }
    }

    /// E[V_Δ], per year, from the variance `v` per year.
    pub(crate) fn mean(&self, v: f64) -> f64 {
        v * self.decay + self.gain
    }

    /// E[∫V dt] over the time, a total variance, from the variance `v` per year.
    pub(crate) fn integral(&self, v: f64) -> f64 {
        // The memory is at most the duration, but for rounding.
        v * self.memory + self.theta * (self.duration - self.memory).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_pull_the_variance_stays() {
        for kappa in [0.0, 1e-320, 1e-20] {
            let reversion = Reversion::new(kappa, 0.3, 0.25);
            assert_eq!((reversion.mean(0.04), reversion.integral(0.04)), (0.04, 0.01), "κ = {kappa}");
        }
    }

    proptest! {
        /// The law of a mean: after two times, it is the mean of the second from the mean of the first.
        #[test]
        fn means_and_integrals_add_up(
            kappa in 0.0..20.0_f64, theta in 0.0..1.0_f64, v in 0.0..1.0_f64, first in 1e-3..5.0_f64, second in 1e-3..5.0_f64,
        ) {
            let over = |duration| Reversion::new(kappa, theta, duration);
            let middle = over(first).mean(v);
            prop_assert!((over(second).mean(middle) - over(first + second).mean(v)).abs() <= 1e-14);
            let parts = over(first).integral(v) + over(second).integral(middle);
            prop_assert!((parts - over(first + second).integral(v)).abs() <= 1e-13);
        }
    }
}
