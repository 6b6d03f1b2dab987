//! Networks: what decides the positions.

mod init;
mod layout;
mod lstm;
mod weights;

pub use init::{draw_weights, read_weights};
pub use layout::{Layout, Start, TensorSpec};
pub use weights::{Init, InitialWeights, Tensor, WeightsDigest, WeightsError};

use std::sync::Arc;

use crate::config::Range;
use crate::config::declare::{choices, kinds, section};
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

/// The dimensions of a batch. Arrays that a network sees are time-major, \[D, B, ·\]: D decisions, B paths, and then I
/// inputs or H hidden units, of which there are 4H gates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dims {
    /// B: paths.
    pub batch: usize,
    /// D: points at which a position is chosen.
    pub time: usize,
}

/// What a network sees at each point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputShape {
    /// I: number of inputs.
    pub count: usize,
    /// The place among them of the network's own last position, if it sees that.
    pub fed_back: Option<usize>,
}

/// Which layers a gradient is wanted of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// The head alone: the backward pass ends there, unless positions are fed back.
    Head,
}

/// Where a backward pass writes to; what is not wanted is not computed.
pub struct Gradient<'a, R> {
    /// Of the weights, in their layout; zero outside the scope.
    pub weights: Option<&'a mut [R]>,
    /// Of the inputs, \[D, B, I\]; untouched where the backward pass ends at the head.
    pub inputs: Option<&'a mut [R]>,
    /// At the gates' pre-activations; zero where the backward pass ends at the head.
    pub gates: Option<GateRows<'a, R>>,
}

/// Room for a row of 4H gates for every point and path, \[D, B, 4H\].
pub struct GateRows<'a, R> {
    /// The rows; what is behind their 4H numbers means nothing.
    pub rows: &'a mut [R],
    /// Numbers from the beginning of one to that of the next.
    pub stride: usize,
}

impl<R: Real> GateRows<'_, R> {
    /// The rows of some paths, which lie one after the other.
    fn lines(&mut self, first: usize, count: usize, width: usize) -> impl Iterator<Item = &mut [R]> {
        let stride = self.stride;
        self.rows[first * stride..][..count * stride].chunks_exact_mut(stride).map(move |row| &mut row[..width])
    }
}

impl<'a, R> Gradient<'a, R> {
    /// Of the weights alone.
    pub fn of_weights(weights: &'a mut [R]) -> Gradient<'a, R> {
        Gradient { weights: Some(weights), inputs: None, gates: None }
    }
}

/// A network at work: one forward pass, and the backward pass through it.
pub trait Policy<R: Real> {
    /// Positions from `inputs`, \[D, B, I\], in which the positions that are fed back are written as they come about:
    /// input t sees position t − 1. What happens to a path does not depend on its neighbours, nor a position on later
    /// inputs.
    fn forward(&mut self, weights: &[R], inputs: &mut [R], dims: Dims);

    /// The last forward pass's positions, \[D, B\].
    fn positions(&self) -> &[R];

    /// What the head saw in the last forward pass, \[D, B, H\].
    fn head_inputs(&self) -> &[R];

    /// Gradient at the head's pre-activations in the last backward pass, \[D, B\].
    fn head_gradients(&self) -> &[R];

    /// Gradients through the last forward pass, whose `weights` and `inputs` these must be, from that of the positions,
    /// \[D, B\]; what a position does as a later input is counted.
    fn backward(&mut self, weights: &[R], inputs: &[R], d_positions: &[R], scope: Scope, out: Gradient<'_, R>);
}

impl Network {
    /// How the weights of this network lie when it sees this many inputs.
    pub fn layout(&self, inputs: usize) -> Layout {
        match self {
            Network::Lstm(lstm) => lstm.layout(inputs),
        }
    }

    /// The network at work on these inputs. It takes batches of any size, and is made for those of training, which have
    /// `batch` paths: the bits of its numbers may depend on that.
    pub fn policy<R: Real>(&self, inputs: InputShape, batch: usize) -> Box<dyn Policy<R>> {
        match self {
            Network::Lstm(lstm) => lstm.policy(inputs, batch),
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
            Network::Lstm(lstm) => lstm.bytes(inputs, dims),
        }
    }

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
