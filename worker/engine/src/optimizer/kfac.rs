//! K-FAC (Martens & Grosse 2015) on the head, as the notebook of Enkhbayar 2024 has it.

use crate::config::Range;
use crate::config::field::{choices, section};

choices! {
    /// Which layers K-FAC preconditions.
    pub enum KfacLayers {
        /// The linear head.
        Head = "head",
    }
}

choices! {
    /// What happens to the layers that K-FAC does not precondition.
    pub enum Rest {
        /// They stay as they began.
        Frozen = "frozen",
        /// Adam trains them.
        Adam = "adam",
    }
}

choices! {
    /// Which gradients make the output factor G.
    pub enum GradientScale {
        /// Those of the batch mean, which makes G N²T times too small, as in the notebook.
        BatchMean = "batch_mean",
        /// Those of each example: N times as large, so that G = N·Σ ĝĝᵀ as K-FAC is defined.
        PerExample = "per_example",
    }
}

section! {
    /// K-FAC's settings.
    pub struct Kfac {
        /// Learning rate.
        lr: f64 = 1e-3, Range::POSITIVE;
        /// λ, added to the diagonal of both factors.
        damping: f64 = 1e-2, Range::POSITIVE;
        /// L2 penalty, added to the gradient.
        weight_decay: f64 = 0.0, Range::NON_NEGATIVE;
        /// Which layers K-FAC preconditions.
        layers: KfacLayers = KfacLayers::Head, Range::ANY;
        /// What happens to the other layers.
        rest: Rest = Rest::Frozen, Range::ANY;
        /// Learning rate of Adam for the other layers, where it trains them.
        rest_lr: f64 = 1e-3, Range::POSITIVE;
        /// Which gradients make the output factor.
        gradient_scale: GradientScale = GradientScale::BatchMean, Range::ANY;
    }
}
