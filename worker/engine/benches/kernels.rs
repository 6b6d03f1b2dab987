//! The engine's kernels by themselves: `cargo bench -p engine`, or `… -- forward/32` for some of them.
//!
//! `worker bench` says how near to the machine's peak they are; this says whether a change made one faster.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use engine::features::{Inputs, Scales, ScalesFit};
use engine::market::Paths;
use engine::network::{Dims, Gradient, InputShape, Lstm, Network, Policy, Scope, draw_weights};
use engine::pnl::{Accounts, Moves};
use engine::random::{Normals, Purpose, StreamPerPath};
use engine::speed::lstm_flops;
use engine::trainer::{Trainer, TrainerParts};
use engine::{Preset, RunConfig, Value};

const INPUTS: usize = 4;
const POINTS: usize = 50;

/// An LSTM, its weights, and inputs for a batch.
struct Pass {
    policy: Box<dyn Policy<f32>>,
    weights: Vec<f32>,
    inputs: Vec<f32>,
    dims: Dims,
}

impl Pass {
    fn new(hidden: u64, batch: usize) -> Pass {
        let network = Network::Lstm(Lstm { hidden, ..Lstm::default() });
        let weights = draw_weights(&network.layout(INPUTS), 1).into_iter().map(|weight| weight as f32).collect();
        let inputs = (0..batch * POINTS * INPUTS).map(|place| (place * 7919 % 1000) as f32 / 500.0 - 1.0).collect();
        let policy = network.policy(InputShape { count: INPUTS, fed_back: None }, batch);
        Pass { policy, weights, inputs, dims: Dims { batch, time: POINTS } }
    }

    fn forward(&mut self) {
        self.policy.forward(&self.weights, &mut self.inputs, self.dims);
    }
}

/// Forward and backward at the sizes that occur; a criterion "element" is a floating-point operation.
fn passes(criterion: &mut Criterion) {
    for direction in ["forward", "backward"] {
        let mut group = criterion.benchmark_group(direction);
        for (hidden, batch) in
            [8, 32, 64, 128].into_iter().flat_map(|hidden| [32, 256, 1024].map(|batch| (hidden, batch)))
        {
            let [forward, backward] = lstm_flops((batch * POINTS) as u64, INPUTS as u64, hidden);
            let mut pass = Pass::new(hidden, batch);
            let id = BenchmarkId::new(hidden.to_string(), batch);
            if direction == "forward" {
                group.throughput(Throughput::Elements(forward as u64));
                group.bench_function(id, |bencher| bencher.iter(|| pass.forward()));
            } else {
                let d_positions = vec![1e-3; batch * POINTS];
                let mut d_weights = vec![0.0; pass.weights.len()];
                pass.forward();
                group.throughput(Throughput::Elements(backward as u64));
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        let out = Gradient::of_weights(&mut d_weights);
                        pass.policy.backward(&pass.weights, &pass.inputs, &d_positions, Scope::All, out);
                    });
                });
            }
        }
        group.finish();
    }
}

fn config(preset: Preset, keys: &[(&str, Value)]) -> RunConfig {
    RunConfig::resolve(preset, 0, keys.iter().map(|(key, value)| (*key, value))).expect("the keys fit together")
}

/// A path's normals, and a batch of paths under every scheme.
fn simulation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("simulation");
    let mut source = StreamPerPath { purpose: Purpose::Test, seed: 0 };
    let mut normals = vec![0.0; 100];
    group.throughput(Throughput::Elements(100));
    group.bench_function("normals", |bencher| bencher.iter(|| source.fill(black_box(7), &mut normals)));
    for scheme in ["absorption", "full_truncation", "qe"] {
        let config = config(Preset::Paper, &[("market.scheme", scheme.into())]);
        let model = config.market.model();
        let mut paths = Paths::zeros(32, model.steps() + 1);
        group.throughput(Throughput::Elements(32));
        group.bench_function(scheme, |bencher| bencher.iter(|| paths.simulate(model, &mut source, black_box(64))));
    }
    group.finish();
}

/// A gradient step of every optimiser on a batch of 32 paths, features and P&L included; an "element" is a path.
fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(32));
    let kfac: [(&str, Value); 2] = [("optimizer.kind", "kfac".into()), ("optimizer.kl_clip", Value::Float(1e-3))];
    let ggn: [(&str, Value); 1] = [("optimizer.fisher", "ggn".into())];
    let joint: [(&str, Value); 1] = [("optimizer.recurrent_factors", "joint".into())];
    for (name, keys) in [
        ("adam", vec![]),
        ("sgd", vec![("optimizer.kind", "sgd".into())]),
        ("kfac, empirical, G per gate", kfac.to_vec()),
        ("kfac, GGN, G per gate", [&kfac[..], &ggn].concat()),
        ("kfac, GGN, joint G", [&kfac[..], &ggn, &joint].concat()),
    ] {
        let config = config(Preset::Hedging, &keys);
        let model = config.market.model();
        let mut paths = Paths::zeros(32, model.steps() + 1);
        paths.simulate(model, &mut StreamPerPath { purpose: Purpose::Test, seed: 0 }, 0);
        let accounts = Accounts::of(&config).expect("the preset has a price");
        let features = Inputs::of(&config);
        let mut fit = ScalesFit::new(features.clone());
        fit.push(&paths);
        let scales: Scales = fit.scales();
        let layout = config.network.layout(config.features.features.len());
        let mut trainer = Trainer::<f32>::new(TrainerParts {
            policy: config.policy(),
            layout: &layout,
            weights: draw_weights(&layout, 1).into_iter().map(|weight| weight as f32).collect(),
            stepper: config.optimizer.stepper(&layout),
            objective: config.loss.objective(),
            costs: config.costs.model(),
            grad_clip: config.training.grad_clip,
        });
        let (mut inputs, mut moves) = (Vec::new(), Moves::default());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                features.fill(&paths, &scales, &mut inputs);
                moves.fill(&paths, &accounts, &scales);
                black_box(trainer.step(&mut inputs, &moves))
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = kernels;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2));
    targets = passes, simulation, steps
}
criterion_main!(kernels);
