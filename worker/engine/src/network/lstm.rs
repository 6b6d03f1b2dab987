//! The LSTM and its head: forward, and backward through time.
//!
//! With x_t the features, h and c the hidden and cell states (zero before the first point), PyTorch's equations:
//! `(i, f, g, o) = (σ, σ, tanh, σ)(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh)`, `c_t = f c_{t−1} + i g`,
//! `h_t = o tanh c_t`, and the position `δ_t = tanh(w·h_t + b)`. A gradient of the loss with respect to x is `d_x`.

use super::layout::{Layout, Start};
use super::{Dims, Gradient, Lstm, Policy, Scope};
use crate::kernel::{Strided, accumulate, transpose};
use crate::real::Real;

impl Lstm {
    /// The tensors, by PyTorch's names.
    pub(super) fn layout(&self, inputs: usize) -> Layout {
        let hidden = self.hidden as usize;
        let gates = 4 * hidden;
        let specs: [(&str, &[usize], Start); 6] = [
            ("lstm.weight_ih_l0", &[gates, inputs], Start::XavierUniform),
            ("lstm.weight_hh_l0", &[gates, hidden], Start::Orthogonal),
            ("lstm.bias_ih_l0", &[gates], Start::Zeros),
            ("lstm.bias_hh_l0", &[gates], Start::Zeros),
            ("fc.weight", &[1, hidden], Start::XavierUniform),
            ("fc.bias", &[1], Start::Zeros),
        ];
        Layout::new(&specs, 4)
    }
}

/// The weights or their gradient, tensor by tensor.
struct Tensors<S> {
    input: S,
    recurrent: S,
    bias_input: S,
    bias_recurrent: S,
    head: S,
    head_bias: S,
}

/// An LSTM's forward pass, kept for its backward pass. Arrays are time-major: \[T, B, ·\].
pub(super) struct LstmPolicy<R> {
    inputs: usize,
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

impl<R: Real> LstmPolicy<R> {
    pub(super) fn new(lstm: &Lstm, inputs: usize) -> LstmPolicy<R> {
        LstmPolicy {
            inputs,
            hidden: lstm.hidden as usize,
            dims: Dims::default(),
            input_t: Vec::new(),
            recurrent_t: Vec::new(),
            gates: Vec::new(),
            cell: Vec::new(),
            cell_tanh: Vec::new(),
            state: Vec::new(),
            positions: Vec::new(),
            d_logits: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    fn tensors<'w>(&self, weights: &'w [R]) -> Tensors<&'w [R]> {
        let gates = 4 * self.hidden;
        let (input, rest) = weights.split_at(gates * self.inputs);
        let (recurrent, rest) = rest.split_at(gates * self.hidden);
        let (bias_input, rest) = rest.split_at(gates);
        let (bias_recurrent, rest) = rest.split_at(gates);
        let (head, head_bias) = rest.split_at(self.hidden);
        Tensors { input, recurrent, bias_input, bias_recurrent, head, head_bias }
    }

    fn tensors_mut<'w>(&self, gradient: &'w mut [R]) -> Tensors<&'w mut [R]> {
        let gates = 4 * self.hidden;
        let (input, rest) = gradient.split_at_mut(gates * self.inputs);
        let (recurrent, rest) = rest.split_at_mut(gates * self.hidden);
        let (bias_input, rest) = rest.split_at_mut(gates);
        let (bias_recurrent, rest) = rest.split_at_mut(gates);
        let (head, head_bias) = rest.split_at_mut(self.hidden);
        Tensors { input, recurrent, bias_input, bias_recurrent, head, head_bias }
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

    /// Gradient at the head's pre-activations, of its weights and of its bias.
    fn back_through_head(&mut self, d_positions: &[R], gradient: &mut Tensors<&mut [R]>) {
        let (batch, hidden) = (self.dims.batch, self.hidden);
        self.d_logits.clear();
        self.d_logits.extend(self.positions.iter().zip(d_positions).map(|(y, d_y)| *d_y * (R::ONE - *y * *y)));
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

impl<R: Real> Policy<R> for LstmPolicy<R> {
    fn forward(&mut self, weights: &[R], inputs: &[R], dims: Dims) {
        let weights = self.tensors(weights);
        self.prepare(&weights, dims);
        for time in 0..dims.time {
            self.pre_activations(&weights, inputs, time);
            self.step_states(time);
        }
        for (position, state) in self.positions.iter_mut().zip(self.state.chunks_exact(self.hidden)) {
            let sum = state.iter().zip(weights.head).fold(R::ZERO, |sum, (h, w)| sum + *h * *w);
            *position = (sum + weights.head_bias[0]).tanh();
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
        let weights = self.tensors(weights);
        let Gradient { weights: d_weights, inputs: mut d_inputs } = out;
        d_weights.fill(R::ZERO);
        let mut gradient = self.tensors_mut(d_weights);
        self.back_through_head(d_positions, &mut gradient);
        if scope == Scope::Head {
            return;
        }
        resize(&mut self.scratch.d_state, batch * hidden);
        resize(&mut self.scratch.d_cell, batch * hidden);
        resize(&mut self.scratch.d_gates, batch * 4 * hidden);
        for time in (0..self.dims.time).rev() {
            self.add_head_gradient(weights.head, time);
            self.back_through_states(time);
            self.add_weight_gradients(inputs, time, &mut gradient);
            let d_gates = Strided::rows(&self.scratch.d_gates, 4 * hidden);
            if let Some(d_inputs) = &mut d_inputs {
                let d_features = &mut d_inputs[time * batch * self.inputs..][..batch * self.inputs];
                d_features.fill(R::ZERO);
                accumulate(d_features, d_gates, weights.input, [batch, 4 * hidden, self.inputs]);
            }
            self.scratch.d_state.fill(R::ZERO);
            accumulate(&mut self.scratch.d_state, d_gates, weights.recurrent, [batch, 4 * hidden, hidden]);
        }
    }
}

impl<R: Real> LstmPolicy<R> {
    /// Peak bytes of a pass over a batch.
    pub(super) fn bytes(lstm: &Lstm, inputs: usize, dims: Dims) -> u64 {
        let (rows, hidden) = ((dims.batch * dims.time) as u64, lstm.hidden);
        let trace = rows * (7 * hidden + 2);
        let scratch = dims.batch as u64 * 6 * hidden + 4 * hidden * (inputs as u64 + hidden + 1);
        (trace + scratch) * size_of::<R>() as u64
    }
}

#[cfg(test)]
#[path = "lstm_tests.rs"]
mod tests;
