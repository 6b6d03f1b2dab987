//! `coordinator plan`, `schema` and the files that ship.

use hedgesweep_tests::{Sandbox, repository};

#[test]
fn a_million_runs_are_counted_with_what_is_done() {
    let sandbox = Sandbox::new();
    let text = "\
name: million
preset: paper
seeds: 1000
parameters:
  training.epochs: {value: 0}
  evaluation.validation_paths: {value: 0}
  evaluation.test_paths: {value: 0}
  market.xi: {min: 0.1, max: 1.0, count: 10}
  optimizer.lr: {min: 1e-5, max: 1e-1, distribution: log_uniform_values, count: 100}
record: {curves: false}
";
    sandbox.write("million.yaml", text);
    let planned = sandbox.coordinator(["plan", "million.yaml"]).expect_code(0);
    assert!(planned.stdout.contains("1,000,000"), "{}", planned.stdout);
    assert!(!sandbox.path("results").exists(), "planning writes nothing");

    // One cell of it, run under the same name into the same output.
    let one = text.replace("{min: 0.1, max: 1.0, count: 10}", "{value: 0.1}").replace("count: 100", "count: 3");
    sandbox.write("one.yaml", one);
    sandbox.coordinator(["--sweep", "one.yaml"]).expect_code(0);
    let planned = sandbox.coordinator(["plan", "million.yaml"]).expect_code(0);
    // Both ends of the logarithmic grid are in both; the middle is the fiftieth of neither.
    assert!(planned.stdout.contains("2,000"), "{}", planned.stdout);
}

#[test]
fn the_committed_schema_is_what_the_command_prints() {
    let sandbox = Sandbox::new();
    let printed = sandbox.coordinator(["schema"]).expect_code(0);
    let committed = std::fs::read_to_string(repository().join("sweeps/sweep.schema.json")).unwrap();
    assert!(printed.stdout == committed, "run `coordinator schema > sweeps/sweep.schema.json`");
}

#[test]
fn every_sweep_that_ships_plans_without_a_warning() {
    let sandbox = Sandbox::new();
    let mut count = 0;
    for entry in std::fs::read_dir(repository().join("sweeps")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let planned = sandbox.coordinator(["plan".as_ref(), path.as_os_str()]).expect_code(0);
            assert_eq!(planned.stderr, "", "{}", path.display());
            count += 1;
        }
    }
    assert!(count >= 6, "only {count} sweeps found");
}
