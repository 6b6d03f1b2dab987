//! The numbers themselves, pinned: a run's id promises its bits, so whoever changes them must raise the version.

mod common;

use common::{hedging, paper};
use engine::metrics::catalogue;
use engine::{NUMERIC_VERSION, RunConfig, RunResult, Unobserved, Value};

/// The version whose bits these are, and a digest of each run's metrics and curves.
const PINNED: (u32, [&str; 6]) = (
    6,
    [
        "a6d9d75705e269751a3d412122b68927",
        "1e2de8c70d4f0f3a4498fde04224f51e",
        "c729299271c8c30fb85511ed1d98ce3c",
        "543d37861f5d701aea3032f7f56d9de4",
        "8b513743faecf8e821e169a03649b254",
        "d13f29279824f4664ac299dc8ffc9e38",
    ],
);

fn configs() -> [RunConfig; 6] {
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
    let option = hedging(
        4,
        &[
            ("loss.kind", "mean_variance".into()),
            ("training.epochs", Value::Int(2)),
            ("training.paths", Value::Int(100)),
            ("network.hidden", Value::Int(12)),
            ("evaluation.validation_paths", Value::Int(50)),
            ("evaluation.test_paths", Value::Int(70)),
        ],
    );
    let curvature = paper(
        5,
        &[
            ("optimizer.kind", "kfac".into()),
            ("optimizer.layers", "all".into()),
            ("optimizer.bias", "homogeneous".into()),
            ("optimizer.fisher", "ggn".into()),
            ("optimizer.damping_split", "pi".into()),
            ("optimizer.damping_adapt", "levenberg_marquardt".into()),
            ("optimizer.kl_clip", Value::Float(1e-3)),
            ("optimizer.momentum", Value::Float(0.9)),
            ("network.hidden", Value::Int(8)),
            ("training.epochs", Value::Int(12)),
        ],
    );
    let whole = hedging(
        6,
        &[
            ("optimizer.kind", "kfac".into()),
            ("optimizer.fisher", "ggn".into()),
            ("optimizer.kl_clip", Value::Float(1e-3)),
            ("loss.kind", "entropic".into()),
            ("network.hidden", Value::Int(13)),
            ("training.paths", Value::Int(200)),
            ("training.batch_size", Value::Int(24)),
            ("training.average", Value::Float(0.9)),
            ("training.epochs", Value::Int(3)),
            ("evaluation.validation_paths", Value::Int(40)),
            ("evaluation.test_paths", Value::Int(70)),
        ],
    );
    [adam, kfac, sgd, option, curvature, whole]
}

/// A digest of every bit of the metrics and curves.
fn digest(result: &RunResult) -> String {
    let (mut bytes, mut names) = (Vec::new(), String::new());
    let mut push = |value: Option<f64>| match value {
        Some(number) => bytes.extend_from_slice(&number.to_bits().to_le_bytes()),
        None => bytes.extend_from_slice(b"absent"),
    };
    // By name, so that a metric that the catalogue gains changes nothing.
    for (metric, value) in catalogue().iter().zip(result.metrics.values()) {
        if value.is_some() {
            names.push_str(&metric.name);
            push(*value);
        }
    }
    for epoch in &result.curves {
        let row = [epoch.loss, epoch.pnl_mean, epoch.pnl_variance, epoch.mean_cost, epoch.sharpe, epoch.grad_norm];
        row.into_iter().chain([epoch.damping, epoch.validation_loss]).for_each(&mut push);
        [epoch.step_norm, epoch.trust_ratio, epoch.factor_condition].into_iter().for_each(&mut push);
    }
    for point in &result.path {
        [point.price, point.variance, point.position].into_iter().for_each(|number| push(Some(number)));
    }
    bytes.extend_from_slice(names.as_bytes());
    blake3::hash(&bytes).to_hex()[..32].to_owned()
}

#[test]
fn numbers_change_only_with_the_numeric_version() {
    let digests = configs().map(|config| digest(&engine::run(&config, &mut Unobserved).unwrap()));
    let (version, pinned) = PINNED;
    assert_eq!(version, NUMERIC_VERSION, "pin the new version's digests: {digests:?}");
    assert_eq!(digests, pinned, "the numbers have changed: raise NUMERIC_VERSION, then pin its digests");
}
