//! The LSTM in plain loops, for any number: what the fast one is tested against, and the oracle in f64.

use super::{Shape, Tensors};
use crate::kernel::{Strided, accumulate, transpose};
use crate::network::{Dims, Gradient, InputShape, Lstm, Policy, Scope};
use crate::real::Real;

/// An LSTM's forward pass, kept for its backward pass. Arrays are time-major: \[T, B, ·\].
pub(super) struct ReferenceLstm<R> {
    inputs: usize,
    /// The place among the inputs of the last position, if it is fed back.
    fed_back: Option<usize>,
    hidden: usize,
    dims: Dims,
    /// Transposed weights: \[I, 4H\] and \[H, 4H\].
    input_t: Vec<R>,
    recurrent_t: Vec<R>,
    /// Activated gates i, f, g, o: \[T, B, 4H\].
    gates: Vec<R>,
    /// c_t, tanh c_t and h_t: \[T, B, H\].
    cell: Vec<R>,
    cell_tanh: Vec<R>,
    state: Vec<R>,
    /// δ_t: \[T, B\].
    positions: Vec<R>,
    /// Gradient of the positions, with what they do as later inputs: \[T, B\].
    d_positions: Vec<R>,
    /// Gradient at the head's pre-activations: \[T, B\].
    d_logits: Vec<R>,
    scratch: Scratch<R>,
}

/// Gradients of one point in time.
#[derive(Default)]
struct Scratch<R> {
    /// At the gates' pre-activations: \[B, 4H\].
    d_gates: Vec<R>,
    /// At h_t, c_t: \[B, H\].
    d_state: Vec<R>,
    d_cell: Vec<R>,
    /// Of the bias, which PyTorch counts twice: \[4H\].
    d_bias: Vec<R>,
}

fn resize<R: Real>(vector: &mut Vec<R>, len: usize) {
    vector.clear();
    vector.resize(len, R::ZERO);
}

impl<R: Real> ReferenceLstm<R> {
    pub(super) fn new(lstm: &Lstm, inputs: InputShape) -> ReferenceLstm<R> {
        ReferenceLstm {
            inputs: inputs.count,
            fed_back: inputs.fed_back,
            hidden: lstm.hidden as usize,
            dims: Dims::default(),
            input_t: Vec::new(),
            recurrent_t: Vec::new(),
            gates: Vec::new(),
            cell: Vec::new(),
            cell_tanh: Vec::new(),
            state: Vec::new(),
            positions: Vec::new(),
            d_positions: Vec::new(),
            d_logits: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    fn shape(&self) -> Shape {
        Shape { inputs: self.inputs, hidden: self.hidden }
    }

    /// Makes room for a batch, and packs the weights.
    fn prepare(&mut self, weights: &Tensors<&[R]>, dims: Dims) {
        let (rows, hidden) = (dims.batch * dims.time, self.hidden);
        self.dims = dims;
        resize(&mut self.gates, rows * 4 * hidden);
        for states in [&mut self.cell, &mut self.cell_tanh, &mut self.state] {
            resize(states, rows * hidden);
        }
        resize(&mut self.positions, rows);
        transpose(weights.input, self.inputs, &mut self.input_t);
        transpose(weights.recurrent, hidden, &mut self.recurrent_t);
    }

    /// The gates' pre-activations at `time`, before they are activated in place.
    fn pre_activations(&mut self, weights: &Tensors<&[R]>, inputs: &[R], time: usize) {
        let (batch, hidden, width) = (self.dims.batch, self.hidden, 4 * self.hidden);
        let gates = &mut self.gates[time * batch * width..][..batch * width];
        for row in gates.chunks_exact_mut(width) {
            for ((gate, bias), other) in row.iter_mut().zip(weights.bias_input).zip(weights.bias_recurrent) {
                *gate = *bias + *other;
            }
        }
        let features = &inputs[time * batch * self.inputs..][..batch * self.inputs];
        accumulate(gates, Strided::rows(features, self.inputs), &self.input_t, [batch, self.inputs, width]);
        if time > 0 {
            let last = &self.state[(time - 1) * batch * hidden..][..batch * hidden];
            accumulate(gates, Strided::rows(last, hidden), &self.recurrent_t, [batch, hidden, width]);
        }
    }

    /// Activates the gates at `time` and steps the states of every path.
    fn step_states(&mut self, time: usize) {
        let (batch, hidden) = (self.dims.batch, self.hidden);
        for path in 0..batch {
            let here = (time * batch + path) * hidden;
            let gates = &mut self.gates[4 * here..][..4 * hidden];
            activate(gates, hidden);
            let (before, now) = self.cell.split_at_mut(here);
            let last = if time > 0 { &before[here - batch * hidden..][..hidden] } else { &[] };
            let cell = &mut now[..hidden];
            let cell_tanh = &mut self.cell_tanh[here..][..hidden];
            let state = &mut self.state[here..][..hidden];
            let (i, f, g, o) = quarters(gates, hidden);
            for (unit, cell) in cell.iter_mut().enumerate() {
                *cell = i[unit] * g[unit];
            }
            for (unit, last) in last.iter().enumerate() {
                cell[unit] += f[unit] * *last;
            }
            for unit in 0..hidden {
                cell_tanh[unit] = cell[unit].tanh();
                state[unit] = o[unit] * cell_tanh[unit];
            }
        }
    }

    /// The gradient at the gates' pre-activations and at c_{t−1}, from those at h_t and c_t.
    fn back_through_states(&mut self, time: usize) {
        let (batch, hidden) = (self.dims.batch, self.hidden);
        for path in 0..batch {
            let here = (time * batch + path) * hidden;
            let (i, f, g, o) = quarters(&self.gates[4 * here..][..4 * hidden], hidden);
            let tanh = &self.cell_tanh[here..][..hidden];
            let last = if time > 0 { &self.cell[here - batch * hidden..][..hidden] } else { &[] };
            let d_state = &self.scratch.d_state[path * hidden..][..hidden];
            let d_cell = &mut self.scratch.d_cell[path * hidden..][..hidden];
            let d_gates = &mut self.scratch.d_gates[path * 4 * hidden..][..4 * hidden];
            let (d_i, rest) = d_gates.split_at_mut(hidden);
            let (d_f, rest) = rest.split_at_mut(hidden);
            let (d_g, d_o) = rest.split_at_mut(hidden);
            for unit in 0..hidden {
                let d_c = d_cell[unit] + d_state[unit] * o[unit] * (R::ONE - tanh[unit] * tanh[unit]);
                d_i[unit] = d_c * g[unit] * i[unit] * (R::ONE - i[unit]);
                d_g[unit] = d_c * i[unit] * (R::ONE - g[unit] * g[unit]);
                d_o[unit] = d_state[unit] * tanh[unit] * o[unit] * (R::ONE - o[unit]);
                d_f[unit] = d_c * f[unit] * (R::ONE - f[unit]);
                d_cell[unit] = d_c * f[unit];
            }
            // f_t multiplies c_{t−1}, which is zero at the first point.
            if last.is_empty() {
                d_f.fill(R::ZERO);
            }
            for (d_f, last) in d_f.iter_mut().zip(last) {
                *d_f *= *last;
            }
        }
    }

    /// Writes the last positions where they are inputs at `time`.
    fn feed_back(&self, inputs: &mut [R], time: usize) {
        let Some(place) = self.fed_back.filter(|_| time > 0) else { return };
        let batch = self.dims.batch;
        let last = &self.positions[(time - 1) * batch..][..batch];
        let now = &mut inputs[time * batch * self.inputs..][..batch * self.inputs];
        for (row, position) in now.chunks_exact_mut(self.inputs).zip(last) {
            row[place] = *position;
        }
    }

    /// The positions at `time`: δ = tanh(w·h + b).
    fn decide(&mut self, weights: &Tensors<&[R]>, time: usize) {
        let (batch, hidden) = (self.dims.batch, self.hidden);
        let states = self.state[time * batch * hidden..][..batch * hidden].chunks_exact(hidden);
        for (position, state) in self.positions[time * batch..][..batch].iter_mut().zip(states) {
            let sum = state.iter().zip(weights.head).fold(R::ZERO, |sum, (h, w)| sum + *h * *w);
            *position = (sum + weights.head_bias[0]).tanh();
        }
    }

    /// Gradient at the head's pre-activations at `time`.
    fn back_through_output(&mut self, time: usize) {
        let here = time * self.dims.batch..(time + 1) * self.dims.batch;
        let positions = self.positions[here.clone()].iter().zip(&self.d_positions[here.clone()]);
        for (d_logit, (y, d_y)) in self.d_logits[here].iter_mut().zip(positions) {
            *d_logit = *d_y * (R::ONE - *y * *y);
        }
    }

    /// Adds to the gradient of the positions before `time` what they do as its inputs.
    fn back_through_feedback(&mut self, weights: &Tensors<&[R]>, time: usize) {
        let Some(place) = self.fed_back.filter(|_| time > 0) else { return };
        let (batch, width) = (self.dims.batch, 4 * self.hidden);
        let last = &mut self.d_positions[(time - 1) * batch..][..batch];
        for (d_position, d_gates) in last.iter_mut().zip(self.scratch.d_gates.chunks_exact(width)) {
            let column = weights.input.iter().skip(place).step_by(self.inputs);
            *d_position += d_gates.iter().zip(column).fold(R::ZERO, |sum, (d, w)| sum + *d * *w);
        }
    }

    /// Adds the gradients of the head's weights and bias.
    fn add_head_gradients(&self, gradient: &mut Tensors<&mut [R]>) {
        let (batch, hidden) = (self.dims.batch, self.hidden);
        for (d_logits, states) in self.d_logits.chunks_exact(batch).zip(self.state.chunks_exact(batch * hidden)) {
            accumulate(gradient.head, Strided::rows(d_logits, batch), states, [1, batch, hidden]);
            gradient.head_bias[0] += d_logits.iter().fold(R::ZERO, |sum, d| sum + *d);
        }
    }

    /// Adds what reaches h_t from the head to what reached it from the next point.
    fn add_head_gradient(&mut self, head: &[R], time: usize) {
        let batch = self.dims.batch;
        let d_logits = &self.d_logits[time * batch..][..batch];
        for (d_state, d_logit) in self.scratch.d_state.chunks_exact_mut(self.hidden).zip(d_logits) {
            d_state.iter_mut().zip(head).for_each(|(d, w)| *d += *d_logit * *w);
        }
    }

    /// Adds the gradients of the recurrent layer's weights at `time`.
    fn add_weight_gradients(&mut self, inputs: &[R], time: usize, gradient: &mut Tensors<&mut [R]>) {
        let (batch, hidden, width) = (self.dims.batch, self.hidden, 4 * self.hidden);
        let d_gates = Strided::transposed(&self.scratch.d_gates, width);
        let features = &inputs[time * batch * self.inputs..][..batch * self.inputs];
        accumulate(gradient.input, d_gates, features, [width, batch, self.inputs]);
        if time > 0 {
            let last = &self.state[(time - 1) * batch * hidden..][..batch * hidden];
            accumulate(gradient.recurrent, d_gates, last, [width, batch, hidden]);
        }
        resize(&mut self.scratch.d_bias, width);
        for row in self.scratch.d_gates.chunks_exact(width) {
            self.scratch.d_bias.iter_mut().zip(row).for_each(|(sum, d)| *sum += *d);
        }
        for bias in [&mut *gradient.bias_input, &mut *gradient.bias_recurrent] {
            bias.iter_mut().zip(&self.scratch.d_bias).for_each(|(sum, d)| *sum += *d);
        }
    }
}

/// σ, σ, tanh, σ over one path's gates.
fn activate<R: Real>(gates: &mut [R], hidden: usize) {
    let (sigmoids, rest) = gates.split_at_mut(2 * hidden);
    let (candidates, outputs) = rest.split_at_mut(hidden);
    sigmoids.iter_mut().for_each(|gate| *gate = gate.sigmoid());
    candidates.iter_mut().for_each(|gate| *gate = gate.tanh());
    outputs.iter_mut().for_each(|gate| *gate = gate.sigmoid());
}

/// One path's gates i, f, g, o.
fn quarters<R>(gates: &[R], hidden: usize) -> (&[R], &[R], &[R], &[R]) {
    let (i, rest) = gates.split_at(hidden);
    let (f, rest) = rest.split_at(hidden);
    let (g, o) = rest.split_at(hidden);
    (i, f, g, &o[..hidden])
}

impl<R: Real> Policy<R> for ReferenceLstm<R> {
    fn forward(&mut self, weights: &[R], inputs: &mut [R], dims: Dims) {
        let weights = self.shape().tensors(weights);
        self.prepare(&weights, dims);
        for time in 0..dims.time {
            self.feed_back(inputs, time);
            self.pre_activations(&weights, inputs, time);
            self.step_states(time);
            self.decide(&weights, time);
        }
    }

    fn positions(&self) -> &[R] {
        &self.positions
    }

    fn head_inputs(&self) -> &[R] {
        &self.state
    }

    fn head_gradients(&self) -> &[R] {
        &self.d_logits
    }

    fn backward(&mut self, weights: &[R], inputs: &[R], d_positions: &[R], scope: Scope, out: Gradient<'_, R>) {
        let (batch, hidden) = (self.dims.batch, self.hidden);
        let weights = self.shape().tensors(weights);
        let Gradient { weights: mut d_weights, inputs: mut d_inputs, gates: mut d_all_gates } = out;
        d_weights.iter_mut().for_each(|d_weights| d_weights.fill(R::ZERO));
        let mut gradient = d_weights.map(|d_weights| self.shape().tensors_mut(d_weights));
        self.d_positions.clear();
        self.d_positions.extend_from_slice(d_positions);
        resize(&mut self.d_logits, d_positions.len());
        resize(&mut self.scratch.d_state, batch * hidden);
        resize(&mut self.scratch.d_cell, batch * hidden);
        resize(&mut self.scratch.d_gates, batch * 4 * hidden);
        // A position that is fed back moves later ones through the recurrent layer, whoever trains it.
        let ends_at_head = scope == Scope::Head && self.fed_back.is_none();
        if let (true, Some(d_all_gates)) = (ends_at_head, &mut d_all_gates) {
            d_all_gates.rows.fill(R::ZERO);
        }
        for time in (0..self.dims.time).rev() {
            self.back_through_output(time);
            if ends_at_head {
                continue;
            }
            self.add_head_gradient(weights.head, time);
            self.back_through_states(time);
            self.back_through_feedback(&weights, time);
            if let (Scope::All, Some(gradient)) = (scope, &mut gradient) {
                self.add_weight_gradients(inputs, time, gradient);
            }
            if let Some(d_all_gates) = &mut d_all_gates {
                let lines = d_all_gates.lines(time * batch, batch, 4 * hidden);
                lines.zip(self.scratch.d_gates.chunks_exact(4 * hidden)).for_each(|(line, d)| line.copy_from_slice(d));
            }
            let d_gates = Strided::rows(&self.scratch.d_gates, 4 * hidden);
            if let Some(d_inputs) = &mut d_inputs {
                let d_features = &mut d_inputs[time * batch * self.inputs..][..batch * self.inputs];
                d_features.fill(R::ZERO);
                accumulate(d_features, d_gates, weights.input, [batch, 4 * hidden, self.inputs]);
            }
            self.scratch.d_state.fill(R::ZERO);
            accumulate(&mut self.scratch.d_state, d_gates, weights.recurrent, [batch, 4 * hidden, hidden]);
        }
        if let Some(gradient) = &mut gradient {
            self.add_head_gradients(gradient);
        }
    }
}
