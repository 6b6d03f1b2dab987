//! Contracts: what is hedged.

use crate::config::declare::{kinds, section};

kinds! {
    /// The contract that is hedged.
    pub enum Contract by "kind" {
        /// Nothing: the P&L is that of the positions alone, as in the paper's experiment.
        None(NoContract) = "none",
    }
}

section! {
    /// The absence of a contract.
    pub struct NoContract {}
}
