//! Adam (Kingma & Ba 2015) with weight decay as L2 in the gradient, as PyTorch's `Adam` has it.

use std::ops::Range as Places;

use super::{Layers, SingularFactor, StepInputs, Stepper, trained};
use crate::config::Range;
use crate::config::declare::section;
use crate::network::{Layout, Scope};
use crate::real::Real;

section! {
    /// Adam's settings.
    pub struct Adam {
        /// Learning rate.
        lr: f64 = 1e-3, Range::POSITIVE;
        /// Decay of the first moment.
        beta1: f64 = 0.9, Range::half_open(0.0, 1.0);
        /// Decay of the second moment.
        beta2: f64 = 0.999, Range::half_open(0.0, 1.0);
        /// Added to the root of the second moment.
        epsilon: f64 = 1e-8, Range::POSITIVE;
        /// L2 penalty, added to the gradient.
        weight_decay: f64 = 1e-4, Range::NON_NEGATIVE;
        /// Which layers are trained.
        layers: Layers = Layers::All, Range::ANY;
    }
}

/// Adam at work on one range of the weights.
pub(super) struct AdamStepper<R> {
    settings: Adam,
    places: Places<usize>,
    first: Vec<R>,
    second: Vec<R>,
    /// β₁ᵗ and β₂ᵗ after t steps.
    powers: [f64; 2],
}

impl<R: Real> AdamStepper<R> {
    pub(super) fn new(settings: &Adam, layout: &Layout) -> AdamStepper<R> {
        AdamStepper::on(settings, trained(layout, settings.layers.scope()))
    }

    /// Adam on these weights, whatever `layers` says.
    pub(super) fn on(settings: &Adam, places: Places<usize>) -> AdamStepper<R> {
        let zeros = vec![R::ZERO; places.len()];
        AdamStepper { settings: settings.clone(), places, first: zeros.clone(), second: zeros, powers: [1.0; 2] }
    }

    /// m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², w ← w − lr/(1 − β₁ᵗ) · m/(√v/√(1 − β₂ᵗ) + ε).
    pub(super) fn update(&mut self, weights: &mut [R], gradient: &[R]) {
        let Adam { lr, beta1, beta2, epsilon, weight_decay, .. } = self.settings;
        self.powers[0] *= beta1;
        self.powers[1] *= beta2;
        let step = R::from_f64(lr / (1.0 - self.powers[0]));
        let root = R::from_f64((1.0 - self.powers[1]).sqrt());
        let [decay, epsilon, beta2_r] = [weight_decay, epsilon, beta2].map(R::from_f64);
        let [fresh1, fresh2] = [1.0 - beta1, 1.0 - beta2].map(R::from_f64);
        let weights = &mut weights[self.places.clone()];
        let gradient = &gradient[self.places.clone()];
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((weight, gradient), (first, second)) in weights.iter_mut().zip(gradient).zip(moments) {
            let gradient = *gradient + decay * *weight;
            *first += fresh1 * (gradient - *first);
            *second = beta2_r * *second + fresh2 * gradient * gradient;
            *weight -= step * *first / (second.sqrt() / root + epsilon);
        }
    }
}

impl<R: Real> Stepper<R> for AdamStepper<R> {
    fn scope(&self) -> Scope {
        self.settings.layers.scope()
    }

    fn damping(&self) -> Option<f64> {
        None
    }

    fn step(&mut self, weights: &mut [R], inputs: StepInputs<'_, R>) -> Result<(), SingularFactor> {
        self.update(weights, inputs.gradient);
        Ok(())
    }
}
