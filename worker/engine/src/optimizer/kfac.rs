//! K-FAC (Martens & Grosse 2015) on the head, as the notebook of Enkhbayar 2024 has it.
//!
//! With a_nt the head's inputs and ĝ_nt the gradient of the batch-mean loss at its pre-activation, over N paths and T
//! points: `A = Σ a aᵀ/(NT) + λI` (without a row for the bias), and `G = s Σ ĝ² + λ`, a number, since the head has one
//! output. s is 1/(NT) for `batch_mean`, and N for `per_example`: N²T times as much. Then `W −= lr·G⁻¹ ∇W A⁻¹` and
//! `b −= lr·G⁻¹ ∇b`.

use nalgebra::{Cholesky, DMatrix, DVector};

use super::adam::{Adam, AdamStepper};
use super::{SingularFactor, StepInputs, Stepper};
use crate::config::Range;
use crate::config::declare::{choices, section};
use crate::kernel::{Strided, accumulate};
use crate::network::{Layout, Scope};
use crate::real::Real;

choices! {
    /// Which layers K-FAC preconditions.
    pub enum KfacLayers {
        /// The linear head.
        Head = "head",
    }
}

choices! {
    /// What happens to the layers that K-FAC does not precondition.
    pub enum Rest {
        /// They stay as they began.
        Frozen = "frozen",
        /// Adam trains them.
        Adam = "adam",
    }
}

choices! {
    /// Which gradients make the output factor G.
    pub enum GradientScale {
        /// Those of the batch mean, which makes G N²T times too small, as in the notebook.
        BatchMean = "batch_mean",
        /// Those of each example, N times as large, so that G = N·Σ ĝĝᵀ, as K-FAC is defined.
        PerExample = "per_example",
    }
}

section! {
    /// K-FAC's settings.
    pub struct Kfac {
        /// Learning rate.
        lr: f64 = 1e-3, Range::POSITIVE;
        /// λ, added to the diagonal of both factors.
        damping: f64 = 1e-2, Range::POSITIVE;
        /// L2 penalty, added to the gradient of all that is trained.
        weight_decay: f64 = 0.0, Range::NON_NEGATIVE;
        /// Which layers K-FAC preconditions.
        layers: KfacLayers = KfacLayers::Head, Range::ANY;
        /// What happens to the other layers.
        rest: Rest = Rest::Frozen, Range::ANY;
        /// Learning rate of Adam for the other layers, where it trains them; its decays are 0.9 and 0.999.
        rest_lr: f64 = 1e-3, Range::POSITIVE;
        /// Which gradients make the output factor.
        gradient_scale: GradientScale = GradientScale::BatchMean, Range::ANY;
    }
}

/// The curvature of the head: two factors, damped.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Factors {
    /// A: \[H, H\].
    pub(crate) inputs: DMatrix<f64>,
    /// G.
    pub(crate) outputs: f64,
}

/// K-FAC at work.
pub(super) struct KfacStepper<R> {
    settings: Kfac,
    /// Where the head's weights and, behind them, its bias lie.
    head: std::ops::Range<usize>,
    rest: Option<AdamStepper<R>>,
}

impl<R: Real> KfacStepper<R> {
    pub(super) fn new(settings: &Kfac, layout: &Layout) -> KfacStepper<R> {
        let rest = match settings.rest {
            Rest::Frozen => None,
            Rest::Adam => {
                let adam = Adam { lr: settings.rest_lr, weight_decay: settings.weight_decay, ..Adam::default() };
                Some(AdamStepper::on(&adam, layout.body()))
            }
        };
        KfacStepper { settings: settings.clone(), head: layout.head(), rest }
    }

    /// The gradient of the head with its L2 penalty, in f64: of the weights, and of the bias.
    fn head_gradient(&self, weights: &[R], gradient: &[R]) -> (DVector<f64>, f64) {
        let decayed = |place: usize| gradient[place].to_f64() + self.settings.weight_decay * weights[place].to_f64();
        let bias = self.head.end - 1;
        let of_weights = (self.head.start..bias).map(decayed);
        (DVector::from_iterator(bias - self.head.start, of_weights), decayed(bias))
    }
}

impl Kfac {
    /// The damped factors of a batch, summed in f64.
    pub(crate) fn factors<R: Real>(&self, inputs: &StepInputs<'_, R>) -> Factors {
        let rows = inputs.head_gradients.len();
        let hidden = inputs.head_inputs.len() / rows;
        let seen: Vec<f64> = inputs.head_inputs.iter().map(|a| a.to_f64()).collect();
        let mut sums = vec![0.0; hidden * hidden];
        accumulate(&mut sums, Strided::transposed(&seen, hidden), &seen, [hidden, rows, hidden]);
        let mut a = DMatrix::from_row_slice(hidden, hidden, &sums) / rows as f64;
        for unit in 0..hidden {
            a[(unit, unit)] += self.damping;
        }
        let squares: f64 = inputs.head_gradients.iter().map(|g| g.to_f64() * g.to_f64()).sum();
        let mean = match self.gradient_scale {
            GradientScale::BatchMean => squares / rows as f64,
            GradientScale::PerExample => squares * inputs.batch as f64,
        };
        Factors { inputs: a, outputs: mean + self.damping }
    }
}

/// A⁻¹ v by Cholesky's decomposition.
fn solve(a: DMatrix<f64>, v: &DVector<f64>) -> Result<DVector<f64>, SingularFactor> {
    let singular = SingularFactor { factor: "A" };
    if a.iter().any(|entry| !entry.is_finite()) {
        return Err(singular);
    }
    Cholesky::new(a).map(|cholesky| cholesky.solve(v)).ok_or(singular)
}

impl<R: Real> Stepper<R> for KfacStepper<R> {
    fn scope(&self) -> Scope {
        if self.rest.is_some() { Scope::All } else { Scope::Head }
    }

    fn damping(&self) -> Option<f64> {
        Some(self.settings.damping)
    }

    fn step(&mut self, weights: &mut [R], inputs: StepInputs<'_, R>) -> Result<(), SingularFactor> {
        let factors = self.settings.factors(&inputs);
        if !factors.outputs.is_finite() {
            return Err(SingularFactor { factor: "G" });
        }
        let (d_weights, d_bias) = self.head_gradient(weights, inputs.gradient);
        let direction = solve(factors.inputs, &d_weights)?;
        let rate = self.settings.lr / factors.outputs;
        let head = &mut weights[self.head.clone()];
        for (weight, step) in head.iter_mut().zip(direction.iter().chain([&d_bias])) {
            *weight = R::from_f64(weight.to_f64() - rate * step);
        }
        if let Some(rest) = &mut self.rest {
            rest.update(weights, inputs.gradient);
        }
        Ok(())
    }
}
