//! The batch that a step is made on, as an optimiser sees it.

use crate::loss::Curvature;
use crate::network::Dims;

/// What the network's linear layers read in the batch's forward pass. Arrays are time-major.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a, R> {
    /// N paths and D points.
    pub dims: Dims,
    /// x_t, what the network saw, fed-back positions included: \[D, N, I\].
    pub inputs: &'a [R],
    /// h_t, what the head saw; the recurrent layer read h_{t−1}, which is zero at the first point: \[D, N, H\].
    pub states: &'a [R],
}

/// Gradients of some number at the pre-activations of the network's linear layers, in the order of [`Seen`].
#[derive(Clone, Copy, Debug)]
pub struct Signals<'a, R> {
    /// At the gates': \[D, N, 4H\], rows `gate_stride` apart; empty unless the optimiser asked for them.
    pub gates: &'a [R],
    /// Numbers from the beginning of one row of gates to that of the next.
    pub gate_stride: usize,
    /// At the head's: \[D, N\].
    pub head: &'a [R],
}

/// The network at the batch, linearised: how each path's outcome moves with the weights, and how the loss curves in the
/// outcomes.
#[derive(Clone, Copy, Debug)]
pub struct Linearization<'a, R> {
    /// What the layers read.
    pub seen: Seen<'a, R>,
    /// ∂x_n/∂y_nt: the gradient of each path's own outcome.
    pub tangents: Signals<'a, R>,
    /// The loss's Hessian in the outcomes x.
    pub curvature: &'a Curvature,
}

/// A batch after its forward and backward pass. What costs another pass is only made when it is asked for.
pub trait Batch<R> {
    /// Loss before the step.
    fn loss(&self) -> f64;

    /// The gradient of the loss in the weights' layout, clipped; zero outside the optimiser's scope.
    fn gradient(&self) -> &[R];

    /// What clipping multiplied the gradient by, in (0, 1].
    fn clip(&self) -> f64;

    /// What the layers read.
    fn seen(&self) -> Seen<'_, R>;

    /// The gradients of the batch-mean loss at the pre-activations, unclipped.
    fn signals(&self) -> Signals<'_, R>;

    /// The linearisation at `weights`, which must be those of the forward pass; one more backward pass, the first time.
    /// `None` for a loss without curvature.
    fn linearize(&mut self, weights: &[R]) -> Option<Linearization<'_, R>>;

    /// The loss of the same paths at other weights; one more forward pass. What the layers read is then that pass's, so
    /// this is the last thing to ask.
    fn loss_at(&mut self, weights: &[R]) -> f64;
}
