//! Damping, split between the two factors.

use nalgebra::DMatrix;

use super::DampingSplit;

/// A factor as it is inverted: `scale` times what it is, and `by` on its diagonal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Raised {
    pub(super) scale: f64,
    pub(super) by: f64,
}

impl Raised {
    fn by(by: f64) -> Raised {
        Raised { scale: 1.0, by }
    }

    /// Writes the raised factor, column by column.
    pub(super) fn write(self, factor: &DMatrix<f64>, out: &mut Vec<f64>) {
        out.clear();
        out.extend(factor.iter().map(|entry| self.scale * entry));
        out.iter_mut().step_by(factor.nrows() + 1).for_each(|entry| *entry += self.by);
    }
}

/// What of a block is inverted: A and G with their damping, and what divides a bias that A does not see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Damped {
    pub(super) inputs: Raised,
    pub(super) outputs: Raised,
    pub(super) bias: f64,
}

/// Damps A and G.
///
/// `each`: A + λI, G + λI. `pi`: A + π√λ I, G + (√λ/π) I (Martens & Grosse 2015, §6.3). Where G is one number g there is
/// nothing to split: A ⊗ G + λI is gA + λI, exactly, and 1 is left for G; a bias apart, whose part of A is 1, is divided
/// by g + λ.
pub(super) fn damped(split: DampingSplit, damping: f64, inputs: &DMatrix<f64>, outputs: &DMatrix<f64>) -> Damped {
    match split {
        DampingSplit::Each => Damped { inputs: Raised::by(damping), outputs: Raised::by(damping), bias: 1.0 },
        DampingSplit::Pi if outputs.len() == 1 => {
            let g = outputs[(0, 0)];
            Damped {
                inputs: Raised { scale: g, by: damping },
                outputs: Raised { scale: 0.0, by: 1.0 },
                bias: g + damping,
            }
        }
        DampingSplit::Pi => {
            let (pi, root) = (pi(inputs, outputs), damping.sqrt());
            Damped { inputs: Raised::by(pi * root), outputs: Raised::by(root / pi), bias: 1.0 }
        }
    }
}

/// π = √((tr A/dim A)/(tr G/dim G)), which makes both factors' damping the same part of their mean eigenvalue; 1 if a
/// trace is zero.
pub(super) fn pi(inputs: &DMatrix<f64>, outputs: &DMatrix<f64>) -> f64 {
    let trace = |factor: &DMatrix<f64>| (0..factor.nrows()).map(|place| factor[(place, place)]).sum::<f64>();
    let mean = |factor: &DMatrix<f64>| trace(factor) / factor.nrows() as f64;
    let (a, g) = (mean(inputs), mean(outputs));
    if a > 0.0 && g > 0.0 { (a / g).sqrt() } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Raised {
        /// The raised factor.
        pub(in crate::optimizer::kfac) fn of(self, factor: &DMatrix<f64>) -> DMatrix<f64> {
            let mut entries = Vec::new();
            self.write(factor, &mut entries);
            DMatrix::from_vec(factor.nrows(), factor.ncols(), entries)
        }
    }

    fn matrix(dim: usize, entries: &[f64]) -> DMatrix<f64> {
        DMatrix::from_row_slice(dim, dim, entries)
    }

    #[test]
    fn pi_makes_both_dampings_the_same_part_of_the_mean_eigenvalue() {
        let (a, g) = (matrix(2, &[6.0, 1.0, 1.0, 2.0]), matrix(2, &[0.3, 0.0, 0.0, 0.2]));
        // tr A/2 = 4, tr G/2 = 0.25: π = 4; √λ = 0.1.
        assert_eq!(pi(&a, &g), 4.0);
        let damped = damped(DampingSplit::Pi, 0.01, &a, &g);
        let close = |x: f64, y: f64| assert!((x - y).abs() < 1e-15, "{x} for {y}");
        let (inputs, outputs) = (damped.inputs.of(&a), damped.outputs.of(&g));
        close(inputs[(0, 0)], 6.4);
        close(inputs[(1, 1)], 2.4);
        assert_eq!(inputs[(0, 1)], 1.0);
        close(outputs[(0, 0)], 0.325);
        close(outputs[(1, 1)], 0.225);
        assert_eq!(damped.bias, 1.0);
        // The dampings' product is λ.
        close((inputs[(0, 0)] - 6.0) * (outputs[(0, 0)] - 0.3), 0.01);
    }

    #[test]
    fn a_factor_without_a_trace_leaves_nothing_to_split() {
        let (a, zero) = (matrix(2, &[6.0, 1.0, 1.0, 2.0]), DMatrix::zeros(2, 2));
        assert_eq!(pi(&a, &zero), 1.0);
        assert_eq!(pi(&zero, &a), 1.0);
        assert_eq!(damped(DampingSplit::Pi, 0.04, &zero, &zero).inputs.of(&zero)[(1, 1)], 0.2);
    }

    #[test]
    fn a_number_takes_no_damping_of_its_own() {
        let (a, g) = (matrix(2, &[6.0, 1.0, 1.0, 2.0]), matrix(1, &[0.5]));
        let split = damped(DampingSplit::Pi, 0.25, &a, &g);
        assert_eq!(split.inputs.of(&a), matrix(2, &[3.25, 0.5, 0.5, 1.25]));
        assert_eq!((split.outputs.of(&g), split.bias), (matrix(1, &[1.0]), 0.75));
        let each = damped(DampingSplit::Each, 0.25, &a, &g);
        assert_eq!(each.inputs.of(&a), matrix(2, &[6.25, 1.0, 1.0, 2.25]));
        assert_eq!((each.outputs.of(&g), each.bias), (matrix(1, &[0.75]), 1.0));
    }
}
