//! The LSTM in f32 with vectors across units: gates and states of eight units in one place.
//!
//! Every number is one chain of fused multiply-adds in a fixed order, whatever the tiles that it was computed in: its
//! bits depend neither on the machine nor on the paths beside it. Only the gradients of the weights are sums over paths,
//! block by block and point by point.

mod backward;
mod forward;

use super::{Shape, Wanted};
use crate::aligned::Aligned;
use crate::isa::Isa;
use crate::lanes::LANES;
use crate::network::{Dims, Gradient, InputShape, Lstm, Policy, Scope};
use backward::{Backward, BackwardWeights, Scratch};
use forward::{Forward, ForwardWeights};

/// Paths that go through time together: their states stay in the nearest cache, and the weights are read once for all
/// of them.
pub(super) const BLOCK: usize = 32;

/// Groups of eight paths in a block.
pub(super) const EIGHTS: usize = BLOCK / LANES;

/// Numbers that the four gates of eight units have.
pub(super) const GATE_NUMBERS: usize = 4 * LANES;

/// H, rounded up to whole vectors.
pub(super) fn padded(hidden: usize) -> usize {
    hidden.next_multiple_of(LANES)
}

/// What a forward pass leaves for the backward pass, time-major; H is rounded up to whole vectors.
#[derive(Default)]
pub(super) struct Trace {
    /// Activated gates of each block of paths at each point: \[H/8, paths, 4, 8\]; the last block has as many as are left.
    pub(super) gates: Aligned<f32>,
    /// c_t and tanh c_t likewise: \[H/8, paths, 8\], so that two paths' units make one wide vector.
    pub(super) cell: Aligned<f32>,
    pub(super) cell_tanh: Aligned<f32>,
    /// h_t: \[D, B, H\].
    pub(super) state: Aligned<f32>,
    /// δ_t: \[D, B\].
    pub(super) positions: Vec<f32>,
}

/// An LSTM's forward pass, kept for its backward pass.
pub(super) struct LstmAcrossUnits {
    isa: Isa,
    shape: Shape,
    fed_back: Option<usize>,
    dims: Dims,
    forward_weights: ForwardWeights,
    backward_weights: BackwardWeights,
    trace: Trace,
    /// h_t without the padding, where there is any: \[D, B, H\].
    dense_state: Vec<f32>,
    d_positions: Vec<f32>,
    d_logits: Vec<f32>,
    scratch: Scratch,
}

impl LstmAcrossUnits {
    pub(super) fn new(lstm: &Lstm, inputs: InputShape, isa: Isa) -> LstmAcrossUnits {
        LstmAcrossUnits {
            isa,
            shape: Shape { inputs: inputs.count, hidden: lstm.hidden as usize },
            fed_back: inputs.fed_back,
            dims: Dims::default(),
            forward_weights: ForwardWeights::default(),
            backward_weights: BackwardWeights::default(),
            trace: Trace::default(),
            dense_state: Vec::new(),
            d_positions: Vec::new(),
            d_logits: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Makes room for a batch. Everything in it is overwritten.
    fn prepare(&mut self, dims: Dims) {
        let (rows, width) = (dims.batch * dims.time, padded(self.shape.hidden));
        self.dims = dims;
        let Trace { gates, cell, cell_tanh, state, positions } = &mut self.trace;
        gates.resize(rows * 4 * width);
        for states in [cell, cell_tanh, state] {
            states.resize(rows * width);
        }
        positions.resize(rows, 0.0);
    }

    fn is_padded(&self) -> bool {
        !self.shape.hidden.is_multiple_of(LANES)
    }
}

impl Policy<f32> for LstmAcrossUnits {
    fn forward(&mut self, weights: &[f32], inputs: &mut [f32], dims: Dims) {
        self.prepare(dims);
        self.forward_weights.pack(self.shape, weights);
        self.isa.run(Forward {
            shape: self.shape,
            fed_back: self.fed_back,
            dims,
            weights: &self.forward_weights,
            inputs,
            trace: &mut self.trace,
        });
        if self.is_padded() {
            let hidden = self.shape.hidden;
            let states = self.trace.state.chunks_exact(padded(hidden));
            self.dense_state.clear();
            self.dense_state.extend(states.flat_map(|state| &state[..hidden]));
        }
    }

    fn positions(&self) -> &[f32] {
        &self.trace.positions
    }

    fn head_inputs(&self) -> &[f32] {
        if self.is_padded() { &self.dense_state } else { &self.trace.state }
    }

    fn head_gradients(&self) -> &[f32] {
        &self.d_logits
    }

    fn backward(&mut self, weights: &[f32], inputs: &[f32], d_positions: &[f32], scope: Scope, out: Gradient<'_, f32>) {
        let (wanted, d_weights) = Wanted::of(scope, self.fed_back, out);
        self.d_positions.clear();
        self.d_positions.extend_from_slice(d_positions);
        self.d_logits.resize(d_positions.len(), 0.0);
        self.scratch.prepare(self.shape);
        self.backward_weights.pack(self.shape, weights);
        self.isa.run(Backward {
            shape: self.shape,
            fed_back: self.fed_back,
            dims: self.dims,
            weights: &self.backward_weights,
            inputs,
            trace: &self.trace,
            scratch: &mut self.scratch,
            d_positions: &mut self.d_positions,
            d_logits: &mut self.d_logits,
            wanted,
        });
        if let Some(d_weights) = d_weights {
            self.scratch.unpack(self.shape, d_weights);
        }
    }
}

/// Peak bytes of a pass over a batch.
pub(super) fn bytes(shape: Shape, dims: Dims) -> u64 {
    let Shape { inputs, hidden } = shape;
    let width = padded(hidden);
    let trace = dims.batch * dims.time * (8 * width + 3);
    let weights = 4 * width * (3 * width + 3 * inputs + 4);
    let scratch = BLOCK * (8 * width + 16);
    ((trace + weights + scratch) * size_of::<f32>()) as u64
}
