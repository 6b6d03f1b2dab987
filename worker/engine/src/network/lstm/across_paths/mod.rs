//! The LSTM in f32 for few units: vectors across paths.
//!
//! Across units, vectors of a narrow network are partly empty, and each path's position is a sum within a vector. Across
//! paths, vectors are full and nothing is done within them. The price is the gradient of the weights, a sum over paths:
//! each of its entries takes a whole vector of sums, which are added up at the end of a pass. With 8 units these vectors
//! stay in the first cache, beyond some 11 in the second, and for wide networks they no longer pay.
//!
//! As in [`across_units`](super::across_units), what happens to a path is one chain of operations whatever the vectors, so that its bits
//! depend neither on the machine nor on the paths beside it.

mod backward;
mod forward;
mod sums;
mod transpose;

use std::cell::{Cell, OnceCell};

use super::{Shape, Wanted};
use crate::aligned::Aligned;
use crate::isa::{Isa, Kernel};
use crate::lanes::LANES;
use crate::network::{Dims, Gradient, InputShape, Lstm, Policy, Scope};
use backward::{Backward, BackwardWeights, Scratch};
use forward::{Forward, ForwardWeights};
use transpose::Matrix;

/// The largest H for which this can be the faster one, as measured on a Zen 5: with more, the sums no longer pay.
pub(super) const MOST_UNITS: usize = 24;

/// Whether this is the faster one for batches of this size: fewer paths leave vectors empty.
pub(super) fn is_faster(lstm: &Lstm, batch: usize) -> bool {
    lstm.hidden as usize <= MOST_UNITS && batch >= STRIP
}

/// Paths that go through time together. Fewer are filled up, with paths whose numbers nobody sees.
pub(super) const PATHS: usize = 32;

/// Paths whose share of a sum is added up in one number of a vector: those that are a multiple of this apart. A block has
/// these many or twice as many.
const STRIP: usize = 16;

/// i, f, g and o.
const GATES: usize = 4;

/// The last of them.
const OUTPUT_GATE: usize = 3;

/// Rows that a unit has in a frame beside its h: the gates, c and tanh c.
const UNIT_ROWS: usize = 6;
const CELL: usize = 4;
const CELL_TANH: usize = 5;

/// What a block of paths was at one point: rows of [`PATHS`] numbers. The inputs come first, \[I, PATHS\].
#[derive(Clone, Copy)]
struct Frame<'a> {
    /// h: \[H, PATHS\]
    state: &'a [f32],
    /// \[H, `UNIT_ROWS`, PATHS\]
    units: &'a [f32],
}

/// The same, to be written.
struct FrameMut<'a> {
    inputs: &'a mut [f32],
    state: &'a mut [f32],
    units: &'a mut [f32],
}

impl<'a> Frame<'a> {
    /// How many numbers it has.
    fn len(shape: Shape) -> usize {
        (shape.inputs + (1 + UNIT_ROWS) * shape.hidden) * PATHS
    }

    #[inline(always)]
    fn of(shape: Shape, numbers: &'a [f32]) -> Frame<'a> {
        let (state, units) = numbers[shape.inputs * PATHS..].split_at(shape.hidden * PATHS);
        Frame { state, units: &units[..shape.hidden * UNIT_ROWS * PATHS] }
    }
}

impl<'a> FrameMut<'a> {
    #[inline(always)]
    fn of(shape: Shape, numbers: &'a mut [f32]) -> FrameMut<'a> {
        let (inputs, rest) = numbers.split_at_mut(shape.inputs * PATHS);
        let (state, units) = rest.split_at_mut(shape.hidden * PATHS);
        FrameMut { inputs, state, units: &mut units[..shape.hidden * UNIT_ROWS * PATHS] }
    }
}

/// An LSTM's forward pass, kept for its backward pass.
pub(super) struct LstmAcrossPaths {
    isa: Isa,
    shape: Shape,
    fed_back: Option<usize>,
    dims: Dims,
    forward_weights: ForwardWeights,
    backward_weights: BackwardWeights,
    /// Of each block of paths, the frame before the first point, which is zeros, and those of all points.
    frames: Aligned<f32>,
    /// δ_t: \[D, B\].
    positions: Vec<f32>,
    /// h_t, path by path: \[D, B, H\], once somebody has asked for it.
    states: OnceCell<Vec<f32>>,
    /// The memory for that.
    spare: Cell<Vec<f32>>,
    d_positions: Vec<f32>,
    d_logits: Vec<f32>,
    scratch: Scratch,
}

impl LstmAcrossPaths {
    pub(super) fn new(lstm: &Lstm, inputs: InputShape, isa: Isa) -> LstmAcrossPaths {
        LstmAcrossPaths {
            isa,
            shape: Shape { inputs: inputs.count, hidden: lstm.hidden as usize },
            fed_back: inputs.fed_back,
            dims: Dims::default(),
            forward_weights: ForwardWeights::default(),
            backward_weights: BackwardWeights::default(),
            frames: Aligned::default(),
            positions: Vec::new(),
            states: OnceCell::new(),
            spare: Cell::default(),
            d_positions: Vec::new(),
            d_logits: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Makes room for a batch. Everything in it is overwritten.
    fn prepare(&mut self, dims: Dims) {
        self.dims = dims;
        self.frames.resize(dims.batch.div_ceil(PATHS) * (dims.time + 1) * Frame::len(self.shape));
        self.positions.resize(dims.batch * dims.time, 0.0);
        if let Some(states) = self.states.take() {
            self.spare.set(states);
        }
    }

    /// h_t, path by path.
    fn states(&self) -> Vec<f32> {
        let Dims { batch, time } = self.dims;
        let mut states = self.spare.take();
        states.resize(batch * time * self.shape.hidden, 0.0);
        self.isa.run(LayOut { shape: self.shape, dims: self.dims, frames: &self.frames, states: &mut states });
        states
    }
}

/// Lays out h_t path by path.
struct LayOut<'a> {
    shape: Shape,
    dims: Dims,
    frames: &'a [f32],
    /// \[D, B, H\]
    states: &'a mut [f32],
}

impl Kernel for LayOut<'_> {
    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        let Dims { batch, time } = self.dims;
        let (hidden, len) = (self.shape.hidden, Frame::len(self.shape));
        for (block, frames) in self.frames.chunks_exact((time + 1) * len).enumerate() {
            let first = block * PATHS;
            for (time, frame) in frames.chunks_exact(len).skip(1).enumerate() {
                let data = Frame::of(self.shape, frame).state;
                let to = &mut self.states[(time * batch + first) * hidden..];
                let columns = PATHS.min(batch - first);
                Matrix { data, stride: PATHS, rows: hidden, columns }.transpose_into(to, hidden);
            }
        }
    }
}

impl Policy<f32> for LstmAcrossPaths {
    fn forward(&mut self, weights: &[f32], inputs: &mut [f32], dims: Dims) {
        self.prepare(dims);
        self.forward_weights.pack(self.shape, weights);
        self.isa.run(Forward {
            shape: self.shape,
            fed_back: self.fed_back,
            dims,
            weights: &self.forward_weights,
            inputs,
            frames: &mut self.frames,
            positions: &mut self.positions,
        });
    }

    fn positions(&self) -> &[f32] {
        &self.positions
    }

    fn head_inputs(&self) -> &[f32] {
        self.states.get_or_init(|| self.states())
    }

    fn head_gradients(&self) -> &[f32] {
        &self.d_logits
    }

    fn backward(&mut self, weights: &[f32], _: &[f32], d_positions: &[f32], scope: Scope, out: Gradient<'_, f32>) {
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
            frames: &self.frames,
            positions: &self.positions,
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
    let frames = dims.batch.div_ceil(PATHS) * (dims.time + 1) * Frame::len(shape);
    let rows = dims.batch * dims.time * (hidden + 3);
    let scratch = Scratch::lengths(shape).iter().sum::<usize>();
    // Packed once for each pass, in eights at most.
    let weights = 2 * (GATES * hidden * (1 + inputs + hidden.next_multiple_of(LANES)) + hidden);
    ((frames + rows + scratch + weights) * size_of::<f32>()) as u64
}
