//! The forward pass in f32: blocks of paths go through all points one after the other, so that what a step reads is in
//! the nearest cache.

use super::super::Shape;
use super::{BLOCK, EIGHTS, GATE_NUMBERS, Trace, padded};
use crate::activation::{SIGMOID_OCTAVES, TANH_OCTAVES};
use crate::aligned::Aligned;
use crate::isa::Kernel;
use crate::lanes::{LANES, Lanes, Vector, add_outer, sums_of_rows, unrolled};
use crate::network::Dims;

/// The weights as the forward pass reads them.
#[derive(Default)]
pub(super) struct ForwardWeights {
    /// For each eight units: the sum of the biases, then the weights of each input, then those of each h, every one as
    /// the four gates' vectors i, f, g, o: \[H/8, 1 + I + H, 4, 8\], in the octaves that their activations count in.
    /// Units beyond H have zeros, and stay at zero.
    panels: Aligned<f32>,
    /// \[H\], and zeros.
    head: Aligned<f32>,
    head_bias: f32,
    /// h and c before the first point: \[BLOCK, H\].
    start: Aligned<f32>,
}

impl ForwardWeights {
    /// Packs the weights.
    pub(super) fn pack(&mut self, shape: Shape, weights: &[f32]) {
        let Shape { inputs, hidden } = shape;
        let tensors = shape.tensors(weights);
        let depth = 1 + inputs + hidden;
        self.panels.resize(padded(hidden) / LANES * depth * GATE_NUMBERS);
        for (block, panel) in self.panels.chunks_exact_mut(depth * GATE_NUMBERS).enumerate() {
            let units = LANES.min(hidden - block * LANES);
            for gate in 0..4 {
                let scale = if gate == 2 { TANH_OCTAVES } else { SIGMOID_OCTAVES };
                for lane in 0..units {
                    let row = gate * hidden + block * LANES + lane;
                    let mut column = panel[gate * LANES + lane..].iter_mut().step_by(GATE_NUMBERS);
                    let mut put = |weight: f32| *column.next().expect("a place for each weight") = scale * weight;
                    put(tensors.bias_input[row] + tensors.bias_recurrent[row]);
                    tensors.input[row * inputs..][..inputs].iter().for_each(|weight| put(*weight));
                    tensors.recurrent[row * hidden..][..hidden].iter().for_each(|weight| put(*weight));
                }
            }
        }
        self.head.resize(padded(hidden));
        self.head[..hidden].copy_from_slice(tensors.head);
        self.head_bias = tensors.head_bias[0];
        self.start.resize(BLOCK * padded(hidden));
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
    pub(super) trace: &'a mut Trace,
}

/// One block of paths at one point.
struct Step<'a> {
    inputs: &'a [f32],
    last_state: &'a [f32],
    last_cell: &'a [f32],
    /// How much of `last_state` there is: H, or 0 at the first point.
    depth: usize,
    gates: &'a mut [f32],
    cell: &'a mut [f32],
    cell_tanh: &'a mut [f32],
    state: &'a mut [f32],
    /// What the head's products with the states have come to, in lanes: \[BLOCK, 8\].
    logits: &'a mut [f32; BLOCK * LANES],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    fn run<const WIDE: bool>(mut self) {
        let Dims { batch, time } = self.dims;
        for first in (0..batch).step_by(BLOCK) {
            let rows = BLOCK.min(batch - first);
            for time in 0..time {
                self.feed_back(first, rows, time);
                let mut logits = [0.0; BLOCK * LANES];
                self.step::<WIDE>(first, rows, time, &mut logits);
                self.decide(time * batch + first, rows, &logits);
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
        let last = &self.trace.positions[(time - 1) * batch + first..][..rows];
        let now = &mut self.inputs[(time * batch + first) * inputs..][..rows * inputs];
        for (row, position) in now.chunks_exact_mut(inputs).zip(last) {
            row[place] = *position;
        }
    }

    /// Gates and states of a block at `time`, and the head's products with the states.
    #[inline(always)]
    fn step<const WIDE: bool>(&mut self, first: usize, rows: usize, time: usize, logits: &mut [f32; BLOCK * LANES]) {
        let Shape { inputs, hidden } = self.shape;
        let (batch, width) = (self.dims.batch, padded(hidden));
        let here = time * batch + first;
        let (states, state) = self.trace.state.split_at_mut(here * width);
        let (cells, cell) = self.trace.cell.split_at_mut(here * width);
        let (last_state, last_cell, depth) = if time > 0 {
            let last = (here - batch) * width;
            (&states[last..][..rows * width], &cells[last..][..rows * width], hidden)
        } else {
            (&self.weights.start[..rows * width], &self.weights.start[..rows * width], 0)
        };
        let mut step = Step {
            inputs: &self.inputs[here * inputs..][..rows * inputs],
            last_state,
            last_cell,
            depth,
            gates: &mut self.trace.gates[here * 4 * width..][..rows * 4 * width],
            cell: &mut cell[..rows * width],
            cell_tanh: &mut self.trace.cell_tanh[here * width..][..rows * width],
            state: &mut state[..rows * width],
            logits,
        };
        let panels = self.weights.panels.chunks_exact((1 + inputs + hidden) * GATE_NUMBERS);
        for (block, (panel, head)) in panels.zip(self.weights.head.chunks_exact(LANES)).enumerate() {
            if WIDE {
                step.tiles::<8, 2, 16>(self.shape, panel, rows, block);
                step.states::<16>(width, rows, block, head);
            } else {
                step.tiles::<3, 4, 8>(self.shape, panel, rows, block);
                step.states::<LANES>(width, rows, block, head);
            }
        }
    }

    /// The positions of the rows from `here` on: δ = tanh(w·h + b), with the products w·h in lanes.
    #[inline(always)]
    fn decide(&mut self, here: usize, rows: usize, logits: &[f32; BLOCK * LANES]) {
        let mut positions = [0.0; BLOCK];
        let bias = Lanes::splat(self.weights.head_bias);
        unrolled!(eight in EIGHTS, {
            if eight * LANES < rows {
                let sums = sums_of_rows(&logits[eight * LANES * LANES..]);
                sums.add(bias).tanh().store(&mut positions[eight * LANES..]);
            }
        });
        self.trace.positions[here..][..rows].copy_from_slice(&positions[..rows]);
    }
}

impl Step<'_> {
    /// The gates of all paths in the `block`th eight units, of `R` paths at a time: with their V vectors of N a path they
    /// fill twelve of sixteen registers, or sixteen of 32, and leave room for what is multiplied.
    #[inline(always)]
    fn tiles<const R: usize, const V: usize, const N: usize>(
        &mut self,
        shape: Shape,
        panel: &[f32],
        rows: usize,
        block: usize,
    ) {
        let mut row = 0;
        while row + R <= rows {
            self.tile::<R, V, N>(shape, panel, [rows, row], block);
            row += R;
        }
        if R > 4 && row + 4 <= rows {
            self.tile::<4, V, N>(shape, panel, [rows, row], block);
            row += 4;
        }
        if row + 2 <= rows {
            self.tile::<2, V, N>(shape, panel, [rows, row], block);
            row += 2;
        }
        if row < rows {
            self.tile::<1, V, N>(shape, panel, [rows, row], block);
        }
    }

    #[inline(always)]
    fn tile<const R: usize, const V: usize, const N: usize>(
        &mut self,
        shape: Shape,
        panel: &[f32],
        [rows, row]: [usize; 2],
        block: usize,
    ) {
        let Shape { inputs, hidden } = shape;
        let width = padded(hidden);
        let features = Rows::<R>::new(&self.inputs[row * inputs..], inputs, inputs);
        let states = Rows::<R>::new(&self.last_state[row * width..], width, self.depth);
        let (bias, panel) = panel.split_at(GATE_NUMBERS);
        let (of_inputs, of_states) = panel.split_at(inputs * GATE_NUMBERS);
        let mut sums = [Vector::<N>::load_all::<V>(bias); R];
        features.multiply(&mut sums, of_inputs);
        states.multiply(&mut sums, of_states);
        let gates = &mut self.gates[(block * rows + row) * GATE_NUMBERS..][..R * GATE_NUMBERS];
        unrolled!(r in R, unrolled!(v in V, {
            sums[r][v].activate_gates(v * N).store(&mut gates[r * GATE_NUMBERS + v * N..]);
        }));
    }

    /// The states of all paths in the `block`th eight units from their gates, and the head's product with them. One thing
    /// after the other for all paths: no path waits for what another one's takes, and every vector is read as it lies.
    #[inline(always)]
    fn states<const N: usize>(&mut self, width: usize, rows: usize, block: usize, head: &[f32]) {
        let here = block * rows;
        let gates = &self.gates[here * GATE_NUMBERS..][..rows * GATE_NUMBERS];
        let last_cell = &self.last_cell[here * LANES..][..rows * LANES];
        let cell = &mut self.cell[here * LANES..][..rows * LANES];
        let cell_tanh = &mut self.cell_tanh[here * LANES..][..rows * LANES];
        for ((gates, last_cell), cell) in
            gates.chunks_exact(GATE_NUMBERS).zip(last_cell.chunks_exact(LANES)).zip(cell.chunks_exact_mut(LANES))
        {
            let [i, f, g, _] = Lanes::load_all(gates);
            f.mul_add(Lanes::load(last_cell), i.mul(g)).store(cell);
        }
        tanh_all::<N>(cell, cell_tanh);
        let head = Lanes::load(head);
        let units = block * LANES..;
        let states = self.state.chunks_exact_mut(width).zip(self.logits.chunks_exact_mut(LANES));
        for ((gates, cell_tanh), (state, logit)) in
            gates.chunks_exact(GATE_NUMBERS).zip(cell_tanh.chunks_exact(LANES)).zip(states)
        {
            let [_, _, _, o] = Lanes::load_all(gates);
            let h = o.mul(Lanes::load(cell_tanh));
            h.store(&mut state[units.clone()]);
            h.mul_add(head, Lanes::load(logit)).store(logit);
        }
    }
}

/// tanh of every number, N at a time as far as there are so many.
#[inline(always)]
fn tanh_all<const N: usize>(from: &[f32], to: &mut [f32]) {
    let whole = from.len() - from.len() % N;
    let ((from, from_rest), (to, to_rest)) = (from.split_at(whole), to.split_at_mut(whole));
    for (from, to) in from.chunks_exact(N).zip(to.chunks_exact_mut(N)) {
        Vector::<N>::load(from).tanh().store(to);
    }
    for (from, to) in from_rest.chunks_exact(LANES).zip(to_rest.chunks_exact_mut(LANES)) {
        Lanes::load(from).tanh().store(to);
    }
}

/// The left rows of a product: `R` rows of a matrix, of which each has `depth` numbers.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, const R: usize> {
    rows: [&'a [f32]; R],
    depth: usize,
}

impl<'a, const R: usize> Rows<'a, R> {
    /// The first rows of a matrix.
    #[inline(always)]
    pub(super) fn new(matrix: &'a [f32], stride: usize, depth: usize) -> Rows<'a, R> {
        let mut rows = [matrix; R];
        unrolled!(r in R, rows[r] = &matrix[r * stride..][..depth]);
        Rows { rows, depth }
    }

    /// `sums[r, v] += Σ_k rows[r, k] · right[k, v]`, in ascending k.
    #[inline(always)]
    pub(super) fn multiply<const V: usize, const N: usize>(self, sums: &mut [[Vector<N>; V]; R], right: &[f32]) {
        let right = &right[..self.depth * V * N];
        // In registers, while `sums` may be in memory.
        let mut own = [[Vector::<N>::ZERO; V]; R];
        unrolled!(r in R, unrolled!(v in V, own[r][v] = sums[r][v]));
        // With every bound checked before anything is read, a number is read into all lanes at once.
        for (k, right) in right.chunks_exact(V * N).enumerate() {
            let mut left = [0.0; R];
            unrolled!(r in R, left[r] = self.rows[r][k]);
            add_outer(&mut own, &left, right);
        }
        unrolled!(r in R, unrolled!(v in V, sums[r][v] = own[r][v]));
    }
}
