//! Markets: how prices and variances move.

mod heston;

pub use heston::{Generator, Heston, Scheme};

use crate::config::KeyError;
use crate::config::field::kinds;

kinds! {
    /// The market model.
    pub enum Market by "model" {
        /// Stochastic variance, Heston 1993.
        Heston(Heston) = "heston",
    }
}

impl Market {
    /// Appends what is wrong with keys that do not fit together.
    pub(crate) fn check(&self, errors: &mut Vec<KeyError>) {
        match self {
            Market::Heston(heston) => heston.check(errors),
        }
    }
}
