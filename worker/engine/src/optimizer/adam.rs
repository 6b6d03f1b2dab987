//! Adam (Kingma & Ba 2015) with weight decay as L2 in the gradient, as PyTorch's `Adam` has it.

use super::Layers;
use crate::config::Range;
use crate::config::field::section;

section! {
    /// Adam's settings.
    pub struct Adam {
        /// Learning rate.
        lr: f64 = 1e-3, Range::POSITIVE;
        /// Decay of the first moment.
        beta1: f64 = 0.9, Range::half_open(0.0, 1.0);
        /// Decay of the second moment.
        beta2: f64 = 0.999, Range::half_open(0.0, 1.0);
        /// Added to the root of the second moment.
        epsilon: f64 = 1e-8, Range::POSITIVE;
        /// L2 penalty, added to the gradient.
        weight_decay: f64 = 1e-4, Range::NON_NEGATIVE;
        /// Which layers are trained.
        layers: Layers = Layers::All, Range::ANY;
    }
}
