//! Preset `hedging`: what an experiment with a real option promises.

mod common;

use common::hedging;
use engine::{Observer, Phase, RunConfig, RunResult, Shared, Status, Unobserved, Value};

fn run(config: &RunConfig) -> RunResult {
    engine::run(config, &mut Unobserved).unwrap()
}

/// A run that is over quickly.
fn short(keys: &[(&str, Value)]) -> RunConfig {
    let defaults: [(&str, Value); 6] = [
        ("training.epochs", Value::Int(4)),
        ("training.paths", Value::Int(64)),
        ("training.batch_size", Value::Int(32)),
        ("network.hidden", Value::Int(6)),
        ("evaluation.validation_paths", Value::Int(40)),
        ("evaluation.test_paths", Value::Int(70)),
    ];
    let all: Vec<(&str, Value)> = defaults.into_iter().chain(keys.iter().cloned()).collect();
    hedging(3, &all)
}

fn metric(result: &RunResult, name: &str) -> f64 {
    result.metrics.get(name).unwrap_or_else(|| panic!("{name} is absent"))
}

#[test]
fn every_metric_of_the_catalogue_is_filled() {
    let result = run(&short(&[("training.target_loss", Value::Float(1e9))]));
    assert_eq!((result.status, result.error.as_deref()), (Status::Ok, None));
    for metric in engine::metrics::catalogue() {
        assert!(result.metrics.get(&metric.name).is_some(), "{}", metric.name);
    }
    // Reference: Lewis' formula for the default market.
    assert!((metric(&result, "contract.premium") - 3.405_283_957_9).abs() < 1e-9);
    let last = &result.path[50];
    assert_eq!((result.path.len(), last.position), (51, 0.0), "nothing is held after expiry");
}

#[test]
fn the_best_epochs_weights_are_the_result() {
    let config = short(&[("training.epochs", Value::Int(30)), ("optimizer.lr", Value::Float(0.5))]);
    let result = run(&config);
    let losses: Vec<f64> = result.curves.iter().map(|epoch| epoch.validation_loss.unwrap()).collect();
    let kept = metric(&result, "train.kept_epoch") as usize;
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses[kept - 1], best);
    assert_eq!(metric(&result, "validation.loss"), best);
    assert!(kept < 30, "with this learning rate the last epoch is not the best");
    // The same weights as those of a run that ends there.
    let until = short(&[
        ("training.epochs", Value::Int(kept as i64)),
        ("optimizer.lr", Value::Float(0.5)),
        ("training.keep", "last".into()),
    ]);
    assert_eq!(run(&until).metrics.get("test.loss"), result.metrics.get("test.loss"));
}

#[test]
fn averaged_weights_are_scored_and_kept_and_change_no_step() {
    let averaged =
        |decay: f64| run(&short(&[("training.average", Value::Float(decay)), ("optimizer.lr", 0.05.into())]));
    let (plain, mean) = (averaged(0.0), averaged(0.9));
    let losses = |result: &RunResult| result.curves.iter().map(|epoch| epoch.loss).collect::<Vec<_>>();
    assert_eq!(losses(&mean), losses(&plain), "training goes its way");
    let validation = |result: &RunResult| result.curves.iter().map(|epoch| epoch.validation_loss).collect::<Vec<_>>();
    assert!(validation(&mean).iter().zip(validation(&plain)).all(|(mean, plain)| *mean != plain));
    let kept = metric(&mean, "train.kept_epoch") as usize;
    assert_eq!(
        mean.curves[kept - 1].validation_loss,
        mean.metrics.get("validation.loss"),
        "what is kept is what was scored"
    );
    // A mean that forgets all but the last step rounds to its weights.
    assert_eq!(averaged(1e-12).metrics, plain.metrics);
}

#[test]
fn patience_ends_training() {
    let keys = [("training.epochs", Value::Int(40)), ("optimizer.lr", Value::Float(0.1))];
    let patient = run(&short(&[&keys[..], &[("training.patience", Value::Int(3))]].concat()));
    let (epochs, kept) = (metric(&patient, "train.epochs"), metric(&patient, "train.kept_epoch"));
    assert_eq!(epochs, kept + 3.0);
    assert_eq!(patient.curves.len(), epochs as usize);
    let whole = run(&short(&keys));
    assert_eq!(whole.curves[..patient.curves.len()], patient.curves[..], "patience changes nothing before it ends");
}

#[test]
fn an_epoch_visits_the_training_set_once() {
    #[derive(Default)]
    struct Samples(Vec<Vec<f32>>);
    impl Observer for Samples {
        fn samples(&mut self, set: engine::record::SampleSet, _: u32, pnl: &[f32], _: &[f32]) {
            if set == engine::record::SampleSet::Train {
                let mut sorted = pnl.to_vec();
                sorted.sort_by(f32::total_cmp);
                self.0.push(sorted);
            }
        }
    }
    // Weights that hardly move: what is left of the P&L is the paths'.
    let still = short(&[("optimizer.lr", Value::Float(1e-30)), ("training.epochs", Value::Int(2))]);
    let mut samples = Samples::default();
    engine::run(&still, &mut samples).unwrap();
    assert_eq!(samples.0[0].len(), 64);
    assert_eq!(samples.0[0], samples.0[1]);
}

#[test]
fn sharing_changes_no_number_and_computes_a_market_once() {
    let configs = [0, 1].map(|seed| {
        let mut config = short(&[]);
        config.seed = seed;
        config
    });
    let shared = Shared::default();
    for config in &configs {
        assert_eq!(engine::run_sharing(config, &shared, &mut Unobserved).unwrap(), run(config));
    }
    let [one, two] = configs.map(|config| engine::run_sharing(&config, &shared, &mut Unobserved).unwrap());
    for name in ["hedge.heston_delta.cvar95", "hedge.whalley_wilmott.mean_cost", "contract.premium"] {
        assert_eq!(one.metrics.get(name), two.metrics.get(name), "{name} depends on the market alone");
    }
    assert_ne!(one.metrics.get("test.cvar95"), two.metrics.get("test.cvar95"));
    // Another cost is another cell for the hedges, and the same paths.
    let dear = engine::run_sharing(&short(&[("costs.rate", Value::Float(0.01))]), &shared, &mut Unobserved).unwrap();
    assert_eq!(one.metrics.get("hedge.heston_delta.pnl_sd"), dear.metrics.get("hedge.heston_delta.pnl_sd"));
    assert!(metric(&dear, "hedge.heston_delta.mean_cost") > 9.9 * metric(&one, "hedge.heston_delta.mean_cost"));
}

#[test]
fn the_test_set_moves_no_normaliser() {
    let validation = |test_paths: i64| {
        let result = run(&short(&[("evaluation.test_paths", Value::Int(test_paths))]));
        (result.metrics.get("validation.loss"), result.curves)
    };
    assert_eq!(validation(70), validation(7));
    let first = |test_paths: i64| run(&short(&[("evaluation.test_paths", Value::Int(test_paths))])).path;
    assert_eq!(first(70), first(7), "nor a position on a test path");
    // Batch normalisation is what does look at the whole set.
    let batch = |test_paths: i64| {
        run(&short(&[("evaluation.test_paths", Value::Int(test_paths)), ("normalization", "batch".into())])).path
    };
    assert_ne!(batch(70), batch(7));
}

#[test]
fn turnover_falls_as_costs_rise() {
    let turnover = |rate: f64| {
        let keys = [("training.epochs", Value::Int(30)), ("optimizer.lr", Value::Float(0.02))];
        metric(&run(&short(&[&keys[..], &[("costs.rate", Value::Float(rate))]].concat())), "test.turnover")
    };
    let (free, dear) = (turnover(0.0), turnover(0.02));
    assert!(dear < 0.9 * free, "{dear} for {free}");
}

#[test]
fn phases_tell_simulation_training_and_evaluation_apart() {
    #[derive(Default)]
    struct Phases(Vec<Phase>);
    impl Observer for Phases {
        fn phase(&mut self, phase: Phase) {
            if self.0.last() != Some(&phase) {
                self.0.push(phase);
            }
        }
    }
    let mut phases = Phases::default();
    engine::run(&short(&[("training.epochs", Value::Int(1))]), &mut phases).unwrap();
    let (simulate, train, evaluate) = (Phase::Simulate, Phase::Train, Phase::Evaluate);
    // The training set, the validation set; two batches; the epoch's validation, then the two held-out sets.
    assert_eq!(phases.0, [simulate, evaluate, simulate, train, simulate, train, evaluate, Phase::Done]);
}

#[test]
fn puts_and_straddles_long_and_short_are_hedged() {
    for kind in ["european_call", "european_put", "straddle"] {
        let of = |side: &str| {
            run(&short(&[
                ("contract.kind", kind.into()),
                ("contract.side", side.into()),
                ("costs.rate", Value::Float(0.0)),
            ]))
        };
        let (short, long) = (of("short"), of("long"));
        assert_eq!((short.status, long.status), (Status::Ok, Status::Ok));
        for hedge in ["none", "black_scholes_delta", "heston_delta", "minimum_variance_delta"] {
            let [mean_short, mean_long] =
                [&short, &long].map(|result| metric(result, &format!("hedge.{hedge}.pnl_mean")));
            assert!((mean_short + mean_long).abs() < 1e-9, "{kind} {hedge}: one's gain is the other's loss");
        }
        // Hedging takes risk away on either side.
        for result in [&short, &long] {
            assert!(metric(result, "hedge.heston_delta.pnl_sd") < 0.6 * metric(result, "hedge.none.pnl_sd"), "{kind}");
        }
    }
}

#[test]
fn divergence_says_what_blew_up_and_leaves_no_number() {
    let result = run(&short(&[("market.mu", Value::Float(1e300))]));
    assert_eq!(result.status, Status::Diverged);
    assert_eq!(result.error.as_deref(), Some("epoch 1: the loss is not finite"));
    assert!(result.metrics.values().iter().all(Option::is_none));
}
