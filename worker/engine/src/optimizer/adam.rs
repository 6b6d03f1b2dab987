//! Adam (Kingma & Ba 2015) with weight decay as L2 in the gradient, as PyTorch's `Adam` has it.

use std::ops::Range as Places;

use super::clip::kl_scale;
use super::{Batch, Layers, SingularFactor, StepNotes, Stepper, trained};
use crate::config::Range;
use crate::config::declare::section;
use crate::isa::{Isa, Kernel};
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
        /// κ: a step lr·Δ is scaled down until lr²⟨Δ, ∇⟩ is at most this, as K-FAC's step clip does; null for no bound.
        kl_clip: Option<f64> = None, Range::POSITIVE;
    }
}

/// Adam at work on one range of the weights.
pub(super) struct AdamStepper<R> {
    settings: Adam,
    isa: Isa,
    places: Places<usize>,
    first: Vec<R>,
    second: Vec<R>,
    /// lr·Δ of the step under way.
    proposal: Vec<R>,
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
        AdamStepper {
            settings: settings.clone(),
            isa: Isa::detect(),
            places,
            first: zeros.clone(),
            second: zeros.clone(),
            proposal: zeros,
            powers: [1.0; 2],
        }
    }

    /// m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², w ← w − lr/(1 − β₁ᵗ) · m/(√v/√(1 − β₂ᵗ) + ε), scaled down by the step
    /// clip, whose scale this returns.
    pub(super) fn update(&mut self, weights: &mut [R], gradient: &[R]) -> f64 {
        let Adam { lr, beta1, beta2, epsilon, weight_decay, kl_clip, .. } = self.settings;
        self.powers[0] *= beta1;
        self.powers[1] *= beta2;
        let step = R::from_f64(lr / (1.0 - self.powers[0]));
        let root = R::from_f64((1.0 - self.powers[1]).sqrt());
        let [decay, epsilon, beta2_r] = [weight_decay, epsilon, beta2].map(R::from_f64);
        let [fresh1, fresh2] = [1.0 - beta1, 1.0 - beta2].map(R::from_f64);
        let weights = &mut weights[self.places.clone()];
        let gradient = &gradient[self.places.clone()];
        self.isa.run(Propose {
            step,
            root,
            decay,
            epsilon,
            beta2: beta2_r,
            fresh: [fresh1, fresh2],
            weights,
            gradient,
            moments: [&mut self.first, &mut self.second],
            proposal: &mut self.proposal,
        });
        let scale = if kl_clip.is_some() { kl_scale(kl_clip, lr, self.along(weights, gradient)) } else { 1.0 };
        if scale < 1.0 {
            let scale = R::from_f64(scale);
            self.proposal.iter_mut().for_each(|proposal| *proposal *= scale);
        }
        weights.iter_mut().zip(&self.proposal).for_each(|(weight, proposal)| *weight -= *proposal);
        scale
    }

    /// ⟨lr·Δ, ∇⟩ of the proposal, with the L2 penalty in ∇.
    fn along(&self, weights: &[R], gradient: &[R]) -> f64 {
        let decayed = |(g, w): (&R, &R)| g.to_f64() + self.settings.weight_decay * w.to_f64();
        self.proposal.iter().zip(gradient.iter().zip(weights).map(decayed)).map(|(p, g)| p.to_f64() * g).sum()
    }
}

/// Adam's moments and proposal of a step.
struct Propose<'a, R> {
    /// lr/(1 − β₁ᵗ) and √(1 − β₂ᵗ).
    step: R,
    root: R,
    decay: R,
    epsilon: R,
    beta2: R,
    /// 1 − β₁ and 1 − β₂.
    fresh: [R; 2],
    weights: &'a [R],
    gradient: &'a [R],
    moments: [&'a mut [R]; 2],
    proposal: &'a mut [R],
}

impl<R: Real> Kernel for Propose<'_, R> {
    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        let Propose { step, root, decay, epsilon, beta2, fresh, weights, gradient, moments, proposal } = self;
        let [first, second] = moments;
        let moments = first.iter_mut().zip(second).zip(proposal);
        for ((weight, gradient), ((first, second), proposal)) in weights.iter().zip(gradient).zip(moments) {
            let gradient = *gradient + decay * *weight;
            *first += fresh[0] * (gradient - *first);
            *second = beta2 * *second + fresh[1] * gradient * gradient;
            *proposal = step * *first / (second.sqrt() / root + epsilon);
        }
    }
}

impl<R: Real> Stepper<R> for AdamStepper<R> {
    fn scope(&self) -> Scope {
        self.settings.layers.scope()
    }

    fn step(&mut self, weights: &mut [R], batch: &mut dyn Batch<R>) -> Result<StepNotes, SingularFactor> {
        let scale = self.update(weights, batch.gradient());
        Ok(StepNotes { clip_scale: self.settings.kl_clip.map(|_| scale), ..StepNotes::default() })
    }
}
