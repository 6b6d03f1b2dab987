//! The log-moneyness as a feature.

use super::{Column, View};

/// ln(S_t/K).
pub(super) struct LogMoneyness;

impl Column for LogMoneyness {
    fn needs_contract(&self) -> bool {
        true
    }

    fn at(&self, view: View<'_>, path: usize, point: usize) -> f64 {
        libm::log(view.paths.price[[path, point]] / view.strike.unwrap_or(f64::NAN))
    }
}
