//! Sweeps of preset `hedging`: what they refuse, what they report of the classical hedges, and what a run prints.

use hedgesweep_tests::{Sandbox, numbers, table, texts};

/// A sweep that takes a second.
const SWEEP: &str = "\
name: options
preset: hedging
seeds: 2
metric: {name: test.cvar95, goal: minimize}
parameters:
  market.rho: {value: -0.7}
  costs.rate: {values: [0.0, 0.02]}
  loss.kind: {value: cvar}
  loss.alpha: {value: 0.9}
  contract.strike: {value: 100}
  network.hidden: {value: 6}
  training.paths: {value: 64}
  training.batch_size: {value: 32}
  training.epochs: {value: 15}
  evaluation.validation_paths: {value: 50}
  evaluation.test_paths: {value: 200}
arms:
  adam:
    parameters:
      optimizer.kind: {value: adam}
      optimizer.lr: {value: 0.02}
  wild:
    parameters:
      optimizer.kind: {value: sgd}
      optimizer.lr: {value: 1e38}
compare: {baseline: adam, metrics: [test.cvar95, test.turnover]}
";

/// The sweep with one line changed is refused, with everything in `wanted`, and nothing is written.
#[track_caller]
fn refused(from: &str, to: &str, wanted: &[&str]) {
    assert!(SWEEP.contains(from), "the replacement has nothing to replace");
    let sandbox = Sandbox::new();
    sandbox.write("bad.yaml", SWEEP.replacen(from, to, 1));
    let finished = sandbox.coordinator(["--sweep", "bad.yaml"]).expect_code(2);
    for part in wanted {
        assert!(finished.stderr.contains(part), "no {part:?} in:\n{}", finished.stderr);
    }
    assert!(!sandbox.path("results").exists(), "a refused sweep writes nothing");
}

#[test]
fn what_cannot_be_hedged_is_refused_before_any_task_runs() {
    for strike in ["0", "-100"] {
        let line = format!("contract.strike: {{value: {strike}}}");
        refused("contract.strike: {value: 100}", &line, &["bad.yaml:10", "contract.strike", "> 0"]);
    }
    for alpha in ["1", "1.5", "-0.1"] {
        let line = format!("loss.alpha: {{value: {alpha}}}");
        refused("loss.alpha: {value: 0.9}", &line, &["bad.yaml:9", "loss.alpha", "≥ 0 and < 1"]);
    }
    refused("[0.0, 0.02]", "[0.0, -0.02]", &["bad.yaml:7", "costs.rate", "-0.02", "≥ 0"]);
    refused(
        "training.batch_size: {value: 32}",
        "training.batch_size: {value: 65}",
        &["training.batch_size", "65 is larger than the training set, training.paths 64"],
    );
    let bare = "contract.kind: {value: none}";
    refused("contract.strike: {value: 100}", bare, &["features", "log_moneyness", "contract.kind none"]);
    let large = "market.rho: {value: 0.9}\n  market.xi: {value: 3}\n  market.dt: {value: 1}";
    refused("market.rho: {value: -0.7}", large, &["market.dt", "martingale correction", "full_truncation"]);
}

#[test]
fn classical_hedges_stand_beside_the_arms_and_turnover_falls_with_costs() {
    let sandbox = Sandbox::new();
    sandbox.write("options.yaml", SWEEP);
    let finished = sandbox.coordinator(["--sweep", "options.yaml"]).expect_code(0);
    for part in ["hedge.whalley_wilmott_heston", "hedge.none", "baseline"] {
        assert!(finished.stdout.contains(part), "no {part:?} in:\n{}", finished.stdout);
    }
    let comparisons = table(sandbox.path("results/options/comparisons.parquet"));
    let arms = texts(&comparisons, "arm");
    // Two metrics and two cells, each with the other arm and six hedges; and the hedges across both cells, where the arm that
    // diverged in both has nothing.
    assert_eq!((arms.len(), arms.iter().filter(|arm| arm.starts_with("hedge.")).count()), (40, 36));

    let runs = table(sandbox.path("results/options/runs.parquet"));
    let (rates, status) = (numbers(&runs, "costs.rate"), texts(&runs, "status"));
    let columns = ["test.turnover", "hedge.heston_delta.cvar95", "hedge.whalley_wilmott.turnover", "contract.premium"];
    let [turnover, delta, band, premium] = columns.map(|name| numbers(&runs, name));
    let of = |column: &[Option<f64>], rate: f64| -> Vec<f64> {
        (0..column.len()).filter(|row| rates[*row] == Some(rate)).filter_map(|row| column[row]).collect()
    };
    assert!(of(&turnover, 0.02).iter().zip(of(&turnover, 0.0)).all(|(dear, free)| *dear < free), "{turnover:?}");
    assert!(of(&band, 0.02)[0] < 0.5 * of(&band, 0.0)[0], "a band is wider where trading is dear");
    for rate in [0.0, 0.02] {
        let values = of(&delta, rate);
        assert_eq!(values.len(), 2, "one for each seed");
        assert!(values.iter().all(|value| *value == values[0]), "a hedge depends on its cell alone");
    }
    // A diverged run says where and what, and has no numbers, not even those that were known before it diverged.
    let errors = runs.column("error").unwrap().str().unwrap().clone();
    for row in 0..runs.height() {
        if texts(&runs, "arm")[row] == "wild" {
            assert_eq!(status[row], "diverged");
            let error = errors.get(row).unwrap();
            assert!(error.starts_with("epoch 1: "), "{error}");
            assert_eq!([turnover[row], delta[row], premium[row]], [None; 3]);
        } else {
            assert!((premium[row].unwrap() - 3.405_283_957_9).abs() < 1e-9);
        }
    }
}

#[test]
fn how_soon_the_arms_arrive_is_a_table_where_every_epoch_is_scored() {
    let sandbox = Sandbox::new();
    sandbox.write("options.yaml", SWEEP);
    let finished = sandbox.coordinator(["--sweep", "options.yaml"]).expect_code(0);
    for part in ["epochs and seconds to the validation loss at which adam ends", "convergence.parquet"] {
        assert!(finished.stdout.contains(part), "no {part:?} in:\n{}", finished.stdout);
    }
    let path = sandbox.path("results/options/convergence.parquet");
    let convergence = table(&path);
    let columns = [
        "cell",
        "arm",
        "variant",
        "baseline",
        "baseline_variant",
        "stage",
        "n",
        "reached",
        "target_mean",
        "epochs_median",
        "baseline_epochs_median",
        "epochs_ratio",
        "epochs_ratio_low",
        "epochs_ratio_high",
        "seconds_median",
        "baseline_seconds_median",
        "seconds_ratio",
        "seconds_ratio_low",
        "seconds_ratio_high",
        "p_sign",
    ];
    assert_eq!(convergence.get_column_names(), columns);
    // Two cells, and an arm that diverges at once.
    assert_eq!(texts(&convergence, "arm"), ["wild", "wild"]);
    for (column, expected) in [("n", Some(2.0)), ("reached", Some(0.0)), ("epochs_median", None), ("p_sign", Some(0.5))]
    {
        assert_eq!(numbers(&convergence, column), [expected; 2], "{column}");
    }
    // The target is the loss of the epoch that a run keeps.
    let runs = table(sandbox.path("results/options/runs.parquet"));
    let arms = texts(&runs, "arm");
    for (name, column) in [("validation.loss", "target_mean"), ("train.kept_epoch", "baseline_epochs_median")] {
        let values = numbers(&runs, name);
        let adam: Vec<f64> = (0..arms.len()).filter(|row| arms[*row] == "adam").filter_map(|row| values[row]).collect();
        for (cell, found) in numbers(&convergence, column).into_iter().enumerate() {
            // Both seeds of a cell stand together, and their mean is their median.
            let expected = (adam[2 * cell] + adam[2 * cell + 1]) / 2.0;
            assert!((found.unwrap() - expected).abs() <= 1e-12 * expected, "{name}: {found:?} for {expected}");
        }
    }
    let last = ["--sweep", "options.yaml", "--set", "training.keep=last"];
    let finished = sandbox.coordinator(last).expect_code(0);
    assert!(!finished.stdout.contains("epochs and seconds"), "{}", finished.stdout);
    assert!(!path.exists(), "a table of an earlier version of the sweep stays");
}

/// The premium that `worker run` prints for a market.
fn premium(keys: &str) -> f64 {
    let sandbox = Sandbox::new();
    let nothing = "training.epochs: 0\nevaluation.validation_paths: 0\nevaluation.test_paths: 0\nevaluation.hedges: []";
    sandbox.write("run.yaml", format!("preset: hedging\ntraining.keep: last\n{nothing}\n{keys}"));
    let finished = sandbox.worker(["run", "run.yaml"]).expect_code(0);
    let json: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    json["metrics"]["contract.premium"].as_f64().unwrap()
}

#[test]
fn published_prices_come_out_as_the_premium() {
    // v0, θ, κ, ξ, ρ, T and prices of calls by strike at a spot of 100 and a rate of 0.
    type Row = ([f64; 6], &'static [(f64, f64)]);
    let table: [Row; 4] = [
        (
            [0.04, 0.04, 0.5, 1.0, -0.9, 10.0],
            &[(60.0, 44.329_975_070_2), (100.0, 13.084_670_137_0), (140.0, 0.295_774_435_8)],
        ),
        (
            [0.04, 0.04, 0.3, 0.9, -0.5, 15.0],
            &[(60.0, 45.286_863_970_0), (100.0, 16.649_222_920_4), (140.0, 5.138_190_493_8)],
        ),
        (
            [0.04, 0.04, 2.0, 0.5, -0.7, 0.2],
            &[(90.0, 10.775_594_381_2), (100.0, 3.405_283_957_9), (110.0, 0.292_590_499_3)],
        ),
        (
            [0.04, 0.04, 2.0, 0.5, -0.7, 1.0],
            &[(90.0, 13.745_601_828_8), (100.0, 7.192_552_080_4), (110.0, 2.831_118_412_5)],
        ),
    ];
    for ([v0, theta, kappa, xi, rho, maturity], prices) in table {
        for (strike, expected) in prices {
            let market = format!(
                "market: {{v0: {v0}, theta: {theta}, kappa: {kappa}, xi: {xi}, rho: {rho}, steps: 10, dt: {maturity}/10}}"
            );
            let call = premium(&format!("{market}\ncontract.strike: {strike}"));
            assert!((call - expected).abs() <= 1e-9, "{market} {strike}: {call} for {expected}");
            let put = premium(&format!("{market}\ncontract: {{kind: european_put, strike: {strike}}}"));
            assert!((call - put - (100.0 - strike)).abs() <= 1e-10, "{market} {strike}: put–call parity");
        }
    }
}
