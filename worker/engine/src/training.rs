//! Training: for how long, and on what.

use crate::config::declare::{choices, section};
use crate::config::{KeyError, Range};

choices! {
    /// Which paths an epoch trains on.
    pub enum TrainingPaths {
        /// One batch of new paths each epoch, as in the paper's code.
        Fresh = "fresh",
    }
}

section! {
    /// The training loop.
    pub struct Training {
        /// Number of epochs; 0 leaves the weights as they began.
        epochs: u64 = 100, Range::closed(0.0, 1e6);
        /// Number of paths of a gradient step.
        batch_size: u64 = 32, Range::closed(2.0, 1e6);
        /// Which paths an epoch trains on.
        paths: TrainingPaths = TrainingPaths::Fresh, Range::ANY;
        /// Largest norm of the gradient of what is trained; a larger one is scaled down to it.
        grad_clip: f64 = 10.0, Range::POSITIVE;
        /// The training loss that counts as converged, for `train.epochs_to_target`; null for none.
        target_loss: Option<f64> = None, Range::ANY;
    }
}

impl Training {
    /// Appends what is wrong with keys that do not fit together.
    pub(crate) fn check(&self, _errors: &mut Vec<KeyError>) {}
}
