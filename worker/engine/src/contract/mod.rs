//! Contracts: what is hedged.

mod claim;
mod premium;
mod vanilla;

pub use claim::{Claim, Leg, Right, Side};
pub use premium::Premium;
pub use vanilla::Vanilla;

use crate::RunConfig;
use crate::config::declare::{kinds, section};
use crate::pricing::{BlackScholes, PricingError};

kinds! {
    /// The contract that is hedged. It expires at the last point of a path and settles in cash.
    pub enum Contract by "kind" {
        /// Nothing: the P&L is that of the positions alone, as in the paper's experiment.
        None(NoContract) = "none",
        /// The right to buy at the strike: (S − K)⁺.
        EuropeanCall(Vanilla) = "european_call",
        /// The right to sell at the strike: (K − S)⁺.
        EuropeanPut(Vanilla) = "european_put",
        /// A call and a put: |S − K|.
        Straddle(Vanilla) = "straddle",
    }
}

section! {
    /// The absence of a contract.
    pub struct NoContract {}
}

impl Contract {
    /// What is owed or owned, if anything: all that the rest of the engine knows of a contract.
    pub fn claim(&self) -> Option<Claim> {
        match self {
            Contract::None(_) => None,
            Contract::EuropeanCall(option) => Some(option.claim(&[Right::Call])),
            Contract::EuropeanPut(option) => Some(option.claim(&[Right::Put])),
            Contract::Straddle(option) => Some(option.claim(&[Right::Call, Right::Put])),
        }
    }

    /// D: at how many of a path's points the hedger chooses a position. Without a contract at all of them, as the
    /// paper's code does; with one at all but the last, since nothing is held after expiry.
    pub fn decisions(&self, points: usize) -> usize {
        match self {
            Contract::None(_) => points,
            _ => points - 1,
        }
    }
}

impl RunConfig {
    /// What is charged for the contract, in currency; `None` without a contract.
    ///
    /// # Errors
    /// If the Heston price cannot be computed.
    pub fn premium(&self) -> Result<Option<f64>, PricingError> {
        let Some(claim) = self.contract.claim() else { return Ok(None) };
        let pricer = self.market.first_pricer();
        let maturity = self.market.maturity();
        let premium = match claim.premium {
            Premium::Zero => 0.0,
            Premium::Amount(amount) => amount,
            Premium::Heston => claim.value(pricer.spot, |strike| pricer.call(strike, maturity))?.price,
            Premium::BlackScholes => {
                let model = BlackScholes { spot: pricer.spot, variance: pricer.theta, rate: 0.0, dividend: 0.0 };
                let call = |strike| Ok::<_, PricingError>(model.call(strike, maturity));
                claim.value(pricer.spot, call)?.price
            }
        };
        Ok(Some(premium))
    }
}
