//! The position held before as a feature.

use super::{Column, View};

/// δ_{t−1}, 0 before the first point: what the network itself decided a step ago. It is not scaled.
pub(super) struct PreviousPosition;

impl Column for PreviousPosition {
    fn is_fed_back(&self) -> bool {
        true
    }

    /// Before the first point; the network fills in the others as it decides.
    fn values(&self, _view: View<'_>, _path: usize, _first: usize, out: &mut [f32]) {
        out.fill(0.0);
    }
}
