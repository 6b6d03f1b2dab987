//! Trading costs.

use crate::config::Range;
use crate::config::field::{choices, kinds, section};

kinds! {
    /// The cost model.
    pub enum Costs by "model" {
        /// In proportion to what is traded.
        Proportional(Proportional) = "proportional",
    }
}

choices! {
    /// What a trade's size is measured in.
    pub enum CostBase {
        /// Units of the underlying: the cost of Δδ is `rate·|Δδ|`, as in the paper's code.
        Units = "units",
        /// Notional: the cost of Δδ at price S is `rate·S·|Δδ|`.
        Notional = "notional",
    }
}

section! {
    /// Proportional costs. By default neither building up the first position nor closing the last one costs anything.
    pub struct Proportional {
        /// Cost of trading one unit of the base.
        rate: f64 = 0.01, Range::NON_NEGATIVE;
        /// What a trade's size is measured in.
        base: CostBase = CostBase::Units, Range::ANY;
        /// Whether building up the first position costs.
        entry: bool = false, Range::ANY;
        /// Whether closing the last position costs.
        exit: bool = false, Range::ANY;
    }
}
