//! The time to maturity as a feature.

use super::{Column, View};

/// T − t, in years.
pub(super) struct TimeToMaturity;

impl Column for TimeToMaturity {
    fn needs_contract(&self) -> bool {
        true
    }

    fn at(&self, view: View<'_>, _path: usize, point: usize) -> f64 {
        (view.paths.points() - 1 - point) as f64 * view.dt
    }
}
