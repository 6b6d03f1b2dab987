//! Networks: what decides the positions.

mod weights;

pub use weights::{Init, InitialWeights, Tensor, WeightsDigest, WeightsError};

use std::sync::Arc;

use crate::config::field::{choices, kinds, section};
use crate::config::{KeyError, Range};

kinds! {
    /// The network that turns features into positions.
    pub enum Network by "cell" {
        /// A long short-term memory and a linear head.
        Lstm(Lstm) = "lstm",
    }
}

choices! {
    /// What the head's output passes through to become a position.
    pub enum Output {
        /// Positions between −1 and 1.
        Tanh = "tanh",
    }
}

section! {
    /// LSTM with PyTorch's gate order and its two bias vectors, and a linear head.
    pub struct Lstm {
        /// Number of stacked LSTM layers; one is what there is today.
        layers: u64 = 1, Range::closed(1.0, 1.0);
        /// Number of hidden units.
        hidden: u64 = 32, Range::closed(1.0, 1024.0);
        /// What the head's output passes through to become a position.
        output: Output = Output::Tanh, Range::ANY;
        /// Initial weights: Xavier-uniform for the input weights and the head, orthogonal for the recurrent weights, zero biases; or a file's, by its digest.
        init: Init = Init::XavierOrthogonal, Range::ANY;
    }
}

impl Network {
    /// Appends what is wrong with keys that do not fit together.
    pub(crate) fn check(&self, _errors: &mut Vec<KeyError>) {}

    /// See [`RunConfig::attach_weights`](crate::RunConfig::attach_weights).
    pub(crate) fn attach_weights(&mut self, weights: &Arc<InitialWeights>) {
        let Network::Lstm(lstm) = self;
        if let Init::Weights { digest, tensors } = &mut lstm.init
            && *digest == weights.digest()
        {
            *tensors = Some(Arc::clone(weights));
        }
    }
}
