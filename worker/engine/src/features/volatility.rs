//! The volatility as a feature.

use super::{Column, View};

/// √V_t, of the positive part of the variance.
pub(super) struct Volatility;

impl Column for Volatility {
    fn at(&self, view: View<'_>, path: usize, point: usize) -> f64 {
        view.paths.variance[[path, point]].max(0.0).sqrt()
    }
}
