//! The numbers themselves, pinned: a run's id promises its bits, so whoever changes them must raise the version.

mod common;

use common::paper;
use engine::{NUMERIC_VERSION, RunConfig, RunResult, Unobserved, Value};

/// The version whose bits these are, and a digest of each run's metrics and curves.
const PINNED: (u32, [&str; 3]) =
    (1, ["989c7929bc8eac877974331d4289c30b", "8940a6b4933375b11af5620bdeddead3", "f1214b1f984f601acca4b5e5f58f5118"]);

fn configs() -> [RunConfig; 3] {
    let adam = paper(1, &[]);
    let kfac = paper(
        2,
        &[
            ("optimizer.kind", "kfac".into()),
            ("optimizer.rest", "adam".into()),
            ("optimizer.gradient_scale", "per_example".into()),
            ("loss.kind", "entropic".into()),
            ("training.epochs", Value::Int(30)),
            ("training.batch_size", Value::Int(13)),
        ],
    );
    let sgd = paper(
        3,
        &[
            ("optimizer.kind", "sgd".into()),
            ("optimizer.momentum", Value::Float(0.9)),
            ("loss.kind", "cvar".into()),
            ("loss.units", "currency".into()),
            ("costs.base", "notional".into()),
            ("costs.entry", Value::Bool(true)),
            ("costs.exit", Value::Bool(true)),
            ("market.scheme", "full_truncation".into()),
            ("market.s0", Value::Int(100)),
            ("market.generator", "numpy_mt19937".into()),
            ("market.generator_seed", Value::Int(11)),
            ("network.hidden", Value::Int(7)),
            ("training.epochs", Value::Int(20)),
        ],
    );
    [adam, kfac, sgd]
}

/// A digest of every bit of the metrics and curves.
fn digest(result: &RunResult) -> String {
    let mut bytes = Vec::new();
    let mut push = |value: Option<f64>| match value {
        Some(number) => bytes.extend_from_slice(&number.to_bits().to_le_bytes()),
        None => bytes.extend_from_slice(b"absent"),
    };
    result.metrics.values().iter().for_each(|value| push(*value));
    for epoch in &result.curves {
        let row = [epoch.loss, epoch.pnl_mean, epoch.pnl_variance, epoch.mean_cost, epoch.sharpe, epoch.grad_norm];
        row.into_iter().chain([epoch.damping, epoch.validation_loss]).for_each(&mut push);
    }
    for point in &result.path {
        [point.price, point.variance, point.position].into_iter().for_each(|number| push(Some(number)));
    }
    blake3::hash(&bytes).to_hex()[..32].to_owned()
}

#[test]
fn numbers_change_only_with_the_numeric_version() {
    let digests = configs().map(|config| digest(&engine::run(&config, &mut Unobserved).unwrap()));
    let (version, pinned) = PINNED;
    assert_eq!(version, NUMERIC_VERSION, "pin the new version's digests: {digests:?}");
    assert_eq!(digests, pinned, "the numbers have changed: raise NUMERIC_VERSION, then pin its digests");
}
