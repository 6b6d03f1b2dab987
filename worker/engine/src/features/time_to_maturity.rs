//! The time to maturity as a feature.

use super::{Column, View};

/// T − t, in years.
pub(super) struct TimeToMaturity;

impl Column for TimeToMaturity {
    fn needs_contract(&self) -> bool {
        true
    }

    fn values(&self, view: View<'_>, _path: usize, first: usize, out: &mut [f32]) {
        let last = view.paths.points() - 1;
        out.iter_mut().zip(first..).for_each(|(out, point)| *out = ((last - point) as f64 * view.dt) as f32);
    }
}
