//! What a run promises, whatever its numbers.

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use common::paper;
use engine::network::{InitialWeights, WeightsDigest, WeightsError};
use engine::record::{Epoch, SampleSet};
use engine::{EngineError, Observer, Phase, RunConfig, RunResult, Status, Unobserved, Value};
use proptest::prelude::*;

fn run(config: &RunConfig) -> RunResult {
    engine::run(config, &mut Unobserved).unwrap()
}

/// A run that is over quickly.
fn short(keys: &[(&str, Value)]) -> RunConfig {
    let defaults: [(&str, Value); 3] = [
        ("training.epochs", Value::Int(4)),
        ("evaluation.validation_paths", Value::Int(9)),
        ("evaluation.test_paths", Value::Int(70)),
    ];
    let all: Vec<(&str, Value)> = defaults.into_iter().chain(keys.iter().cloned()).collect();
    paper(3, &all)
}

/// Writes down what it hears.
#[derive(Default)]
struct Diary {
    phases: Vec<Phase>,
    epochs: Vec<Epoch>,
    samples: Vec<(SampleSet, u32, usize, usize)>,
    training_pnl: Vec<f32>,
    stop_after: Option<u32>,
}

impl Observer for Diary {
    fn phase(&mut self, phase: Phase) {
        if self.phases.last() != Some(&phase) {
            self.phases.push(phase);
        }
    }

    fn epoch(&mut self, epoch: &Epoch) -> ControlFlow<()> {
        self.epochs.push(epoch.clone());
        if self.stop_after == Some(epoch.epoch) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn samples(&mut self, set: SampleSet, epoch: u32, pnl: &[f32], cost: &[f32]) {
        self.samples.push((set, epoch, pnl.len(), cost.len()));
        if set == SampleSet::Train {
            self.training_pnl.extend(pnl);
        }
    }
}

#[test]
fn every_metric_of_the_papers_run_is_filled() {
    let result = run(&short(&[("training.target_loss", Value::Float(1e9))]));
    assert_eq!(result.status, Status::Ok);
    for metric in engine::metrics::catalogue() {
        let of_an_option = metric.name.starts_with("hedge.") || metric.name == "contract.premium";
        assert_eq!(result.metrics.get(&metric.name).is_none(), of_an_option, "{}", metric.name);
    }
    assert_eq!(result.metrics.get("train.epochs_to_target"), Some(1.0));
    assert_eq!(result.metrics.get("train.loss_final"), result.curves[3].loss);
    assert_eq!(result.metrics.get("train.kept_epoch"), Some(4.0));
    assert_eq!(result.metrics.get("validation.loss"), result.curves[3].validation_loss);
    assert_eq!(result.path.len(), 51);
    assert!(result.path.iter().all(|point| point.position.abs() <= 1.0));
}

#[test]
fn the_observer_hears_of_everything_in_order() {
    let mut diary = Diary::default();
    let result = engine::run(&short(&[("training.epochs", Value::Int(2))]), &mut diary).unwrap();
    let (simulate, train) = (Phase::Simulate, Phase::Train);
    assert_eq!(diary.phases, [simulate, train, simulate, train, Phase::Evaluate, Phase::Done]);
    assert_eq!(
        diary.samples,
        [
            (SampleSet::Train, 1, 32, 32),
            (SampleSet::Train, 2, 32, 32),
            (SampleSet::Validation, 2, 9, 9),
            (SampleSet::Test, 2, 70, 70)
        ]
    );
    let mut curves = result.curves.clone();
    curves[1].validation_loss = None;
    assert_eq!(diary.epochs, curves);
}

#[test]
fn the_observer_can_end_a_run() {
    let mut diary = Diary { stop_after: Some(2), ..Diary::default() };
    assert_eq!(engine::run(&short(&[]), &mut diary), Err(EngineError::Cancelled { epoch: 2 }));
}

#[test]
fn nothing_to_do_is_done() {
    let nothing = short(&[
        ("training.epochs", Value::Int(0)),
        ("evaluation.validation_paths", Value::Int(0)),
        ("evaluation.test_paths", Value::Int(0)),
    ]);
    let mut diary = Diary::default();
    let result = engine::run(&nothing, &mut diary).unwrap();
    assert_eq!((result.status, result.curves.len(), result.path.len()), (Status::Ok, 0, 0));
    assert!(result.metrics.values().iter().all(Option::is_none));
    assert_eq!(diary.phases, [Phase::Done]);
}

#[test]
fn without_epochs_the_initial_weights_are_scored() {
    let untrained = run(&short(&[("training.epochs", Value::Int(0))]));
    assert!(untrained.metrics.get("test.loss").is_some());
    assert_eq!(untrained.metrics.get("train.loss_final"), None);
    let trained = run(&short(&[]));
    assert_ne!(untrained.metrics.get("test.loss"), trained.metrics.get("test.loss"));
}

#[test]
fn divergence_is_a_result_with_its_reason() {
    let sgd = short(&[
        ("optimizer.kind", "sgd".into()),
        ("optimizer.lr", Value::Float(3e38)),
        ("optimizer.momentum", Value::Float(0.9)),
        ("training.grad_clip", Value::Float(1e30)),
        ("costs.rate", Value::Float(1e30)),
    ]);
    let result = run(&sgd);
    assert_eq!(result.status, Status::Diverged);
    assert_eq!(result.error.as_deref(), Some("epoch 1: a weight is not finite"));
    assert_eq!(result.curves.len(), 1);
    assert!(result.metrics.values().iter().all(Option::is_none));
    assert!(result.path.is_empty());

    let market = run(&short(&[("market.mu", Value::Float(1e300))]));
    assert_eq!(market.error.as_deref(), Some("epoch 1: the loss is not finite"));
    assert_eq!((market.curves[0].epoch, market.curves[0].loss, market.curves[0].grad_norm), (1, None, None));

    let kfac = run(&short(&[
        ("optimizer.kind", "kfac".into()),
        ("optimizer.damping", Value::Float(1e-300)),
        ("market.steps", Value::Int(1)),
        ("training.batch_size", Value::Int(2)),
    ]));
    assert_eq!(kfac.error.as_deref(), Some("epoch 1: K-FAC's factor A cannot be inverted"));

    let untrained = run(&short(&[("training.epochs", Value::Int(0)), ("market.mu", Value::Float(1e300))]));
    assert_eq!(untrained.error.as_deref(), Some("epoch 0, validation set: a path's P&L is not finite"));
}

#[test]
fn a_single_test_path_has_no_variance_and_is_no_divergence() {
    let result = run(&short(&[("evaluation.test_paths", Value::Int(1))]));
    assert_eq!(result.status, Status::Ok);
    assert_eq!(result.metrics.get("test.pnl_variance"), None);
    assert!(result.metrics.get("test.pnl_mean").is_some());
}

/// The paper's network's tensors.
const TENSORS: [(&str, &[usize]); 6] = [
    ("lstm.weight_ih_l0", &[128, 2]),
    ("lstm.weight_hh_l0", &[128, 32]),
    ("lstm.bias_ih_l0", &[128]),
    ("lstm.bias_hh_l0", &[128]),
    ("fc.weight", &[1, 32]),
    ("fc.bias", &[1]),
];

/// A safetensors file of zeros, but for the head's bias, which is 1.
fn weights_file(tensors: &[(&str, &[usize])]) -> Arc<InitialWeights> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::<u8>::new());
    for (name, shape) in tensors {
        let begin = data.len();
        let value = f32::from(u8::from(*name == "fc.bias"));
        (0..shape.iter().product::<usize>()).for_each(|_| data.extend(value.to_le_bytes()));
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()]});
        header.insert((*name).to_owned(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let content = [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat();
    Arc::new(InitialWeights::parse(&content).unwrap())
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let mut tensors = TENSORS.to_vec();
    assert_eq!(short(&[]).check_weights(&weights_file(&tensors)), Ok(()));
    tensors[1].1 = &[128, 31];
    let wrong = weights_file(&tensors);
    let Err(WeightsError::Shape { name, expected, .. }) = short(&[]).check_weights(&wrong) else { panic!("a shape") };
    assert_eq!((name.as_str(), expected), ("lstm.weight_hh_l0", vec![128, 32]));
    let mut config = short(&[("network.init", wrong.digest().to_string().as_str().into())]);
    config.attach_weights(&wrong);
    assert!(matches!(engine::run(&config, &mut Unobserved), Err(EngineError::Weights(WeightsError::Shape { .. }))));
    tensors.remove(0);
    assert!(matches!(short(&[]).check_weights(&weights_file(&tensors)), Err(WeightsError::Missing { .. })));
}

#[test]
fn weights_that_are_not_attached_are_missed() {
    let digest = WeightsDigest::of(b"elsewhere");
    let config = short(&[("network.init", digest.to_string().as_str().into())]);
    assert_eq!(engine::run(&config, &mut Unobserved), Err(EngineError::MissingWeights { digest }));
}

#[test]
fn training_path_k_is_the_same_whatever_the_batch_size() {
    // In currency and with a position that no feature moves, so that the batch's own normalisation has no part in it.
    let weights = weights_file(&TENSORS);
    let pnl = |batch: i64, epochs: i64| {
        let mut config = short(&[
            ("training.batch_size", Value::Int(batch)),
            ("training.epochs", Value::Int(epochs)),
            ("loss.units", "currency".into()),
            ("optimizer.lr", Value::Float(1e-30)),
            ("network.init", weights.digest().to_string().as_str().into()),
        ]);
        config.attach_weights(&weights);
        let mut diary = Diary::default();
        engine::run(&config, &mut diary).unwrap();
        diary.training_pnl
    };
    assert_eq!(pnl(6, 2), pnl(4, 3));
}

#[test]
fn seeds_differ_and_share_their_test_set() {
    let untrained = |seed| run(&paper(seed, &[("training.epochs", Value::Int(0))]));
    let (one, two) = (untrained(1), untrained(2));
    assert_ne!(one.metrics.get("test.loss"), two.metrics.get("test.loss"), "other weights");
    let prices = |result: &RunResult| result.path.iter().map(|point| point.price).collect::<Vec<f64>>();
    assert_eq!(prices(&one), prices(&two));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn one_config_gives_the_same_bits(
        seed in 0_u64..1000,
        kind in prop::sample::select(vec!["adam", "sgd", "kfac"]),
        loss in prop::sample::select(vec!["variance_plus_cost", "mean_variance", "entropic", "cvar"]),
        hidden in 1_i64..9,
        batch in 2_i64..9,
        steps in 1_i64..6,
    ) {
        let config = paper(seed, &[
            ("optimizer.kind", kind.into()),
            ("loss.kind", loss.into()),
            ("network.hidden", Value::Int(hidden)),
            ("training.batch_size", Value::Int(batch)),
            ("training.epochs", Value::Int(3)),
            ("market.steps", Value::Int(steps)),
            ("evaluation.validation_paths", Value::Int(3)),
            ("evaluation.test_paths", Value::Int(5)),
        ]);
        let (first, second) = (run(&config), run(&config));
        prop_assert_eq!(&first, &second);
        prop_assert_eq!(first.status, Status::Ok);
    }
}
