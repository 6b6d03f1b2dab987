//! Expected shortfall (Rockafellar & Uryasev 2000).

use super::{Curvature, Graded, Objective, Outcomes, Units};
use crate::buffer::refill;
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
    /// Writes the paths from the worst on; among equals the earlier one counts as worse.
    fn put_worst_first(net: &[f64], order: &mut Vec<usize>) {
        order.clear();
        order.extend(0..net.len());
        order.sort_unstable_by(|a, b| net[*a].total_cmp(&net[*b]).then(a.cmp(b)));
    }
}

impl Objective for Cvar {
    fn units(&self) -> Units {
        self.units
    }

    /// At the best w, the mean of the k = n(1 − α) largest losses, of which the last counts by its fraction; the
    /// derivative is the negative weight of each path in that mean.
    fn grade_into(&self, outcomes: Outcomes<'_>, graded: &mut Graded) {
        let Graded { value, d_pnl, d_cost: net, order } = graded;
        refill(net, outcomes.each_net());
        Cvar::put_worst_first(net, order);
        let size = tail_count(net.len(), self.alpha);
        *value = 0.0;
        refill(d_pnl, net.iter().map(|_| 0.0));
        for (rank, path) in order.iter().enumerate() {
            let share = (size - rank as f64).clamp(0.0, 1.0);
            if share == 0.0 {
                break;
            }
            *value -= net[*path] * share;
            d_pnl[*path] = -share / size;
        }
        *value /= size;
        graded.mirror();
    }

    fn influence(&self, outcomes: Outcomes<'_>) -> Vec<f64> {
        let net = outcomes.net();
        let size = tail_count(net.len(), self.alpha);
        let mut order = Vec::new();
        Cvar::put_worst_first(&net, &mut order);
        let Some(quantile) = order.get((size as usize).min(net.len().saturating_sub(1))) else { return Vec::new() };
        let threshold = -net[*quantile];
        net.iter().map(|x| (-x - threshold).max(0.0) / (1.0 - self.alpha)).collect()
    }

    /// Piecewise linear: its slope jumps where paths change ranks, and it is flat between.
    fn curve_into(&self, _outcomes: Outcomes<'_>, _curvature: &mut Curvature) -> bool {
        false
    }
}
