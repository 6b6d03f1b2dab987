//! Simulated paths.

use ndarray::Array2;

use super::Model;
use crate::random::Normals;

/// Prices and variances of a set of paths: both of shape \[paths, steps + 1\], row k being path k.
#[derive(Debug)]
pub struct Paths {
    /// Prices, in currency.
    pub price: Array2<f64>,
    /// Variances, per year.
    pub variance: Array2<f64>,
    /// The normals of the group of paths under way.
    draws: Vec<f64>,
}

/// Paths that are simulated together.
const GROUP: usize = 32;

impl Paths {
    /// Room for `count` paths of `points` points.
    pub fn zeros(count: usize, points: usize) -> Paths {
        Paths::new(Array2::zeros((count, points)), Array2::zeros((count, points)))
    }

    /// These prices and variances.
    pub fn new(price: Array2<f64>, variance: Array2<f64>) -> Paths {
        Paths { price, variance, draws: Vec::new() }
    }

    /// The same paths once more.
    pub fn copy(&self) -> Paths {
        Paths::new(self.price.clone(), self.variance.clone())
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
        let (points, taken) = (self.points(), model.normals_per_path());
        self.draws.resize(GROUP * taken, 0.0);
        let price = self.price.as_slice_mut().expect("the standard layout").chunks_mut(GROUP * points);
        let variance = self.variance.as_slice_mut().expect("the standard layout").chunks_mut(GROUP * points);
        for (first, (price, variance)) in (first..).step_by(GROUP).zip(price.zip(variance)) {
            let draws = &mut self.draws[..price.len() / points * taken];
            normals.fill_paths(first, taken, draws);
            model.paths(draws, price, variance);
        }
    }
}
