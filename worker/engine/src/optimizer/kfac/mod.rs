//! K-FAC (Martens & Grosse 2015) on the head, as the notebook of Enkhbayar 2024 has it, or on the whole network, with the
//! time-shared recurrent layer treated as Martens, Ba & Johnson 2018 and Eschenhagen et al. 2023 do.
//!
//! A linear layer y = Wā with N paths and D points has the curvature block F ≈ A ⊗ G: A the second moment of what it reads,
//! G that of the gradients at what it says. Then `Δ = (G + …)⁻¹ ∇W (A + …)⁻¹`, where ∇W has a row an output and, with a
//! homogeneous bias, the bias's gradient as its last column. The step is `p = lr·Δ`, scaled by the step clip ν;
//! `u ← μu + νp`, `W ← W − u`.
//!
//! | file | what it does |
//! |---|---|
//! | `block` | where a layer's weights lie, and what it reads and says |
//! | `moments` | Σ of outer products, fast |
//! | `factors` | statistics of a batch: A and G; their running means |
//! | `split` | damping, split between A and G |
//! | `cholesky` | decomposition and solves in f64, fast |
//! | `inverse` | the damped factors' inverses, and their use on a gradient |
//! | `condition` | how near to singular a factor is |
//! | `ggn` | the exact Gauss–Newton matrix along one direction |
//! | `damping` | Levenberg and Marquardt's rule, and what happens when a factor has no inverse |
//!
//! The defaults are the notebook's: the head alone, W and b apart (A has no row for the bias, whose gradient G alone
//! divides), gradients of the batch mean, a fixed λ on both factors, no memory. The curvature is K-FAC's as it is defined
//! with `gradient_scale: per_example` and `bias: homogeneous`.

mod block;
mod cholesky;
mod condition;
mod damping;
mod factors;
mod ggn;
mod inverse;
mod moments;
mod split;
#[cfg(test)]
pub(super) mod tests;

use block::Block;
use damping::Damping;
use factors::{Cotangents, Factors, RunningFactors, Statistics};
use inverse::Inverse;
use moments::Precision;
use nalgebra::DMatrix;

use super::adam::{Adam, AdamStepper};
use super::clip::kl_scale;
use super::{Batch, SingularFactor, StepNotes, Stepper};
use crate::config::declare::{choices, section};
use crate::config::{Field, KeyError, Range};
use crate::loss::Loss;
use crate::network::{Dims, Layout, Scope};
use crate::real::Real;

choices! {
    /// Which layers K-FAC preconditions.
    pub enum KfacLayers {
        /// The linear head.
        Head = "head",
        /// The recurrent layer and the head.
        All = "all",
    }
}

choices! {
    /// What happens to the layers that K-FAC does not precondition.
    pub enum Rest {
        /// They stay as they began.
        Frozen = "frozen",
        /// Adam trains them.
        Adam = "adam",
    }
}

choices! {
    /// Which gradients of the loss make the output factor of the empirical Fisher matrix.
    pub enum GradientScale {
        /// Those of the batch mean, averaged over the factor's rows, which makes G N²D times too small, as in the notebook.
        BatchMean = "batch_mean",
        /// Those of each example, N times as large, so that G = N·Σ ĝĝᵀ, as K-FAC is defined.
        PerExample = "per_example",
    }
}

choices! {
    /// What becomes of the biases.
    pub enum Bias {
        /// A has no row for the bias, whose gradient G alone divides, as in the notebook.
        Separate = "separate",
        /// The bias is the weight of an input that is always 1, as K-FAC is defined.
        Homogeneous = "homogeneous",
    }
}

choices! {
    /// The output factors of the recurrent layer.
    pub enum RecurrentFactors {
        /// One G for the four gates together, 4H × 4H.
        Joint = "joint",
        /// One G a gate, H × H: what one gate's error says of another's is left out, at a fraction of the work.
        PerGate = "per_gate",
    }
}

choices! {
    /// Which curvature the factors approximate.
    pub enum Fisher {
        /// The empirical Fisher matrix, from the gradients of the loss.
        Empirical = "empirical",
        /// The Gauss–Newton matrix, from the gradients of each path's P&L by one more backward pass.
        Ggn = "ggn",
    }
}

choices! {
    /// What a weight that is used at every point counts as (Eschenhagen et al. 2023).
    pub enum Sharing {
        /// Every point is an example of its own: A = (1/ND) Σ ā āᵀ, G = N Σ_{n,t} ĝĝᵀ.
        Expand = "expand",
        /// A path is one example: ā_n = mean_t ā, ĝ_n = Σ_t ĝ; A = (1/N) Σ ā_n ā_nᵀ, G = N Σ_n ĝ_n ĝ_nᵀ.
        Reduce = "reduce",
    }
}

choices! {
    /// How the damping λ is split between the factors.
    pub enum DampingSplit {
        /// A + λI and G + λI, as in the notebook.
        Each = "each",
        /// A + π√λ I and G + (√λ/π) I with π² = (tr A/dim A)/(tr G/dim G); where G is a number, gA + λI instead.
        Pi = "pi",
    }
}

choices! {
    /// Whether the damping λ changes.
    pub enum DampingAdapt {
        /// It stays; a factor that it does not make invertible ends the run.
        None = "none",
        /// It follows how well the quadratic model foresees the loss, every five steps (Martens & Grosse 2015, §6.5), and rises
        /// where a factor has no inverse.
        LevenbergMarquardt = "levenberg_marquardt",
    }
}

section! {
    /// K-FAC's settings.
    pub struct Kfac {
        /// Learning rate.
        lr: f64 = 1e-3, Range::POSITIVE;
        /// λ, added to the diagonals of the factors.
        damping: f64 = 1e-2, Range::POSITIVE;
        /// How λ is split between the factors.
        damping_split: DampingSplit = DampingSplit::Each, Range::ANY;
        /// Whether λ changes.
        damping_adapt: DampingAdapt = DampingAdapt::None, Range::ANY;
        /// L2 penalty, added to the gradient of all that is trained.
        weight_decay: f64 = 0.0, Range::NON_NEGATIVE;
        /// Momentum of the preconditioned steps; 0 for none.
        momentum: f64 = 0.0, Range::half_open(0.0, 1.0);
        /// κ: a step lr·Δ is scaled down until lr²⟨Δ, ∇⟩ is at most this; null for no bound.
        kl_clip: Option<f64> = None, Range::POSITIVE;
        /// Which layers K-FAC preconditions.
        layers: KfacLayers = KfacLayers::Head, Range::ANY;
        /// What happens to the other layers.
        rest: Rest = Rest::Frozen, Range::ANY;
        /// Learning rate of Adam for the other layers, where it trains them; its decays are 0.9 and 0.999.
        rest_lr: f64 = 1e-3, Range::POSITIVE;
        /// What becomes of the biases.
        bias: Bias = Bias::Separate, Range::ANY;
        /// The output factors of the recurrent layer, where K-FAC preconditions it.
        recurrent_factors: RecurrentFactors = RecurrentFactors::Joint, Range::ANY;
        /// Which curvature the factors approximate.
        fisher: Fisher = Fisher::Empirical, Range::ANY;
        /// Which gradients make the output factors of the empirical Fisher matrix; the Gauss–Newton matrix has a scale of its own.
        gradient_scale: GradientScale = GradientScale::BatchMean, Range::ANY;
        /// What a weight that is used at every point counts as.
        sharing: Sharing = Sharing::Expand, Range::ANY;
        /// Decay of the factors' running means, which are corrected for their start; 0 for the last batch's factors alone.
        ema: f64 = 0.0, Range::half_open(0.0, 1.0);
        /// Number of steps between two looks at the factors.
        factor_interval: u64 = 1, Range::closed(1.0, 1e6);
        /// Number of steps between two inversions of the factors.
        inverse_interval: u64 = 1, Range::closed(1.0, 1e6);
    }
}

impl Kfac {
    /// Appends what is wrong with keys that do not fit together.
    pub(super) fn check(&self, loss: &Loss, errors: &mut Vec<KeyError>) {
        let Loss::Cvar(_) = loss else { return };
        let mut refuse = |key: &str, value, allowed: &str| {
            let problem = "needs a loss with a curvature; loss.kind cvar is piecewise linear";
            errors.push(KeyError { allowed: Some(allowed.into()), ..KeyError::conflict(key, Some(value), problem) });
        };
        if self.fisher == Fisher::Ggn {
            refuse("optimizer.fisher", self.fisher.value(), "empirical, or another loss");
        }
        if self.damping_adapt == DampingAdapt::LevenbergMarquardt {
            refuse("optimizer.damping_adapt", self.damping_adapt.value(), "none, or another loss");
        }
    }

    /// Bytes, from above: of the gradients at all layers' pre-activations, twice, with the slack between their rows; of one
    /// point's rows, and a chunk's in f64 and as they are; and in f64 of the factors: a batch's, their sums, running sums
    /// and means, a damped copy, the head's last point, and the old and the new inverses (of A one for every gate), and
    /// eight matrices of the gradient's size.
    pub(super) fn bytes(&self, layout: &Layout, dims: Dims) -> u64 {
        let rows = (dims.batch * dims.time) as u64;
        let blocks = Block::all(layout, self.layers, self.bias, self.recurrent_factors);
        let of_block = |block: &Block| {
            let (inputs, outputs) = (block.inputs() as u64 + 8, block.outputs() as u64 + 8);
            let (width, count) = block.groups();
            let factors = (6 + 2 * count as u64) * inputs * inputs + 7 * count as u64 * (width * width) as u64;
            let steps = 8 * inputs * outputs;
            let signals = 2 * rows * (outputs + SIGNAL_SLACK) * size_of::<f32>() as u64;
            let single = (2 * dims.batch + moments::CHUNK) as u64 * inputs.max(outputs) * size_of::<f32>() as u64;
            let double = factors + steps + moments::CHUNK as u64 * inputs.max(outputs);
            signals + single + double * size_of::<f64>() as u64
        };
        blocks.iter().map(of_block).sum()
    }

    /// How factors are made. The notebook's head is summed in f64 throughout; the whole network would take too long so.
    fn precision(&self) -> Precision {
        match self.layers {
            KfacLayers::Head => Precision::Double,
            KfacLayers::All => Precision::Chunked,
        }
    }
}

/// Numbers, from above, between two rows of gradients at a layer's pre-activations.
const SIGNAL_SLACK: u64 = 16;

/// What K-FAC remembers of one layer, and the room that it needs.
struct Layer<R> {
    block: Block,
    statistics: Statistics<R>,
    /// Of the last batch that was looked at, and their running means.
    fresh: Factors,
    running: RunningFactors,
    mean: Factors,
    /// Of the means when they were last inverted, and where the next ones are made.
    inverse: Inverse,
    next_inverse: Inverse,
    /// ∇, lr·Δ and u: a column an output, the bias last.
    gradient: DMatrix<f64>,
    step: DMatrix<f64>,
    velocity: DMatrix<f64>,
}

impl<R: Real> Layer<R> {
    fn new(block: Block, settings: &Kfac) -> Layer<R> {
        let inverse = Inverse::room_for(&block, settings.damping_split);
        Layer {
            statistics: Statistics::new(&block, settings.sharing, settings.precision()),
            fresh: Factors::room_for(&block),
            running: RunningFactors::of(&block),
            mean: Factors::room_for(&block),
            next_inverse: inverse.clone(),
            inverse,
            gradient: block.room(),
            step: block.room(),
            velocity: block.room(),
            block,
        }
    }
}

/// K-FAC at work.
pub(super) struct KfacStepper<R> {
    settings: Kfac,
    layers: Vec<Layer<R>>,
    /// Whether there has been an inversion.
    inverted: bool,
    /// All that is trained, for the quadratic model of the loss.
    model: ggn::Model<R>,
    trained: std::ops::Range<usize>,
    rest: Option<AdamStepper<R>>,
    damping: Damping,
    /// Steps so far.
    steps: u64,
    /// Whether the last step was made without the factors that were due.
    overdue: bool,
    /// The weights after the step under way, and its change of the weights.
    next: Vec<R>,
    change: Vec<f64>,
}

impl<R: Real> KfacStepper<R> {
    pub(super) fn new(settings: &Kfac, layout: &Layout) -> KfacStepper<R> {
        let trains_rest = settings.layers == KfacLayers::Head && settings.rest == Rest::Adam;
        let rest = trains_rest.then(|| {
            let adam = Adam { lr: settings.rest_lr, weight_decay: settings.weight_decay, ..Adam::default() };
            AdamStepper::on(&adam, layout.body())
        });
        let blocks = Block::all(layout, settings.layers, settings.bias, settings.recurrent_factors);
        let in_model = if rest.is_some() { KfacLayers::All } else { settings.layers };
        let mut stepper = KfacStepper {
            settings: settings.clone(),
            layers: blocks.into_iter().map(|block| Layer::new(block, settings)).collect(),
            inverted: false,
            model: ggn::Model::new(Block::all(layout, in_model, Bias::Homogeneous, RecurrentFactors::Joint)),
            trained: 0..0,
            rest,
            damping: Damping::new(settings.damping_adapt, settings.damping),
            steps: 0,
            overdue: false,
            next: Vec::new(),
            change: Vec::new(),
        };
        stepper.trained = super::trained(layout, stepper.scope());
        stepper
    }

    /// Whether something that is done every `interval` steps is due.
    fn is_due(&self, interval: u64) -> bool {
        self.overdue || self.steps.is_multiple_of(interval)
    }

    /// Looks at the batch's factors, and inverts them, where either is due.
    fn refresh(&mut self, weights: &[R], batch: &mut dyn Batch<R>) -> Result<(), SingularFactor> {
        if self.is_due(self.settings.factor_interval) {
            self.look_at_factors(weights, batch)?;
            for layer in &mut self.layers {
                layer.running.take(&layer.fresh, self.settings.ema);
            }
        }
        if self.is_due(self.settings.inverse_interval) { self.invert() } else { Ok(()) }
    }

    /// Makes the batch's factors, layer by layer, all of them finite.
    fn look_at_factors(&mut self, weights: &[R], batch: &mut dyn Batch<R>) -> Result<(), SingularFactor> {
        let (seen, cotangents) = match self.settings.fisher {
            Fisher::Empirical => (batch.seen(), Cotangents::Loss(batch.signals(), self.settings.gradient_scale)),
            Fisher::Ggn => {
                let at = batch.linearize(weights).expect("the config's check has seen to a loss with a curvature");
                (at.seen, Cotangents::Outcomes(at.tangents, &at.curvature.weights))
            }
        };
        let mut before: Option<&DMatrix<f64>> = None;
        for Layer { block, statistics, fresh, .. } in &mut self.layers {
            match before {
                // The head reads what the recurrent layer before it does.
                Some(of_recurrent) if self.settings.sharing == Sharing::Expand => {
                    statistics.head_inputs(block, seen, of_recurrent, &mut fresh.inputs);
                }
                _ => statistics.inputs(block, seen, &mut fresh.inputs),
            }
            statistics.outputs(block, [seen.dims.batch, seen.dims.time], cotangents, &mut fresh.outputs);
            fresh.check(block)?;
            before = Some(&fresh.inputs);
        }
        Ok(())
    }

    /// Inverts the running factors, with more damping until they have inverses where it may rise.
    fn invert(&mut self) -> Result<(), SingularFactor> {
        for layer in &mut self.layers {
            layer.running.mean(&mut layer.mean);
        }
        loop {
            let (split, damping) = (self.settings.damping_split, self.damping.value());
            let mut layers = self.layers.iter_mut();
            match layers.try_for_each(|layer| layer.next_inverse.take(&layer.block, &layer.mean, split, damping)) {
                Ok(()) => break,
                Err(singular) if !self.damping.rise() => return Err(singular),
                Err(_) => {}
            }
        }
        for layer in &mut self.layers {
            std::mem::swap(&mut layer.inverse, &mut layer.next_inverse);
        }
        self.inverted = true;
        Ok(())
    }

    /// Makes every layer's gradient, and lr·Δ of it.
    fn precondition(&mut self, weights: &[R], gradient: &[R]) {
        let Kfac { lr, bias, weight_decay, .. } = self.settings;
        for layer in &mut self.layers {
            layer.block.gradient(gradient, weights, weight_decay, &mut layer.gradient);
            layer.inverse.precondition(&layer.gradient, lr, bias, &mut layer.step);
        }
    }

    /// Makes `next` of the weights: u ← μu + ν·lr·Δ, w ← w − u. Returns ν; nothing if there is no curvature to step by.
    fn propose(&mut self, weights: &[R], gradient: &[R]) -> Option<f64> {
        self.next.clear();
        self.next.extend_from_slice(weights);
        if !self.inverted {
            return None;
        }
        self.precondition(weights, gradient);
        let Kfac { lr, momentum, kl_clip, .. } = self.settings;
        let pairs = self.layers.iter().flat_map(|layer| layer.step.iter().zip(layer.gradient.iter()));
        let scale = kl_scale(kl_clip, lr, pairs.map(|(p, g)| p * g).sum());
        for layer in &mut self.layers {
            for (velocity, step) in layer.velocity.iter_mut().zip(layer.step.iter()) {
                *velocity = momentum * *velocity + scale * step;
            }
            layer.block.take(&layer.velocity, &mut self.next);
        }
        if let Some(rest) = &mut self.rest {
            rest.update(&mut self.next, gradient);
        }
        Some(scale)
    }

    /// The change of the loss with its L2 penalty that the quadratic model foresees of the step, M(d) = ∇ᵀd + ½ dᵀBd, and
    /// of this the penalty's own part: the penalty is quadratic, so that both changes have the same.
    fn foreseen(&mut self, weights: &[R], batch: &mut dyn Batch<R>) -> [f64; 2] {
        let KfacStepper { next, change, trained, model, .. } = self;
        change.clear();
        change.extend(next.iter().zip(weights).map(|(next, now)| next.to_f64() - now.to_f64()));
        let on_trained = |place: usize| (change[place], weights[place].to_f64());
        let penalty: f64 = trained.clone().map(on_trained).map(|(d, w)| d * (w + 0.5 * d)).sum();
        let penalty = self.settings.weight_decay * penalty;
        let (gradient, clip) = (batch.gradient(), batch.clip());
        let slope: f64 = trained.clone().map(|place| gradient[place].to_f64() * change[place]).sum();
        let at = batch.linearize(weights).expect("the config's check has seen to a loss with a curvature");
        let bend = at.curvature.quadratic(model.directional(at, change));
        [slope / clip + 0.5 * bend + penalty, penalty]
    }
}

impl<R: Real> Stepper<R> for KfacStepper<R> {
    fn scope(&self) -> Scope {
        if self.settings.layers == KfacLayers::All || self.rest.is_some() { Scope::All } else { Scope::Head }
    }

    fn needs_gates(&self) -> bool {
        let in_factors = self.layers.iter().any(|layer| layer.block.needs_gates());
        in_factors && self.settings.fisher == Fisher::Empirical && self.is_due(self.settings.factor_interval)
    }

    fn damping(&self) -> Option<f64> {
        Some(self.damping.value())
    }

    /// A batch whose factors have no inverse, where the damping may rise to no avail, is stepped on with the last inverses,
    /// or not at all before there are any; see [`Damping::fail`].
    fn step(&mut self, weights: &mut [R], batch: &mut dyn Batch<R>) -> Result<StepNotes, SingularFactor> {
        match self.refresh(weights, batch) {
            Ok(()) => {
                self.damping.succeed();
                self.overdue = false;
            }
            Err(singular) => {
                self.damping.fail(singular)?;
                self.overdue = true;
            }
        }
        self.steps += 1;
        let Some(scale) = self.propose(weights, batch.gradient()) else { return Ok(StepNotes::default()) };
        let conditions = self.layers.iter().map(|layer| layer.inverse.condition());
        let mut notes = StepNotes {
            trust_ratio: None,
            factor_condition: conditions.reduce(f64::max),
            clip_scale: self.settings.kl_clip.map(|_| scale),
        };
        if self.damping.looks_at(self.steps) {
            let [foreseen, penalty] = self.foreseen(weights, batch);
            let change = batch.loss_at(&self.next) - batch.loss() + penalty;
            let ratio = self.damping.adapt(change, foreseen);
            notes.trust_ratio = Some(ratio).filter(|ratio| ratio.is_finite());
        }
        weights.copy_from_slice(&self.next);
        Ok(notes)
    }
}
