//! One sweep gives the same tables whoever computes it, however often it is interrupted.

use std::collections::BTreeSet;
use std::path::Path;

use hedgesweep_tests::{Background, Sandbox, table, texts, without_provenance};
use polars::prelude::DataFrame;

/// Forty-eight runs that together take some seconds.
pub(crate) const SWEEP: &str = "\
name: same
preset: paper
seeds: 8
parameters:
  training.epochs: {value: 40}
  evaluation.validation_paths: {value: 50}
  evaluation.test_paths: {value: 50}
  market.xi: {values: [0.3, 0.7]}
arms:
  adam: {parameters: {optimizer.kind: {value: adam}}}
  kfac: {parameters: {optimizer.kind: {value: kfac}, optimizer.damping: {values: [1e-3, 1e-2]}}}
compare: {baseline: adam, metrics: [test.loss, test.cvar95]}
record: {samples: {sets: [test], epochs: last}}
";

pub(crate) const RUNS: usize = 48;

/// What a run's log says when the engine has finished it.
pub(crate) const FINISHED: &str = "run finished";

/// The tables that must not depend on who computed them, provenance aside.
pub(crate) fn tables(out: &Path) -> Vec<DataFrame> {
    ["runs", "curves", "paths", "samples", "comparisons"]
        .map(|name| without_provenance(&table(out.join(format!("{name}.parquet")))))
        .into()
}

/// Equality bit for bit: null equals null, and there is no NaN to differ from itself.
#[track_caller]
pub(crate) fn assert_same(what: &str, tables: &[DataFrame], expected: &[DataFrame]) {
    for (actual, expected) in tables.iter().zip(expected) {
        assert!(actual.equals_missing(expected), "{what}: {:?} differs", expected.get_column_names());
    }
}

/// The ids of the runs that the engine finished, from a log.
pub(crate) fn finished_runs(log: &str) -> Vec<String> {
    log.lines()
        .filter(|line| line.contains(FINISHED))
        .map(|line| {
            let id = line.split("run_id=").nth(1).expect("the log names the run");
            id.chars().take(32).collect()
        })
        .collect()
}

fn one_slot(sandbox: &Sandbox) -> Vec<DataFrame> {
    sandbox.write("same.yaml", SWEEP);
    sandbox.coordinator(["--sweep", "same.yaml", "--slots", "1", "--out", "one"]).expect_code(0);
    let tables = tables(&sandbox.path("one"));
    assert_eq!(tables[0].height(), RUNS);
    tables
}

#[test]
fn two_slots_give_what_one_gives() {
    let sandbox = Sandbox::new();
    let expected = one_slot(&sandbox);
    sandbox.coordinator(["--sweep", "same.yaml", "--slots", "2", "--out", "two"]).expect_code(0);
    assert_same("two slots", &tables(&sandbox.path("two")), &expected);
}

#[test]
fn two_remote_workers_give_what_one_slot_gives() {
    let sandbox = Sandbox::new();
    let expected = one_slot(&sandbox);
    let arguments = ["--sweep", "same.yaml", "--slots", "0", "--listen", "127.0.0.1:0", "--out", "remote"];
    let mut coordinator = Background::start(sandbox.command("coordinator", arguments));
    let line = coordinator.read_stderr_until(|line| line.contains("listening"));
    let address =
        line.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).expect("an address").trim_end_matches(':');
    let url = format!("http://{address}");
    let workers: Vec<_> = ["first", "second"]
        .map(|name| {
            let arguments = ["--coordinator", &url, "--slots", "1", "--name", name, "--exit-when-done"];
            Background::start(sandbox.command("worker", arguments))
        })
        .into();
    // The workers first: without them the coordinator waits for ever.
    for worker in workers {
        worker.wait().expect_code(0);
    }
    coordinator.wait().expect_code(0);
    let out = sandbox.path("remote");
    assert_same("remote workers", &tables(&out), &expected);
    let names: BTreeSet<_> = texts(&table(out.join("runs.parquet")), "host.worker").into_iter().collect();
    assert_eq!(names.len(), 2, "both took part: {names:?}");
}

#[test]
fn killed_and_started_again_nothing_finished_runs_twice() {
    let sandbox = Sandbox::new();
    let expected = one_slot(&sandbox);
    let arguments = ["--sweep", "same.yaml", "--slots", "2", "--out", "killed"];
    let logged = |arguments: &[&str]| {
        let mut command = sandbox.command("coordinator", arguments);
        command.env("RUST_LOG", "coordinator=debug,worker=debug");
        command
    };
    let mut first = Background::start(logged(&arguments));
    // The first part is durable, most of the sweep is not yet computed.
    first.read_stderr_until(|line| line.contains("part stored"));
    first.signal("KILL");
    first.wait();
    let out = sandbox.path("killed");
    let stored: BTreeSet<String> = std::fs::read_dir(out.join("parts"))
        .unwrap()
        .flat_map(|part| texts(&table(part.unwrap().path()), "run_id"))
        .collect();
    assert!(!stored.is_empty() && stored.len() < RUNS, "{} of {RUNS} were stored at the kill", stored.len());

    let second = Background::start(logged(&arguments)).wait().expect_code(0);
    let ran = finished_runs(&second.stderr);
    assert_eq!(ran.len(), RUNS - stored.len(), "runs of the engine after the kill");
    assert!(ran.iter().all(|id| !stored.contains(id)), "a finished run ran again");
    assert_same("killed and resumed", &tables(&out), &expected);
}

#[test]
fn an_interrupt_drains_and_the_same_command_resumes() {
    let sandbox = Sandbox::new();
    let expected = one_slot(&sandbox);
    let arguments = ["--sweep", "same.yaml", "--slots", "2", "--out", "drained"];
    let mut command = sandbox.command("coordinator", arguments);
    command.env("RUST_LOG", "coordinator=debug,worker=debug");
    let mut first = Background::start(command);
    first.read_stderr_until(|line| line.contains(FINISHED));
    first.signal("INT");
    let first = first.wait().expect_code(130);
    assert!(first.stderr.contains("resume"), "{}", first.stderr);

    let second = sandbox.coordinator(arguments).expect_code(0);
    assert!(!second.stderr.contains(" 0 done already"), "{}", second.stderr);
    assert_same("drained and resumed", &tables(&sandbox.path("drained")), &expected);
}

#[test]
fn the_shared_run_is_computed_once_and_appears_in_each_place() {
    let sandbox = Sandbox::new();
    let text = "\
name: shared
preset: paper
seeds: 2
parameters:
  training.epochs: {value: 1}
  evaluation.validation_paths: {value: 0}
  evaluation.test_paths: {value: 10}
arms:
  control:
  adam: {parameters: {optimizer.kind: {value: adam}, optimizer.lr: {values: [1e-3, 1e-2]}}}
";
    sandbox.write("shared.yaml", text);
    let mut command = sandbox.command("coordinator", ["--sweep", "shared.yaml"]);
    command.env("RUST_LOG", "worker=debug");
    let finished = Background::start(command).wait().expect_code(0);
    assert_eq!(finished_runs(&finished.stderr).len(), 4);
    let runs = table(sandbox.path("results/shared/runs.parquet"));
    assert_eq!(runs.height(), 6);
    assert_eq!(texts(&runs, "run_id").into_iter().collect::<BTreeSet<_>>().len(), 4);
}
