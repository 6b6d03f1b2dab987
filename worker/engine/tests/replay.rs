//! The paper's experiment, replayed against its notebook's figures.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::paper;
use engine::network::InitialWeights;
use engine::record::SampleSet;
use engine::{Observer, RunResult, Status, Value};
use serde_json::Value as Json;

/// Keeps every training path's P&L and cost.
#[derive(Default)]
struct TrainingSamples {
    pnl: Vec<f64>,
    cost: Vec<f64>,
}

impl Observer for TrainingSamples {
    fn samples(&mut self, set: SampleSet, _epoch: u32, pnl: &[f32], cost: &[f32]) {
        if set == SampleSet::Train {
            self.pnl.extend(pnl.iter().copied().map(f64::from));
            self.cost.extend(cost.iter().copied().map(f64::from));
        }
    }
}

/// One arm of the notebook's experiment, from a file's initial weights and in NumPy's stream.
fn notebook_run(folder: &Path, numpy_seed: i64, kind: &str, normals_taken: i64) -> (RunResult, TrainingSamples) {
    #[expect(clippy::disallowed_methods, reason = "a test reads its fixture")]
    let content = std::fs::read(folder.join(format!("seed{numpy_seed}_{kind}_init.safetensors"))).unwrap();
    let weights = Arc::new(InitialWeights::parse(&content).unwrap());
    let digest = weights.digest().to_string();
    let mut config = paper(
        0,
        &[
            ("optimizer.kind", kind.into()),
            ("market.generator", "numpy_mt19937".into()),
            ("market.generator_seed", Value::Int(numpy_seed)),
            ("market.generator_skip", Value::Int(normals_taken)),
            ("network.init", digest.as_str().into()),
        ],
    );
    config.check_weights(&weights).unwrap();
    config.attach_weights(&weights);
    let mut samples = TrainingSamples::default();
    let result = engine::run(&config, &mut samples).unwrap();
    (result, samples)
}

/// Both arms, as the notebook runs them: K-FAC goes on in the stream where Adam stopped.
struct Replay {
    expected: Json,
    arms: [(&'static str, RunResult, TrainingSamples); 2],
}

impl Replay {
    fn of(folder: &Path, seed: i64) -> Replay {
        #[expect(clippy::disallowed_methods, reason = "a test reads its fixture")]
        let expected = std::fs::read_to_string(folder.join(format!("seed{seed}_expected.json"))).unwrap();
        let arms = [("adam", 0), ("kfac", 320_000)].map(|(kind, normals_taken)| {
            let (result, samples) = notebook_run(folder, seed, kind, normals_taken);
            assert_eq!(result.status, Status::Ok);
            (kind, result, samples)
        });
        Replay { expected: serde_json::from_str(&expected).unwrap(), arms }
    }

    /// The largest relative deviation of an arm's losses over the first `epochs`, from epoch `from` (counted from 0).
    fn loss_deviation(&self, arm: usize, epochs: std::ops::Range<usize>) -> f64 {
        let (kind, result, _) = &self.arms[arm];
        let expected = self.expected[kind]["loss_history"].as_array().unwrap();
        assert_eq!(result.curves.len(), expected.len());
        let deviation = |epoch: usize| {
            let expected = expected[epoch].as_f64().unwrap();
            (result.curves[epoch].loss.unwrap() - expected).abs() / expected
        };
        epochs.map(deviation).fold(0.0, f64::max)
    }

    fn expected(&self, arm: usize, name: &str) -> f64 {
        self.expected[self.arms[arm].0][name].as_f64().unwrap()
    }

    fn metric(&self, arm: usize, name: &str) -> f64 {
        self.arms[arm].1.metrics.get(name).unwrap()
    }

    /// Welch's t of Adam minus K-FAC over the training paths, for P&L and cost.
    fn welch(&self) -> [f64; 2] {
        let [(_, _, adam), (_, _, kfac)] = &self.arms;
        [welch_t(&adam.pnl, &kfac.pnl), welch_t(&adam.cost, &kfac.cost)]
    }
}

fn welch_t(a: &[f64], b: &[f64]) -> f64 {
    let moments = |sample: &[f64]| {
        let count = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / count;
        let variance = sample.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    };
    let ((mean_a, error_a), (mean_b, error_b)) = (moments(a), moments(b));
    (mean_a - mean_b) / (error_a + error_b).sqrt()
}

/// Two-sided p of a t with thousands of degrees of freedom: normal to 1e-4.
fn p_value(t: f64) -> f64 {
    libm::erfc(t.abs() / std::f64::consts::SQRT_2)
}

#[test]
fn table_2_comes_out_to_every_printed_digit() {
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sweeps/paper");
    let replay = Replay::of(&published, 42);
    for (arm, variance, cost, sharpe) in [(0, "0.003176", "0.003432", "-0.0025"), (1, "0.002084", "0.000745", "0.0401")]
    {
        assert_eq!(format!("{:.6}", replay.metric(arm, "train.pnl_variance")), variance);
        assert_eq!(format!("{:.6}", replay.metric(arm, "train.mean_cost")), cost);
        assert_eq!(format!("{:.4}", replay.metric(arm, "train.sharpe")), sharpe);
    }
    let [pnl, cost] = replay.welch();
    println!("t {pnl:.6} {cost:.6} p {:.5} {:.5}", p_value(pnl), p_value(cost));
    for arm in 0..2 {
        let deviations = [0..10, 0..30, 0..100].map(|epochs| replay.loss_deviation(arm, epochs));
        println!("{}: {deviations:?}", replay.arms[arm].0);
        for name in ["pnl_variance", "mean_cost", "sharpe"] {
            println!(
                "{name} {:.8} for {:.8}",
                replay.metric(arm, &format!("train.{name}")),
                replay.expected(arm, name)
            );
        }
    }
    assert_eq!([format!("{pnl:.2}"), format!("{cost:.2}")], ["-1.54", "56.88"]);
    assert!((p_value(pnl) - 0.1243).abs() < 0.0005);
    assert!(p_value(cost) < 0.0005);
    assert!(replay.loss_deviation(0, 0..10) < 5e-5);
    assert!(replay.loss_deviation(0, 0..100) < 1e-4);
    assert!(replay.loss_deviation(1, 0..30) < 1e-4);
    assert!(replay.loss_deviation(1, 30..100) < 5e-2);
}

#[test]
fn another_seed_follows_the_notebook_too() {
    let golden: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let replay = Replay::of(&golden, 7);
    let [pnl, cost] = replay.welch();
    let expected = |name: &str| replay.expected["welch"][name]["t"].as_f64().unwrap();
    println!("t {pnl:.6} {cost:.6} for {} {}", expected("pnl"), expected("cost"));
    for arm in 0..2 {
        let deviations = [0..10, 0..30, 0..100].map(|epochs| replay.loss_deviation(arm, epochs));
        println!("{}: {deviations:?}", replay.arms[arm].0);
        for name in ["pnl_variance", "mean_cost"] {
            let (ours, expected) = (replay.metric(arm, &format!("train.{name}")), replay.expected(arm, name));
            println!("{name} {ours:.8} for {expected:.8}");
            assert!((ours / expected - 1.0).abs() < 0.03, "{name}");
        }
    }
    assert!(replay.loss_deviation(0, 0..10) < 5e-5);
    assert!(replay.loss_deviation(1, 0..10) < 1e-3);
    assert!((pnl - expected("pnl")).abs() < 0.1);
    assert!((cost - expected("cost")).abs() < 0.5);
}
