//! The forward pass of few units: blocks of paths go through all points one after the other.

use super::super::Shape;
use super::transpose::transpose_dense;
use super::{CELL, CELL_TANH, Frame, FrameMut, GATES, OUTPUT_GATE, PATHS, STRIP, UNIT_ROWS};
use crate::activation::{SIGMOID_OCTAVES, TANH_OCTAVES};
use crate::aligned::Aligned;
use crate::isa::Kernel;
use crate::lanes::{LANES, Vector, add_outer, unrolled};
use crate::network::Dims;

/// Units whose gates' sums are in registers at a time: of two wide vectors of paths, or else of one of eight.
const PAIR: usize = 2;

/// The weights as the forward pass reads them.
#[derive(Default)]
pub(super) struct ForwardWeights {
    /// For each pair of units, of which the last may be a single one: the sums of the biases, then the weights of each
    /// input, then those of each h, of the gates i, f, g, o of one unit and then the other: \[1 + I + H, 2, 4\]; in the
    /// octaves that their activations count in.
    panels: Aligned<f32>,
    /// \[H\]
    head: Vec<f32>,
    head_bias: f32,
}

impl ForwardWeights {
    /// Packs the weights.
    pub(super) fn pack(&mut self, shape: Shape, weights: &[f32]) {
        let Shape { inputs, hidden } = shape;
        let tensors = shape.tensors(weights);
        let depth = 1 + inputs + hidden;
        self.panels.resize(hidden * depth * GATES);
        for (pair, panel) in self.panels.chunks_mut(PAIR * depth * GATES).enumerate() {
            let width = panel.len() / depth;
            for column in 0..width {
                let (unit, gate) = (pair * PAIR + column / GATES, column % GATES);
                let row = gate * hidden + unit;
                let scale = if gate == 2 { TANH_OCTAVES } else { SIGMOID_OCTAVES };
                let bias = tensors.bias_input[row] + tensors.bias_recurrent[row];
                let of_inputs = &tensors.input[row * inputs..][..inputs];
                let of_states = &tensors.recurrent[row * hidden..][..hidden];
                let all = std::iter::once(&bias).chain(of_inputs).chain(of_states);
                panel[column..].iter_mut().step_by(width).zip(all).for_each(|(to, weight)| *to = scale * weight);
            }
        }
        self.head.clear();
        self.head.extend_from_slice(tensors.head);
        self.head_bias = tensors.head_bias[0];
    }
}

/// A forward pass to be done.
pub(super) struct Forward<'a> {
    pub(super) shape: Shape,
    /// The place among the inputs of the last position, if it is fed back.
    pub(super) fed_back: Option<usize>,
    pub(super) dims: Dims,
    pub(super) weights: &'a ForwardWeights,
    /// \[D, B, I\]
    pub(super) inputs: &'a mut [f32],
    pub(super) frames: &'a mut [f32],
    pub(super) positions: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<const WIDE: bool>(mut self) {
        let Dims { batch, time } = self.dims;
        let len = Frame::len(self.shape);
        let frames = std::mem::take(&mut self.frames);
        for (block, frames) in frames.chunks_exact_mut((time + 1) * len).enumerate() {
            let first = block * PATHS;
            let rows = PATHS.min(batch - first);
            frames[..len].fill(0.0);
            for time in 0..time {
                let (last, now) = frames[time * len..].split_at_mut(len);
                let mut step = Step {
                    shape: self.shape,
                    // Before the first point h is 0.
                    depth: if time > 0 { self.shape.hidden } else { 0 },
                    weights: self.weights,
                    last: Frame::of(self.shape, last),
                    now: FrameMut::of(self.shape, now),
                };
                self.feed_back(first, rows, time);
                self.turn(first, rows, time, step.now.inputs);
                let logits = step.take::<WIDE>(rows);
                self.positions[time * batch + first..][..rows].copy_from_slice(&logits[..rows]);
            }
        }
    }
}

impl Forward<'_> {
    /// Writes the last positions where they are inputs at `time`.
    #[inline(always)]
    fn feed_back(&mut self, first: usize, rows: usize, time: usize) {
        let Some(place) = self.fed_back.filter(|_| time > 0) else { return };
        let (batch, inputs) = (self.dims.batch, self.shape.inputs);
        let last = &self.positions[(time - 1) * batch + first..][..rows];
        let now = &mut self.inputs[(time * batch + first) * inputs..][..rows * inputs];
        for (row, position) in now.chunks_exact_mut(inputs).zip(last) {
            row[place] = *position;
        }
    }

    /// Turns the inputs of a block at `time`, path by path, into those of a frame; what is beyond the paths is zeros.
    #[inline(always)]
    fn turn(&self, first: usize, rows: usize, time: usize, to: &mut [f32]) {
        let inputs = self.shape.inputs;
        let from = &self.inputs[(time * self.dims.batch + first) * inputs..][..rows * inputs];
        if rows < PATHS {
            to.fill(0.0);
        }
        transpose_dense(from, inputs, to, PATHS);
    }
}

/// One block of paths at one point.
struct Step<'a> {
    shape: Shape,
    /// How many of the last states matter: all of them or none.
    depth: usize,
    weights: &'a ForwardWeights,
    last: Frame<'a>,
    now: FrameMut<'a>,
}

impl Step<'_> {
    /// Gates, states and positions of the first `rows` paths at least.
    #[inline(always)]
    fn take<const WIDE: bool>(&mut self, rows: usize) -> [f32; PATHS] {
        let mut positions = [0.0; PATHS];
        if WIDE && rows > STRIP {
            self.strip::<2, 16>(0, &mut positions);
        } else if WIDE {
            self.strip::<1, 16>(0, &mut positions);
        } else {
            for first in (0..rows).step_by(LANES) {
                self.strip::<1, 8>(first, &mut positions);
            }
        }
        positions
    }

    /// The same of V vectors of N paths from the `first` on.
    #[inline(always)]
    fn strip<const V: usize, const N: usize>(&mut self, first: usize, positions: &mut [f32; PATHS]) {
        let Shape { inputs, hidden } = self.shape;
        let depth = 1 + inputs + hidden;
        for (pair, panel) in self.weights.panels.chunks(PAIR * depth * GATES).enumerate() {
            if panel.len() == PAIR * depth * GATES {
                self.tile::<PAIR, { PAIR * GATES }, V, N>(panel, pair * PAIR, first);
            } else {
                self.tile::<1, GATES, V, N>(panel, pair * PAIR, first);
            }
        }
        for unit in 0..hidden {
            self.activate::<V, N>(unit, first);
        }
        self.decide::<V, N>(first, positions);
    }

    /// What goes into the gates of U units, which have R gates, from the `unit`th on.
    #[inline(always)]
    fn tile<const U: usize, const R: usize, const V: usize, const N: usize>(
        &mut self,
        panel: &[f32],
        unit: usize,
        first: usize,
    ) {
        let (weights, _) = panel.as_chunks::<R>();
        let (bias, weights) = weights.split_first().expect("the biases come first");
        let (of_inputs, of_states) = weights.split_at(self.shape.inputs);
        let mut sums = [[Vector::<N>::ZERO; V]; R];
        unrolled!(r in R, sums[r] = [Vector::splat(bias[r]); V]);
        add_rows(&mut sums, of_inputs, self.now.inputs, first);
        add_rows(&mut sums, &of_states[..self.depth], self.last.state, first);
        let units = &mut self.now.units[unit * UNIT_ROWS * PATHS..][..U * UNIT_ROWS * PATHS];
        unrolled!(u in U, unrolled!(gate in GATES, {
            let row = &mut units[(u * UNIT_ROWS + gate) * PATHS + first..];
            Vector::store_all(sums[u * GATES + gate], row);
        }));
    }

    /// The gates and c of a unit, from what goes into its gates.
    ///
    /// This and tanh c are passes of their own: they are long chains of operations, of which those of many paths have to
    /// be under way at a time, and a processor looks only some hundreds of operations ahead.
    #[inline(always)]
    fn activate<const V: usize, const N: usize>(&mut self, unit: usize, first: usize) {
        let last_cell = &self.last.units[(unit * UNIT_ROWS + CELL) * PATHS..][..PATHS];
        let rows = &mut self.now.units[unit * UNIT_ROWS * PATHS..][..UNIT_ROWS * PATHS];
        unrolled!(v in V, {
            let at = first + v * N;
            let octaves = |gate: usize| Vector::<N>::load(&rows[gate * PATHS + at..]);
            let i = octaves(0).sigmoid_of_octaves();
            let f = octaves(1).sigmoid_of_octaves();
            let g = octaves(2).tanh_of_octaves();
            let o = octaves(3).sigmoid_of_octaves();
            let cell = f.mul_add(Vector::load(&last_cell[at..]), i.mul(g));
            let all = [i, f, g, o, cell];
            unrolled!(row in CELL_TANH, all[row].store(&mut rows[row * PATHS + at..]));
        });
    }

    /// h, and the positions tanh(w·h + b).
    #[inline(always)]
    fn decide<const V: usize, const N: usize>(&mut self, first: usize, positions: &mut [f32; PATHS]) {
        let mut logits = [Vector::<N>::splat(self.weights.head_bias); V];
        for (unit, weight) in self.weights.head.iter().enumerate() {
            let rows = &mut self.now.units[unit * UNIT_ROWS * PATHS..][..UNIT_ROWS * PATHS];
            let state = &mut self.now.state[unit * PATHS..][..PATHS];
            unrolled!(v in V, {
                let at = first + v * N;
                let cell_tanh = Vector::<N>::load(&rows[CELL * PATHS + at..]).tanh();
                let h = cell_tanh.mul(Vector::load(&rows[OUTPUT_GATE * PATHS + at..]));
                cell_tanh.store(&mut rows[CELL_TANH * PATHS + at..]);
                h.store(&mut state[at..]);
                logits[v] = h.mul_add(Vector::splat(*weight), logits[v]);
            });
        }
        unrolled!(v in V, logits[v].tanh().store(&mut positions[first + v * N..]));
    }
}

/// `sums[r, v] += Σ_k weights[k, r] · rows[k, first + v]`, in ascending k.
#[inline(always)]
fn add_rows<const R: usize, const V: usize, const N: usize>(
    sums: &mut [[Vector<N>; V]; R],
    weights: &[[f32; R]],
    rows: &[f32],
    first: usize,
) {
    for (weights, row) in weights.iter().zip(rows.chunks_exact(PATHS)) {
        add_outer(sums, weights, &row[first..][..V * N]);
    }
}
