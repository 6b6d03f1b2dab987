//! One gradient step: forward, loss, backward, clip, update.

mod passes;

use std::fmt;

use passes::{BatchInHand, Passes};

use crate::costs::CostModel;
use crate::isa::{Isa, Kernel};
use crate::lanes::{LANES, Vector};
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
        report.step_norm = distance(after, before);
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

/// Euclidean norm of a vector, summed in f64.
fn norm<R: Real>(vector: &[R]) -> f64 {
    let mut square = 0.0;
    Isa::detect().run(Square { vector, less: None, sum: &mut square });
    square.sqrt()
}

/// Euclidean norm of the difference of two vectors, taken and summed in f64.
fn distance<R: Real>(to: &[R], from: &[R]) -> f64 {
    let mut square = 0.0;
    Isa::detect().run(Square { vector: to, less: Some(from), sum: &mut square });
    square.sqrt()
}

/// Σ x² of a vector, less another one of the same length if there is one, in lanes.
struct Square<'a, R> {
    vector: &'a [R],
    less: Option<&'a [R]>,
    sum: &'a mut f64,
}

impl<R: Real> Kernel for Square<'_, R> {
    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        let mut sums = Doubles::ZERO;
        let (whole, rest) = self.vector.as_chunks::<LANES>();
        let mut last = doubles(rest);
        if let Some(less) = self.less {
            let (less, less_rest) = less.as_chunks::<LANES>();
            for (x, less) in whole.iter().zip(less) {
                let x = doubles(x).sub(doubles(less));
                sums = sums.add(x.mul(x));
            }
            last = last.sub(doubles(less_rest));
        } else {
            for x in whole {
                let x = doubles(x);
                sums = sums.add(x.mul(x));
            }
        }
        *self.sum = sums.add(last.mul(last)).0.iter().sum();
    }
}

/// The numbers that are added up at a time.
type Doubles = Vector<LANES, f64>;

/// At most so many numbers, and zeros.
#[inline(always)]
fn doubles<R: Real>(numbers: &[R]) -> Doubles {
    let mut doubles = Doubles::ZERO;
    for (double, number) in doubles.0.iter_mut().zip(numbers) {
        *double = number.to_f64();
    }
    doubles
}
