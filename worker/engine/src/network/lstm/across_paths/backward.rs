//! The backward pass of few units, in the blocks of the forward pass.

use super::super::{Shape, Wanted};
use super::sums::{Rows, add_products, total};
use super::transpose::Matrix;
use super::{CELL, CELL_TANH, Frame, GATES, PATHS, STRIP, UNIT_ROWS};
use crate::aligned::Aligned;
use crate::isa::Kernel;
use crate::lanes::{LANES, Vector, add_outer, unrolled};
use crate::network::Dims;

/// Points whose gradients at the gates are kept until they are multiplied by what the gates saw: each of the sums is then
/// read and written once for all of them.
const POINTS: usize = 4;

/// The weights as the backward pass reads them. Gates lie unit by unit.
#[derive(Default)]
pub(super) struct BackwardWeights {
    /// For each eight units, of which the last may be missing: \[4H, 8\].
    recurrent: Aligned<f32>,
    /// \[I, 4H\]
    inputs: Vec<f32>,
    /// \[H\]
    head: Vec<f32>,
}

/// What a backward pass needs for the time being. Sums over paths have one number for each path of a strip.
#[derive(Default)]
pub(super) struct Scratch {
    /// At the head's pre-activations of a block at one point: \[PATHS\].
    d_logits: Aligned<f32>,
    /// At the gates' pre-activations of some points, in the order of time: \[`POINTS`, H, 4, PATHS\].
    d_gates: Aligned<f32>,
    /// At h, rounded up to eights, and c: \[H, PATHS\].
    d_state: Aligned<f32>,
    d_cell: Aligned<f32>,
    /// Of the recurrent weights, the input weights and the bias: \[H, H + I + 1, 4, STRIP\].
    d_weights: Aligned<f32>,
    /// Of the head's weights and bias: \[H + 1, STRIP\].
    d_head: Aligned<f32>,
}

impl BackwardWeights {
    /// Packs the weights.
    pub(super) fn pack(&mut self, shape: Shape, weights: &[f32]) {
        let Shape { inputs, hidden } = shape;
        let tensors = shape.tensors(weights);
        let gates = GATES * hidden;
        self.recurrent.resize(hidden.div_ceil(LANES) * gates * LANES);
        self.inputs.resize(inputs * gates, 0.0);
        for unit in 0..hidden {
            for gate in 0..GATES {
                let (row, place) = (gate * hidden + unit, unit * GATES + gate);
                let recurrent = &tensors.recurrent[row * hidden..][..hidden];
                for (group, weights) in recurrent.chunks(LANES).enumerate() {
                    self.recurrent[(group * gates + place) * LANES..][..weights.len()].copy_from_slice(weights);
                }
                for input in 0..inputs {
                    self.inputs[input * gates + place] = tensors.input[row * inputs + input];
                }
            }
        }
        self.head.clear();
        self.head.extend_from_slice(tensors.head);
    }
}

impl Scratch {
    /// How many numbers each part of it has, in their order.
    pub(super) fn lengths(shape: Shape) -> [usize; 6] {
        let Shape { inputs, hidden } = shape;
        [
            PATHS,
            POINTS * hidden * GATES * PATHS,
            hidden.next_multiple_of(LANES) * PATHS,
            hidden * PATHS,
            hidden * (hidden + inputs + 1) * GATES * STRIP,
            (hidden + 1) * STRIP,
        ]
    }

    /// Makes room, and begins the sums.
    pub(super) fn prepare(&mut self, shape: Shape) {
        let Scratch { d_logits, d_gates, d_state, d_cell, d_weights, d_head } = self;
        let all = [d_logits, d_gates, d_state, d_cell, d_weights, d_head];
        all.into_iter().zip(Scratch::lengths(shape)).for_each(|(numbers, len)| numbers.resize(len));
        self.d_weights.fill(0.0);
        self.d_head.fill(0.0);
    }

    /// Writes the gradient of the weights in their own layout.
    pub(super) fn unpack(&self, shape: Shape, gradient: &mut [f32]) {
        let Shape { inputs, hidden } = shape;
        let gradient = shape.tensors_mut(gradient);
        let (sums, _) = self.d_weights.as_chunks::<STRIP>();
        for (unit, sums) in sums.chunks_exact((inputs + hidden + 1) * GATES).enumerate() {
            for gate in 0..GATES {
                let row = gate * hidden + unit;
                let mut sums = sums[gate..].iter().step_by(GATES).map(total);
                let mut next = || sums.next().expect("a sum for each weight");
                gradient.recurrent[row * hidden..][..hidden].iter_mut().for_each(|place| *place = next());
                gradient.input[row * inputs..][..inputs].iter_mut().for_each(|place| *place = next());
                let bias = next();
                (gradient.bias_input[row], gradient.bias_recurrent[row]) = (bias, bias);
            }
        }
        let (sums, _) = self.d_head.as_chunks::<STRIP>();
        gradient.head.iter_mut().zip(sums).for_each(|(place, sums)| *place = total(sums));
        gradient.head_bias[0] = total(&sums[hidden]);
    }
}

/// A backward pass to be done.
pub(super) struct Backward<'a> {
    pub(super) shape: Shape,
    /// The place among the inputs of the last position, if it is fed back.
    pub(super) fed_back: Option<usize>,
    pub(super) dims: Dims,
    pub(super) weights: &'a BackwardWeights,
    pub(super) frames: &'a [f32],
    /// \[D, B\]
    pub(super) positions: &'a [f32],
    pub(super) scratch: &'a mut Scratch,
    /// \[D, B\], to which is added what positions do as later inputs.
    pub(super) d_positions: &'a mut [f32],
    pub(super) d_logits: &'a mut [f32],
    pub(super) wanted: Wanted<'a>,
}

/// A block of paths at one point.
#[derive(Clone, Copy)]
struct Place<'a> {
    time: usize,
    /// The first of the block's paths, and how many there are.
    first: usize,
    rows: usize,
    /// Those of the block: the one before the first point, and those of all points.
    frames: &'a [f32],
}

impl<'a> Place<'a> {
    /// Its place among the points whose gradients at the gates are kept.
    #[inline(always)]
    fn slot(self) -> usize {
        self.time % POINTS
    }

    /// The frame of this point.
    #[inline(always)]
    fn now(self, shape: Shape) -> Frame<'a> {
        Frame::of(shape, &self.frames[(self.time + 1) * Frame::len(shape)..])
    }

    /// The frame of the point before.
    #[inline(always)]
    fn last(self, shape: Shape) -> Frame<'a> {
        Frame::of(shape, &self.frames[self.time * Frame::len(shape)..])
    }
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    fn run<const WIDE: bool>(mut self) {
        let Dims { batch, time } = self.dims;
        let frames = self.frames;
        for (block, frames) in frames.chunks_exact((time + 1) * Frame::len(self.shape)).enumerate() {
            let first = block * PATHS;
            let rows = PATHS.min(batch - first);
            self.scratch.d_state.fill(0.0);
            self.scratch.d_cell.fill(0.0);
            for time in (0..time).rev() {
                let place = Place { time, first, rows, frames };
                match (WIDE, rows > STRIP) {
                    (true, true) => self.point::<2, 2, 16>(place),
                    (true, false) => self.point::<1, 1, 16>(place),
                    (false, true) => self.point::<2, 1, 8>(place),
                    (false, false) => self.point::<1, 1, 8>(place),
                }
            }
        }
    }
}

impl Backward<'_> {
    /// A block at a point: S strips of paths, V vectors of N at a time.
    #[inline(always)]
    fn point<const S: usize, const V: usize, const N: usize>(&mut self, place: Place<'_>) {
        self.through_output(place);
        if self.wanted.of_head {
            self.scratch.add_head_gradients::<S, N>(place.now(self.shape));
        }
        if self.wanted.ends_at_head {
            return;
        }
        for first in (0..S * STRIP).step_by(V * N) {
            self.through_states::<V, N>(place, first);
        }
        self.through_feedback(place);
        self.write_gates(place);
        self.through_inputs(place);
        if place.time > 0 {
            for first in (0..S * STRIP).step_by(V * N) {
                self.through_recurrence::<V, N>(place.slot(), first);
            }
        }
        if self.wanted.of_recurrent && place.slot() == 0 {
            let points = POINTS.min(self.dims.time - place.time);
            self.scratch.add_weight_gradients::<S, N>(self.shape, place, points);
        }
    }

    /// Gradient at the head's pre-activations; zero beyond the paths.
    #[inline(always)]
    fn through_output(&mut self, Place { time, first, rows, .. }: Place<'_>) {
        let here = time * self.dims.batch + first;
        let d_logits = &mut self.d_logits[here..][..rows];
        let positions = self.positions[here..][..rows].iter().zip(&self.d_positions[here..][..rows]);
        for (d_logit, (y, d_y)) in d_logits.iter_mut().zip(positions) {
            *d_logit = *d_y * (-*y).mul_add(*y, 1.0);
        }
        if rows < PATHS {
            self.scratch.d_logits.fill(0.0);
        }
        self.scratch.d_logits[..rows].copy_from_slice(d_logits);
    }

    /// The gradient at the gates' pre-activations and at c_{t−1}, from those at h_t, c_t and the head.
    #[inline(always)]
    fn through_states<const V: usize, const N: usize>(&mut self, place: Place<'_>, first: usize) {
        let (last, now) = (place.last(self.shape), place.now(self.shape));
        let Scratch { d_logits, d_gates, d_state, d_cell, .. } = &mut *self.scratch;
        let d_gates = &mut d_gates[place.slot() * self.shape.hidden * GATES * PATHS..];
        let d_logits = Vector::load_all::<V>(&d_logits[first..]);
        for (unit, head) in self.weights.head.iter().enumerate() {
            let rows = &now.units[unit * UNIT_ROWS * PATHS..][..UNIT_ROWS * PATHS];
            let last_cell = &last.units[(unit * UNIT_ROWS + CELL) * PATHS..][..PATHS];
            let d_gates = &mut d_gates[unit * GATES * PATHS..][..GATES * PATHS];
            let d_cell = &mut d_cell[unit * PATHS..][..PATHS];
            let d_state = &d_state[unit * PATHS..][..PATHS];
            unrolled!(v in V, {
                let at = first + v * N;
                let row = |row: usize| Vector::<N>::load(&rows[row * PATHS + at..]);
                let (i, f, g, o, tanh) = (row(0), row(1), row(2), row(3), row(CELL_TANH));
                let last_cell = Vector::load(&last_cell[at..]);
                let d_h = d_logits[v].mul_add(Vector::splat(*head), Vector::load(&d_state[at..]));
                let d_c = d_h.mul(o).mul_add(tanh.mul_sub_from(tanh, Vector::ONE), Vector::load(&d_cell[at..]));
                // σ' = σ − σ², tanh' = 1 − tanh².
                let d_gate = [
                    d_c.mul(g).mul(i.mul_sub_from(i, i)),
                    d_c.mul(last_cell).mul(f.mul_sub_from(f, f)),
                    d_c.mul(i).mul(g.mul_sub_from(g, Vector::ONE)),
                    d_h.mul(tanh).mul(o.mul_sub_from(o, o)),
                ];
                unrolled!(gate in GATES, d_gate[gate].store(&mut d_gates[gate * PATHS + at..]));
                d_c.mul(f).store(&mut d_cell[at..]);
            });
        }
    }

    /// Adds to the gradient of the positions before this point what they do as its inputs.
    #[inline(always)]
    fn through_feedback(&mut self, place: Place<'_>) {
        let Place { time, first, rows, .. } = place;
        let Some(input) = self.fed_back.filter(|_| time > 0) else { return };
        let d_input = self.d_input(place.slot(), input);
        let last = &mut self.d_positions[(time - 1) * self.dims.batch + first..][..rows];
        last.iter_mut().zip(d_input).for_each(|(d_position, d_input)| *d_position += d_input);
    }

    /// The gradient of the inputs, if it is wanted.
    #[inline(always)]
    fn through_inputs(&mut self, place: Place<'_>) {
        let Place { time, first, rows, .. } = place;
        let slot = place.slot();
        let Some(d_inputs) = self.wanted.d_inputs.take() else { return };
        let inputs = self.shape.inputs;
        let here = time * self.dims.batch + first;
        for input in 0..inputs {
            let places = d_inputs[here * inputs..][..rows * inputs].iter_mut().skip(input).step_by(inputs);
            places.zip(self.d_input(slot, input)).for_each(|(place, d_input)| *place = d_input);
        }
        self.wanted.d_inputs = Some(d_inputs);
    }

    /// The gradient of one of the inputs.
    #[inline(always)]
    fn d_input(&self, slot: usize, input: usize) -> [f32; PATHS] {
        let gates = GATES * self.shape.hidden;
        let d_gates = &self.scratch.d_gates[slot * gates * PATHS..][..gates * PATHS];
        let weights = &self.weights.inputs[input * gates..][..gates];
        let mut sums = [Vector::<LANES>::ZERO; PATHS / LANES];
        for (d_gate, weight) in d_gates.chunks_exact(PATHS).zip(weights) {
            for (sum, d_gate) in sums.iter_mut().zip(d_gate.chunks_exact(LANES)) {
                *sum = Vector::load(d_gate).mul_add(Vector::splat(*weight), *sum);
            }
        }
        let mut d_input = [0.0; PATHS];
        Vector::store_all(sums, &mut d_input);
        d_input
    }

    /// Writes the gradient at the gates in the weights' order, if it is wanted.
    #[inline(always)]
    fn write_gates(&mut self, place: Place<'_>) {
        let Place { time, first, rows, .. } = place;
        let Some(d_all_gates) = &mut self.wanted.d_gates else { return };
        let hidden = self.shape.hidden;
        let d_gates = &self.scratch.d_gates[place.slot() * hidden * GATES * PATHS..][..hidden * GATES * PATHS];
        let here = (time * self.dims.batch + first) * d_all_gates.stride;
        for gate in 0..GATES {
            let data = &d_gates[gate * PATHS..];
            let to = &mut d_all_gates.rows[here + gate * hidden..];
            Matrix { data, stride: GATES * PATHS, rows: hidden, columns: rows }.transpose_into(to, d_all_gates.stride);
        }
    }

    /// The gradient at h_{t−1}.
    #[inline(always)]
    fn through_recurrence<const V: usize, const N: usize>(&mut self, slot: usize, first: usize) {
        let Scratch { d_gates, d_state, .. } = &mut *self.scratch;
        let len = GATES * self.shape.hidden * PATHS;
        let d_gates = &d_gates[slot * len..][..len];
        let groups = self.weights.recurrent.chunks_exact(GATES * self.shape.hidden * LANES);
        for (weights, d_state) in groups.zip(d_state.chunks_exact_mut(LANES * PATHS)) {
            let mut sums = [[Vector::<N>::ZERO; V]; LANES];
            for (weights, d_gate) in weights.as_chunks::<LANES>().0.iter().zip(d_gates.chunks_exact(PATHS)) {
                add_outer(&mut sums, weights, &d_gate[first..][..V * N]);
            }
            unrolled!(unit in LANES, Vector::store_all(sums[unit], &mut d_state[unit * PATHS + first..][..V * N]));
        }
    }
}

impl Scratch {
    /// Adds the gradients of the head's weights and bias.
    #[inline(always)]
    fn add_head_gradients<const S: usize, const N: usize>(&mut self, now: Frame<'_>) {
        let d_logits = Rows { data: &self.d_logits, stride: 0, count: 1, points: 1 };
        let states = Rows { data: now.state, stride: 0, count: now.state.len() / PATHS, points: 1 };
        add_products::<1, S, N, true>(&mut self.d_head, d_logits, states);
    }

    /// Adds the gradients of the recurrent layer's weights: at the gates, times what they saw, of so many points from this
    /// one on.
    #[inline(always)]
    fn add_weight_gradients<const S: usize, const N: usize>(&mut self, shape: Shape, place: Place<'_>, points: usize) {
        let Shape { inputs, hidden } = shape;
        let stride = Frame::len(shape);
        // What the gates saw: the inputs of their own frames, and the states of the frames before.
        let frames = &place.frames[place.time * stride..][..(points + 1) * stride];
        let seen_inputs = Rows { data: &frames[stride..], stride, count: inputs, points };
        let seen_states = Rows { data: &frames[inputs * PATHS..], stride, count: hidden, points };
        let len = (inputs + hidden + 1) * GATES * STRIP;
        for (unit, d_weights) in self.d_weights.chunks_exact_mut(len).enumerate() {
            let data = &self.d_gates[unit * GATES * PATHS..];
            let d_gates = Rows { data, stride: hidden * GATES * PATHS, count: GATES, points };
            let (of_states, of_inputs) = d_weights.split_at_mut(hidden * GATES * STRIP);
            add_products::<GATES, S, N, false>(of_states, d_gates, seen_states);
            add_products::<GATES, S, N, true>(of_inputs, d_gates, seen_inputs);
        }
    }
}
