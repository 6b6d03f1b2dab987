//! Networks: what decides the positions.

mod init;
mod layout;
mod lstm;
mod weights;

pub use init::{draw_weights, read_weights};
pub use layout::{Layout, Start, TensorSpec};
pub use weights::{Init, InitialWeights, Tensor, WeightsDigest, WeightsError};

use std::sync::Arc;

use crate::config::declare::{choices, kinds, section};
use crate::config::{KeyError, Range};
use crate::real::Real;

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

/// The dimensions of a batch. Arrays that a network sees are time-major, \[T, B, ·\]: T points in time, B paths, and
/// then I features or H hidden units, of which there are 4H gates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dims {
    /// B: paths.
    pub batch: usize,
    /// T: points in time, one more than there are steps.
    pub time: usize,
}

/// Which layers a gradient is wanted of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// The head alone: the backward pass ends there.
    Head,
}

/// Where a backward pass writes to.
pub struct Gradient<'a, R> {
    /// Of the weights, in their layout; zero outside the scope.
    pub weights: &'a mut [R],
    /// Of the inputs, \[T, B, I\], if wanted; untouched where the scope is the head.
    pub inputs: Option<&'a mut [R]>,
}

/// A network at work: one forward pass, and the backward pass through it.
pub trait Policy<R: Real> {
    /// Positions from `inputs`, \[T, B, I\]; what happens to a path does not depend on its neighbours.
    fn forward(&mut self, weights: &[R], inputs: &[R], dims: Dims);

    /// The last forward pass's positions, \[T, B\].
    fn positions(&self) -> &[R];

    /// What the head saw in the last forward pass, \[T, B, H\].
    fn head_inputs(&self) -> &[R];

    /// Gradient at the head's pre-activations in the last backward pass, \[T, B\].
    fn head_gradients(&self) -> &[R];

    /// Gradients through the last forward pass, whose `weights` and `inputs` these must be, from that of the positions,
    /// \[T, B\].
    fn backward(&mut self, weights: &[R], inputs: &[R], d_positions: &[R], scope: Scope, out: Gradient<'_, R>);
}

impl Network {
    /// How the weights of this network lie when it sees `inputs` features.
    pub fn layout(&self, inputs: usize) -> Layout {
        match self {
            Network::Lstm(lstm) => lstm.layout(inputs),
        }
    }

    /// The network at work on `inputs` features.
    pub fn policy<R: Real>(&self, inputs: usize) -> Box<dyn Policy<R>> {
        match self {
            Network::Lstm(lstm) => Box::new(lstm::LstmPolicy::new(lstm, inputs)),
        }
    }

    /// How the weights begin.
    pub fn init(&self) -> &Init {
        match self {
            Network::Lstm(lstm) => &lstm.init,
        }
    }

    /// Bytes that a forward and backward pass in f32 over a batch keeps.
    pub(crate) fn bytes(&self, inputs: usize, dims: Dims) -> u64 {
        match self {
            Network::Lstm(lstm) => lstm::LstmPolicy::<f32>::bytes(lstm, inputs, dims),
        }
    }

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
