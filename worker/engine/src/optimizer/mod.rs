//! Optimisers: how the loss is minimised.

mod adam;
mod batch;
mod clip;
mod kfac;
mod sgd;

pub use adam::Adam;
pub use batch::{Batch, Linearization, Seen, Signals};
pub use kfac::{
    Bias, DampingAdapt, DampingSplit, Fisher, GradientScale, Kfac, KfacLayers, RecurrentFactors, Rest, Sharing,
};
pub use sgd::Sgd;

use std::ops::Range;

use crate::config::KeyError;
use crate::config::declare::{choices, kinds};
use crate::loss::Loss;
use crate::network::{Dims, Layout, Scope};
use crate::real::Real;

kinds! {
    /// The optimiser.
    pub enum Optimizer by "kind" {
        /// Adam, Kingma & Ba 2015.
        Adam(Adam) = "adam",
        /// Stochastic gradient descent with momentum.
        Sgd(Sgd) = "sgd",
        /// Kronecker-factored approximate curvature, Martens & Grosse 2015.
        Kfac(Kfac) = "kfac",
    }
}

choices! {
    /// Which layers are trained.
    pub enum Layers {
        /// All of them.
        All = "all",
        /// The head alone; the recurrent layer stays as it began.
        Head = "head",
    }
}

impl Layers {
    /// Which gradients the optimiser needs.
    fn scope(self) -> Scope {
        match self {
            Layers::All => Scope::All,
            Layers::Head => Scope::Head,
        }
    }
}

/// A curvature factor that cannot be inverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SingularFactor {
    /// The factor's name.
    pub factor: &'static str,
}

/// What an optimiser has to say of a step beside the weights that it leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepNotes {
    /// ρ, the change of the loss over the change that the quadratic model foresaw, in steps that look.
    pub trust_ratio: Option<f64>,
    /// The largest condition number, in the 1-norm, of the damped factors that made the step.
    pub factor_condition: Option<f64>,
    /// What the step clip multiplied the step by, for optimisers that have one.
    pub clip_scale: Option<f64>,
}

/// An optimiser at work: what it remembers between steps, apart from its config.
pub trait Stepper<R: Real> {
    /// Which layers it trains.
    fn scope(&self) -> Scope;

    /// Whether the next step looks at the gradients at the gates' pre-activations.
    fn needs_gates(&self) -> bool {
        false
    }

    /// The damping of the next step, for optimisers that have one.
    fn damping(&self) -> Option<f64> {
        None
    }

    /// Makes one step.
    ///
    /// # Errors
    /// If a curvature factor cannot be inverted; the weights are then as they were.
    fn step(&mut self, weights: &mut [R], batch: &mut dyn Batch<R>) -> Result<StepNotes, SingularFactor>;
}

impl Optimizer {
    /// The optimiser before its first step.
    pub fn stepper<R: Real>(&self, layout: &Layout) -> Box<dyn Stepper<R>> {
        match self {
            Optimizer::Adam(adam) => Box::new(adam::AdamStepper::new(adam, layout)),
            Optimizer::Sgd(sgd) => Box::new(sgd::SgdStepper::new(sgd, layout)),
            Optimizer::Kfac(kfac) => Box::new(kfac::KfacStepper::new(kfac, layout)),
        }
    }

    /// Bytes that it keeps in f32 training beside two moments a weight, for batches of these dimensions.
    pub(crate) fn bytes(&self, layout: &Layout, dims: Dims) -> u64 {
        match self {
            Optimizer::Adam(_) | Optimizer::Sgd(_) => 0,
            Optimizer::Kfac(kfac) => kfac.bytes(layout, dims),
        }
    }

    /// Appends what is wrong with keys that do not fit together.
    pub(crate) fn check(&self, loss: &Loss, errors: &mut Vec<KeyError>) {
        if let Optimizer::Kfac(kfac) = self {
            kfac.check(loss, errors);
        }
    }
}

/// Where the weights that a scope trains lie.
pub fn trained(layout: &Layout, scope: Scope) -> Range<usize> {
    match scope {
        Scope::All => 0..layout.len(),
        Scope::Head => layout.head(),
    }
}

#[cfg(test)]
mod tests;
