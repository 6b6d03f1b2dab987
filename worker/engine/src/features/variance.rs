//! The variance as a feature.

use super::{Column, View};

/// V_t as simulated.
pub(super) struct Variance;

impl Column for Variance {
    fn values(&self, view: View<'_>, path: usize, first: usize, out: &mut [f32]) {
        out.iter_mut().zip(view.variance(path, first)).for_each(|(out, variance)| *out = *variance as f32);
    }
}
