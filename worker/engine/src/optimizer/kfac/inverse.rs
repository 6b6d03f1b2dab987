//! The inverses of damped factors, and their use.

use nalgebra::{Cholesky, DMatrix, Dyn};

use super::block::Block;
use super::condition::condition;
use super::factors::Factors;
use super::split::{Damped, damped};
use super::{Bias, DampingSplit};
use crate::optimizer::SingularFactor;

/// A positive number or a positive definite matrix, ready to be divided by.
#[derive(Clone, Debug)]
enum Divisor {
    Number(f64),
    Matrix(Cholesky<f64, Dyn>),
}

impl Divisor {
    /// Decomposes a damped factor; with it its condition number.
    fn of(factor: DMatrix<f64>) -> Option<(Divisor, f64)> {
        if factor.iter().any(|entry| !entry.is_finite()) {
            return None;
        }
        let cholesky = Cholesky::new(factor.clone())?;
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

    /// lr·G⁻¹∇A⁻¹, a column an output: first by A, then by G and lr.
    pub(super) fn precondition(&self, gradient: &DMatrix<f64>, lr: f64, bias: Bias) -> DMatrix<f64> {
        let mut step = gradient.clone();
        let width = gradient.ncols() / self.pairs.len();
        for (group, pair) in self.pairs.iter().enumerate() {
            let mut columns = step.columns_mut(group * width, width);
            let last = columns.nrows() - 1;
            let seen = if bias == Bias::Homogeneous { last + 1 } else { last };
            match &pair.inputs {
                Divisor::Number(number) => columns.rows_mut(0, seen).iter_mut().for_each(|x| *x /= number),
                Divisor::Matrix(cholesky) => cholesky.solve_mut(&mut columns.rows_mut(0, seen)),
            }
            columns.rows_mut(seen, last + 1 - seen).iter_mut().for_each(|x| *x /= pair.bias);
            match &pair.outputs {
                Divisor::Number(number) => {
                    let rate = lr / number;
                    columns.iter_mut().for_each(|x| *x *= rate);
                }
                Divisor::Matrix(cholesky) => {
                    let mut turned = columns.transpose();
                    cholesky.solve_mut(&mut turned);
                    columns.copy_from(&turned.transpose());
                    columns.iter_mut().for_each(|x| *x *= lr);
                }
            }
        }
        step
    }
}
