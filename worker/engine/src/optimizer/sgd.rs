//! Stochastic gradient descent with heavy-ball momentum, as PyTorch's `SGD` has it.

use super::Layers;
use crate::config::Range;
use crate::config::field::section;

section! {
    /// SGD's settings.
    pub struct Sgd {
        /// Learning rate.
        lr: f64 = 1e-2, Range::POSITIVE;
        /// Momentum; 0 for none.
        momentum: f64 = 0.0, Range::half_open(0.0, 1.0);
        /// L2 penalty, added to the gradient.
        weight_decay: f64 = 0.0, Range::NON_NEGATIVE;
        /// Which layers are trained.
        layers: Layers = Layers::All, Range::ANY;
    }
}
