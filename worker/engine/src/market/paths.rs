//! Simulated paths.

use ndarray::Array2;

use super::Model;
use crate::random::Normals;

/// Prices and variances of a set of paths: both of shape \[paths, steps + 1\], row k being path k.
#[derive(Clone, Debug, PartialEq)]
pub struct Paths {
    /// Prices, in currency.
    pub price: Array2<f64>,
    /// Variances, per year.
    pub variance: Array2<f64>,
}

impl Paths {
    /// Room for `count` paths of `points` points.
    pub fn zeros(count: usize, points: usize) -> Paths {
        Paths { price: Array2::zeros((count, points)), variance: Array2::zeros((count, points)) }
    }

    /// How many paths there are.
    pub fn count(&self) -> usize {
        self.price.nrows()
    }

    /// How many points a path has: one more than it has steps.
    pub fn points(&self) -> usize {
        self.price.ncols()
    }

    /// Simulates paths `first`, `first + 1`, … of the set that `normals` stands for, into these paths.
    pub fn simulate(&mut self, model: &dyn Model, normals: &mut dyn Normals, first: u64) {
        let mut draws = vec![0.0; model.normals_per_path()];
        let rows = self.price.rows_mut().into_iter().zip(self.variance.rows_mut());
        for (path, (mut price, mut variance)) in (first..).zip(rows) {
            normals.fill(path, &mut draws);
            let price = price.as_slice_mut().expect("rows of a standard layout");
            let variance = variance.as_slice_mut().expect("rows of a standard layout");
            model.path(&draws, price, variance);
        }
    }
}
