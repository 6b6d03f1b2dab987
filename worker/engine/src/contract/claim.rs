//! A claim: a portfolio of calls and puts that expire together, and on which side of it the hedger stands.

use super::Premium;
use crate::config::declare::choices;
use crate::pricing::Greeks;

choices! {
    /// Whether the hedger has sold or bought the contract.
    pub enum Side {
        /// Sold: the premium is received and the payoff owed.
        Short = "short",
        /// Bought: the premium is paid and the payoff received.
        Long = "long",
    }
}

/// What a holder may do at expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Buy at the strike.
    Call,
    /// Sell at the strike.
    Put,
}

/// Options of one right and strike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leg {
    /// What the holder may do.
    pub right: Right,
    /// At which price, in currency.
    pub strike: f64,
    /// How many of them the contract has.
    pub quantity: f64,
}

/// What is owed or owned at expiry.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The calls and puts that it is made of.
    pub legs: Vec<Leg>,
    /// The strike that log-moneyness is measured from.
    pub strike: f64,
    /// Whether the hedger has sold or bought it.
    pub side: Side,
    /// How the premium comes about.
    pub premium: Premium,
}

impl Claim {
    /// What the holder gets at expiry, in currency.
    pub fn payoff(&self, spot: f64) -> f64 {
        let of = |leg: &Leg| match leg.right {
            Right::Call => (spot - leg.strike).max(0.0),
            Right::Put => (leg.strike - spot).max(0.0),
        };
        self.legs.iter().map(|leg| leg.quantity * of(leg)).sum()
    }

    /// What the hedger gains, in currency, from premium and contract together when the contract is worth `value`, at
    /// expiry its payoff: p − Z for the seller, Z − p for the buyer.
    pub fn gain(&self, premium: f64, value: f64) -> f64 {
        match self.side {
            Side::Short => premium - value,
            Side::Long => value - premium,
        }
    }

    /// The greeks of what the hedger owes: the holder's for the seller, their opposite for the buyer.
    pub fn owed(&self, holders: Greeks) -> Greeks {
        match self.side {
            Side::Short => holders,
            Side::Long => {
                Greeks { price: -holders.price, delta: -holders.delta, gamma: -holders.gamma, vega: -holders.vega }
            }
        }
    }

    /// The distinct strikes, in ascending order: what calls must be priced at.
    pub fn strikes(&self) -> Vec<f64> {
        let mut strikes: Vec<f64> = self.legs.iter().map(|leg| leg.strike).collect();
        strikes.sort_by(f64::total_cmp);
        strikes.dedup();
        strikes
    }

    /// The holder's price and greeks from those of a call at each strike, at rate 0 (puts by put–call parity).
    ///
    /// # Errors
    /// Whatever `call` fails with.
    pub fn value<E>(&self, spot: f64, mut call: impl FnMut(f64) -> Result<Greeks, E>) -> Result<Greeks, E> {
        let mut total = Greeks { price: 0.0, delta: 0.0, gamma: 0.0, vega: 0.0 };
        for leg in &self.legs {
            let call = call(leg.strike)?;
            let (price, delta) = match leg.right {
                Right::Call => (call.price, call.delta),
                Right::Put => (call.price - (spot - leg.strike), call.delta - 1.0),
            };
            total.price += leg.quantity * price;
            total.delta += leg.quantity * delta;
            total.gamma += leg.quantity * call.gamma;
            total.vega += leg.quantity * call.vega;
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Contract, Vanilla};
    use crate::pricing::HestonPricer;

    fn claim(kind: fn(Vanilla) -> Contract, side: Side) -> Claim {
        kind(Vanilla { strike: 100.0, side, premium: Premium::Zero }).claim().expect("an option")
    }

    #[test]
    fn payoffs_and_sides() {
        for (kind, below, above) in [
            (Contract::EuropeanCall as fn(Vanilla) -> Contract, 0.0, 7.0),
            (Contract::EuropeanPut, 5.0, 0.0),
            (Contract::Straddle, 5.0, 7.0),
        ] {
            let (short, long) = (claim(kind, Side::Short), claim(kind, Side::Long));
            for (spot, payoff) in [(95.0, below), (107.0, above), (100.0, 0.0)] {
                assert_eq!(short.payoff(spot), payoff);
                assert_eq!(short.gain(3.0, short.payoff(spot)), 3.0 - payoff);
                assert_eq!(long.gain(3.0, long.payoff(spot)), payoff - 3.0);
            }
        }
    }

    #[test]
    fn a_straddle_is_a_call_and_a_put() {
        let pricer = HestonPricer {
            spot: 97.0,
            variance: 0.04,
            theta: 0.04,
            kappa: 2.0,
            xi: 0.5,
            rho: -0.7,
            rate: 0.0,
            dividend: 0.0,
        };
        let value = |kind| claim(kind, Side::Short).value(97.0, |strike| pricer.call(strike, 0.2)).expect("a price");
        let (call, put, both) =
            (value(Contract::EuropeanCall), value(Contract::EuropeanPut), value(Contract::Straddle));
        let direct = pricer.put(100.0, 0.2).unwrap();
        assert!((put.price - direct.price).abs() < 1e-12 && (put.delta - direct.delta).abs() < 1e-12);
        for (sum, part) in [
            (call.price + put.price, both.price),
            (call.delta + put.delta, both.delta),
            (call.gamma + put.gamma, both.gamma),
            (call.vega + put.vega, both.vega),
        ] {
            assert_eq!(sum, part);
        }
    }

    #[test]
    fn strikes_are_distinct() {
        assert_eq!(claim(Contract::Straddle, Side::Short).strikes(), [100.0]);
    }
}
