//! Optimisers: how the loss is minimised.

mod adam;
mod kfac;
mod sgd;

pub use adam::Adam;
pub use kfac::{GradientScale, Kfac, KfacLayers, Rest};
pub use sgd::Sgd;

use std::ops::Range;

use crate::config::declare::{choices, kinds};
use crate::network::{Layout, Scope};
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

/// What a step is made from beside the weights: the gradient of the batch-mean loss, and the head's side of the batch.
#[derive(Clone, Copy, Debug)]
pub struct StepInputs<'a, R> {
    /// The gradient in the weights' layout, clipped; zero outside the optimiser's scope.
    pub gradient: &'a [R],
    /// What the head saw: N·T rows of H, in any order.
    pub head_inputs: &'a [R],
    /// The gradient of the batch-mean loss at the head's pre-activations, unclipped: N·T, in the same order.
    pub head_gradients: &'a [R],
    /// N: paths of the batch.
    pub batch: usize,
}

/// A curvature factor that cannot be inverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SingularFactor {
    /// The factor's name.
    pub factor: &'static str,
}

/// An optimiser at work: what it remembers between steps, apart from its config.
pub trait Stepper<R: Real> {
    /// Which layers it trains.
    fn scope(&self) -> Scope;

    /// The damping of the next step, for optimisers that have one.
    fn damping(&self) -> Option<f64>;

    /// Makes one step.
    ///
    /// # Errors
    /// If a curvature factor cannot be inverted; the weights may then have changed in part.
    fn step(&mut self, weights: &mut [R], inputs: StepInputs<'_, R>) -> Result<(), SingularFactor>;
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
