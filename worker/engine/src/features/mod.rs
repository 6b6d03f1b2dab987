//! Features: what the network sees at each step.

use crate::config::Range;
use crate::config::field::{choices, section};

choices! {
    /// One input of the network.
    pub enum Feature {
        /// The price S_t.
        Price = "price",
        /// The variance V_t as simulated, which the absorption scheme can make negative.
        Variance = "variance",
    }
}

choices! {
    /// How features are brought to a common scale.
    pub enum Normalization {
        /// z-scored over the set of paths at hand, with the (n − 1) standard deviation + 1e-6 (the paper's code).
        Batch = "batch",
    }
}

section! {
    /// The network's inputs and their scale.
    pub struct Features {
        /// The inputs, in order.
        features: Vec<Feature> = vec![Feature::Price, Feature::Variance], Range::ANY;
        /// How they are brought to a common scale.
        normalization: Normalization = Normalization::Batch, Range::ANY;
    }
}
