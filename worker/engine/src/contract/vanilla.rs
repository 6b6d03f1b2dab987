//! European options at one strike.

use super::{Claim, Leg, Premium, Right, Side};
use crate::config::Range;
use crate::config::declare::section;

section! {
    /// Calls and puts at one strike.
    pub struct Vanilla {
        /// The strike K, in currency.
        strike: f64 = 100.0, Range::POSITIVE;
        /// Whether the hedger has sold or bought the contract.
        side: Side = Side::Short, Range::ANY;
        /// What is charged for the contract, in currency: nothing, its semi-analytic Heston price, its Black–Scholes price at the volatility √θ, or a number.
        premium: Premium = Premium::Heston, Range::ANY;
    }
}

impl Vanilla {
    /// One of each of these rights.
    pub(super) fn claim(&self, rights: &[Right]) -> Claim {
        let legs = rights.iter().map(|right| Leg { right: *right, strike: self.strike, quantity: 1.0 }).collect();
        Claim { legs, strike: self.strike, side: self.side, premium: self.premium }
    }
}
