//! Cholesky's decomposition in f64, and solves with many right sides in vectors across them.

use std::ops::Range;

use crate::isa::{Isa, Kernel};
use crate::lanes::{Vector, unrolled};

/// M = UᵀU of a symmetric positive definite matrix.
#[derive(Clone, Debug)]
pub(super) struct Cholesky {
    isa: Isa,
    dim: usize,
    /// U, row-major, and Uᵀ below its diagonal: whatever is multiplied lies in a row.
    factor: Vec<f64>,
}

impl Cholesky {
    /// Room for a decomposition.
    pub(super) fn of_dim(dim: usize) -> Cholesky {
        Cholesky { isa: Isa::detect(), dim, factor: vec![0.0; dim * dim] }
    }

    /// Decomposes a symmetric matrix, \[dim, dim\]. Whether it could: false if a pivot is not positive, or not a number,
    /// and there is nothing to solve with then.
    #[must_use]
    pub(super) fn decompose(&mut self, matrix: &[f64]) -> bool {
        // Symmetric: its columns are its rows.
        self.factor.copy_from_slice(matrix);
        let mut is_positive = true;
        self.isa.run(Decompose { dim: self.dim, factor: &mut self.factor, is_positive: &mut is_positive });
        is_positive
    }

    /// N of a matrix of N rows.
    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// M⁻¹ times every column of a row-major \[dim, `cols`\] matrix, in its place. There is
    /// one column, or a multiple of [`COLUMNS`].
    pub(super) fn solve(&self, right: &mut [f64], cols: usize) {
        debug_assert!(cols == 1 || cols.is_multiple_of(COLUMNS), "{cols} columns");
        self.isa.run(Solve { dim: self.dim, factor: &self.factor, right, cols });
    }
}

/// Columns in a vector.
pub(super) const COLUMNS: usize = 8;

struct Decompose<'a> {
    dim: usize,
    factor: &'a mut [f64],
    is_positive: &'a mut bool,
}

impl Kernel for Decompose<'_> {
    /// Row k of U, and then what it takes off the rows below.
    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        let Decompose { dim, factor, is_positive } = self;
        for k in 0..dim {
            let (done, below) = factor.split_at_mut((k + 1) * dim);
            let row = &mut done[k * dim..];
            let pivot = row[k];
            // Also false for a NaN.
            *is_positive &= pivot > 0.0 && pivot.is_finite();
            if !*is_positive {
                return;
            }
            let root = pivot.sqrt();
            row[k] = root;
            for entry in &mut row[k + 1..] {
                *entry /= root;
            }
            let row = &done[k * dim..];
            for (i, line) in (k + 1..).zip(below.chunks_exact_mut(dim)) {
                subtract(row[i], &row[i..], &mut line[i..]);
                line[k] = row[i];
            }
        }
    }
}

struct Solve<'a> {
    dim: usize,
    factor: &'a [f64],
    right: &'a mut [f64],
    cols: usize,
}

impl Kernel for Solve<'_> {
    /// Up to five vectors of columns at a time, whose sums fit into sixteen registers; four rather than five and one or two,
    /// whose chains would wait for themselves.
    #[inline(always)]
    fn run<const WIDE: bool>(mut self) {
        if self.cols == 1 {
            return solve_one(self.dim, self.factor, self.right);
        }
        let (mut first, mut left) = (0, self.cols / COLUMNS);
        while left > 0 {
            let vectors = match left {
                1..=5 => left,
                6 => 3,
                _ => 4,
            };
            match vectors {
                1 => self.panel::<1>(first),
                2 => self.panel::<2>(first),
                3 => self.panel::<3>(first),
                4 => self.panel::<4>(first),
                _ => self.panel::<5>(first),
            }
            (first, left) = (first + vectors * COLUMNS, left - vectors);
        }
    }
}

impl Solve<'_> {
    /// UᵀY = B from the first row on, then UX = Y from the last, for V vectors of columns.
    #[inline(always)]
    fn panel<const V: usize>(&mut self, first: usize) {
        for i in 0..self.dim {
            self.row::<V>(first, i, 0..i);
        }
        for i in (0..self.dim).rev() {
            self.row::<V>(first, i, i + 1..self.dim);
        }
    }

    /// Row i of the solution from those rows of it that are known.
    #[inline(always)]
    fn row<const V: usize>(&mut self, first: usize, i: usize, known: Range<usize>) {
        let Solve { dim, factor, right, cols } = self;
        let (dim, cols) = (*dim, *cols);
        let line = &factor[i * dim..][..dim];
        let mut sums = Vector::<COLUMNS, f64>::load_all::<V>(&right[i * cols + first..][..V * COLUMNS]);
        for k in known {
            let row = &right[k * cols + first..][..V * COLUMNS];
            let factor = Vector::splat(-line[k]);
            unrolled!(v in V, sums[v] = factor.mul_add(Vector::load(&row[v * COLUMNS..]), sums[v]));
        }
        let pivot = Vector::splat(line[i]);
        unrolled!(v in V, sums[v] = sums[v].div(pivot));
        Vector::store_all(sums, &mut right[i * cols + first..][..V * COLUMNS]);
    }
}

/// Both triangles for a single column, along the rows of U both times.
#[inline(always)]
fn solve_one(dim: usize, factor: &[f64], right: &mut [f64]) {
    for k in 0..dim {
        let line = &factor[k * dim..][..dim];
        let (done, below) = right.split_at_mut(k + 1);
        done[k] /= line[k];
        subtract(done[k], &line[k + 1..], below);
    }
    for k in (0..dim).rev() {
        let line = &factor[k * dim..][..dim];
        let (above, done) = right.split_at_mut(k + 1);
        above[k] = (above[k] - dot(&line[k + 1..], done)) / line[k];
    }
}

/// `to −= factor · from`.
#[inline(always)]
fn subtract(factor: f64, from: &[f64], to: &mut [f64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = (-factor).mul_add(*from, *to);
    }
}

/// Σ a·b in eight lanes, which are added up in order.
#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((whole_a, rest_a), (whole_b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in whole_a.iter().zip(whole_b) {
        for lane in 0..8 {
            sums[lane] = a[lane].mul_add(b[lane], sums[lane]);
        }
    }
    let mut sum = 0.0;
    for lane in sums {
        sum += lane;
    }
    for (a, b) in rest_a.iter().zip(rest_b) {
        sum = a.mul_add(*b, sum);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::DMatrix;
    use proptest::prelude::*;

    impl Cholesky {
        pub(in crate::optimizer::kfac) fn new(matrix: &DMatrix<f64>) -> Option<Cholesky> {
            Cholesky::with(Isa::detect(), matrix)
        }

        fn with(isa: Isa, matrix: &DMatrix<f64>) -> Option<Cholesky> {
            let mut cholesky = Cholesky { isa, ..Cholesky::of_dim(matrix.nrows()) };
            cholesky.decompose(matrix.as_slice()).then_some(cholesky)
        }
    }

    fn positive_definite(dim: usize, numbers: &[f64], floor: f64) -> DMatrix<f64> {
        let b = DMatrix::from_iterator(dim, dim, numbers.iter().copied().cycle().take(dim * dim));
        &b * b.transpose() + DMatrix::identity(dim, dim) * floor
    }

    proptest! {
        #[test]
        fn a_solution_solves(
            dim in 1_usize..40,
            vectors in 0_usize..9,
            numbers in prop::collection::vec(-1.0..1.0_f64, 97),
        ) {
            let cols = (vectors * COLUMNS).max(1);
            let matrix = positive_definite(dim, &numbers, 0.5);
            let right = DMatrix::from_iterator(cols, dim, numbers.iter().copied().cycle().skip(3).take(cols * dim));
            // A row-major [dim, cols] matrix is a column-major [cols, dim] one.
            let mut solution = right.clone();
            let cholesky = Cholesky::new(&matrix).unwrap();
            cholesky.solve(solution.as_mut_slice(), cols);
            let residual = &matrix * solution.transpose() - right.transpose();
            // Cholesky's decomposition and solves are backward stable: n(3n + 1) roundings of |M||x| at most (Higham 2002,
            // theorem 10.4), and the residual's own n.
            let roundings = (dim * (3 * dim + 1) + dim) as f64 * f64::EPSILON / 2.0;
            prop_assert!(residual.amax() <= roundings * matrix.norm() * solution.norm(), "{:e}", residual.amax());
        }

        #[test]
        fn every_instruction_set_gives_the_same_bits(
            dim in 1_usize..40,
            vectors in 0_usize..9,
            numbers in prop::collection::vec(-1.0..1.0_f64, 97),
        ) {
            let cols = (vectors * COLUMNS).max(1);
            let matrix = positive_definite(dim, &numbers, 0.5);
            let solve = |isa: Isa| {
                let mut right: Vec<f64> = numbers.iter().copied().cycle().take(dim * cols).collect();
                Cholesky::with(isa, &matrix).unwrap().solve(&mut right, cols);
                right.iter().map(|x| x.to_bits()).collect::<Vec<u64>>()
            };
            let all: Vec<Vec<u64>> = Isa::all().into_iter().map(solve).collect();
            prop_assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }

    #[test]
    fn what_is_not_positive_definite_has_no_decomposition() {
        let indefinite = DMatrix::from_row_slice(2, 2, &[1.0, 2.0, 2.0, 1.0]);
        let zero = DMatrix::<f64>::zeros(3, 3);
        let nan = DMatrix::from_element(2, 2, f64::NAN);
        let infinite = DMatrix::from_element(1, 1, f64::INFINITY);
        for matrix in [indefinite, zero, nan, infinite] {
            assert!(Cholesky::new(&matrix).is_none(), "{matrix}");
        }
    }
}
