//! The entropic risk measure (Föllmer & Schied 2002).

use super::{Curvature, Graded, Objective, Outcome, Outcomes, Units};
use crate::buffer::refill;
use crate::config::Range;
use crate::config::declare::section;

section! {
    /// The entropic risk of the P&L net of costs: (1/a)·log E\[exp(−a·net)\].
    pub struct Entropic {
        /// Risk aversion a, per unit of P&L.
        risk_aversion: f64 = 1.0, Range::POSITIVE;
        /// What the P&L is measured in.
        units: Units = Units::Normalized, Range::ANY;
    }
}

impl Entropic {
    /// Writes exp(−a·(net − min net)), which cannot overflow; with their sum and the least net P&L.
    fn weights(&self, outcomes: Outcomes<'_>, weights: &mut Vec<f64>) -> (f64, f64) {
        let least = outcomes.each_net().fold(f64::INFINITY, f64::min);
        refill(weights, outcomes.each_net().map(|x| libm::exp(-self.risk_aversion * (x - least))));
        (weights.iter().sum(), least)
    }
}

impl Objective for Entropic {
    fn units(&self) -> Units {
        self.units
    }

    fn grade_into(&self, outcomes: Outcomes<'_>, graded: &mut Graded) {
        let (sum, least) = self.weights(outcomes, &mut graded.d_pnl);
        graded.value = libm::log(sum / outcomes.count() as f64) / self.risk_aversion - least;
        graded.d_pnl.iter_mut().for_each(|weight| *weight = -*weight / sum);
        graded.mirror();
    }

    fn influence(&self, outcomes: Outcomes<'_>) -> Vec<f64> {
        let mut weights = Vec::new();
        let (sum, _) = self.weights(outcomes, &mut weights);
        let scale = outcomes.count() as f64 / (sum * self.risk_aversion);
        weights.iter().map(|weight| weight * scale).collect()
    }

    /// a·(diag w − w wᵀ) in the net P&L, with w the softmax of −a·net.
    fn curve_into(&self, outcomes: Outcomes<'_>, curvature: &mut Curvature) -> bool {
        curvature.of = Outcome::Net;
        let (sum, _) = self.weights(outcomes, &mut curvature.weights);
        curvature.weights.iter_mut().for_each(|weight| *weight = self.risk_aversion * (*weight / sum));
        true
    }
}
