//! One run, whole.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::RunConfig;
use crate::config::Section;
use crate::evaluation::{HeldOut, Score, ScoreRules};
use crate::features::{Inputs, Normalization, Scales, ScalesFit};
use crate::hedges::HedgeScores;
use crate::identity::section_digest;
use crate::market::Paths;
use crate::metrics::Metrics;
use crate::network::{Init, InitialWeights, Layout, Policy, WeightsError, draw_weights, read_weights};
use crate::observer::{Observer, Phase};
use crate::pnl::{Accounts, Moves};
use crate::pricing::PricingError;
use crate::random::Purpose;
use crate::real::Real;
use crate::record::{Epoch, PathPoint, RunResult, SampleSet, Status};
use crate::shared::{Key, Shared};
use crate::statistics::mean_absolute_correlation;
use crate::trainer::{Breakdown, StepReport, Trainer, TrainerParts};
use crate::training::{RunningWeights, Selection, TrainingSet, TrainingSummary};

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
    Weights(#[from] WeightsError),
    /// The contract has no price: the market's parameters are far from any market's.
    #[error(transparent)]
    Pricing(#[from] PricingError),
    /// The observer ended the run.
    #[error("cancelled after epoch {epoch}")]
    Cancelled {
        /// The last epoch that was done.
        epoch: u32,
    },
}

/// Does one run on its own: [`run_sharing`] with nothing to share.
///
/// # Errors
/// See [`EngineError`].
pub fn run(config: &RunConfig, observer: &mut dyn Observer) -> Result<RunResult, EngineError> {
    run_sharing(config, &Shared::default(), observer)
}

/// Does one run: simulate, train, evaluate. What other runs of the same market have computed is taken from `shared`,
/// which changes no number.
///
/// The observer hears [`Phase::Simulate`] and [`Phase::Train`] for every batch, [`Phase::Evaluate`] whenever there is a
/// held-out set to score, and [`Phase::Done`]. Where only the last epoch is scored on the validation set, its
/// `validation_loss` is known after evaluation: the result's curve has it, the observer's epoch does not.
///
/// # Errors
/// See [`EngineError`].
pub fn run_sharing(config: &RunConfig, shared: &Shared, observer: &mut dyn Observer) -> Result<RunResult, EngineError> {
    let errors = config.check();
    if !errors.is_empty() {
        return Err(EngineError::Config(errors));
    }
    let accounts = Accounts::of(config)?;
    let mut outcome = Outcome::default();
    if let Some(premium) = accounts.premium() {
        outcome.metrics.set("contract.premium", premium);
    }
    let run = Run { config, accounts, shared };
    if config.training.epochs > 0 || run.is_evaluated() {
        let layout = config.network.layout(config.features.features.len());
        let weights = initial_weights(config, &layout)?;
        observer.phase(Phase::Simulate);
        let set = TrainingSet::new(config);
        let scales = (config.features.normalization == Normalization::Fixed).then(|| set.scales(config));
        if let Some(trained) = run.train(&layout, weights, set, scales.as_ref(), observer, &mut outcome)? {
            run.evaluate(&trained, scales.as_ref(), observer, &mut outcome)?;
        }
    } else {
        attached_weights(config)?;
    }
    observer.phase(Phase::Done);
    Ok(outcome.into_result())
}

impl RunConfig {
    /// The network at work, before its first pass.
    pub fn policy<R: Real>(&self) -> Box<dyn Policy<R>> {
        self.network.policy(self.features.shape(), self.training.batch_size as usize)
    }

    /// Checks that initial weights have every tensor of this config's network in its shape.
    ///
    /// # Errors
    /// The first tensor that is missing or has another shape.
    pub fn check_weights(&self, weights: &InitialWeights) -> Result<(), WeightsError> {
        self.network.layout(self.features.features.len()).check(weights)
    }
}

/// Epochs for whose curves there is room from the start.
const MOST_RESERVED: u64 = 10_000;

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

/// What training leaves for evaluation.
struct Trained {
    weights: Vec<f32>,
    /// The epoch whose weights they are; 0 for the initial ones.
    epoch: u32,
}

/// What a step of training moves.
struct TrainingState<'t, 'a> {
    trainer: &'t mut Trainer<'a, f32>,
    running: &'t mut RunningWeights,
    summary: &'t mut TrainingSummary,
}

/// A run under way.
struct Run<'a> {
    config: &'a RunConfig,
    accounts: Accounts,
    shared: &'a Shared,
}

impl Run<'_> {
    fn is_evaluated(&self) -> bool {
        self.config.evaluation.validation_paths > 0 || self.config.evaluation.test_paths > 0
    }

    /// A held-out set, which all runs in a market share; `None` for one without paths.
    fn held_out(&self, set: SampleSet) -> Result<Option<Arc<HeldOut>>, PricingError> {
        let evaluation = &self.config.evaluation;
        let (purpose, count) = match set {
            SampleSet::Train => return Ok(None),
            SampleSet::Validation => (Purpose::Validation, evaluation.validation_paths),
            SampleSet::Test => (Purpose::Test, evaluation.test_paths),
        };
        if count == 0 {
            return Ok(None);
        }
        let key = self.key(&[Section::Market, Section::Contract], &[set.word(), &count.to_string()]);
        let make = || HeldOut::new(self.config, purpose, count as usize);
        self.shared.get(key, HeldOut::bytes, make).map(Some)
    }

    /// A digest of these sections and words.
    fn key(&self, sections: &[Section], words: &[&str]) -> Key {
        let mut bytes = Vec::new();
        let mut scratch = Vec::new();
        for section in sections {
            bytes.extend_from_slice(&section_digest(self.config, *section, &mut scratch));
        }
        bytes.extend_from_slice(words.join(" ").as_bytes());
        *blake3::hash(&bytes).as_bytes().first_chunk().expect("32 bytes hold 16")
    }

    /// Trains; nothing if the run diverged.
    fn train(
        &self,
        layout: &Layout,
        weights: Vec<f32>,
        mut set: TrainingSet<'_>,
        scales: Option<&Scales>,
        observer: &mut dyn Observer,
        outcome: &mut Outcome,
    ) -> Result<Option<Trained>, EngineError> {
        if self.config.training.epochs == 0 {
            return Ok(Some(Trained { weights, epoch: 0 }));
        }
        let mut selection = Selection::new(&self.config.training);
        let validation = if selection.needs_every_epoch() {
            observer.phase(Phase::Evaluate);
            self.held_out(SampleSet::Validation)?
        } else {
            None
        };
        let mut running = RunningWeights::new(self.config.training.average, &weights);
        let mut trainer = self.trainer(layout, weights);
        let mut batch = Batch::new(self.config);
        let mut summary = TrainingSummary::default();
        outcome.curves.reserve(self.config.training.epochs.min(MOST_RESERVED) as usize);
        for number in 1..=self.config.training.epochs as u32 {
            let state = TrainingState { trainer: &mut trainer, running: &mut running, summary: &mut summary };
            let breakdown = self.epoch(number, &mut set, scales, state, &mut batch, observer);
            outcome.error = breakdown.map(|what| format!("epoch {number}: {what}"));
            if breakdown != Some(Breakdown::Loss) {
                let (pnl, cost) = summary.samples();
                observer.samples(SampleSet::Train, number, pnl, cost);
            }
            let mut epoch = summary.end_epoch(number);
            let weights = running.mean(trainer.weights());
            if let (None, Some(validation)) = (breakdown, &validation) {
                observer.phase(Phase::Evaluate);
                let score = self.score(weights, scales, validation);
                // A path that is not a number would pass as the best one in a sorted tail.
                let loss = score.is_finite().then(|| score.loss(self.config));
                epoch.validation_loss = loss.filter(|loss| loss.is_finite());
            }
            let enough = selection.take(number.into(), epoch.validation_loss, weights);
            let flow = observer.epoch(&epoch);
            outcome.curves.push(epoch);
            if flow == ControlFlow::Break(()) {
                return Err(EngineError::Cancelled { epoch: number });
            }
            if outcome.error.is_some() {
                return Ok(None);
            }
            if enough {
                break;
            }
        }
        summary.write_metrics(self.config, &outcome.curves, &mut outcome.metrics);
        let seen: Vec<f64> = trainer.head_inputs().iter().copied().map(f64::from).collect();
        if let Some(correlation) = mean_absolute_correlation(&seen, layout.head_inputs()) {
            outcome.metrics.set("train.feature_correlation", correlation);
        }
        let (epoch, weights) = selection.finish(running.mean(trainer.weights()));
        outcome.metrics.set("train.kept_epoch", epoch as f64);
        Ok(Some(Trained { weights, epoch: epoch as u32 }))
    }

    /// Makes the steps of one epoch, up to the first that breaks down.
    fn epoch(
        &self,
        number: u32,
        set: &mut TrainingSet<'_>,
        scales: Option<&Scales>,
        state: TrainingState<'_, '_>,
        batch: &mut Batch<'_>,
        observer: &mut dyn Observer,
    ) -> Option<Breakdown> {
        let TrainingState { trainer, running, summary } = state;
        observer.phase(Phase::Simulate);
        set.begin_epoch(number.into());
        for step in 0..self.config.training.batches() {
            observer.phase(Phase::Simulate);
            let paths = set.batch(step);
            observer.phase(Phase::Train);
            batch.fill(&self.accounts, paths, scales);
            let report: StepReport = trainer.step(&mut batch.inputs, &batch.moves);
            summary.take(&report, trainer.pnl(), trainer.cost());
            if report.breakdown.is_some() {
                return report.breakdown;
            }
            running.take(trainer.weights());
        }
        None
    }

    /// The network and what trains it, before the first step.
    fn trainer<'t>(&'t self, layout: &'t Layout, weights: Vec<f32>) -> Trainer<'t, f32> {
        Trainer::new(TrainerParts {
            policy: self.config.policy(),
            layout,
            weights,
            stepper: self.config.optimizer.stepper(layout),
            objective: self.config.loss.objective(),
            costs: self.config.costs.model(),
            grad_clip: self.config.training.grad_clip,
        })
    }

    fn score(&self, weights: &[f32], scales: Option<&Scales>, set: &HeldOut) -> Score {
        let own;
        let scales = match scales {
            Some(fixed) => fixed,
            None => {
                own = set.scales(Inputs::of(self.config));
                &own
            }
        };
        let rules = ScoreRules { config: self.config, accounts: &self.accounts, scales };
        Score::of_network(rules, weights, set)
    }

    /// Scores the weights on the held-out sets, and the classical hedges on the test set.
    fn evaluate(
        &self,
        trained: &Trained,
        scales: Option<&Scales>,
        observer: &mut dyn Observer,
        outcome: &mut Outcome,
    ) -> Result<(), EngineError> {
        for set in [SampleSet::Validation, SampleSet::Test] {
            observer.phase(Phase::Evaluate);
            let Some(held_out) = self.held_out(set)? else { continue };
            let score = self.score(&trained.weights, scales, &held_out);
            if !score.is_finite() {
                let Trained { epoch, .. } = trained;
                outcome.error = Some(format!("epoch {epoch}, {} set: a path's P&L is not finite", set.word()));
                return Ok(());
            }
            score.write_metrics(self.config, set.word(), &mut outcome.metrics);
            let [pnl, cost] =
                [&score.pnl, &score.cost].map(|values| values.iter().map(|x| *x as f32).collect::<Vec<f32>>());
            observer.samples(set, trained.epoch, &pnl, &cost);
            match set {
                SampleSet::Validation => {
                    note_validation_loss(score.loss(self.config), trained.epoch, &mut outcome.curves)
                }
                SampleSet::Test => {
                    self.score_hedges(&score, &held_out, outcome)?;
                    outcome.path = score.path;
                }
                SampleSet::Train => {}
            }
        }
        Ok(())
    }

    /// Scores the classical hedges, which all runs with the same market, contract and costs share.
    fn score_hedges(&self, network: &Score, test: &HeldOut, outcome: &mut Outcome) -> Result<(), EngineError> {
        if self.config.evaluation.hedges.is_empty() {
            return Ok(());
        }
        let validation = self.held_out(SampleSet::Validation)?;
        let sections = [Section::Market, Section::Contract, Section::Costs, Section::Evaluation];
        let scores = self.shared.get(self.key(&sections, &["hedges"]), HedgeScores::bytes, || {
            // In currency, so the scales have no part in it.
            let scales = ScalesFit::new(Inputs::of(self.config)).scales();
            let rules = ScoreRules { config: self.config, accounts: &self.accounts, scales: &scales };
            Ok::<_, EngineError>(HedgeScores::of(rules, validation.as_deref(), test))
        })?;
        scores.write_metrics(self.config, network, &mut outcome.metrics);
        Ok(())
    }
}

/// One batch as the trainer sees it.
struct Batch<'a> {
    /// What the network sees.
    features: Inputs<'a>,
    /// The batch's own statistics, and its scales by them.
    fit: ScalesFit<'a>,
    own: Scales,
    inputs: Vec<f32>,
    moves: Moves<f32>,
}

impl<'a> Batch<'a> {
    /// Before the first.
    fn new(config: &'a RunConfig) -> Batch<'a> {
        let features = Inputs::of(config);
        let fit = ScalesFit::new(features.clone());
        Batch { own: fit.scales(), fit, features, inputs: Vec::new(), moves: Moves::default() }
    }

    /// Takes these paths, scaled by `scales` or else by their own statistics.
    fn fill(&mut self, accounts: &Accounts, paths: &Paths, scales: Option<&Scales>) {
        if scales.is_none() {
            self.fit.begin();
            self.fit.push(paths);
            self.fit.write_scales(&mut self.own);
        }
        let scales = scales.unwrap_or(&self.own);
        self.features.fill(paths, scales, &mut self.inputs);
        self.moves.fill(paths, accounts, scales);
    }
}

/// Where only the last epoch looks at the validation set, its loss comes after the training.
fn note_validation_loss(loss: f64, epoch: u32, curves: &mut [Epoch]) {
    if let Some(last) = curves.last_mut()
        && last.epoch == epoch
        && last.validation_loss.is_none()
    {
        last.validation_loss = loss.is_finite().then_some(loss);
    }
}
