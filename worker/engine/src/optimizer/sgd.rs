//! Stochastic gradient descent with heavy-ball momentum, as PyTorch's `SGD` has it.

use std::ops::Range as Places;

use super::{Batch, Layers, SingularFactor, StepNotes, Stepper, trained};
use crate::config::Range;
use crate::config::declare::section;
use crate::network::{Layout, Scope};
use crate::real::Real;

section! {
    /// SGD's settings.
    pub struct Sgd {
        /// Learning rate.
        lr: f64 = 1e-2, Range::POSITIVE;
        /// Momentum; 0 for none.
        momentum: f64 = 0.0, Range::half_open(0.0, 1.0);
        /// L2 penalty, added to the gradient.
        weight_decay: f64 = 0.0, Range::NON_NEGATIVE;
        /// Which layers are trained.
        layers: Layers = Layers::All, Range::ANY;
    }
}

/// SGD at work.
pub(super) struct SgdStepper<R> {
    settings: Sgd,
    places: Places<usize>,
    velocity: Vec<R>,
}

impl<R: Real> SgdStepper<R> {
    pub(super) fn new(settings: &Sgd, layout: &Layout) -> SgdStepper<R> {
        let places = trained(layout, settings.layers.scope());
        SgdStepper { settings: settings.clone(), velocity: vec![R::ZERO; places.len()], places }
    }
}

impl<R: Real> Stepper<R> for SgdStepper<R> {
    fn scope(&self) -> Scope {
        self.settings.layers.scope()
    }

    /// u ← μu + g, w ← w − lr·u. As u begins at 0, the first step is the gradient's, as PyTorch's is.
    fn step(&mut self, weights: &mut [R], batch: &mut dyn Batch<R>) -> Result<StepNotes, SingularFactor> {
        let Sgd { lr, momentum, weight_decay, .. } = self.settings;
        let [lr, momentum, decay] = [lr, momentum, weight_decay].map(R::from_f64);
        let weights = &mut weights[self.places.clone()];
        let gradient = &batch.gradient()[self.places.clone()];
        for ((weight, gradient), velocity) in weights.iter_mut().zip(gradient).zip(&mut self.velocity) {
            *velocity = momentum * *velocity + (*gradient + decay * *weight);
            *weight -= lr * *velocity;
        }
        Ok(StepNotes::default())
    }
}
