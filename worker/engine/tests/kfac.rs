//! Whole runs with K-FAC: every setting trains, says what it does, and gives the same bits twice.

mod common;

use common::paper;
use engine::record::Epoch;
use engine::{RunResult, Status, Unobserved, Value};

const EPOCHS: usize = 60;

fn run(keys: &[(&str, Value)]) -> RunResult {
    run_with("kfac", keys)
}

fn run_with(kind: &str, keys: &[(&str, Value)]) -> RunResult {
    let short: [(&str, Value); 7] = [
        ("optimizer.kind", kind.into()),
        ("training.epochs", Value::Int(EPOCHS as i64)),
        ("evaluation.validation_paths", Value::Int(0)),
        ("evaluation.test_paths", Value::Int(0)),
        ("costs.rate", Value::Float(1e-3)),
        ("market.steps", Value::Int(20)),
        ("network.hidden", Value::Int(8)),
    ];
    let keys: Vec<(&str, Value)> = short.into_iter().chain(keys.iter().cloned()).collect();
    engine::run(&paper(5, &keys), &mut Unobserved).unwrap()
}

/// K-FAC as it is defined, on all layers.
fn proper<'a>(more: &[(&'a str, Value)]) -> Vec<(&'a str, Value)> {
    let proper: [(&str, Value); 6] = [
        ("optimizer.layers", "all".into()),
        ("optimizer.bias", "homogeneous".into()),
        ("optimizer.gradient_scale", "per_example".into()),
        ("optimizer.damping", Value::Float(0.3)),
        ("optimizer.lr", Value::Float(0.1)),
        ("optimizer.kl_clip", Value::Float(1e-3)),
    ];
    proper.into_iter().chain(more.iter().cloned()).collect()
}

fn settings() -> Vec<Vec<(&'static str, Value)>> {
    let mut settings = Vec::new();
    for fisher in ["empirical", "ggn"] {
        for sharing in ["expand", "reduce"] {
            for recurrent_factors in ["joint", "per_gate"] {
                for (damping_split, damping_adapt) in [("each", "none"), ("pi", "levenberg_marquardt")] {
                    settings.push(proper(&[
                        ("optimizer.fisher", fisher.into()),
                        ("optimizer.sharing", sharing.into()),
                        ("optimizer.recurrent_factors", recurrent_factors.into()),
                        ("optimizer.damping_split", damping_split.into()),
                        ("optimizer.damping_adapt", damping_adapt.into()),
                    ]));
                }
            }
        }
    }
    settings.push(proper(&[
        ("optimizer.momentum", Value::Float(0.9)),
        ("optimizer.ema", Value::Float(0.95)),
        ("optimizer.inverse_interval", Value::Int(5)),
        ("features", Value::List(["price", "variance", "previous_position"].map(Value::from).to_vec())),
    ]));
    settings
}

fn mean_loss(epochs: &[Epoch]) -> f64 {
    epochs.iter().map(|epoch| epoch.loss.unwrap()).sum::<f64>() / epochs.len() as f64
}

#[test]
fn every_setting_brings_the_loss_down_and_gives_the_same_bits_twice() {
    for keys in settings() {
        let result = run(&keys);
        assert_eq!(result.status, Status::Ok, "{keys:?}: {:?}", result.error);
        let (first, last) = (mean_loss(&result.curves[..3]), mean_loss(&result.curves[EPOCHS - 5..]));
        println!("{first:.5} to {last:.5}: {:?}", &keys[6..]);
        // Without an option the best is not to trade: the loss goes towards zero.
        assert!(last < 0.5 * first, "{keys:?}: {first} to {last}");
        assert_eq!(run(&keys).curves, result.curves);
    }
}

#[test]
fn the_curves_say_what_the_optimiser_does() {
    let adaptive = proper(&[("optimizer.damping_adapt", "levenberg_marquardt".into())]);
    let curves = run(&adaptive).curves;
    for epoch in &curves {
        // One step an epoch, so it looks at every fifth.
        assert_eq!(epoch.trust_ratio.is_some(), epoch.epoch % 5 == 0);
        assert!(epoch.factor_condition.unwrap() >= 1.0 && epoch.step_norm.unwrap() > 0.0);
    }
    assert_eq!(curves[4].damping, Some(0.3), "a row has the damping of its last step");
    assert_ne!(curves[5].damping, Some(0.3));
    let several = run(&[&adaptive[..], &[("training.batches_per_epoch", Value::Int(7))]].concat()).curves;
    assert!(several.iter().all(|epoch| epoch.trust_ratio.is_some()));
    let fixed = run(&[]).curves;
    assert!(fixed.iter().all(|epoch| epoch.trust_ratio.is_none() && epoch.damping == Some(0.01)));
    assert!(fixed.iter().all(|epoch| epoch.factor_condition.unwrap() > 1.0));
    for kind in ["adam", "sgd"] {
        for epoch in run_with(kind, &[]).curves {
            assert_eq!((epoch.damping, epoch.trust_ratio, epoch.factor_condition), (None, None, None));
            assert!(epoch.step_norm.unwrap() > 0.0);
        }
    }
}

#[test]
fn a_step_of_sgd_without_momentum_is_the_learning_rate_times_the_gradient() {
    let keys = [("optimizer.lr", Value::Float(0.5)), ("optimizer.layers", "head".into())];
    for epoch in run_with("sgd", &keys).curves {
        // The weights are f32 near one.
        let (norm, gradient) = (epoch.step_norm.unwrap(), epoch.grad_norm.unwrap());
        assert!((norm - 0.5 * gradient).abs() < 1e-6, "{norm} for {gradient}");
    }
}

#[test]
fn the_step_clip_bounds_adams_steps_too() {
    let adam = |more: &[(&str, Value)]| run_with("adam", more).curves;
    let (free, bound) = (adam(&[]), adam(&[("optimizer.kl_clip", Value::Float(1e-9))]));
    assert!(bound[0].step_norm.unwrap() < 0.5 * free[0].step_norm.unwrap());
    assert_eq!(adam(&[("optimizer.kl_clip", Value::Float(1e9))]), free, "a bound that does not bind changes no bit");
}

#[test]
fn a_factor_without_an_inverse_ends_the_run_or_raises_the_damping() {
    // Twelve path-steps and 32 gates: G is singular but for its rounding, and there is no damping to speak of.
    let singular = proper(&[
        ("training.batch_size", Value::Int(2)),
        ("market.steps", Value::Int(5)),
        ("optimizer.damping", Value::Float(1e-300)),
    ]);
    let fixed = run(&singular);
    assert_eq!(fixed.status, Status::Diverged);
    assert_eq!(fixed.error.as_deref(), Some("epoch 1: K-FAC's factor G of the LSTM cannot be inverted"));
    assert_eq!(fixed.curves.len(), 1);
    assert_eq!((fixed.curves[0].step_norm, fixed.curves[0].factor_condition), (None, None));
    let adaptive = run(&[&singular[..], &[("optimizer.damping_adapt", "levenberg_marquardt".into())]].concat());
    assert_eq!((adaptive.status, adaptive.curves.len()), (Status::Ok, EPOCHS), "{:?}", adaptive.error);
    assert!(adaptive.curves[1].damping.unwrap() >= 1e-8);
}
