//! The entropic risk measure (Föllmer & Schied 2002).

use super::{Curvature, Graded, Objective, Outcome, Outcomes, Units};
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
    /// exp(−a·(net − min net)), which cannot overflow, with their sum and the least net P&L.
    fn weights(&self, net: &[f64]) -> (Vec<f64>, f64, f64) {
        let least = net.iter().copied().fold(f64::INFINITY, f64::min);
        let weights: Vec<f64> = net.iter().map(|x| libm::exp(-self.risk_aversion * (x - least))).collect();
        let sum = weights.iter().sum();
        (weights, sum, least)
    }
}

impl Objective for Entropic {
    fn units(&self) -> Units {
        self.units
    }

    fn grade(&self, outcomes: Outcomes<'_>) -> Graded {
        let net = outcomes.net();
        let (weights, sum, least) = self.weights(&net);
        let value = libm::log(sum / net.len() as f64) / self.risk_aversion - least;
        Graded::of_net(value, weights.iter().map(|weight| -weight / sum).collect())
    }

    fn influence(&self, outcomes: Outcomes<'_>) -> Vec<f64> {
        let net = outcomes.net();
        let (weights, sum, _) = self.weights(&net);
        let scale = net.len() as f64 / (sum * self.risk_aversion);
        weights.iter().map(|weight| weight * scale).collect()
    }

    /// a·(diag w − w wᵀ) in the net P&L, with w the softmax of −a·net.
    fn curvature(&self, outcomes: Outcomes<'_>) -> Option<Curvature> {
        let (weights, sum, _) = self.weights(&outcomes.net());
        let weights = weights.iter().map(|weight| self.risk_aversion * (weight / sum)).collect();
        Some(Curvature { of: Outcome::Net, weights })
    }
}
