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
