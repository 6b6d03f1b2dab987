//! One run, whole.

use std::ops::ControlFlow;

use crate::RunConfig;
use crate::features::{Features, ScalesFit, network_inputs};
use crate::market::Paths;
use crate::metrics::Metrics;
use crate::network::{Init, InitialWeights, Layout, WeightsError, draw_weights, read_weights};
use crate::observer::{Observer, Phase};
use crate::pnl::Moves;
use crate::random::{Normals, Purpose};
use crate::record::{Epoch, PathPoint, RunResult, SampleSet, Status};
use crate::score::{BLOCK_PATHS, Score};
use crate::statistics::{Moments, mean_absolute_correlation};
use crate::trainer::{Breakdown, StepReport, Trainer, TrainerParts};

/// Why a run could not be done. Divergence is a result, not an error.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The config's keys do not fit together.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<crate::config::KeyError>),
    /// The config names initial weights by digest, and they are not attached.
    #[error("the initial weights {digest} are not attached")]
    MissingWeights {
        /// Their digest.
        digest: crate::network::WeightsDigest,
    },
    /// The initial weights do not fit the network.
    #[error(transparent)]
    Weights(#[from] crate::network::WeightsError),
    /// The observer ended the run.
    #[error("cancelled after epoch {epoch}")]
    Cancelled {
        /// The last epoch that was done.
        epoch: u32,
    },
}

/// Does one run: simulate, train, evaluate.
///
/// The observer hears [`Phase::Simulate`] and [`Phase::Train`] for every epoch, [`Phase::Evaluate`] once if there are
/// held-out paths, and [`Phase::Done`]. The last epoch's `validation_loss` is known after evaluation: the result's curve
/// has it, the observer's epoch does not.
///
/// # Errors
/// See [`EngineError`].
pub fn run(config: &RunConfig, observer: &mut dyn Observer) -> Result<RunResult, EngineError> {
    let errors = config.check();
    if !errors.is_empty() {
        return Err(EngineError::Config(errors));
    }
    let sets = held_out_sets(config);
    let mut outcome = Outcome::default();
    if config.training.epochs > 0 || !sets.is_empty() {
        let layout = config.network.layout(config.features.features.len());
        let weights = initial_weights(config, &layout)?;
        if let Some(weights) = train(config, &layout, weights, observer, &mut outcome)? {
            evaluate(config, &weights, &sets, observer, &mut outcome);
        }
    } else {
        attached_weights(config)?;
    }
    observer.phase(Phase::Done);
    Ok(outcome.into_result())
}

impl RunConfig {
    /// Checks that initial weights have every tensor of this config's network in its shape.
    ///
    /// # Errors
    /// The first tensor that is missing or has another shape.
    pub fn check_weights(&self, weights: &InitialWeights) -> Result<(), WeightsError> {
        self.network.layout(self.features.features.len()).check(weights)
    }
}

/// What a run has come to so far.
#[derive(Default)]
struct Outcome {
    error: Option<String>,
    metrics: Metrics,
    curves: Vec<Epoch>,
    path: Vec<PathPoint>,
}

impl Outcome {
    /// A diverged run keeps its curves and nothing else.
    fn into_result(self) -> RunResult {
        let Outcome { error, metrics, curves, path } = self;
        match error {
            None => RunResult { status: Status::Ok, error, metrics, curves, path },
            Some(_) => {
                RunResult { status: Status::Diverged, error, metrics: Metrics::default(), curves, path: Vec::new() }
            }
        }
    }
}

/// A set that is scored after training.
struct HeldOutSet {
    set: SampleSet,
    purpose: Purpose,
    count: usize,
}

/// The held-out sets that have paths.
fn held_out_sets(config: &RunConfig) -> Vec<HeldOutSet> {
    let evaluation = &config.evaluation;
    let sets = [
        (SampleSet::Validation, Purpose::Validation, evaluation.validation_paths),
        (SampleSet::Test, Purpose::Test, evaluation.test_paths),
    ];
    let with_paths = sets.into_iter().filter(|(_, _, count)| *count > 0);
    with_paths.map(|(set, purpose, count)| HeldOutSet { set, purpose, count: count as usize }).collect()
}

/// The attached weights, if the config names any.
fn attached_weights(config: &RunConfig) -> Result<Option<&InitialWeights>, EngineError> {
    match config.network.init() {
        Init::XavierOrthogonal => Ok(None),
        Init::Weights { tensors: Some(tensors), .. } => Ok(Some(tensors)),
        Init::Weights { digest, tensors: None } => Err(EngineError::MissingWeights { digest: *digest }),
    }
}

fn initial_weights(config: &RunConfig, layout: &Layout) -> Result<Vec<f32>, EngineError> {
    let weights = match attached_weights(config)? {
        Some(file) => read_weights(layout, file)?,
        None => draw_weights(layout, config.seed),
    };
    Ok(weights.into_iter().map(|weight| weight as f32).collect())
}

/// Where training paths come from: path k of the seed's stream is row k mod B of epoch k div B, whatever B is.
struct TrainingSet<'a> {
    config: &'a RunConfig,
    normals: Box<dyn Normals>,
    paths: Paths,
    next: u64,
}

impl<'a> TrainingSet<'a> {
    fn new(config: &'a RunConfig) -> TrainingSet<'a> {
        let model = config.market.model();
        let paths = Paths::zeros(config.training.batch_size as usize, model.steps() + 1);
        TrainingSet { config, normals: model.training_normals(config.seed), paths, next: 0 }
    }

    /// Simulates the next batch.
    fn advance(&mut self) {
        self.paths.simulate(self.config.market.model(), &mut *self.normals, self.next);
        self.next += self.paths.count() as u64;
    }
}

/// Trains, and returns the weights, or nothing if the run diverged.
fn train(
    config: &RunConfig,
    layout: &Layout,
    weights: Vec<f32>,
    observer: &mut dyn Observer,
    outcome: &mut Outcome,
) -> Result<Option<Vec<f32>>, EngineError> {
    if config.training.epochs == 0 {
        return Ok(Some(weights));
    }
    observer.phase(Phase::Simulate);
    let mut set = TrainingSet::new(config);
    let mut trainer = trainer(config, layout, weights);
    let mut batch = Batch::default();
    let mut summary = TrainingSummary::default();
    for number in 1..=config.training.epochs as u32 {
        observer.phase(Phase::Simulate);
        set.advance();
        observer.phase(Phase::Train);
        batch.fill(config, &set.paths);
        let damping = trainer.damping();
        let report = trainer.step(&batch.inputs, &batch.moves);
        let epoch = summary.take(number, damping, &report, &trainer);
        outcome.error = report.breakdown.map(|what| format!("epoch {number}: {what}"));
        if report.breakdown != Some(Breakdown::Loss) {
            observer.samples(SampleSet::Train, number, trainer.pnl(), trainer.cost());
        }
        let flow = observer.epoch(&epoch);
        outcome.curves.push(epoch);
        if flow == ControlFlow::Break(()) {
            return Err(EngineError::Cancelled { epoch: number });
        }
        if outcome.error.is_some() {
            return Ok(None);
        }
    }
    summary.write_metrics(config, &outcome.curves, &mut outcome.metrics);
    let seen: Vec<f64> = trainer.head_inputs().iter().copied().map(f64::from).collect();
    if let Some(correlation) = mean_absolute_correlation(&seen, layout.head_inputs()) {
        outcome.metrics.set("train.feature_correlation", correlation);
    }
    Ok(Some(trainer.weights().to_vec()))
}

/// The network and what trains it, before the first step.
fn trainer<'a>(config: &'a RunConfig, layout: &'a Layout, weights: Vec<f32>) -> Trainer<'a, f32> {
    Trainer::new(TrainerParts {
        policy: config.network.policy(config.features.features.len()),
        layout,
        weights,
        stepper: config.optimizer.stepper(layout),
        objective: config.loss.objective(),
        costs: config.costs.model(),
        grad_clip: config.training.grad_clip,
    })
}

/// One batch as the trainer sees it.
#[derive(Default)]
struct Batch {
    inputs: Vec<f32>,
    moves: Moves<f32>,
}

impl Batch {
    fn fill(&mut self, config: &RunConfig, paths: &Paths) {
        let features: &Features = &config.features;
        let mut fit = ScalesFit::new(features);
        fit.push(paths);
        let scales = fit.scales();
        network_inputs(features, paths, &scales, &mut self.inputs);
        self.moves.fill(paths, config.loss.objective().units(), &scales);
    }
}

/// The training paths of all epochs, pooled.
#[derive(Default)]
struct TrainingSummary {
    pnl: Moments,
    cost: Moments,
}

impl TrainingSummary {
    /// Takes one epoch's paths, and makes its row of the curves.
    fn take(&mut self, number: u32, damping: Option<f64>, report: &StepReport, trainer: &Trainer<'_, f32>) -> Epoch {
        let moments = |values: &[f32]| Moments::of(&values.iter().copied().map(f64::from).collect::<Vec<f64>>());
        let (pnl, cost) = (moments(trainer.pnl()), moments(trainer.cost()));
        self.pnl = self.pnl.merge(pnl);
        self.cost = self.cost.merge(cost);
        let finite = |number: f64| number.is_finite().then_some(number);
        Epoch {
            epoch: number,
            loss: finite(report.loss),
            pnl_mean: finite(pnl.mean()),
            pnl_variance: finite(pnl.population_variance()),
            mean_cost: finite(cost.mean()),
            sharpe: finite(pnl.paper_sharpe()),
            grad_norm: finite(report.grad_norm),
            damping,
            validation_loss: None,
            seconds: None,
        }
    }

    fn write_metrics(&self, config: &RunConfig, curves: &[Epoch], metrics: &mut Metrics) {
        metrics.set("train.pnl_variance", self.pnl.population_variance());
        metrics.set("train.mean_cost", self.cost.mean());
        metrics.set("train.sharpe", self.pnl.paper_sharpe());
        let losses: Vec<f64> = curves.iter().filter_map(|epoch| epoch.loss).collect();
        let last = &losses[losses.len().saturating_sub(10)..];
        metrics.set("train.loss_final", losses.last().copied().unwrap_or(f64::NAN));
        metrics.set("train.loss_last10", Moments::of(last).mean());
        let reached = config.training.target_loss.and_then(|target| losses.iter().position(|loss| *loss <= target));
        if let Some(place) = reached {
            metrics.set("train.epochs_to_target", (place + 1) as f64);
        }
    }
}

/// Scores the weights on the held-out sets.
fn evaluate(
    config: &RunConfig,
    weights: &[f32],
    sets: &[HeldOutSet],
    observer: &mut dyn Observer,
    outcome: &mut Outcome,
) {
    if sets.is_empty() {
        return;
    }
    observer.phase(Phase::Evaluate);
    for HeldOutSet { set, purpose, count } in sets {
        let score = Score::of(config, weights, *purpose, *count, BLOCK_PATHS);
        if !score.is_finite() {
            outcome.error = Some(format!("{}: a path's P&L is not finite", set.word()));
            return;
        }
        score.write_metrics(config, set.word(), &mut outcome.metrics);
        let [pnl, cost] =
            [&score.pnl, &score.cost].map(|values| values.iter().map(|x| *x as f32).collect::<Vec<f32>>());
        observer.samples(*set, config.training.epochs as u32, &pnl, &cost);
        match set {
            SampleSet::Validation => note_validation_loss(config, &score, &mut outcome.curves),
            SampleSet::Test => outcome.path = score.path,
            SampleSet::Train => {}
        }
    }
}

/// The last epoch is the one that looks at the validation set.
fn note_validation_loss(config: &RunConfig, score: &Score, curves: &mut [Epoch]) {
    let loss = score.loss(config);
    if let Some(last) = curves.last_mut() {
        last.validation_loss = loss.is_finite().then_some(loss);
    }
}
