//! K-FAC against its oracles: PyTorch's steps, slow direct sums, difference quotients, and the cases where the
//! approximation is exact; and what it does with factors that have no inverse.

mod blocks;
mod faults;
mod gauss_newton;
mod steps;
mod sums;

use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::costs::{CostBase, Costs, Proportional};
use crate::golden::{self, assert_close, deviation};
use crate::loss::{Curvature, Entropic, MeanVariance, Outcome, VariancePlusCost};
use crate::network::{Dims, InputShape, Lstm, Network};
use crate::optimizer::{Linearization, Optimizer, Seen, Signals};
use crate::pnl::Moves;
use crate::random::{Purpose, Stream};
use crate::trainer::{StepReport, Trainer, TrainerParts};
use proptest::prelude::*;

use gauss_newton::direction;
use steps::{Case, batch, cases, costs, proper, shape, train};
use sums::{assert_matrices_close, read, said};

const INPUTS: usize = 3;
const HIDDEN: usize = 4;
const DIMS: Dims = Dims { batch: 6, time: 7 };

fn network() -> Network {
    Network::Lstm(Lstm { hidden: HIDDEN as u64, ..Lstm::default() })
}

fn layout() -> Layout {
    network().layout(INPUTS)
}

/// A batch of given numbers, for which no pass was made.
pub(in crate::optimizer) struct StubBatch {
    pub(in crate::optimizer) dims: Dims,
    pub(in crate::optimizer) gradient: Vec<f64>,
    pub(in crate::optimizer) inputs: Vec<f64>,
    pub(in crate::optimizer) states: Vec<f64>,
    pub(in crate::optimizer) gates: Vec<f64>,
    pub(in crate::optimizer) head: Vec<f64>,
    pub(in crate::optimizer) curvature: Curvature,
    /// Losses of the looks at other weights, the next one last.
    pub(in crate::optimizer) losses: Vec<f64>,
}

impl StubBatch {
    /// Every number is 0.1 or 0.5.
    pub(in crate::optimizer) fn new(layout: &Layout, dims: Dims) -> StubBatch {
        let rows = dims.batch * dims.time;
        let hidden = layout.head_inputs();
        StubBatch {
            dims,
            gradient: vec![0.1; layout.len()],
            inputs: vec![0.5; rows * INPUTS],
            states: vec![0.5; rows * hidden],
            gates: vec![0.1; rows * 4 * hidden],
            head: vec![0.1; rows],
            curvature: Curvature { of: Outcome::Gross, weights: vec![0.5; dims.batch] },
            losses: Vec::new(),
        }
    }

    /// Every number a draw of its own.
    fn random(layout: &Layout, dims: Dims) -> StubBatch {
        let mut batch = StubBatch::new(layout, dims);
        let mut stream = Stream::new(Purpose::Test, 79, 0);
        let StubBatch { gradient, inputs, states, gates, head, curvature, .. } = &mut batch;
        for numbers in [gradient, inputs, states, gates, head] {
            numbers.iter_mut().for_each(|number| *number = stream.normal());
        }
        curvature.weights.iter_mut().for_each(|weight| *weight = 0.1 + stream.uniform());
        batch
    }
}

/// A and G of a batch.
pub(super) fn factors_of(
    block: &Block,
    sharing: Sharing,
    precision: Precision,
    seen: Seen<'_, f64>,
    cotangents: Cotangents<'_, f64>,
) -> Factors {
    let mut factors = Factors::room_for(block);
    let mut statistics = Statistics::new(block, sharing, precision);
    statistics.inputs(block, seen, &mut factors.inputs);
    statistics.outputs(block, [seen.dims.batch, seen.dims.time], cotangents, &mut factors.outputs);
    factors
}

/// A change of the weights as a block sees it.
pub(super) fn change_of(block: &Block, change: &[f64]) -> DMatrix<f64> {
    let mut out = block.room();
    block.change(change, &mut out);
    out
}

/// The gradient as a block sees it.
pub(super) fn gradient_of(block: &Block, gradient: &[f64], weights: &[f64], decay: f64) -> DMatrix<f64> {
    let mut out = block.room();
    block.gradient(gradient, weights, decay, &mut out);
    out
}

impl Batch<f64> for StubBatch {
    fn loss(&self) -> f64 {
        1.0
    }

    fn gradient(&self) -> &[f64] {
        &self.gradient
    }

    fn clip(&self) -> f64 {
        1.0
    }

    fn seen(&self) -> Seen<'_, f64> {
        Seen { dims: self.dims, inputs: &self.inputs, states: &self.states }
    }

    fn signals(&self) -> Signals<'_, f64> {
        Signals { gates: &self.gates, gate_stride: self.gates.len() / self.head.len(), head: &self.head }
    }

    fn linearize(&mut self, _weights: &[f64]) -> Option<Linearization<'_, f64>> {
        Some(Linearization { seen: self.seen(), tangents: self.signals(), curvature: &self.curvature })
    }

    fn loss_at(&mut self, _weights: &[f64]) -> f64 {
        self.losses.pop().unwrap_or(1.0)
    }
}
