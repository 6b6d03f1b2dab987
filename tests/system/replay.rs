//! The paper's tables, replayed through the whole system.

use hedgesweep_tests::{Sandbox, numbers, repository, table, texts};

/// The value of a column in the row whose other column has this text.
#[track_caller]
fn value(table: &polars::prelude::DataFrame, key: &str, text: &str, column: &str) -> f64 {
    let row = texts(table, key).iter().position(|candidate| candidate == text).expect("the row is there");
    numbers(table, column)[row].expect("not null")
}

#[test]
fn tables_1_and_2_come_out_to_the_printed_digits() {
    let sandbox = Sandbox::new();
    let sweep = repository().join("sweeps/paper_table2.yaml");
    let finished = sandbox.coordinator(["--sweep".as_ref(), sweep.as_os_str()]).expect_code(0);
    for printed in ["0.003176", "0.003432", "-0.0025", "0.002084", "0.000745", "0.0401", "-1.54", "56.88"] {
        assert!(finished.stdout.contains(printed), "no {printed} in:\n{}", finished.stdout);
    }

    let runs = table(sandbox.path("results/paper_table2/runs.parquet"));
    let row = |arm: &str| {
        format!(
            "{:.6} / {:.6} / {:.4}",
            value(&runs, "arm", arm, "train.pnl_variance"),
            value(&runs, "arm", arm, "train.mean_cost"),
            value(&runs, "arm", arm, "train.sharpe"),
        )
    };
    assert_eq!(row("adam"), "0.003176 / 0.003432 / -0.0025");
    assert_eq!(row("kfac"), "0.002084 / 0.000745 / 0.0401");

    let pooled = table(sandbox.path("results/paper_table2/pooled.parquet"));
    assert_eq!(pooled.height(), 2);
    let welch = |metric: &str| (value(&pooled, "metric", metric, "welch_t"), value(&pooled, "metric", metric, "p"));
    let (t, p) = welch("train.pnl");
    assert_eq!(format!("{t:.2}"), "-1.54");
    assert!((p - 0.1243).abs() <= 0.0005, "{p}");
    let (t, p) = welch("train.cost");
    assert_eq!(format!("{t:.2}"), "56.88");
    assert!(p <= 0.0005, "{p}");
    assert_eq!(format!("{:.6}", value(&pooled, "metric", "train.pnl", "variance")), "0.002084");
    assert_eq!(format!("{:.6}", value(&pooled, "metric", "train.cost", "baseline_mean")), "0.003432");

    let curves = table(sandbox.path("results/paper_table2/curves.parquet"));
    assert_eq!(curves.height(), 200);
}

/// The losses of an arm's run, epoch by epoch.
fn losses(sandbox: &Sandbox, out: &str, arm: &str) -> Vec<f64> {
    let runs = table(sandbox.path(out).join("runs.parquet"));
    let row = texts(&runs, "arm").iter().position(|candidate| candidate == arm).expect("the arm ran");
    let id = texts(&runs, "run_id")[row].clone();
    let curves = table(sandbox.path(out).join("curves.parquet"));
    let ids = texts(&curves, "run_id");
    let losses = numbers(&curves, "loss");
    ids.iter().zip(losses).filter(|(candidate, _)| **candidate == id).map(|(_, loss)| loss.expect("finite")).collect()
}

/// The largest relative deviation over the first `epochs` epochs.
fn deviation(actual: &[f64], expected: &serde_json::Value, epochs: usize) -> f64 {
    let expected: Vec<f64> = expected.as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect();
    assert_eq!(actual.len(), expected.len());
    actual.iter().zip(&expected).take(epochs).map(|(a, e)| (a - e).abs() / e.abs()).fold(0.0, f64::max)
}

fn expected(path: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(repository().join(path)).expect("the expected figures are there");
    serde_json::from_str(&text).expect("valid JSON")
}

#[test]
fn each_epochs_loss_is_the_notebooks() {
    let sandbox = Sandbox::new();
    let sweep = repository().join("sweeps/paper_table2.yaml");
    sandbox.coordinator(["--sweep".as_ref(), sweep.as_os_str(), "--out".as_ref(), "out".as_ref()]).expect_code(0);
    let expected = expected("sweeps/paper/seed42_expected.json");
    let adam = losses(&sandbox, "out", "adam");
    assert!(deviation(&adam, &expected["adam"]["loss_history"], 10) <= 5e-5);
    assert!(deviation(&adam, &expected["adam"]["loss_history"], 100) <= 1e-4);
    let kfac = losses(&sandbox, "out", "kfac");
    assert!(deviation(&kfac, &expected["kfac"]["loss_history"], 30) <= 1e-4);
    assert!(deviation(&kfac, &expected["kfac"]["loss_history"], 100) <= 0.05);
}

#[test]
fn another_seed_with_other_weights_replays_as_well() {
    let sandbox = Sandbox::new();
    let text = std::fs::read_to_string(repository().join("sweeps/paper_table2.yaml")).unwrap();
    let text = text.replace("market.generator_seed: {value: 42}", "market.generator_seed: {value: 7}");
    let text = text.replace("paper/seed42_", "weights/seed7_");
    for arm in ["adam", "kfac"] {
        let name = format!("seed7_{arm}_init.safetensors");
        let weights = std::fs::read(repository().join("worker/engine/tests/golden").join(&name)).unwrap();
        sandbox.write(&format!("weights/{name}"), weights);
    }
    sandbox.write("other.yaml", text);
    sandbox.coordinator(["--sweep", "other.yaml", "--out", "out"]).expect_code(0);
    let expected = expected("worker/engine/tests/golden/seed7_expected.json");
    assert!(deviation(&losses(&sandbox, "out", "adam"), &expected["adam"]["loss_history"], 10) <= 5e-5);
    assert!(deviation(&losses(&sandbox, "out", "kfac"), &expected["kfac"]["loss_history"], 10) <= 1e-3);
    let runs = table(sandbox.path("out/runs.parquet"));
    for arm in ["adam", "kfac"] {
        for (metric, name) in [("train.pnl_variance", "pnl_variance"), ("train.mean_cost", "mean_cost")] {
            let (actual, wanted) = (value(&runs, "arm", arm, metric), expected[arm][name].as_f64().unwrap());
            assert!((actual - wanted).abs() <= 0.03 * wanted, "{arm} {metric}: {actual} for {wanted}");
        }
    }
    let pooled = table(sandbox.path("out/pooled.parquet"));
    for (metric, name, bound) in [("train.pnl", "pnl", 0.1), ("train.cost", "cost", 0.5)] {
        let (actual, wanted) =
            (value(&pooled, "metric", metric, "welch_t"), expected["welch"][name]["t"].as_f64().unwrap());
        assert!((actual - wanted).abs() <= bound, "{metric}: {actual} for {wanted}");
    }
}
