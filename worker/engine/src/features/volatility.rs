//! The volatility as a feature.

use super::{Column, View};

/// √V_t, of the positive part of the variance.
pub(super) struct Volatility;

impl Column for Volatility {
    fn values(&self, view: View<'_>, path: usize, first: usize, out: &mut [f32]) {
        for (out, variance) in out.iter_mut().zip(view.variance(path, first)) {
            *out = variance.max(0.0).sqrt() as f32;
        }
    }
}
