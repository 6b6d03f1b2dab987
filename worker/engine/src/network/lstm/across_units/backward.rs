//! The backward pass in f32, in the blocks of the forward pass.

use super::super::{Shape, Wanted};
use super::forward::Rows;
use super::{BLOCK, EIGHTS, GATE_NUMBERS, Trace, padded};
use crate::aligned::Aligned;
use crate::isa::Kernel;
use crate::lanes::{LANES, Lanes, Vector, add_outer, copy_short, sums_of_rows, unrolled};
use crate::network::Dims;

/// Vectors whose sums over the gates are in registers at a time.
const TILE_VECTORS: usize = 4;

/// i, f, g and o.
const GATES: usize = 4;

/// Sums in which the gradient of the head's weights comes together, each of every fourth path: one would wait for itself.
const CHAINS: usize = 4;

/// The weights as the backward pass reads them. Gates lie as in the trace: \[H/8, 4, 8\].
#[derive(Default)]
pub(super) struct BackwardWeights {
    /// The recurrent weights, in groups of four vectors' columns, of which the last can be narrower: \[·, 4H, 32\].
    recurrent: Aligned<f32>,
    /// \[I, 4H\]
    inputs: Aligned<f32>,
    /// \[H\], and zeros.
    head: Aligned<f32>,
    /// c before the first point: \[BLOCK, H\].
    start: Aligned<f32>,
}

/// What a backward pass needs for the time being.
#[derive(Default)]
pub(super) struct Scratch {
    /// At the gates' pre-activations of a block at one point: \[BLOCK, `stride`\].
    d_gates: Aligned<f32>,
    /// At h: \[BLOCK, H\].
    d_state: Aligned<f32>,
    /// At c: \[H/8, paths, 8\].
    d_cell: Aligned<f32>,
    /// Of the recurrent weights, the input weights and the bias: \[H/8, H + I + 1, 4, 8\].
    d_weights: Aligned<f32>,
    /// \[H\], and of the bias, in lanes that are yet to be added up.
    d_head: Aligned<f32>,
    d_head_bias: Aligned<f32>,
}

/// Numbers from one path's gradient at the gates to the next one's: off the powers of two, which would all meet in a few
/// lines of the cache.
fn stride(hidden: usize) -> usize {
    4 * padded(hidden) + 16
}

/// Where a gate of a unit lies among the 4H.
fn gate_place(gate: usize, unit: usize) -> usize {
    unit / LANES * GATE_NUMBERS + gate * LANES + unit % LANES
}

impl BackwardWeights {
    /// Packs the weights.
    pub(super) fn pack(&mut self, shape: Shape, weights: &[f32]) {
        let Shape { inputs, hidden } = shape;
        let (tensors, width) = (shape.tensors(weights), padded(hidden));
        self.recurrent.resize(4 * width * width);
        self.inputs.resize(inputs * 4 * width);
        for gate in 0..4 {
            for unit in 0..hidden {
                let (row, place) = (gate * hidden + unit, gate_place(gate, unit));
                let recurrent = &tensors.recurrent[row * hidden..][..hidden];
                for (group, weights) in recurrent.chunks(TILE_VECTORS * LANES).enumerate() {
                    let first = group * TILE_VECTORS * LANES;
                    let columns = (TILE_VECTORS * LANES).min(width - first);
                    self.recurrent[first * 4 * width + place * columns..][..weights.len()].copy_from_slice(weights);
                }
                for input in 0..inputs {
                    self.inputs[input * 4 * width + place] = tensors.input[row * inputs + input];
                }
            }
        }
        self.head.resize(width);
        self.head[..hidden].copy_from_slice(tensors.head);
        self.start.resize(BLOCK * width);
    }
}

impl Scratch {
    /// Makes room, and begins the sums.
    pub(super) fn prepare(&mut self, shape: Shape) {
        let Shape { inputs, hidden } = shape;
        let width = padded(hidden);
        self.d_gates.resize(BLOCK * stride(hidden));
        self.d_state.resize(BLOCK * width);
        self.d_cell.resize(BLOCK * width);
        self.d_weights.resize(width / LANES * (hidden + inputs + 1) * GATE_NUMBERS);
        self.d_head.resize(width);
        self.d_head_bias.resize(LANES);
        for sums in [&mut self.d_weights, &mut self.d_head, &mut self.d_head_bias] {
            sums.fill(0.0);
        }
    }

    /// Writes the gradient of the weights in their own layout.
    pub(super) fn unpack(&self, shape: Shape, gradient: &mut [f32]) {
        let Shape { inputs, hidden } = shape;
        let gradient = shape.tensors_mut(gradient);
        for (block, panel) in self.d_weights.chunks_exact((hidden + inputs + 1) * GATE_NUMBERS).enumerate() {
            let units = LANES.min(hidden - block * LANES);
            for gate in 0..4 {
                for lane in 0..units {
                    let row = gate * hidden + block * LANES + lane;
                    let mut sums = panel[gate * LANES + lane..].iter().step_by(GATE_NUMBERS);
                    for places in [
                        &mut gradient.recurrent[row * hidden..][..hidden],
                        &mut gradient.input[row * inputs..][..inputs],
                    ] {
                        places.iter_mut().zip(sums.by_ref()).for_each(|(place, sum)| *place = *sum);
                    }
                    let bias = *sums.next().expect("the bias comes last");
                    (gradient.bias_input[row], gradient.bias_recurrent[row]) = (bias, bias);
                }
            }
        }
        gradient.head.copy_from_slice(&self.d_head[..hidden]);
        gradient.head_bias[0] = Lanes::load(&self.d_head_bias).sum();
    }
}

/// A backward pass to be done.
pub(super) struct Backward<'a> {
    pub(super) shape: Shape,
    /// The place among the inputs of the last position, if it is fed back.
    pub(super) fed_back: Option<usize>,
    pub(super) dims: Dims,
    pub(super) weights: &'a BackwardWeights,
    /// \[D, B, I\]
    pub(super) inputs: &'a [f32],
    pub(super) trace: &'a Trace,
    pub(super) scratch: &'a mut Scratch,
    /// Gradient of the positions, to which is added what they do as later inputs: \[D, B\].
    pub(super) d_positions: &'a mut [f32],
    /// At the head's pre-activations: \[D, B\].
    pub(super) d_logits: &'a mut [f32],
    pub(super) wanted: Wanted<'a>,
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    fn run<const WIDE: bool>(mut self) {
        let Dims { batch, time } = self.dims;
        for first in (0..batch).step_by(BLOCK) {
            let rows = BLOCK.min(batch - first);
            self.scratch.d_state.fill(0.0);
            self.scratch.d_cell.fill(0.0);
            for time in (0..time).rev() {
                self.point::<WIDE>(first, rows, time);
            }
        }
    }
}

impl Backward<'_> {
    /// A block at `time`.
    #[inline(always)]
    fn point<const WIDE: bool>(&mut self, first: usize, rows: usize, time: usize) {
        let here = time * self.dims.batch + first;
        self.through_output(here, rows);
        if self.wanted.of_head {
            self.add_head_gradients::<WIDE>(here, rows);
        }
        if self.wanted.ends_at_head {
            return;
        }
        self.through_states(here, rows, time);
        self.through_feedback(here, rows, time);
        if self.wanted.of_recurrent {
            self.add_weight_gradients::<WIDE>(here, rows, time);
        }
        self.write_gates(here, rows);
        self.through_inputs(here, rows);
        if time > 0 {
            self.through_recurrence::<WIDE>(rows);
        }
    }

    /// Gradient at the head's pre-activations of the rows from `here` on.
    #[inline(always)]
    fn through_output(&mut self, here: usize, rows: usize) {
        let places = here..here + rows;
        let positions = self.trace.positions[places.clone()].iter().zip(&self.d_positions[places.clone()]);
        for (d_logit, (y, d_y)) in self.d_logits[places].iter_mut().zip(positions) {
            *d_logit = *d_y * (-*y).mul_add(*y, 1.0);
        }
    }

    /// Adds the gradients of the head's weights and bias.
    #[inline(always)]
    fn add_head_gradients<const WIDE: bool>(&mut self, here: usize, rows: usize) {
        let width = padded(self.shape.hidden);
        let d_logits = &self.d_logits[here..][..rows];
        let states = &self.trace.state[here * width..][..rows * width];
        if WIDE && width.is_multiple_of(16) {
            add_head_products::<16>(&mut self.scratch.d_head, d_logits, states);
        } else {
            add_head_products::<LANES>(&mut self.scratch.d_head, d_logits, states);
        }
        for d_logits in d_logits.chunks(LANES) {
            self.scratch.d_head_bias.iter_mut().zip(d_logits).for_each(|(sum, d)| *sum += *d);
        }
    }

    /// The gradient at the gates' pre-activations and at c_{t−1}, from those at h_t, c_t and the head.
    #[inline(always)]
    fn through_states(&mut self, here: usize, rows: usize, time: usize) {
        let (hidden, width) = (self.shape.hidden, padded(self.shape.hidden));
        let last_cell = match time {
            0 => &self.weights.start[..rows * width],
            _ => &self.trace.cell[(here - self.dims.batch) * width..][..rows * width],
        };
        let Scratch { d_gates, d_state, d_cell, .. } = &mut *self.scratch;
        let traced = self.trace.gates[here * 4 * width..][..rows * 4 * width].chunks_exact(rows * GATE_NUMBERS);
        let traced = traced.zip(self.trace.cell_tanh[here * width..][..rows * width].chunks_exact(rows * LANES));
        let traced = traced.zip(last_cell.chunks_exact(rows * LANES));
        for (block, (((gates, cell_tanh), last_cell), d_cell)) in
            traced.zip(d_cell.chunks_exact_mut(rows * LANES)).enumerate()
        {
            let units = UnitsBack {
                block,
                hidden,
                head: &self.weights.head,
                d_logits: &self.d_logits[here..][..rows],
                gates,
                cell_tanh,
                last_cell,
                d_state: &d_state[..rows * width],
                d_cell,
                d_gates: &mut d_gates[..rows * stride(hidden)],
            };
            units.run();
        }
    }

    /// Adds to the gradient of the positions before `time` what they do as its inputs.
    #[inline(always)]
    fn through_feedback(&mut self, here: usize, rows: usize, time: usize) {
        let Some(place) = self.fed_back.filter(|_| time > 0) else { return };
        let width = 4 * padded(self.shape.hidden);
        let weights = &self.weights.inputs[place * width..][..width];
        let d_gates = self.scratch.d_gates[..rows * stride(self.shape.hidden)].chunks_exact(stride(self.shape.hidden));
        let mut lanes = [0.0; BLOCK * LANES];
        for (lanes, d_gates) in lanes.chunks_exact_mut(LANES).zip(d_gates) {
            products(&d_gates[..width], weights).store(lanes);
        }
        let last = &mut self.d_positions[here - self.dims.batch..][..rows];
        let mut sums = [0.0; BLOCK];
        unrolled!(eight in EIGHTS, {
            if eight * LANES < rows {
                sums_of_rows(&lanes[eight * LANES * LANES..]).store(&mut sums[eight * LANES..]);
            }
        });
        last.iter_mut().zip(sums).for_each(|(d_position, sum)| *d_position += sum);
    }

    /// The gradient of the inputs, if it is wanted.
    #[inline(always)]
    fn through_inputs(&mut self, here: usize, rows: usize) {
        let Some(d_inputs) = &mut self.wanted.d_inputs else { return };
        let (inputs, width) = (self.shape.inputs, 4 * padded(self.shape.hidden));
        let d_inputs = d_inputs[here * inputs..][..rows * inputs].chunks_exact_mut(inputs);
        for (d_inputs, d_gates) in d_inputs.zip(self.scratch.d_gates.chunks_exact(stride(self.shape.hidden))) {
            for (d_input, weights) in d_inputs.iter_mut().zip(self.weights.inputs.chunks_exact(width)) {
                *d_input = dot(&d_gates[..width], weights);
            }
        }
    }

    /// Writes the gradient at the gates in the weights' order, if it is wanted.
    #[inline(always)]
    fn write_gates(&mut self, here: usize, rows: usize) {
        let Some(d_all_gates) = &mut self.wanted.d_gates else { return };
        let hidden = self.shape.hidden;
        let places = d_all_gates.lines(here, rows, 4 * hidden);
        for (places, d_gates) in places.zip(self.scratch.d_gates.chunks_exact(stride(hidden))) {
            for (gate, places) in places.chunks_exact_mut(hidden).enumerate() {
                for (block, places) in places.chunks_mut(LANES).enumerate() {
                    copy_short(&d_gates[block * GATE_NUMBERS + gate * LANES..][..places.len()], places);
                }
            }
        }
    }

    /// Adds the gradients of the recurrent layer's weights at `time`: at the gates, times what they saw.
    #[inline(always)]
    fn add_weight_gradients<const WIDE: bool>(&mut self, here: usize, rows: usize, time: usize) {
        let Shape { inputs, hidden } = self.shape;
        let width = padded(hidden);
        let features = &self.inputs[here * inputs..][..rows * inputs];
        let Scratch { d_gates, d_weights, .. } = &mut *self.scratch;
        let last_state = match time {
            0 => &[],
            _ => &self.trace.state[(here - self.dims.batch) * width..][..rows * width],
        };
        for (block, panel) in d_weights.chunks_exact_mut((hidden + inputs + 1) * GATE_NUMBERS).enumerate() {
            let d_gates = Columns { data: d_gates, rows, stride: stride(hidden), first: block * GATE_NUMBERS };
            let (of_states, rest) = panel.split_at_mut(hidden * GATE_NUMBERS);
            let (of_inputs, of_bias) = rest.split_at_mut(inputs * GATE_NUMBERS);
            if time > 0 {
                add_product::<WIDE>(of_states, Columns { data: last_state, rows, stride: width, first: 0 }, d_gates);
            }
            add_product::<WIDE>(of_inputs, Columns { data: features, rows, stride: inputs, first: 0 }, d_gates);
            add_rows(of_bias, d_gates);
        }
    }

    /// The gradient at h_{t−1}.
    #[inline(always)]
    fn through_recurrence<const WIDE: bool>(&mut self, rows: usize) {
        let (hidden, width) = (self.shape.hidden, padded(self.shape.hidden));
        let d_gates = &self.scratch.d_gates[..];
        let d_state = &mut self.scratch.d_state[..rows * width];
        for first in (0..width).step_by(TILE_VECTORS * LANES) {
            let columns = (TILE_VECTORS * LANES).min(width - first);
            let weights = &self.weights.recurrent[first * 4 * width..][..columns * 4 * width];
            let to = Product { d_gates, stride: stride(hidden), weights, width, first };
            // Eight to twelve sums are under way at a time: as many as the multiplier has stages.
            match columns / LANES {
                1 => to.rows::<8, 1, 8>(d_state, rows),
                2 if WIDE => to.rows::<8, 1, 16>(d_state, rows),
                2 => to.rows::<4, 2, 8>(d_state, rows),
                3 => to.rows::<4, 3, 8>(d_state, rows),
                _ if WIDE => to.rows::<8, 2, 16>(d_state, rows),
                _ => to.rows::<3, 4, 8>(d_state, rows),
            }
        }
    }
}

/// `d_head += Σ d_logits[r] · states[r]`, in chains of which each takes every fourth row.
#[inline(always)]
fn add_head_products<const N: usize>(d_head: &mut [f32], d_logits: &[f32], states: &[f32]) {
    let width = d_head.len();
    for (block, d_head) in d_head.chunks_exact_mut(N).enumerate() {
        let units = block * N..;
        let mut sums = [Vector::<N>::ZERO; CHAINS];
        let rows = states.chunks_exact(CHAINS * width).zip(d_logits.chunks_exact(CHAINS));
        for (states, d_logits) in rows {
            unrolled!(row in CHAINS, {
                let state = Vector::load(&states[row * width..][units.clone()]);
                sums[row] = Vector::splat(d_logits[row]).mul_add(state, sums[row]);
            });
        }
        let whole = d_logits.len() / CHAINS * CHAINS;
        for (state, d_logit) in states[whole * width..].chunks_exact(width).zip(&d_logits[whole..]) {
            sums[0] = Vector::splat(*d_logit).mul_add(Vector::load(&state[units.clone()]), sums[0]);
        }
        let [a, b, c, d] = sums;
        Vector::load(d_head).add(a.add(c).add(b.add(d))).store(d_head);
    }
}

/// The `block`th eight units of some paths at one point, on the way back through them.
struct UnitsBack<'a> {
    block: usize,
    hidden: usize,
    /// Of all units.
    head: &'a [f32],
    d_logits: &'a [f32],
    /// Of the trace, of these units.
    gates: &'a [f32],
    cell_tanh: &'a [f32],
    last_cell: &'a [f32],
    /// Of all units.
    d_state: &'a [f32],
    /// Of these.
    d_cell: &'a mut [f32],
    /// Of all units.
    d_gates: &'a mut [f32],
}

impl UnitsBack<'_> {
    #[inline(always)]
    fn run(self) {
        let (units, all_gates) = (self.block * LANES.., self.block * GATE_NUMBERS..);
        let head = Lanes::load(&self.head[units.clone()]);
        let traced = self.gates.chunks_exact(GATE_NUMBERS).zip(self.cell_tanh.chunks_exact(LANES));
        let traced = traced.zip(self.last_cell.chunks_exact(LANES));
        let above = self.d_logits.iter().zip(self.d_state.chunks_exact(padded(self.hidden)));
        let below = self.d_cell.chunks_exact_mut(LANES).zip(self.d_gates.chunks_exact_mut(stride(self.hidden)));
        for ((((gates, tanh), last_cell), (d_logit, d_state)), (d_cell, d_gates)) in traced.zip(above).zip(below) {
            let d_gates: &mut [f32; GATE_NUMBERS] =
                d_gates[all_gates.clone()].first_chunk_mut().expect("a block's gates");
            let ([i, f, g, o], tanh) = (Lanes::load_all(gates), Lanes::load(tanh));
            let d_h = Lanes::splat(*d_logit).mul_add(head, Lanes::load(&d_state[units.clone()]));
            let d_c = d_h.mul(o).mul_add(tanh.mul_sub_from(tanh, Vector::ONE), Lanes::load(d_cell));
            d_c.mul(f).store(d_cell);
            // σ' = σ − σ², tanh' = 1 − tanh².
            let d_gate = [
                d_c.mul(g).mul(i.mul_sub_from(i, i)),
                d_c.mul(Vector::load(last_cell)).mul(f.mul_sub_from(f, f)),
                d_c.mul(i).mul(g.mul_sub_from(g, Vector::ONE)),
                d_h.mul(tanh).mul(o.mul_sub_from(o, o)),
            ];
            Lanes::store_all(d_gate, d_gates);
        }
    }
}

/// Columns of a row-major matrix, from `first` on.
#[derive(Clone, Copy)]
struct Columns<'a> {
    data: &'a [f32],
    rows: usize,
    stride: usize,
    first: usize,
}

impl<'a> Columns<'a> {
    /// The first numbers of a row.
    #[inline(always)]
    fn row<const N: usize>(self, row: usize) -> &'a [f32; N] {
        self.data[row * self.stride + self.first..].first_chunk().expect("so many columns")
    }
}

/// `out[m, 32] += leftᵀ[m, rows] · right[rows, 32]`: summed over the rows in order, then added.
#[inline(always)]
fn add_product<const WIDE: bool>(out: &mut [f32], left: Columns<'_>, right: Columns<'_>) {
    if WIDE {
        add_product_by::<8, 2, 16>(out, left, right);
    } else {
        add_product_by::<3, 4, 8>(out, left, right);
    }
}

/// The same, `R` of the m at a time.
#[inline(always)]
fn add_product_by<const R: usize, const V: usize, const N: usize>(
    mut out: &mut [f32],
    mut left: Columns<'_>,
    right: Columns<'_>,
) {
    while !out.is_empty() {
        let rows = match out.len() / GATE_NUMBERS {
            many if many >= R => {
                product_tile::<R, V, N>(out, left, right);
                R
            }
            // Wide vectors are few: only so many rows keep the multiplier busy.
            5.. if R > 5 => {
                product_tile::<5, V, N>(out, left, right);
                5
            }
            4.. if R > 4 => {
                product_tile::<4, V, N>(out, left, right);
                4
            }
            3.. => {
                product_tile::<3, V, N>(out, left, right);
                3
            }
            2 => {
                product_tile::<2, V, N>(out, left, right);
                2
            }
            _ => {
                product_tile::<1, V, N>(out, left, right);
                1
            }
        };
        out = &mut out[rows * GATE_NUMBERS..];
        left.first += rows;
    }
}

#[inline(always)]
fn product_tile<const R: usize, const V: usize, const N: usize>(
    out: &mut [f32],
    left: Columns<'_>,
    right: Columns<'_>,
) {
    let mut sums = [[Vector::<N>::ZERO; V]; R];
    for row in 0..left.rows {
        add_outer(&mut sums, left.row(row), right.row::<GATE_NUMBERS>(row));
    }
    unrolled!(r in R, unrolled!(v in V, {
        let out = &mut out[r * GATE_NUMBERS + v * N..][..N];
        Vector::load(out).add(sums[r][v]).store(out);
    }));
}

/// `out[32] += Σ right[rows, 32]`.
#[inline(always)]
fn add_rows(out: &mut [f32], right: Columns<'_>) {
    let mut sums = [Lanes::ZERO; 4];
    for row in 0..right.rows {
        let row = Lanes::load_all::<GATES>(right.row::<GATE_NUMBERS>(row));
        unrolled!(v in GATES, sums[v] = sums[v].add(row[v]));
    }
    unrolled!(v in GATES, {
        let out = &mut out[v * LANES..];
        Lanes::load(out).add(sums[v]).store(out);
    });
}

/// The product that takes gradients through the recurrent weights, into some columns of d_state.
#[derive(Clone, Copy)]
struct Product<'a> {
    d_gates: &'a [f32],
    stride: usize,
    /// \[4H, columns\]
    weights: &'a [f32],
    /// H, rounded up.
    width: usize,
    /// The first of the columns.
    first: usize,
}

impl Product<'_> {
    #[inline(always)]
    fn rows<const R: usize, const V: usize, const N: usize>(self, d_state: &mut [f32], rows: usize) {
        let mut row = 0;
        while row + R <= rows {
            self.tile::<R, V, N>(d_state, row);
            row += R;
        }
        if R > 4 && row + 4 <= rows {
            self.tile::<4, V, N>(d_state, row);
            row += 4;
        }
        if row + 2 <= rows {
            self.tile::<2, V, N>(d_state, row);
            row += 2;
        }
        if row < rows {
            self.tile::<1, V, N>(d_state, row);
        }
    }

    #[inline(always)]
    fn tile<const R: usize, const V: usize, const N: usize>(self, d_state: &mut [f32], row: usize) {
        let left = Rows::<R>::new(&self.d_gates[row * self.stride..], self.stride, 4 * self.width);
        let mut sums = [[Vector::<N>::ZERO; V]; R];
        left.multiply(&mut sums, self.weights);
        unrolled!(r in R, {
            Vector::store_all(sums[r], &mut d_state[(row + r) * self.width + self.first..][..V * N]);
        });
    }
}

/// Σ a·b over all gates.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    products(a, b).sum()
}

/// The same in eight lanes that are yet to be added up.
#[inline(always)]
fn products(a: &[f32], b: &[f32]) -> Lanes {
    let mut sums = [Lanes::ZERO; 4];
    for (a, b) in a.chunks_exact(GATE_NUMBERS).zip(b.chunks_exact(GATE_NUMBERS)) {
        let (a, b) = (Lanes::load_all::<GATES>(a), Lanes::load_all::<GATES>(b));
        unrolled!(v in GATES, sums[v] = a[v].mul_add(b[v], sums[v]));
    }
    let [a, b, c, d] = sums;
    a.add(c).add(b.add(d))
}
