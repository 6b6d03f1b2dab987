//! How the Heston market values options: under its risk-neutral measure at rate 0, whatever its drift.

use super::Heston;
use crate::pricing::HestonPricer;

impl Heston {
    /// The pricer at the first point.
    pub(super) fn pricer(&self) -> HestonPricer {
        HestonPricer {
            spot: self.s0,
            variance: self.v0,
            theta: self.theta,
            kappa: self.kappa,
            xi: self.xi,
            rho: self.rho,
            rate: 0.0,
            dividend: 0.0,
        }
    }
}
