//! One gradient step: forward, loss, backward, clip, update.

use std::fmt;

use crate::costs::{Book, CostModel, sum_over_time};
use crate::loss::{Objective, Outcomes};
use crate::network::{Gradient, Layout, Policy};
use crate::optimizer::{SingularFactor, StepInputs, Stepper, trained};
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
    /// What broke down, if anything did: the first thing.
    pub breakdown: Option<Breakdown>,
}

/// A network in training.
pub struct Trainer<'a, R> {
    policy: Box<dyn Policy<R>>,
    stepper: Box<dyn Stepper<R>>,
    objective: &'a dyn Objective,
    costs: &'a dyn CostModel<R>,
    /// Largest norm of the gradient.
    grad_clip: f64,
    trained: std::ops::Range<usize>,
    weights: Vec<R>,
    gradient: Vec<R>,
    d_positions: Vec<R>,
    charges: Vec<R>,
    pnl: Vec<R>,
    cost: Vec<R>,
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
            policy,
            stepper,
            objective,
            costs,
            grad_clip,
            weights,
            d_positions: Vec::new(),
            charges: Vec::new(),
            pnl: Vec::new(),
            cost: Vec::new(),
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
        &self.pnl
    }

    /// Each path's cost in the last step.
    pub fn cost(&self) -> &[R] {
        &self.cost
    }

    /// What the head saw in the last step: \[T, B, H\].
    pub fn head_inputs(&self) -> &[R] {
        self.policy.head_inputs()
    }

    /// The optimiser's damping, if it has one.
    pub fn damping(&self) -> Option<f64> {
        self.stepper.damping()
    }

    /// One step on a batch: features `inputs` \[T, B, I\] and what the prices do.
    pub fn step(&mut self, inputs: &[R], moves: &Moves<R>) -> StepReport {
        let mut report = StepReport { grad_norm: f64::NAN, ..StepReport::default() };
        report.breakdown = self.try_step(inputs, moves, &mut report).err();
        report
    }

    fn try_step(&mut self, inputs: &[R], moves: &Moves<R>, report: &mut StepReport) -> Result<(), Breakdown> {
        let (loss, d_pnl, d_cost) = self.forward(inputs, moves);
        report.loss = loss;
        if !loss.is_finite() {
            return Err(Breakdown::Loss);
        }
        self.backward(inputs, moves, &d_pnl, &d_cost);
        report.grad_norm = norm(&self.gradient[self.trained.clone()]);
        if !report.grad_norm.is_finite() {
            return Err(Breakdown::Gradient);
        }
        self.clip(report.grad_norm);
        let inputs = StepInputs {
            gradient: &self.gradient,
            head_inputs: self.policy.head_inputs(),
            head_gradients: self.policy.head_gradients(),
            batch: moves.dims.batch,
        };
        self.stepper.step(&mut self.weights, inputs).map_err(Breakdown::Factor)?;
        let finite = self.weights[self.trained.clone()].iter().all(|weight| weight.is_finite());
        if finite { Ok(()) } else { Err(Breakdown::Weight) }
    }

    /// The loss, NaN if any path's outcome is not finite, with its gradient with respect to P&L and cost.
    fn forward(&mut self, inputs: &[R], moves: &Moves<R>) -> (f64, Vec<R>, Vec<R>) {
        self.policy.forward(&self.weights, inputs, moves.dims);
        let positions = self.policy.positions();
        moves.pnl(positions, &mut self.pnl);
        let book = Book { positions, price: &moves.price, batch: moves.dims.batch };
        self.costs.charges(book, &mut self.charges);
        sum_over_time(&self.charges, moves.dims.batch, &mut self.cost);
        let [pnl, cost] = [&self.pnl, &self.cost].map(|values| values.iter().map(|x| x.to_f64()).collect::<Vec<f64>>());
        let graded = self.objective.grade(Outcomes { pnl: &pnl, cost: &cost });
        let finite = pnl.iter().chain(&cost).all(|x| x.is_finite());
        let [d_pnl, d_cost] = [graded.d_pnl, graded.d_cost].map(|d| d.into_iter().map(R::from_f64).collect());
        (if finite { graded.value } else { f64::NAN }, d_pnl, d_cost)
    }

    fn backward(&mut self, inputs: &[R], moves: &Moves<R>, d_pnl: &[R], d_cost: &[R]) {
        let positions = self.policy.positions();
        self.d_positions.clear();
        self.d_positions.resize(positions.len(), R::ZERO);
        moves.backward(d_pnl, &mut self.d_positions);
        let book = Book { positions, price: &moves.price, batch: moves.dims.batch };
        self.costs.backward(book, d_cost, &mut self.d_positions);
        let out = Gradient { weights: &mut self.gradient, inputs: None };
        self.policy.backward(&self.weights, inputs, &self.d_positions, self.stepper.scope(), out);
    }

    /// g·min(1, clip/(‖g‖ + 1e-6)), as PyTorch's `clip_grad_norm_`.
    fn clip(&mut self, norm: f64) {
        let factor = self.grad_clip / (norm + 1e-6);
        if factor < 1.0 {
            let factor = R::from_f64(factor);
            self.gradient.iter_mut().for_each(|g| *g *= factor);
        }
    }
}

/// Euclidean norm, summed in f64.
fn norm<R: Real>(vector: &[R]) -> f64 {
    vector.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>().sqrt()
}
