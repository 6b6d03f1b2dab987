//! Losses: what training minimises.

use crate::config::Range;
use crate::config::field::{choices, kinds, section};

kinds! {
    /// The loss over a batch of paths.
    pub enum Loss by "kind" {
        /// γ·Var(P&L) + E\[cost\].
        VariancePlusCost(VariancePlusCost) = "variance_plus_cost",
    }
}

choices! {
    /// What the P&L of training is measured in.
    pub enum Units {
        /// In standard deviations of the price feature, as in the paper's code.
        Normalized = "normalized",
        /// In the currency of the price.
        Currency = "currency",
    }
}

section! {
    /// The paper's loss: γ times the (n − 1) variance of the P&L gross of costs, plus the mean cost.
    pub struct VariancePlusCost {
        /// Weight of the variance.
        gamma: f64 = 1.0, Range::NON_NEGATIVE;
        /// What the P&L is measured in.
        units: Units = Units::Normalized, Range::ANY;
    }
}
