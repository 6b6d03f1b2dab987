//! Expected shortfall (Rockafellar & Uryasev 2000).

use super::{Curvature, Graded, Objective, Outcomes, Units};
use crate::config::Range;
use crate::config::declare::section;
use crate::statistics::tail_count;

section! {
    /// CVaR at level α of the P&L net of costs: min over w of w + E\[(−net − w)⁺\]/(1 − α), at the batch's own best w.
    pub struct Cvar {
        /// Level α; 0 is the mean loss.
        alpha: f64 = 0.95, Range::half_open(0.0, 1.0);
        /// What the P&L is measured in.
        units: Units = Units::Normalized, Range::ANY;
    }
}

impl Cvar {
    /// The paths from the worst on; among equals the earlier one counts as worse.
    fn worst_first(net: &[f64]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..net.len()).collect();
        order.sort_by(|a, b| net[*a].total_cmp(&net[*b]));
        order
    }
}

impl Objective for Cvar {
    fn units(&self) -> Units {
        self.units
    }

    /// At the best w, the mean of the k = n(1 − α) largest losses, of which the last counts by its fraction; the
    /// derivative is the negative weight of each path in that mean.
    fn grade(&self, outcomes: Outcomes<'_>) -> Graded {
        let net = outcomes.net();
        let size = tail_count(net.len(), self.alpha);
        let mut value = 0.0;
        let mut d_net = vec![0.0; net.len()];
        for (rank, path) in Cvar::worst_first(&net).into_iter().enumerate() {
            let share = (size - rank as f64).clamp(0.0, 1.0);
            if share == 0.0 {
                break;
            }
            value -= net[path] * share;
            d_net[path] = -share / size;
        }
        Graded::of_net(value / size, d_net)
    }

    fn influence(&self, outcomes: Outcomes<'_>) -> Vec<f64> {
        let net = outcomes.net();
        let size = tail_count(net.len(), self.alpha);
        let order = Cvar::worst_first(&net);
        let Some(quantile) = order.get((size as usize).min(net.len().saturating_sub(1))) else { return Vec::new() };
        let threshold = -net[*quantile];
        net.iter().map(|x| (-x - threshold).max(0.0) / (1.0 - self.alpha)).collect()
    }

    /// Piecewise linear: its slope jumps where paths change ranks, and it is flat between.
    fn curvature(&self, _outcomes: Outcomes<'_>) -> Option<Curvature> {
        None
    }
}
