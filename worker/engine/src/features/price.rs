//! The price as a feature.

use super::{Column, View};

/// S_t.
pub(super) struct Price;

impl Column for Price {
    fn at(&self, view: View<'_>, path: usize, point: usize) -> f64 {
        view.paths.price[[path, point]]
    }
}
