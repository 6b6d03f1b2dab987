//! The LSTM and its head: forward, and backward through time.
//!
//! With x_t the features, h and c the hidden and cell states (zero before the first point), PyTorch's equations:
//! `(i, f, g, o) = (σ, σ, tanh, σ)(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh)`, `c_t = f c_{t−1} + i g`,
//! `h_t = o tanh c_t`, and the position `δ_t = tanh(w·h_t + b)`, which may be one of the inputs x_{t+1}. A gradient of the
//! loss with respect to x is `d_x`.
//!
//! There are three of it: [`reference`] in plain loops for any number; and for f32 [`across_units`], with vectors of units,
//! and [`across_paths`], with vectors of paths, where there are few units. They are tested against the reference.

mod across_paths;
mod across_units;
mod reference;

use std::any::Any;

use super::layout::{Layout, Start};
use super::{Dims, GateRows, Gradient, InputShape, Lstm, Policy, Scope};
use crate::isa::Isa;
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

    /// The network at work: a fast one for f32.
    pub(super) fn policy<R: Real>(&self, inputs: InputShape, batch: usize) -> Box<dyn Policy<R>> {
        let isa = Isa::detect();
        let fast: Box<dyn Policy<f32>> = if across_paths::is_faster(self, batch) {
            Box::new(across_paths::LstmAcrossPaths::new(self, inputs, isa))
        } else {
            Box::new(across_units::LstmAcrossUnits::new(self, inputs, isa))
        };
        // The same type if R is f32; any other number has the reference.
        let same: Result<Box<Box<dyn Policy<R>>>, _> = (Box::new(fast) as Box<dyn Any>).downcast();
        same.map_or_else(|_| Box::new(reference::ReferenceLstm::new(self, inputs)) as _, |fast| *fast)
    }

    /// Peak bytes of a pass in f32 over a batch.
    pub(super) fn bytes(&self, inputs: usize, dims: Dims) -> u64 {
        let shape = Shape { inputs, hidden: self.hidden as usize };
        let across_units = across_units::bytes(shape, dims);
        // Which of the two it is, the training batch says, and held-out sets are scored in larger ones.
        if shape.hidden > across_paths::MOST_UNITS {
            across_units
        } else {
            across_units.max(across_paths::bytes(shape, dims))
        }
    }
}

/// I and H.
#[derive(Clone, Copy, Debug)]
struct Shape {
    inputs: usize,
    hidden: usize,
}

/// What of a backward pass in f32 is wanted, but for where the gradient of the weights goes.
struct Wanted<'a> {
    /// Whether the head's gradient is, and the recurrent layer's.
    of_head: bool,
    of_recurrent: bool,
    /// Whether nothing but the head's gradient is, and no way leads on.
    ends_at_head: bool,
    /// \[D, B, I\]
    d_inputs: Option<&'a mut [f32]>,
    d_gates: Option<GateRows<'a, f32>>,
}

impl<'a> Wanted<'a> {
    /// What `scope` and the places to write to say, and the place for the gradient of the weights.
    fn of(scope: Scope, fed_back: Option<usize>, out: Gradient<'a, f32>) -> (Wanted<'a>, Option<&'a mut [f32]>) {
        let Gradient { weights, inputs: d_inputs, gates: mut d_gates } = out;
        // A position that is fed back moves later ones through the recurrent layer, whoever trains it.
        let ends_at_head = scope == Scope::Head && fed_back.is_none();
        if let (true, Some(d_gates)) = (ends_at_head, &mut d_gates) {
            d_gates.rows.fill(0.0);
        }
        let of_recurrent = weights.is_some() && scope == Scope::All;
        (Wanted { of_head: weights.is_some(), of_recurrent, ends_at_head, d_inputs, d_gates }, weights)
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

impl Shape {
    fn tensors<R>(self, weights: &[R]) -> Tensors<&[R]> {
        let gates = 4 * self.hidden;
        let (input, rest) = weights.split_at(gates * self.inputs);
        let (recurrent, rest) = rest.split_at(gates * self.hidden);
        let (bias_input, rest) = rest.split_at(gates);
        let (bias_recurrent, rest) = rest.split_at(gates);
        let (head, head_bias) = rest.split_at(self.hidden);
        Tensors { input, recurrent, bias_input, bias_recurrent, head, head_bias }
    }

    fn tensors_mut<R>(self, gradient: &mut [R]) -> Tensors<&mut [R]> {
        let gates = 4 * self.hidden;
        let (input, rest) = gradient.split_at_mut(gates * self.inputs);
        let (recurrent, rest) = rest.split_at_mut(gates * self.hidden);
        let (bias_input, rest) = rest.split_at_mut(gates);
        let (bias_recurrent, rest) = rest.split_at_mut(gates);
        let (head, head_bias) = rest.split_at_mut(self.hidden);
        Tensors { input, recurrent, bias_input, bias_recurrent, head, head_bias }
    }
}

#[cfg(test)]
mod tests;
