//! The passes through network, P&L, costs and loss, and what an optimiser may ask of them.

use crate::buffer::refill;
use crate::costs::{Book, CostModel, sum_over_time};
use crate::loss::{Curvature, Graded, Objective, Outcome, Outcomes};
use crate::network::{Dims, GateRows, Gradient, Policy, Scope};
use crate::optimizer::{Batch, Linearization, Seen, Signals};
use crate::pnl::Moves;
use crate::real::Real;

/// Numbers between two rows of gates: rows that lie a power of two apart would all meet in a few lines of the cache.
const GATE_SLACK: usize = 16;

/// What each path came to, gross P&L and cost, in the loss's units, and what the loss makes of it.
#[derive(Default)]
struct PathOutcomes<R> {
    pnl: Vec<R>,
    cost: Vec<R>,
    /// The same in f64.
    doubles: [Vec<f64>; 2],
    graded: Graded,
}

impl<R: Real> PathOutcomes<R> {
    /// Grades them; NaN if any path's outcome is not finite.
    fn grade(&mut self, objective: &dyn Objective) {
        for (doubles, numbers) in self.doubles.iter_mut().zip([&self.pnl, &self.cost]) {
            refill(doubles, numbers.iter().map(|x| x.to_f64()));
        }
        let [pnl, cost] = &self.doubles;
        objective.grade_into(Outcomes { pnl, cost }, &mut self.graded);
        if !pnl.iter().chain(cost).all(|x| x.is_finite()) {
            self.graded.value = f64::NAN;
        }
    }
}

/// Network, costs and loss, with the room that their passes need.
pub(super) struct Passes<'a, R> {
    policy: Box<dyn Policy<R>>,
    objective: &'a dyn Objective,
    costs: &'a dyn CostModel<R>,
    /// Of rows of gates.
    gate_stride: usize,
    d_positions: Vec<R>,
    charges: Vec<R>,
    /// The derivatives with respect to each path's P&L and cost of a backward pass.
    d_outcomes: [Vec<R>; 2],
    /// Of the step's own forward pass.
    outcomes: PathOutcomes<R>,
    /// Of a look at other weights.
    probed: PathOutcomes<R>,
    tangents: Tangents<R>,
}

/// The gradients of each path's own outcome at the pre-activations, and the loss's Hessian in the outcomes.
#[derive(Default)]
struct Tangents<R> {
    gates: Vec<R>,
    head: Vec<R>,
    /// Whether the loss has one.
    curves: bool,
    curvature: Curvature,
    /// One a path.
    ones: Vec<f64>,
    d_cost: Vec<f64>,
}

impl<'a, R: Real> Passes<'a, R> {
    pub(super) fn new(
        policy: Box<dyn Policy<R>>,
        objective: &'a dyn Objective,
        costs: &'a dyn CostModel<R>,
        gates: usize,
    ) -> Passes<'a, R> {
        Passes {
            policy,
            objective,
            costs,
            gate_stride: gates + GATE_SLACK,
            d_positions: Vec::new(),
            charges: Vec::new(),
            d_outcomes: Default::default(),
            outcomes: PathOutcomes::default(),
            probed: PathOutcomes::default(),
            tangents: Tangents::default(),
        }
    }

    /// Each path's P&L in the last step's forward pass, gross of costs.
    pub(super) fn pnl(&self) -> &[R] {
        &self.outcomes.pnl
    }

    /// Each path's cost in the last step's forward pass.
    pub(super) fn cost(&self) -> &[R] {
        &self.outcomes.cost
    }

    /// What the head saw in the last forward pass.
    pub(super) fn head_inputs(&self) -> &[R] {
        self.policy.head_inputs()
    }

    /// Gradient at the head's pre-activations in the last backward pass.
    pub(super) fn head_gradients(&self) -> &[R] {
        self.policy.head_gradients()
    }

    /// `buffer` with room for the gradient at the gates.
    pub(super) fn room_for_gates<'b>(&self, buffer: &'b mut Vec<R>, dims: Dims) -> GateRows<'b, R> {
        buffer.resize(dims.batch * dims.time * self.gate_stride, R::ZERO);
        GateRows { rows: buffer, stride: self.gate_stride }
    }

    /// The step's own forward pass: its loss, NaN if any path's outcome is not finite.
    pub(super) fn forward(&mut self, weights: &[R], inputs: &mut [R], moves: &Moves<R>) -> f64 {
        let mut outcomes = std::mem::take(&mut self.outcomes);
        self.forward_into(&mut outcomes, weights, inputs, moves);
        self.outcomes = outcomes;
        self.outcomes.graded.value
    }

    fn forward_into(&mut self, outcomes: &mut PathOutcomes<R>, weights: &[R], inputs: &mut [R], moves: &Moves<R>) {
        self.policy.forward(weights, inputs, moves.dims);
        let positions = self.policy.positions();
        moves.pnl(positions, &mut outcomes.pnl);
        let book = Book { positions, price: &moves.price, batch: moves.dims.batch };
        self.costs.charges(book, &mut self.charges);
        sum_over_time(&self.charges, moves.dims.batch, &mut outcomes.cost);
        outcomes.grade(self.objective);
    }

    /// The backward pass through the step's own forward pass, from the loss.
    pub(super) fn backward_from_loss(
        &mut self,
        weights: &[R],
        inputs: &[R],
        moves: &Moves<R>,
        scope: Scope,
        out: Gradient<'_, R>,
    ) {
        let graded = std::mem::take(&mut self.outcomes.graded);
        self.backward(weights, inputs, moves, [&graded.d_pnl, &graded.d_cost], scope, out);
        self.outcomes.graded = graded;
    }

    /// The backward pass through the last forward pass, from the derivatives with respect to each path's P&L and cost.
    fn backward(
        &mut self,
        weights: &[R],
        inputs: &[R],
        moves: &Moves<R>,
        [d_pnl, d_cost]: [&[f64]; 2],
        scope: Scope,
        out: Gradient<'_, R>,
    ) {
        for (own, d) in self.d_outcomes.iter_mut().zip([d_pnl, d_cost]) {
            refill(own, d.iter().copied().map(R::from_f64));
        }
        let [d_pnl, d_cost] = &self.d_outcomes;
        let positions = self.policy.positions();
        self.d_positions.clear();
        self.d_positions.resize(positions.len(), R::ZERO);
        moves.backward(d_pnl, &mut self.d_positions);
        let book = Book { positions, price: &moves.price, batch: moves.dims.batch };
        self.costs.backward(book, d_cost, &mut self.d_positions);
        self.policy.backward(weights, inputs, &self.d_positions, scope, out);
    }

    /// Fills the tangents: one backward pass with cotangent 1 for each path's own outcome, since no path moves another's.
    fn linearize(&mut self, weights: &[R], inputs: &[R], moves: &Moves<R>, scope: Scope) {
        let mut tangents = std::mem::take(&mut self.tangents);
        let [pnl, cost] = &self.outcomes.doubles;
        tangents.curves = self.objective.curve_into(Outcomes { pnl, cost }, &mut tangents.curvature);
        if tangents.curves {
            let d_cost = match tangents.curvature.of {
                Outcome::Gross => 0.0,
                Outcome::Net => -1.0,
            };
            refill(&mut tangents.ones, pnl.iter().map(|_| 1.0));
            refill(&mut tangents.d_cost, pnl.iter().map(|_| d_cost));
            let room = self.room_for_gates(&mut tangents.gates, moves.dims);
            let out = Gradient { weights: None, inputs: None, gates: (scope == Scope::All).then_some(room) };
            self.backward(weights, inputs, moves, [&tangents.ones, &tangents.d_cost], scope, out);
            refill(&mut tangents.head, self.policy.head_gradients().iter().copied());
        }
        self.tangents = tangents;
    }
}

/// The batch of a step, after its forward and backward pass.
pub(super) struct BatchInHand<'t, 'a, R> {
    pub(super) passes: &'t mut Passes<'a, R>,
    pub(super) inputs: &'t mut [R],
    pub(super) moves: &'t Moves<R>,
    pub(super) scope: Scope,
    pub(super) loss: f64,
    pub(super) gradient: &'t [R],
    pub(super) clip: f64,
    pub(super) d_gates: &'t [R],
    pub(super) d_logits: &'t [R],
    /// Whether the passes' tangents are this batch's.
    pub(super) linearized: bool,
}

impl<R: Real> Batch<R> for BatchInHand<'_, '_, R> {
    fn loss(&self) -> f64 {
        self.loss
    }

    fn gradient(&self) -> &[R] {
        self.gradient
    }

    fn clip(&self) -> f64 {
        self.clip
    }

    fn seen(&self) -> Seen<'_, R> {
        Seen { dims: self.moves.dims, inputs: self.inputs, states: self.passes.head_inputs() }
    }

    fn signals(&self) -> Signals<'_, R> {
        Signals { gates: self.d_gates, gate_stride: self.passes.gate_stride, head: self.d_logits }
    }

    fn linearize(&mut self, weights: &[R]) -> Option<Linearization<'_, R>> {
        if !self.linearized {
            self.passes.linearize(weights, self.inputs, self.moves, self.scope);
            self.linearized = true;
        }
        let Tangents { gates, head, curves, curvature, .. } = &self.passes.tangents;
        let tangents = Signals { gates, gate_stride: self.passes.gate_stride, head };
        curves.then(|| Linearization { seen: self.seen(), tangents, curvature })
    }

    fn loss_at(&mut self, weights: &[R]) -> f64 {
        let mut probed = std::mem::take(&mut self.passes.probed);
        self.passes.forward_into(&mut probed, weights, self.inputs, self.moves);
        self.passes.probed = probed;
        self.passes.probed.graded.value
    }
}
