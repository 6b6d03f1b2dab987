//! The price as a feature.

use super::{Column, View};

/// S_t.
pub(super) struct Price;

impl Column for Price {
    fn values(&self, view: View<'_>, path: usize, first: usize, out: &mut [f32]) {
        out.iter_mut().zip(view.price(path, first)).for_each(|(out, price)| *out = *price as f32);
    }
}
