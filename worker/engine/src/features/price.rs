//! The price as a feature.

use super::Column;
use crate::market::Paths;

/// S_t.
pub(super) struct Price;

impl Column for Price {
    fn at(&self, paths: &Paths, path: usize, point: usize) -> f64 {
        paths.price[[path, point]]
    }
}
