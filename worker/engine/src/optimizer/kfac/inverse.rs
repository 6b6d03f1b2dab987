//! The inverses of damped factors, and their use.

use nalgebra::DMatrix;

use super::block::Block;
use super::cholesky::{COLUMNS, Cholesky};
use super::condition::condition;
use super::factors::Factors;
use super::split::{Damped, damped};
use super::{Bias, DampingSplit};
use crate::optimizer::SingularFactor;

/// A positive number or a positive definite matrix, ready to be divided by.
#[derive(Clone, Debug)]
enum Divisor {
    Number(f64),
    Matrix(Cholesky),
}

impl Divisor {
    /// Decomposes a damped factor; with it its condition number.
    fn of(factor: DMatrix<f64>) -> Option<(Divisor, f64)> {
        if factor.iter().any(|entry| !entry.is_finite()) {
            return None;
        }
        let cholesky = Cholesky::new(&factor)?;
        let condition = condition(&factor, &cholesky);
        // Pivots that are all rounding pass for positive; what they divide is noise.
        condition.is_finite().then_some((Divisor::Matrix(cholesky), condition))
    }

    /// A number's, which needs no decomposition.
    fn of_number(number: f64) -> Option<(Divisor, f64)> {
        (number.is_finite() && number > 0.0).then_some((Divisor::Number(number), 1.0))
    }
}

/// The inverse of one (A, G) pair.
#[derive(Clone, Debug)]
struct Pair {
    inputs: Divisor,
    outputs: Divisor,
    /// What divides a bias that A does not see.
    bias: f64,
}

/// The inverse of a layer's damped curvature.
#[derive(Clone, Debug)]
pub(super) struct Inverse {
    pairs: Vec<Pair>,
    condition: f64,
}

impl Inverse {
    /// Inverts a layer's factors with this damping.
    ///
    /// # Errors
    /// The first factor that has no inverse in f64.
    pub(super) fn of(
        block: &Block,
        factors: &Factors,
        split: DampingSplit,
        damping: f64,
    ) -> Result<Inverse, SingularFactor> {
        let mut worst: f64 = 1.0;
        let mut keep = |found: Option<(Divisor, f64)>, factor: &'static str| {
            let (divisor, condition) = found.ok_or(SingularFactor { factor })?;
            worst = worst.max(condition);
            Ok(divisor)
        };
        let mut pairs = Vec::with_capacity(factors.outputs.len());
        for (group, factor) in factors.outputs.iter().enumerate() {
            let Damped { inputs, outputs, bias } = damped(split, damping, &factors.inputs, factor);
            let output_name = block.output_name(group);
            let outputs = match outputs.len() {
                1 => keep(Divisor::of_number(outputs[(0, 0)]), output_name)?,
                _ => keep(Divisor::of(outputs), output_name)?,
            };
            if !(bias.is_finite() && bias > 0.0) {
                return Err(SingularFactor { factor: output_name });
            }
            let inputs = match pairs.first() {
                // Split equally, A is damped alike for every G.
                Some(Pair { inputs, .. }) if split == DampingSplit::Each => inputs.clone(),
                _ => keep(Divisor::of(inputs), block.input_name())?,
            };
            pairs.push(Pair { inputs, outputs, bias });
        }
        Ok(Inverse { pairs, condition: worst })
    }

    /// The largest condition number of the damped factors.
    pub(super) fn condition(&self) -> f64 {
        self.condition
    }

    /// lr·G⁻¹∇A⁻¹, a column an output: first by a matrix G, then by A, last by lr over a G that is a number.
    pub(super) fn precondition(&self, gradient: &DMatrix<f64>, lr: f64, bias: Bias) -> DMatrix<f64> {
        let mut step = gradient.clone();
        let (height, width) = (gradient.nrows(), gradient.ncols() / self.pairs.len());
        let seen = if bias == Bias::Homogeneous { height } else { height - 1 };
        // A single column is solved for along the rows, several in whole vectors.
        let padded_width = if width == 1 { 1 } else { width.next_multiple_of(COLUMNS) };
        let padded_height = height.next_multiple_of(COLUMNS);
        let (mut by_output, mut by_input) = (vec![0.0; width * padded_height], vec![0.0; height * padded_width]);
        // Column by column, a group is a row-major [width, height] matrix.
        for (pair, group) in self.pairs.iter().zip(step.as_mut_slice().chunks_exact_mut(height * width)) {
            let rate = match &pair.outputs {
                Divisor::Number(number) => {
                    transpose(group, height, height, &mut by_input, padded_width);
                    lr / number
                }
                Divisor::Matrix(cholesky) => {
                    for (to, from) in by_output.chunks_exact_mut(padded_height).zip(group.chunks_exact(height)) {
                        to[..height].copy_from_slice(from);
                    }
                    cholesky.solve(&mut by_output, padded_height);
                    transpose(&by_output, padded_height, height, &mut by_input, padded_width);
                    lr
                }
            };
            let (of_inputs, of_bias) = by_input.split_at_mut(seen * padded_width);
            match &pair.inputs {
                Divisor::Number(number) => of_inputs.iter_mut().for_each(|x| *x /= number),
                Divisor::Matrix(cholesky) => cholesky.solve(of_inputs, padded_width),
            }
            of_bias.iter_mut().for_each(|x| *x /= pair.bias);
            transpose(&by_input, padded_width, width, group, height);
            group.iter_mut().for_each(|x| *x *= rate);
        }
        step
    }
}

/// Writes the first `cols` columns of a matrix, whose rows lie `from_stride` apart, as rows that lie `to_stride` apart.
fn transpose(from: &[f64], from_stride: usize, cols: usize, to: &mut [f64], to_stride: usize) {
    for (row, line) in from.chunks_exact(from_stride).enumerate() {
        to[row..].iter_mut().step_by(to_stride).zip(&line[..cols]).for_each(|(to, x)| *to = *x);
    }
}
