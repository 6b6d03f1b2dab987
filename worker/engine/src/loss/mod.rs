//! Losses: what training minimises.

mod curvature;
mod cvar;
mod entropic;
mod mean_variance;
mod variance_plus_cost;

pub use curvature::{Curvature, Outcome};
pub use cvar::Cvar;
pub use entropic::Entropic;
pub use mean_variance::MeanVariance;
pub use variance_plus_cost::VariancePlusCost;

use crate::buffer::refill;
use crate::config::declare::{choices, kinds};

kinds! {
    /// The loss over a batch of paths.
    pub enum Loss by "kind" {
        /// γ·Var(P&L) + E\[cost\].
        VariancePlusCost(VariancePlusCost) = "variance_plus_cost",
        /// −E\[net P&L\] + γ/2·Var(net P&L).
        MeanVariance(MeanVariance) = "mean_variance",
        /// (1/a)·log E\[exp(−a·net P&L)\].
        Entropic(Entropic) = "entropic",
        /// Expected shortfall of the net P&L.
        Cvar(Cvar) = "cvar",
    }
}

choices! {
    /// What the P&L of training is measured in.
    pub enum Units {
        /// In standard deviations of the price feature, as in the paper's code.
        Normalized = "normalized",
        /// In the currency of the price.
        Currency = "currency",
    }
}

/// What happened on a set of paths, one entry a path, in the loss's units. Net P&L is `pnl − cost`.
#[derive(Clone, Copy, Debug)]
pub struct Outcomes<'a> {
    /// P&L, gross of costs.
    pub pnl: &'a [f64],
    /// Costs.
    pub cost: &'a [f64],
}

impl Outcomes<'_> {
    /// Number of paths.
    pub fn count(&self) -> usize {
        self.pnl.len()
    }

    /// P&L net of costs.
    pub fn net(&self) -> Vec<f64> {
        self.each_net().collect()
    }

    fn each_net(&self) -> impl Iterator<Item = f64> + Clone {
        self.pnl.iter().zip(self.cost).map(|(pnl, cost)| pnl - cost)
    }
}

/// The loss of a set of paths with its derivative with respect to each path's P&L and cost.
#[derive(Clone, Debug, Default)]
pub struct Graded {
    /// The loss.
    pub value: f64,
    /// Derivative with respect to each path's P&L.
    pub d_pnl: Vec<f64>,
    /// Derivative with respect to each path's cost.
    pub d_cost: Vec<f64>,
    /// Room to put paths in order.
    order: Vec<usize>,
}

impl Graded {
    /// For a loss of net P&L alone: what a cost does is the opposite of what a gain does.
    fn mirror(&mut self) {
        refill(&mut self.d_cost, self.d_pnl.iter().map(|d| -d));
    }
}

/// A loss: a function of the paths' outcomes, in f64 whatever the network computes in.
pub trait Objective {
    /// What the P&L is measured in.
    fn units(&self) -> Units;

    /// Writes the loss and its derivatives. NaN where it is undefined, such as a variance of one path.
    fn grade_into(&self, outcomes: Outcomes<'_>, graded: &mut Graded);

    /// The loss and its derivatives.
    fn grade(&self, outcomes: Outcomes<'_>) -> Graded {
        let mut graded = Graded::default();
        self.grade_into(outcomes, &mut graded);
        graded
    }

    /// Each path's influence ψ, up to a constant: to first order in the sample, the loss is the mean of ψ, so that its
    /// standard error is SD(ψ)/√n (the delta method).
    fn influence(&self, outcomes: Outcomes<'_>) -> Vec<f64>;

    /// Writes the loss's Hessian in the paths' outcomes; false for a loss that has none almost everywhere.
    fn curve_into(&self, outcomes: Outcomes<'_>, curvature: &mut Curvature) -> bool;

    /// The loss's Hessian in the paths' outcomes; `None` for a loss that has none almost everywhere.
    fn curvature(&self, outcomes: Outcomes<'_>) -> Option<Curvature> {
        let mut curvature = Curvature::default();
        self.curve_into(outcomes, &mut curvature).then_some(curvature)
    }
}

impl Loss {
    /// The loss function.
    pub fn objective(&self) -> &dyn Objective {
        match self {
            Loss::VariancePlusCost(loss) => loss,
            Loss::MeanVariance(loss) => loss,
            Loss::Entropic(loss) => loss,
            Loss::Cvar(loss) => loss,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use crate::random::{Purpose, Stream};
    use crate::statistics::{Moments, sort_descending, tail_risk};
    use proptest::prelude::*;

    fn losses() -> Vec<(&'static str, Box<dyn Objective>)> {
        vec![
            ("variance_plus_cost", Box::new(VariancePlusCost { gamma: 0.7, units: Units::Normalized })),
            ("mean_variance", Box::new(MeanVariance { gamma: 1.3, units: Units::Normalized })),
            ("entropic", Box::new(Entropic { risk_aversion: 2.0, units: Units::Normalized })),
            ("cvar", Box::new(Cvar { alpha: 0.8, units: Units::Normalized })),
            ("cvar_fractional", Box::new(Cvar { alpha: 0.77, units: Units::Normalized })),
        ]
    }

    fn sample(count: usize, index: u64) -> [Vec<f64>; 2] {
        let mut stream = Stream::new(Purpose::Test, 77, index);
        let pnl = (0..count).map(|_| 0.1 + stream.normal()).collect();
        let cost = (0..count).map(|_| 0.05 * stream.uniform()).collect();
        [pnl, cost]
    }

    #[test]
    fn values_and_gradients_are_pytorchs() {
        let golden = golden::engine();
        let (pnl, cost) = (golden.numbers("loss.pnl"), golden.numbers("loss.cost"));
        for (name, loss) in losses() {
            let graded = loss.grade(Outcomes { pnl: &pnl, cost: &cost });
            golden::assert_close(&[graded.value], &golden.numbers(&format!("loss.{name}.value")), 1e-13);
            golden::assert_close(&graded.d_pnl, &golden.numbers(&format!("loss.{name}.d_pnl")), 1e-12);
            golden::assert_close(&graded.d_cost, &golden.numbers(&format!("loss.{name}.d_cost")), 1e-12);
        }
    }

    #[test]
    fn gradients_are_difference_quotients() {
        let [pnl, cost] = sample(11, 0);
        for (_, loss) in losses() {
            let graded = loss.grade(Outcomes { pnl: &pnl, cost: &cost });
            let by_pnl = |pnl: &[f64]| loss.grade(Outcomes { pnl, cost: &cost }).value;
            let by_cost = |cost: &[f64]| loss.grade(Outcomes { pnl: &pnl, cost }).value;
            // Central differences: h²·f‴/6 and 1e-16·f/h, both near 1e-10 at h = 1e-5.
            golden::assert_gradient(by_pnl, &pnl, &graded.d_pnl, 1e-5, 1e-9);
            golden::assert_gradient(by_cost, &cost, &graded.d_cost, 1e-5, 1e-9);
        }
    }

    #[test]
    fn the_standard_error_is_that_of_repeated_samples() {
        const REPEATS: u64 = 1500;
        const PATHS: usize = 400;
        // exp(−a·net) must have a variance that 400 paths can see, so a is small here.
        let gentle: Box<dyn Objective> = Box::new(Entropic { risk_aversion: 0.5, units: Units::Normalized });
        let others = losses().into_iter().filter(|(name, _)| *name != "entropic");
        for (name, loss) in others.chain([("entropic", gentle)]) {
            let (mut values, mut claimed) = (Vec::new(), 0.0);
            for repeat in 0..REPEATS {
                let [pnl, cost] = sample(PATHS, repeat);
                let outcomes = Outcomes { pnl: &pnl, cost: &cost };
                values.push(loss.grade(outcomes).value);
                let influence = Moments::of(&loss.influence(outcomes));
                claimed += (influence.variance() / PATHS as f64).sqrt() / REPEATS as f64;
            }
            let actual = Moments::of(&values).variance().sqrt();
            // The SD of 1500 values is known to 1/√3000 = 1.8%; four of them, and the delta method's own O(1/n).
            assert!(
                (claimed / actual - 1.0).abs() < 4.0 * 0.018 + 4.0 / PATHS as f64,
                "{name}: {claimed} for {actual}"
            );
        }
    }

    proptest! {
        #[test]
        fn cvar_is_the_metrics_expected_shortfall(pnl in prop::collection::vec(-5.0..5.0_f64, 1..60), alpha in 0.0..0.99_f64) {
            let cost = vec![0.25; pnl.len()];
            let loss = Cvar { alpha, units: Units::Currency };
            let outcomes = Outcomes { pnl: &pnl, cost: &cost };
            let mut losses: Vec<f64> = outcomes.net().iter().map(|net| -net).collect();
            sort_descending(&mut losses);
            let [_, shortfall] = tail_risk(&losses, alpha);
            prop_assert!((loss.grade(outcomes).value - shortfall).abs() < 1e-12);
        }

        #[test]
        fn cash_is_worth_its_face_value(pnl in prop::collection::vec(-5.0..5.0_f64, 2..30)) {
            let cost = vec![0.0; pnl.len()];
            for (name, loss) in losses().into_iter().filter(|(name, _)| *name != "variance_plus_cost") {
                let slope: f64 = loss.grade(Outcomes { pnl: &pnl, cost: &cost }).d_pnl.iter().sum();
                prop_assert!((slope + 1.0).abs() < 1e-12, "{}: a unit more on every path is {} less loss", name, -slope);
            }
        }
    }

    #[test]
    fn extremes_stay_finite() {
        let huge = Entropic { risk_aversion: 50.0, units: Units::Currency };
        let graded = huge.grade(Outcomes { pnl: &[-1e3, 1e3, 0.0], cost: &[0.0; 3] });
        let expected = 1e3 - libm::log(3.0) / 50.0;
        assert!((graded.value - expected).abs() < 1e-12 * expected);
        assert_eq!(graded.d_pnl, [-1.0, 0.0, 0.0]);
        let worst = Cvar { alpha: 0.999, units: Units::Currency };
        assert_eq!(worst.grade(Outcomes { pnl: &[1.0, -2.0], cost: &[0.0, 0.5] }).value, 2.5);
    }
}
