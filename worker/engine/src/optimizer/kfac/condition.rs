//! The condition number of a factor, from its Cholesky decomposition.

use super::cholesky::Cholesky;

/// Rounds of Hager's search; it ends by itself after two or three.
const ROUNDS: usize = 5;

/// The room that a look at a condition number takes.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    at: Vec<f64>,
    image: Vec<f64>,
}

impl Search {
    /// ‖M‖₁‖M⁻¹‖₁ of a symmetric matrix, \[dim, dim\], and its decomposition; the inverse's norm by Hager's estimate with
    /// Higham's second look (Higham 2002, algorithm 15.1, as LAPACK's `dlacon` has it), which is never above the true one
    /// and seldom below a third of it, at the cost of a few solves.
    pub(super) fn condition(&mut self, matrix: &[f64], cholesky: &Cholesky) -> f64 {
        let norm = matrix.chunks_exact(cholesky.dim()).map(abs_sum).fold(0.0, f64::max);
        norm * self.inverse_norm(cholesky)
    }

    /// Climbs from vertex to vertex of the 1-norm's unit ball, where the convex ‖M⁻¹x‖₁ is largest.
    fn inverse_norm(&mut self, cholesky: &Cholesky) -> f64 {
        let dim = cholesky.dim();
        self.at.clear();
        self.at.resize(dim, 1.0 / dim as f64);
        let mut norm = 0.0;
        for _ in 0..ROUNDS {
            self.solve(cholesky);
            let reached = abs_sum(&self.image);
            if reached <= norm {
                break;
            }
            norm = reached;
            self.image.iter_mut().for_each(|x| *x = if *x < 0.0 { -1.0 } else { 1.0 });
            cholesky.solve(&mut self.image, 1);
            let slope = &self.image;
            // Written out, as the library's products choose their order themselves.
            let here: f64 = slope.iter().zip(&self.at).map(|(a, b)| a * b).sum();
            let (best, steepest) = largest(slope);
            if steepest <= here {
                break;
            }
            self.at.fill(0.0);
            self.at[best] = 1.0;
        }
        norm.max(self.alternating(cholesky))
    }

    /// A lower bound from a vector that the climb may have missed: alternating signs, growing sizes.
    fn alternating(&mut self, cholesky: &Cholesky) -> f64 {
        let steps = (cholesky.dim().max(2) - 1) as f64;
        for (place, x) in self.at.iter_mut().enumerate() {
            let size = 1.0 + place as f64 / steps;
            *x = if place % 2 == 0 { size } else { -size };
        }
        self.solve(cholesky);
        abs_sum(&self.image) / abs_sum(&self.at)
    }

    /// M⁻¹ times where it is.
    fn solve(&mut self, cholesky: &Cholesky) {
        self.image.clear();
        self.image.extend_from_slice(&self.at);
        cholesky.solve(&mut self.image, 1);
    }
}

fn abs_sum(numbers: &[f64]) -> f64 {
    numbers.iter().map(|x| x.abs()).sum()
}

/// The entry of the largest size, the first of equals.
fn largest(vector: &[f64]) -> (usize, f64) {
    vector.iter().enumerate().fold((0, 0.0), |best, (place, x)| if x.abs() > best.1 { (place, x.abs()) } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{DMatrix, DVector};
    use proptest::prelude::*;

    fn estimate(matrix: &DMatrix<f64>) -> f64 {
        Search::default().condition(matrix.as_slice(), &Cholesky::new(matrix).unwrap())
    }

    #[test]
    fn a_diagonal_matrix_has_the_quotient_of_its_ends() {
        let matrix = DMatrix::from_diagonal(&DVector::from_vec(vec![3.0, 0.5, 8.0]));
        // A few roundings of roots and quotients.
        assert!((estimate(&matrix) - 16.0).abs() < 16.0 * 1e-15);
        assert!((estimate(&DMatrix::from_element(1, 1, 7.0)) - 1.0).abs() < 1e-15);
    }

    /// The estimate of the condition of a damped product of these 36 numbers, and the condition.
    fn estimate_and_exact(numbers: &[f64], damping: f64) -> (f64, f64) {
        let b = DMatrix::from_row_slice(6, 6, numbers);
        let matrix = &b * b.transpose() + DMatrix::identity(6, 6) * damping;
        let inverse = matrix.clone().try_inverse().unwrap();
        let norm = |m: &DMatrix<f64>| m.column_iter().map(|c| abs_sum(c.as_slice())).fold(0.0, f64::max);
        (estimate(&matrix), norm(&matrix) * norm(&inverse))
    }

    #[test]
    fn the_estimate_is_nearly_always_near() {
        let mut stream = crate::random::Stream::new(crate::random::Purpose::Test, 0, 0);
        let near = (0..400).filter(|draw| {
            let numbers: Vec<f64> = (0..36).map(|_| 2.0 * stream.uniform() - 1.0).collect();
            let (estimate, exact) = estimate_and_exact(&numbers, [1e-6, 1e-3, 1.0][draw % 3]);
            estimate >= exact / 3.0
        });
        assert!(near.count() >= 396, "at most one in a hundred is farther off");
    }

    proptest! {
        #[test]
        fn the_estimate_is_never_above(numbers in prop::collection::vec(-1.0..1.0_f64, 36), floor in -6..0_i32) {
            let (estimate, exact) = estimate_and_exact(&numbers, libm::pow(10.0, f64::from(floor)));
            // Rounding moves both by some 1e-16 times the condition number.
            prop_assert!(estimate <= exact * (1.0 + 1e-15 * exact.max(100.0)), "{estimate} for {exact}");
        }
    }
}
