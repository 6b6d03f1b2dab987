//! The variance as a feature.

use super::Column;
use crate::market::Paths;

/// V_t as simulated.
pub(super) struct Variance;

impl Column for Variance {
    fn at(&self, paths: &Paths, path: usize, point: usize) -> f64 {
        paths.variance[[path, point]]
    }
}
