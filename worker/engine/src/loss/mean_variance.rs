//! Mean–variance.

use super::{Curvature, Graded, Objective, Outcome, Outcomes, Units};
use crate::buffer::refill;
use crate::config::Range;
use crate::config::declare::section;
use crate::statistics::Moments;

section! {
    /// Mean–variance of the P&L net of costs: −E\[net\] + γ/2·Var(net), with the (n − 1) variance.
    pub struct MeanVariance {
        /// Risk aversion γ: half of it is the weight of the variance.
        gamma: f64 = 1.0, Range::NON_NEGATIVE;
        /// What the P&L is measured in.
        units: Units = Units::Normalized, Range::ANY;
    }
}

impl Objective for MeanVariance {
    fn units(&self) -> Units {
        self.units
    }

    fn grade_into(&self, outcomes: Outcomes<'_>, graded: &mut Graded) {
        refill(&mut graded.d_pnl, outcomes.each_net());
        let moments = Moments::of(&graded.d_pnl);
        let count = outcomes.count() as f64;
        let slope = self.gamma / (count - 1.0);
        graded.value = 0.5 * self.gamma * moments.variance() - moments.mean();
        graded.d_pnl.iter_mut().for_each(|x| *x = slope * (*x - moments.mean()) - 1.0 / count);
        graded.mirror();
    }

    fn influence(&self, outcomes: Outcomes<'_>) -> Vec<f64> {
        let net = outcomes.net();
        let mean = Moments::of(&net).mean();
        net.iter().map(|x| 0.5 * self.gamma * (x - mean) * (x - mean) - x).collect()
    }

    /// γ/(n − 1)·(I − 11ᵀ/n) in the net P&L.
    fn curve_into(&self, outcomes: Outcomes<'_>, curvature: &mut Curvature) -> bool {
        let weight = self.gamma / (outcomes.count() as f64 - 1.0);
        curvature.take(Outcome::Net, outcomes.pnl.iter().map(|_| weight));
        true
    }
}
