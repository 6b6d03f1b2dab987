//! A linear layer as K-FAC sees it: where its weights lie, what it reads, and what it says.

use nalgebra::DMatrix;

use super::{Bias, KfacLayers, RecurrentFactors};
use crate::lanes::copy_short;
use crate::network::{Dims, Layout};
use crate::optimizer::{Seen, Signals};
use crate::real::Real;

/// Which layer of the network it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// The gates' pre-activations from x_t and h_{t−1}.
    Recurrent,
    /// The head's pre-activation from h_t.
    Head,
}

/// A matrix of the layout, row-major, a row an output.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: usize,
    cols: usize,
}

/// What a layer reads on all paths at one point: features, states and a one, of which it may have none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read<'a, R> {
    width: usize,
    features: &'a [R],
    hidden: usize,
    /// Nothing for the zeros before the first point.
    states: Option<&'a [R]>,
    homogeneous: bool,
}

impl<R: Real> Read<'_, R> {
    /// Writes what it reads on a path to `out`: its K inputs.
    #[inline(always)]
    pub(super) fn on(&self, path: usize, out: &mut [R]) {
        let (features, out) = out.split_at_mut(self.width);
        let (states, one) = out.split_at_mut(self.hidden);
        copy_short(&self.features[path * self.width..][..self.width], features);
        match self.states {
            Some(all) => copy_short(&all[path * self.hidden..][..self.hidden], states),
            None => states.fill(R::ZERO),
        }
        if self.homogeneous {
            one[0] = R::ONE;
        }
    }
}

/// A linear layer y = W a + b, its weights gathered from the network's tensors.
///
/// PyTorch's LSTM has two bias vectors that are only ever added, so their gradients are equal and the curvature sees
/// their sum alone. The layer has one bias, that sum; each vector takes half of its step, so that the sum makes the whole
/// step and vectors that begin equal stay equal.
#[derive(Clone, Debug)]
pub(super) struct Block {
    layer: Layer,
    outputs: usize,
    parts: Vec<Part>,
    /// Where the bias vectors begin, whose sum is the bias.
    biases: Vec<usize>,
    /// Outputs of one output factor.
    group: usize,
    /// Whether the bias is the weight of an input that is always 1.
    homogeneous: bool,
    /// Names of the factors, for people.
    input_name: &'static str,
    output_names: &'static [&'static str],
}

impl Block {
    /// The layers that K-FAC preconditions, in the order of the weights.
    pub(super) fn all(
        layout: &Layout,
        layers: KfacLayers,
        bias: Bias,
        recurrent_factors: RecurrentFactors,
    ) -> Vec<Block> {
        let homogeneous = bias == Bias::Homogeneous;
        match layers {
            KfacLayers::Head => vec![Block::head(layout, homogeneous, "A", &["G"])],
            KfacLayers::All => vec![
                Block::recurrent(layout, homogeneous, recurrent_factors),
                Block::head(layout, homogeneous, "A of the head", &["G of the head"]),
            ],
        }
    }

    fn head(
        layout: &Layout,
        homogeneous: bool,
        input_name: &'static str,
        output_names: &'static [&'static str],
    ) -> Block {
        let head = layout.head();
        Block {
            layer: Layer::Head,
            outputs: 1,
            parts: vec![Part { start: head.start, cols: layout.head_inputs() }],
            biases: vec![head.end - 1],
            group: 1,
            homogeneous,
            input_name,
            output_names,
        }
    }

    fn recurrent(layout: &Layout, homogeneous: bool, factors: RecurrentFactors) -> Block {
        let body = || layout.tensors().iter().filter(|spec| spec.range.end <= layout.body().end);
        let parts: Vec<Part> = body()
            .filter(|spec| spec.shape.len() == 2)
            .map(|spec| Part { start: spec.range.start, cols: spec.shape[1] })
            .collect();
        let biases = body().filter(|spec| spec.shape.len() == 1).map(|spec| spec.range.start).collect();
        let outputs = 4 * layout.head_inputs();
        let (group, output_names): (usize, &'static [&'static str]) = match factors {
            RecurrentFactors::Joint => (outputs, &["G of the LSTM"]),
            RecurrentFactors::PerGate => (
                outputs / 4,
                &[
                    "G of the LSTM's input gate",
                    "G of the LSTM's forget gate",
                    "G of the LSTM's candidate",
                    "G of the LSTM's output gate",
                ],
            ),
        };
        Block {
            layer: Layer::Recurrent,
            outputs,
            parts,
            biases,
            group,
            homogeneous,
            input_name: "A of the LSTM",
            output_names,
        }
    }

    /// K: how many inputs A has.
    pub(super) fn inputs(&self) -> usize {
        self.weights() + usize::from(self.homogeneous)
    }

    /// Weights of one output, without its bias.
    pub(super) fn weights(&self) -> usize {
        self.parts.iter().map(|part| part.cols).sum()
    }

    /// How many outputs one output factor has, and how many factors there are.
    pub(super) fn groups(&self) -> (usize, usize) {
        (self.group, self.outputs / self.group)
    }

    pub(super) fn input_name(&self) -> &'static str {
        self.input_name
    }

    pub(super) fn output_name(&self, group: usize) -> &'static str {
        self.output_names[group]
    }

    /// Whether it reads the gradients at the gates.
    pub(super) fn needs_gates(&self) -> bool {
        self.layer == Layer::Recurrent
    }

    /// What it reads at `time`.
    pub(super) fn read<'a, R: Real>(&self, seen: Seen<'a, R>, time: usize) -> Read<'a, R> {
        let Dims { batch, time: points } = seen.dims;
        let hidden = seen.states.len() / (batch * points);
        let states = |time: usize| &seen.states[time * batch * hidden..][..batch * hidden];
        let (width, features, states) = match self.layer {
            Layer::Head => (0, &[][..], Some(states(time))),
            Layer::Recurrent => {
                let width = self.parts[0].cols;
                let features = &seen.inputs[time * batch * width..][..batch * width];
                (width, features, time.checked_sub(1).map(states))
            }
        };
        Read { width, features, hidden, states, homogeneous: self.homogeneous }
    }

    /// The gradients at its outputs, \[D, N, outputs\], in rows that lie so far apart.
    pub(super) fn signals<'a, R: Real>(&self, signals: Signals<'a, R>) -> (&'a [R], usize) {
        match self.layer {
            Layer::Recurrent => (signals.gates, signals.gate_stride),
            Layer::Head => (signals.head, 1),
        }
    }

    /// The outputs' count.
    pub(super) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Room for a number for every weight: a column an output, the bias last.
    pub(super) fn room(&self) -> DMatrix<f64> {
        DMatrix::zeros(self.weights() + 1, self.outputs)
    }

    /// Gathers numbers of the layout: a column an output, its weights and then its bias, as `number` gives it for a place
    /// in the layout. Of several bias vectors `combine` says what becomes of their numbers' sum.
    fn gather(&self, number: impl Fn(usize) -> f64, combine: impl Fn(f64) -> f64, matrix: &mut DMatrix<f64>) {
        for output in 0..self.outputs {
            let mut row = 0;
            for part in &self.parts {
                for col in 0..part.cols {
                    matrix[(row + col, output)] = number(part.start + output * part.cols + col);
                }
                row += part.cols;
            }
            // From the first on, so that one vector's number is taken as it is.
            let bias = self.biases.iter().map(|start| number(start + output)).reduce(|sum, other| sum + other);
            matrix[(row, output)] = combine(bias.expect("a layer has a bias"));
        }
    }

    /// The gradient with its L2 penalty, a column an output, the bias last. Where the bias is a sum of vectors this is the
    /// derivative along a step that they share: the mean of their equal gradients.
    pub(super) fn gradient<R: Real>(&self, gradient: &[R], weights: &[R], decay: f64, out: &mut DMatrix<f64>) {
        let count = self.biases.len() as f64;
        self.gather(|place| gradient[place].to_f64() + decay * weights[place].to_f64(), |sum| sum / count, out);
    }

    /// A change of the weights, a column an output, the bias last: the sum of its vectors' changes.
    pub(super) fn change(&self, change: &[f64], out: &mut DMatrix<f64>) {
        self.gather(|place| change[place], |sum| sum, out);
    }

    /// Takes a step off the weights: `w − step`, in f64 before it is rounded.
    pub(super) fn take<R: Real>(&self, step: &DMatrix<f64>, weights: &mut [R]) {
        let mut subtract = |place: usize, step: f64| {
            let weight = &mut weights[place];
            *weight = R::from_f64(weight.to_f64() - step);
        };
        let share = self.biases.len() as f64;
        for output in 0..self.outputs {
            let mut row = 0;
            for part in &self.parts {
                for col in 0..part.cols {
                    subtract(part.start + output * part.cols + col, step[(row + col, output)]);
                }
                row += part.cols;
            }
            for start in &self.biases {
                subtract(start + output, step[(row, output)] / share);
            }
        }
    }
}
