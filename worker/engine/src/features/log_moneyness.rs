//! The log-moneyness as a feature.

use super::{Column, View};
use crate::lanes::LANES;
use crate::logarithm::ln_all;

/// ln(S_t/K).
pub(super) struct LogMoneyness;

impl Column for LogMoneyness {
    fn needs_contract(&self) -> bool {
        true
    }

    fn values(&self, view: View<'_>, path: usize, first: usize, out: &mut [f32]) {
        let strike = view.strike.unwrap_or(f64::NAN);
        let mut quotients = [0.0; LANES];
        for (out, prices) in out.chunks_mut(LANES).zip(view.price(path, first).chunks(LANES)) {
            let quotients = &mut quotients[..out.len()];
            quotients.iter_mut().zip(prices).for_each(|(quotient, price)| *quotient = price / strike);
            ln_all(quotients);
            out.iter_mut().zip(quotients).for_each(|(out, logarithm)| *out = *logarithm as f32);
        }
    }
}
