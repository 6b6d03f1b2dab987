//! The paper's loss.

use super::{Curvature, Graded, Objective, Outcome, Outcomes, Units};
use crate::buffer::refill;
use crate::config::Range;
use crate::config::declare::section;
use crate::statistics::Moments;

section! {
    /// The paper's loss: γ times the (n − 1) variance of the P&L gross of costs, plus the mean cost.
    pub struct VariancePlusCost {
        /// Weight of the variance.
        gamma: f64 = 1.0, Range::NON_NEGATIVE;
        /// What the P&L is measured in.
        units: Units = Units::Normalized, Range::ANY;
    }
}

impl Objective for VariancePlusCost {
    fn units(&self) -> Units {
        self.units
    }

    fn grade_into(&self, outcomes: Outcomes<'_>, graded: &mut Graded) {
        let pnl = Moments::of(outcomes.pnl);
        let count = outcomes.count() as f64;
        let slope = 2.0 * self.gamma / (count - 1.0);
        graded.value = self.gamma * pnl.variance() + Moments::of(outcomes.cost).mean();
        refill(&mut graded.d_pnl, outcomes.pnl.iter().map(|x| slope * (x - pnl.mean())));
        refill(&mut graded.d_cost, outcomes.cost.iter().map(|_| 1.0 / count));
    }

    fn influence(&self, outcomes: Outcomes<'_>) -> Vec<f64> {
        let mean = Moments::of(outcomes.pnl).mean();
        let pairs = outcomes.pnl.iter().zip(outcomes.cost);
        pairs.map(|(pnl, cost)| self.gamma * (pnl - mean) * (pnl - mean) + cost).collect()
    }

    /// 2γ/(n − 1)·(I − 11ᵀ/n) in the gross P&L; the mean cost is linear in the costs.
    fn curve_into(&self, outcomes: Outcomes<'_>, curvature: &mut Curvature) -> bool {
        let weight = 2.0 * self.gamma / (outcomes.count() as f64 - 1.0);
        curvature.take(Outcome::Gross, outcomes.pnl.iter().map(|_| weight));
        true
    }
}
