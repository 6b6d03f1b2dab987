//! The variance as a feature.

use super::{Column, View};

/// V_t as simulated.
pub(super) struct Variance;

impl Column for Variance {
    fn at(&self, view: View<'_>, path: usize, point: usize) -> f64 {
        view.paths.variance[[path, point]]
    }
}
