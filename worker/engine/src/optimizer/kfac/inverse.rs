//! The inverses of damped factors, and their use.

use nalgebra::DMatrix;

use super::block::Block;
use super::cholesky::{COLUMNS, Cholesky};
use super::condition::Search;
use super::factors::Factors;
use super::split::{Raised, damped};
use super::{Bias, DampingSplit};
use crate::optimizer::SingularFactor;

/// A positive number or a positive definite matrix, ready to be divided by.
#[derive(Clone, Debug)]
enum Divisor {
    Number(f64),
    Matrix(Cholesky),
}

impl Divisor {
    fn of_dim(dim: usize) -> Divisor {
        Divisor::Matrix(Cholesky::of_dim(dim))
    }

    /// G's: a number needs no decomposition.
    fn of_outputs(dim: usize) -> Divisor {
        if dim == 1 { Divisor::Number(1.0) } else { Divisor::of_dim(dim) }
    }

    /// Takes a damped factor, decomposed; its condition number, or nothing if it has no inverse.
    fn take(&mut self, factor: &DMatrix<f64>, raised: Raised, room: &mut Room) -> Option<f64> {
        raised.write(factor, &mut room.damped);
        match self {
            Divisor::Number(number) => {
                *number = room.damped[0];
                (number.is_finite() && *number > 0.0).then_some(1.0)
            }
            Divisor::Matrix(cholesky) => {
                let finite = room.damped.iter().all(|entry| entry.is_finite());
                if !finite || !cholesky.decompose(&room.damped) {
                    return None;
                }
                let condition = room.search.condition(&room.damped, cholesky);
                // Pivots that are all rounding pass for positive; what they divide is noise.
                condition.is_finite().then_some(condition)
            }
        }
    }
}

/// What inversion and preconditioning need for the time being.
#[derive(Clone, Debug, Default)]
struct Room {
    damped: Vec<f64>,
    search: Search,
    /// A gate's part of the gradient, a row an output and a row an input.
    by_output: Vec<f64>,
    by_input: Vec<f64>,
}

/// The inverse of a layer's damped curvature.
#[derive(Clone, Debug)]
pub(super) struct Inverse {
    /// A of every (A, G) pair, or one for all of them: split equally, A is damped alike for every G.
    inputs: Vec<Divisor>,
    /// G of every pair.
    outputs: Vec<Divisor>,
    /// What divides a bias that A does not see, for every pair.
    biases: Vec<f64>,
    condition: f64,
    room: Room,
}

impl Inverse {
    /// Room for the inverse of a layer's curvature.
    pub(super) fn room_for(block: &Block, split: DampingSplit) -> Inverse {
        let (width, count) = block.groups();
        let inputs = match split {
            DampingSplit::Each => 1,
            DampingSplit::Pi => count,
        };
        Inverse {
            inputs: vec![Divisor::of_dim(block.inputs()); inputs],
            outputs: vec![Divisor::of_outputs(width); count],
            biases: vec![1.0; count],
            condition: 1.0,
            room: Room::default(),
        }
    }

    /// Becomes the inverse of a layer's factors with this damping.
    ///
    /// # Errors
    /// The first factor that has no inverse in f64. What is here then is of no use.
    pub(super) fn take(
        &mut self,
        block: &Block,
        factors: &Factors,
        split: DampingSplit,
        damping: f64,
    ) -> Result<(), SingularFactor> {
        let Inverse { inputs, outputs, biases, condition, room } = self;
        let mut worst: f64 = 1.0;
        for (group, factor) in factors.outputs.iter().enumerate() {
            let damped = damped(split, damping, &factors.inputs, factor);
            let singular = SingularFactor { factor: block.output_name(group) };
            worst = worst.max(outputs[group].take(factor, damped.outputs, room).ok_or(singular)?);
            if !(damped.bias.is_finite() && damped.bias > 0.0) {
                return Err(singular);
            }
            biases[group] = damped.bias;
            if let Some(divisor) = inputs.get_mut(group) {
                let singular = SingularFactor { factor: block.input_name() };
                worst = worst.max(divisor.take(&factors.inputs, damped.inputs, room).ok_or(singular)?);
            }
        }
        *condition = worst;
        Ok(())
    }

    /// The largest condition number of the damped factors.
    pub(super) fn condition(&self) -> f64 {
        self.condition
    }

    /// Writes lr·G⁻¹∇A⁻¹, a column an output, to `step`: first by a matrix G, then by A, last by lr over a G that is a
    /// number.
    pub(super) fn precondition(&mut self, gradient: &DMatrix<f64>, lr: f64, bias: Bias, step: &mut DMatrix<f64>) {
        let Inverse { inputs, outputs, biases, room: Room { by_output, by_input, .. }, .. } = self;
        step.copy_from(gradient);
        let (height, width) = (gradient.nrows(), gradient.ncols() / outputs.len());
        let seen = if bias == Bias::Homogeneous { height } else { height - 1 };
        // A single column is solved for along the rows, several in whole vectors.
        let padded_width = if width == 1 { 1 } else { width.next_multiple_of(COLUMNS) };
        let padded_height = height.next_multiple_of(COLUMNS);
        by_output.resize(width * padded_height, 0.0);
        by_input.resize(height * padded_width, 0.0);
        // Column by column, a group is a row-major [width, height] matrix.
        for (group, numbers) in step.as_mut_slice().chunks_exact_mut(height * width).enumerate() {
            let rate = match &outputs[group] {
                Divisor::Number(number) => {
                    transpose(numbers, height, height, by_input, padded_width);
                    lr / number
                }
                Divisor::Matrix(cholesky) => {
                    for (to, from) in by_output.chunks_exact_mut(padded_height).zip(numbers.chunks_exact(height)) {
                        to[..height].copy_from_slice(from);
                    }
                    cholesky.solve(by_output, padded_height);
                    transpose(by_output, padded_height, height, by_input, padded_width);
                    lr
                }
            };
            let (of_inputs, of_bias) = by_input.split_at_mut(seen * padded_width);
            match inputs.get(group).unwrap_or(&inputs[0]) {
                Divisor::Number(number) => of_inputs.iter_mut().for_each(|x| *x /= number),
                Divisor::Matrix(cholesky) => cholesky.solve(of_inputs, padded_width),
            }
            of_bias.iter_mut().for_each(|x| *x /= biases[group]);
            transpose(by_input, padded_width, width, numbers, height);
            numbers.iter_mut().for_each(|x| *x *= rate);
        }
    }
}

/// Writes the first `cols` columns of a matrix, whose rows lie `from_stride` apart, as rows that lie `to_stride` apart.
fn transpose(from: &[f64], from_stride: usize, cols: usize, to: &mut [f64], to_stride: usize) {
    for (row, line) in from.chunks_exact(from_stride).enumerate() {
        to[row..].iter_mut().step_by(to_stride).zip(&line[..cols]).for_each(|(to, x)| *to = *x);
    }
}
