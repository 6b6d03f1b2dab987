//! How a caller watches a run: the engine has no clock and no files, so whoever wants times or samples listens.

use std::ops::ControlFlow;

use crate::record::{Epoch, SampleSet};

/// What the engine is about to spend time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Drawing normals and simulating training paths.
    Simulate,
    /// Forward and backward passes and optimiser steps.
    Train,
    /// Scoring on held-out paths.
    Evaluate,
    /// Nothing more: the run is over.
    Done,
}

/// Hears of a run's progress, and may end it.
pub trait Observer {
    /// Called whenever the engine turns to another kind of work. What it does until the next call is of this phase.
    fn phase(&mut self, phase: Phase) {
        let _ = phase;
    }

    /// Called after every epoch; `Break` ends the run with [`EngineError::Cancelled`](crate::EngineError::Cancelled).
    fn epoch(&mut self, epoch: &Epoch) -> ControlFlow<()> {
        let _ = epoch;
        ControlFlow::Continue(())
    }

    /// Called with each path's P&L (gross of costs, in the loss's units) and cost: for [`SampleSet::Train`] after every
    /// epoch whose loss is finite, for the held-out sets once, with the last epoch's number (0 if there was none). Both
    /// slices have one finite entry a path.
    fn samples(&mut self, set: SampleSet, epoch: u32, pnl: &[f32], cost: &[f32]) {
        let _ = (set, epoch, pnl, cost);
    }
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
