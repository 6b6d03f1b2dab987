//! One gradient step: forward, loss, backward, clip, update.

mod passes;

use std::fmt;

use passes::{BatchInHand, Passes};

use crate::costs::CostModel;
use crate::lanes::LANES;
use crate::loss::Objective;
use crate::network::{Gradient, Layout, Policy};
use crate::optimizer::{SingularFactor, StepNotes, Stepper, trained};
use crate::pnl::Moves;
use crate::real::Real;

/// What is no longer a finite number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breakdown {
    /// The loss, or a path's P&L or cost.
    Loss,
    /// The gradient.
    Gradient,
    /// A curvature factor, which cannot be inverted.
    Factor(SingularFactor),
    /// A weight after the step.
    Weight,
}

impl fmt::Display for Breakdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Breakdown::Loss => f.write_str("the loss is not finite"),
            Breakdown::Gradient => f.write_str("the gradient is not finite"),
            Breakdown::Factor(SingularFactor { factor }) => write!(f, "K-FAC's factor {factor} cannot be inverted"),
            Breakdown::Weight => f.write_str("a weight is not finite"),
        }
    }
}

/// What one step saw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepReport {
    /// Loss of the batch before the step.
    pub loss: f64,
    /// Norm of the gradient of what is trained, before clipping; NaN if the step did not come that far.
    pub grad_norm: f64,
    /// Damping of the curvature factors, for optimisers that have one.
    pub damping: Option<f64>,
    /// Norm of the change of the weights; NaN if there was no step.
    pub step_norm: f64,
    /// What the optimiser says of the step.
    pub notes: StepNotes,
    /// What broke down, if anything did: the first thing.
    pub breakdown: Option<Breakdown>,
}

/// A network in training.
pub struct Trainer<'a, R> {
    passes: Passes<'a, R>,
    stepper: Box<dyn Stepper<R>>,
    /// Largest norm of the gradient.
    grad_clip: f64,
    trained: std::ops::Range<usize>,
    weights: Vec<R>,
    /// The weights before the step.
    before: Vec<R>,
    gradient: Vec<R>,
    /// Gradient at the gates' pre-activations, where the stepper looks at it.
    d_gates: Vec<R>,
    d_logits: Vec<R>,
}

/// What a trainer is made of.
pub struct TrainerParts<'a, R> {
    /// The network.
    pub policy: Box<dyn Policy<R>>,
    /// How its weights lie.
    pub layout: &'a Layout,
    /// How they begin.
    pub weights: Vec<R>,
    /// The optimiser.
    pub stepper: Box<dyn Stepper<R>>,
    /// The loss.
    pub objective: &'a dyn Objective,
    /// The cost model.
    pub costs: &'a dyn CostModel<R>,
    /// Largest norm of the gradient.
    pub grad_clip: f64,
}

impl<'a, R: Real> Trainer<'a, R> {
    /// A trainer before its first step.
    pub fn new(parts: TrainerParts<'a, R>) -> Trainer<'a, R> {
        let TrainerParts { policy, layout, weights, stepper, objective, costs, grad_clip } = parts;
        Trainer {
            trained: trained(layout, stepper.scope()),
            gradient: vec![R::ZERO; weights.len()],
            before: weights.clone(),
            passes: Passes::new(policy, objective, costs, 4 * layout.head_inputs()),
            stepper,
            grad_clip,
            weights,
            d_gates: Vec::new(),
            d_logits: Vec::new(),
        }
    }

    /// The weights as they are.
    pub fn weights(&self) -> &[R] {
        &self.weights
    }

    /// The last step's gradient, after clipping.
    pub fn gradient(&self) -> &[R] {
        &self.gradient
    }

    /// Each path's P&L in the last step, gross of costs.
    pub fn pnl(&self) -> &[R] {
        self.passes.pnl()
    }

    /// Each path's cost in the last step.
    pub fn cost(&self) -> &[R] {
        self.passes.cost()
    }

    /// What the head saw in the last forward pass: \[D, B, H\]. Where the optimiser looked at the loss after its step, that
    /// is the pass with the weights after it, otherwise with those before.
    pub fn head_inputs(&self) -> &[R] {
        self.passes.head_inputs()
    }

    /// One step on a batch: `inputs` \[D, B, I\], in which positions that are fed back are filled in, and what the
    /// prices do.
    pub fn step(&mut self, inputs: &mut [R], moves: &Moves<R>) -> StepReport {
        let mut report = StepReport {
            grad_norm: f64::NAN,
            step_norm: f64::NAN,
            damping: self.stepper.damping(),
            ..StepReport::default()
        };
        report.breakdown = self.try_step(inputs, moves, &mut report).err();
        report
    }

    fn try_step(&mut self, inputs: &mut [R], moves: &Moves<R>, report: &mut StepReport) -> Result<(), Breakdown> {
        report.loss = self.passes.forward(&self.weights, inputs, moves);
        if !report.loss.is_finite() {
            return Err(Breakdown::Loss);
        }
        let out = Gradient {
            weights: Some(&mut self.gradient),
            inputs: None,
            gates: self.stepper.needs_gates().then(|| self.passes.room_for_gates(&mut self.d_gates, moves.dims)),
        };
        self.passes.backward_from_loss(&self.weights, inputs, moves, self.stepper.scope(), out);
        report.grad_norm = norm(&self.gradient[self.trained.clone()]);
        if !report.grad_norm.is_finite() {
            return Err(Breakdown::Gradient);
        }
        let clip = self.clip(report.grad_norm);
        self.before.copy_from_slice(&self.weights);
        // The stepper may ask for another backward pass, which has head gradients of its own.
        self.d_logits.clear();
        self.d_logits.extend_from_slice(self.passes.head_gradients());
        let mut batch = BatchInHand {
            passes: &mut self.passes,
            inputs,
            moves,
            scope: self.stepper.scope(),
            loss: report.loss,
            gradient: &self.gradient,
            clip,
            d_gates: &self.d_gates,
            d_logits: &self.d_logits,
            linearized: false,
        };
        report.notes = self.stepper.step(&mut self.weights, &mut batch).map_err(Breakdown::Factor)?;
        let (after, before) = (&self.weights[self.trained.clone()], &self.before[self.trained.clone()]);
        report.step_norm = sum_of_squares(after, |place| after[place].to_f64() - before[place].to_f64()).sqrt();
        // A weight that is not a number, or infinite, makes the norm so.
        if report.step_norm.is_finite() || after.iter().all(|weight| weight.is_finite()) {
            Ok(())
        } else {
            Err(Breakdown::Weight)
        }
    }

    /// g·min(1, clip/(‖g‖ + 1e-6)), as PyTorch's `clip_grad_norm_`; returns the factor.
    fn clip(&mut self, norm: f64) -> f64 {
        let factor = self.grad_clip / (norm + 1e-6);
        if factor < 1.0 {
            let factor = R::from_f64(factor);
            self.gradient.iter_mut().for_each(|g| *g *= factor);
        }
        factor.min(1.0)
    }
}

/// Euclidean norm, summed in f64.
fn norm<R: Real>(vector: &[R]) -> f64 {
    sum_of_squares(vector, |place| vector[place].to_f64()).sqrt()
}

/// Σ x² over the places of a vector, in lanes.
#[inline(always)]
fn sum_of_squares<R>(vector: &[R], x: impl Fn(usize) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    let whole = vector.len() - vector.len() % LANES;
    for first in (0..whole).step_by(LANES) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            let x = x(first + lane);
            *sum += x * x;
        }
    }
    for (place, sum) in (whole..vector.len()).zip(&mut sums) {
        let x = x(place);
        *sum += x * x;
    }
    sums.iter().sum()
}
