//! A finished sweep that is extended runs only what is new.

use hedgesweep_tests::{Sandbox, numbers, table, texts};

const SWEEP: &str = "\
name: extend
preset: paper
seeds: 3
parameters:
  training.epochs: {value: 2}
  evaluation.validation_paths: {value: 0}
  evaluation.test_paths: {value: 20}
  market.xi: {values: [0.3, 0.5]}
arms:
  adam:
    parameters: {optimizer.kind: {value: adam}}
";

/// Runs the sweep, and checks how many of its runs were done before and how many are new.
#[track_caller]
fn run(sandbox: &Sandbox, text: &str, done: usize, new: usize) {
    sandbox.write("extend.yaml", text);
    let finished = sandbox.coordinator(["--sweep", "extend.yaml"]).expect_code(0);
    let wanted = format!("{} runs, {done} done already, {new} to do", done + new);
    assert!(finished.stderr.contains(&wanted), "no {wanted:?} in:\n{}", finished.stderr);
    let runs = table(sandbox.path("results/extend/runs.parquet"));
    assert_eq!(runs.height(), done + new);
    let attempts = numbers(&runs, "host.attempt");
    assert!(attempts.iter().all(|attempt| *attempt == Some(1.0)), "{attempts:?}");
}

#[test]
fn by_nothing_by_a_value_by_seeds_by_an_arm() {
    let sandbox = Sandbox::new();
    run(&sandbox, SWEEP, 0, 6);
    run(&sandbox, SWEEP, 6, 0);
    let by_value = SWEEP.replace("[0.3, 0.5]", "[0.3, 0.4, 0.5]");
    run(&sandbox, &by_value, 6, 3);
    let by_seeds = by_value.replace("seeds: 3", "seeds: 13");
    run(&sandbox, &by_seeds, 9, 30);
    let by_arm = format!("{by_seeds}  sgd:\n    parameters: {{optimizer.kind: {{value: sgd}}}}\n");
    run(&sandbox, &by_arm, 39, 39);
}

#[test]
fn what_the_file_no_longer_asks_for_leaves_the_tables_and_is_counted() {
    let sandbox = Sandbox::new();
    run(&sandbox, SWEEP, 0, 6);
    sandbox.write("extend.yaml", SWEEP.replace("[0.3, 0.5]", "[0.3]"));
    let finished = sandbox.coordinator(["--sweep", "extend.yaml"]).expect_code(0);
    assert!(finished.stderr.contains("3 earlier runs"), "{}", finished.stderr);
    assert_eq!(table(sandbox.path("results/extend/runs.parquet")).height(), 3);
    run(&sandbox, SWEEP, 6, 0);
}

#[test]
fn a_run_that_lacks_what_is_to_be_recorded_runs_again() {
    let sandbox = Sandbox::new();
    let bare = format!("{SWEEP}record: {{curves: false}}\n");
    run(&sandbox, &bare, 0, 6);
    run(&sandbox, SWEEP, 0, 6);
    let sampled = format!("{SWEEP}record: {{samples: {{sets: [test], epochs: last}}}}\n");
    run(&sandbox, &sampled, 0, 6);
    let samples = table(sandbox.path("results/extend/samples.parquet"));
    assert_eq!(samples.height(), 6 * 20);
    assert!(texts(&samples, "set").iter().all(|set| set == "test"));
    // Neither of these two has all of the other: the one that is asked for counts.
    let trained = format!("{SWEEP}record: {{samples: {{sets: [train], epochs: all}}}}\n");
    run(&sandbox, &trained, 0, 6);
    let samples = table(sandbox.path("results/extend/samples.parquet"));
    assert_eq!(samples.height(), 6 * 2 * 32);
    assert!(texts(&samples, "set").iter().all(|set| set == "train"));
    run(&sandbox, &trained, 6, 0);
    // What is recorded beyond what is asked for does no harm.
    run(&sandbox, &bare, 6, 0);
}
