//! What a run leaves behind: pure data, as it travels from worker to coordinator and is stored.

use serde::{Deserialize, Serialize};

use crate::identity::RunId;
use crate::metrics::Metrics;

/// How a run ended, as far as the engine is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// To its end, with finite numbers.
    Ok,
    /// In numbers that are not finite: a result, not an error.
    Diverged,
    /// Not at all: it panicked, was refused, or killed its workers.
    Failed,
}

impl Status {
    /// The word in the `status` column.
    pub fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Diverged => "diverged",
            Status::Failed => "failed",
        }
    }

    /// The status of a word.
    pub fn from_word(word: &str) -> Option<Status> {
        [Status::Ok, Status::Diverged, Status::Failed].into_iter().find(|status| status.word() == word)
    }

    /// Whether there is nothing left to do for the run: failed runs are tried again.
    pub fn is_done(self) -> bool {
        matches!(self, Status::Ok | Status::Diverged)
    }
}

/// One epoch of a run. Statistics are over the epoch's training paths, gross of costs; never NaN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Epoch {
    /// Number of the epoch, from 1.
    pub epoch: u32,
    /// Training loss.
    pub loss: Option<f64>,
    /// Mean P&L.
    pub pnl_mean: Option<f64>,
    /// Population variance of the P&L.
    pub pnl_variance: Option<f64>,
    /// Mean cost.
    pub mean_cost: Option<f64>,
    /// Mean P&L over (population SD + 1e-6).
    pub sharpe: Option<f64>,
    /// Norm of the gradient of what is trained, before clipping.
    pub grad_norm: Option<f64>,
    /// K-FAC's damping in the last batch; `None` for other optimisers.
    pub damping: Option<f64>,
    /// Mean norm of the batches' steps.
    pub step_norm: Option<f64>,
    /// K-FAC's last trust ratio: the change of a batch's loss by its step over the change that the quadratic model foresaw.
    /// `None` where the damping is fixed, and in epochs in which it did not look.
    pub trust_ratio: Option<f64>,
    /// The largest condition number (1-norm) of K-FAC's damped factors in any batch; `None` for other optimisers.
    pub factor_condition: Option<f64>,
    /// Loss on the validation set, in epochs that look at it.
    pub validation_loss: Option<f64>,
    /// Seconds since the run began. The engine has no clock: the caller fills this in. Provenance.
    pub seconds: Option<f64>,
}

/// One point of the first test path and what the trained network does on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathPoint {
    /// Number of the step, from 0.
    pub step: u32,
    /// Price.
    pub price: f64,
    /// Variance, per year, as simulated.
    pub variance: f64,
    /// Position held from this step on.
    pub position: f64,
}

/// Which paths samples are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleSet {
    /// Training paths.
    Train,
    /// Validation paths.
    Validation,
    /// Test paths.
    Test,
}

impl SampleSet {
    /// All sets.
    pub const ALL: [SampleSet; 3] = [SampleSet::Train, SampleSet::Validation, SampleSet::Test];

    /// The word in the `set` column.
    pub fn word(self) -> &'static str {
        match self {
            SampleSet::Train => "train",
            SampleSet::Validation => "validation",
            SampleSet::Test => "test",
        }
    }

    /// The set of a word.
    pub fn from_word(word: &str) -> Option<SampleSet> {
        SampleSet::ALL.into_iter().find(|set| set.word() == word)
    }
}

/// Per-path P&L and cost of one set at one epoch. Path i of the set is entry i of both vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Which paths.
    pub set: SampleSet,
    /// After which epoch, from 1.
    pub epoch: u32,
    /// P&L gross of costs, in the loss's units.
    pub pnl: Vec<f32>,
    /// Cost, in the same units.
    pub cost: Vec<f32>,
}

/// Which samples to keep of a run. No part of its identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSamples {
    /// Which sets; never empty.
    pub sets: Vec<SampleSet>,
    /// Every epoch's, or only the last one's.
    pub all_epochs: bool,
    /// At most this many paths of a set and epoch, the first ones.
    pub max_paths: u64,
}

/// What to keep of a run beside its metrics. No part of its identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The curves: one row an epoch.
    pub curves: bool,
    /// Per-path samples.
    pub samples: Option<RecordSamples>,
}

impl Default for Record {
    fn default() -> Record {
        Record { curves: true, samples: None }
    }
}

/// What the engine says of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    /// [`Status::Ok`] or [`Status::Diverged`].
    pub status: Status,
    /// For a diverged run, what blew up and in which epoch.
    pub error: Option<String>,
    /// The metric catalogue's values, provenance excepted.
    pub metrics: Metrics,
    /// One entry an epoch.
    pub curves: Vec<Epoch>,
    /// The first test path; empty without a test set or for a diverged run.
    pub path: Vec<PathPoint>,
}

/// Where and when a run was computed. Never compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Seconds spent simulating training paths.
    pub simulate_s: Option<f64>,
    /// Seconds spent in forward and backward passes and optimiser steps.
    pub train_s: Option<f64>,
    /// Seconds spent scoring on held-out paths.
    pub evaluate_s: Option<f64>,
    /// Seconds until the training loss first reached its target.
    pub to_target_s: Option<f64>,
    /// The machine's name.
    pub host: String,
    /// The worker's name.
    pub worker: String,
    /// The instruction set that the kernels ran on.
    pub isa: String,
    /// Which attempt at the run this was, from 1.
    pub attempt: u32,
    /// The engine's version.
    pub engine_version: String,
}

/// All that one run leaves behind: what travels from worker to coordinator.
#[derive(Clone, Debug, PartialEq)]
pub struct RunOutput {
    /// How the run ended.
    pub status: Status,
    /// Why it failed or what diverged.
    pub error: Option<String>,
    /// The metric catalogue's values; all null for a failed run.
    pub metrics: Metrics,
    /// Where and when.
    pub provenance: Provenance,
    /// One entry an epoch, if recorded.
    pub curves: Vec<Epoch>,
    /// The first test path.
    pub path: Vec<PathPoint>,
    /// Per-path samples, if recorded.
    pub samples: Vec<Samples>,
}

impl RunOutput {
    /// The output of a run that failed.
    pub fn failed(reason: impl Into<String>, provenance: Provenance) -> RunOutput {
        RunOutput {
            status: Status::Failed,
            error: Some(reason.into()),
            metrics: Metrics::default(),
            provenance,
            curves: Vec::new(),
            path: Vec::new(),
            samples: Vec::new(),
        }
    }
}

/// The record of one run that ended: what is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// Whose record it is.
    pub run_id: RunId,
    /// The complete config as JSON, as [`RunConfig::to_json`](crate::RunConfig::to_json) writes it.
    pub config: String,
    /// What was asked to be kept.
    pub record: Record,
    /// What the run left behind.
    pub output: RunOutput,
}
