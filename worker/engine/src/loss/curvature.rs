//! How losses curve in what happens on the paths: the outer part of a Gauss–Newton matrix.

/// What a loss curves in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// Each path's P&L, gross of costs.
    #[default]
    Gross,
    /// Each path's P&L, net of costs.
    Net,
}

/// A loss's Hessian in one outcome x of each path: `diag(c) − c cᵀ/Σc` with c ≥ 0, which is positive semi-definite and
/// blind to what moves all paths alike. Every smooth loss here has this form.
///
/// The Gauss–Newton matrix is JᵀHJ with J = ∂x/∂weights: the curvature of the network's outputs themselves is left out,
/// and so are the kinks of |Δδ|, which have no curvature on either side. Net P&L moves with the costs' slope, so J has
/// their subgradient where a loss looks at net P&L, and does not where it curves in gross P&L.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curvature {
    /// What x is.
    pub of: Outcome,
    /// c, one entry a path. K-FAC keeps these and drops the second term, which makes the matrix larger.
    pub weights: Vec<f64>,
}

impl Curvature {
    /// Becomes the Hessian with these weights.
    pub(super) fn take(&mut self, of: Outcome, weights: impl Iterator<Item = f64>) {
        self.of = of;
        crate::buffer::refill(&mut self.weights, weights);
    }

    /// vᵀHv for a change v of the outcomes: Σ c_n (v_n − v̄)², v̄ the mean of v by the weights c.
    pub fn quadratic(&self, change: &[f64]) -> f64 {
        let total: f64 = self.weights.iter().sum();
        if total == 0.0 {
            return 0.0;
        }
        let pairs = || self.weights.iter().zip(change);
        let mean = pairs().map(|(c, v)| c * v).sum::<f64>() / total;
        pairs().map(|(c, v)| c * (v - mean) * (v - mean)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::assert_close;
    use crate::loss::{Cvar, Entropic, MeanVariance, Objective, Outcomes, Units, VariancePlusCost};
    use crate::random::{Purpose, Stream};

    fn losses() -> [Box<dyn Objective>; 3] {
        [
            Box::new(VariancePlusCost { gamma: 0.7, units: Units::Currency }),
            Box::new(MeanVariance { gamma: 1.3, units: Units::Currency }),
            Box::new(Entropic { risk_aversion: 2.0, units: Units::Currency }),
        ]
    }

    #[test]
    fn the_hessian_is_the_gradients_difference_quotient() {
        let mut stream = Stream::new(Purpose::Test, 78, 0);
        let mut draw = |scale: f64| (0..9).map(|_| scale * stream.normal()).collect::<Vec<f64>>();
        let (pnl, cost, change) = (draw(1.0), draw(0.1), draw(1.0));
        for loss in losses() {
            let curvature = loss.curvature(Outcomes { pnl: &pnl, cost: &cost }).unwrap();
            // A change of the costs is the opposite change of net P&L, and none of gross P&L.
            let slope = |step: f64| -> f64 {
                let moved = |x: &[f64], sign: f64| -> Vec<f64> {
                    x.iter().zip(&change).map(|(x, v)| x + sign * step * v).collect()
                };
                let (pnl, cost) =
                    (moved(&pnl, 0.25), moved(&cost, if curvature.of == Outcome::Net { -0.75 } else { 0.0 }));
                let graded = loss.grade(Outcomes { pnl: &pnl, cost: &cost });
                graded.d_pnl.iter().zip(&change).map(|(d, v)| d * v).sum()
            };
            let moved = if curvature.of == Outcome::Net { 1.0 } else { 0.25 };
            let quotient = (slope(1e-4) - slope(-1e-4)) / 2e-4;
            // Central differences at h = 1e-4: h² of the third derivative, and 1e-16/h.
            assert_close(&[moved * curvature.quadratic(&change)], &[quotient], 1e-6);
        }
    }

    #[test]
    fn what_moves_all_paths_alike_is_no_curvature() {
        let (pnl, cost) = ([0.3, -0.1, 0.9, 0.2], [0.01, 0.02, 0.0, 0.0]);
        for loss in losses() {
            let curvature = loss.curvature(Outcomes { pnl: &pnl, cost: &cost }).unwrap();
            assert!(curvature.quadratic(&[1.7; 4]).abs() < 1e-15);
            assert!(curvature.quadratic(&[1.0, 0.0, 0.0, 0.0]) > 0.01);
        }
        let flat = Curvature { of: Outcome::Gross, weights: vec![0.0; 2] };
        assert_eq!(flat.quadratic(&[1.0, 2.0]), 0.0);
    }

    #[test]
    fn expected_shortfall_has_none() {
        assert_eq!(Cvar::default().curvature(Outcomes { pnl: &[0.1, 0.2], cost: &[0.0; 2] }), None);
    }
}
