//! Shards: whichever run, in whatever order and however often, the tables are those of one run. The files for batch
//! schedulers, with a shell in the scheduler's place.
//!
//! `SHARDS_SEED=N` chooses another order.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hedgesweep_tests::{Background, Finished, Sandbox, binary, repository, skipped, table, texts};
use polars::prelude::DataFrame;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::equivalence::{FINISHED, assert_same, finished_runs, tables};

/// A hundred and twenty runs that together take some seconds.
const SWEEP: &str = "\
name: same
preset: paper
seeds: 20
parameters:
  training.epochs: {value: 60}
  evaluation.validation_paths: {value: 50}
  evaluation.test_paths: {value: 50}
  market.xi: {values: [0.3, 0.7]}
arms:
  adam: {parameters: {optimizer.kind: {value: adam}}}
  kfac: {parameters: {optimizer.kind: {value: kfac}, optimizer.damping: {values: [1e-3, 1e-2]}}}
compare: {baseline: adam, metrics: [test.loss, test.cvar95]}
record: {samples: {sets: [test], epochs: last}}
";

const RUNS: usize = 120;

/// The same in a tenth of the time, for tests that are not about what happens meanwhile.
fn short() -> String {
    SWEEP.replace("{value: 60}", "{value: 6}")
}

/// The tables of one run.
fn whole(sandbox: &Sandbox, sweep: &str) -> Vec<DataFrame> {
    sandbox.write("same.yaml", sweep);
    sandbox.coordinator(["--sweep", "same.yaml", "--out", "whole", "--quiet"]).expect_code(0);
    let tables = tables(&sandbox.path("whole"));
    assert_eq!(tables[0].height(), RUNS);
    tables
}

fn arguments<'a>(shard: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["--sweep", "same.yaml", "--out", "shards", "--slots", "1", "--shard", shard];
    arguments.extend(more);
    arguments
}

/// A command whose log says what the engine finishes and when parts are stored.
fn logged(mut command: Command) -> Command {
    command.env("RUST_LOG", "coordinator=debug,worker=debug");
    command
}

fn begin(sandbox: &Sandbox, shard: &str) -> Background {
    Background::start(logged(sandbox.command("coordinator", arguments(shard, &[]))))
}

/// Runs a shard to its end; returns what the engine has run, and what was printed.
fn run(sandbox: &Sandbox, shard: &str) -> (Vec<String>, Finished) {
    let finished = begin(sandbox, shard).wait().expect_code(0);
    (finished_runs(&finished.stderr), finished)
}

/// The plain command: what the engine has run, and the tables.
fn merge(sandbox: &Sandbox) -> (Vec<String>, Vec<DataFrame>) {
    let command = logged(sandbox.command("coordinator", ["--sweep", "same.yaml", "--out", "shards"]));
    let finished = Background::start(command).wait().expect_code(0);
    (finished_runs(&finished.stderr), tables(&sandbox.path("shards")))
}

/// The ids of the rows in all parts, as often as they are there.
fn stored(out: &Path) -> Vec<String> {
    let parts = std::fs::read_dir(out.join("parts")).unwrap();
    parts.flat_map(|part| texts(&table(part.unwrap().path()), "run_id")).collect()
}

/// How many of a shard's runs are left, by the first line of its log.
fn to_do(finished: &Finished) -> usize {
    let line = finished.stderr.lines().find(|line| line.ends_with(" to do")).expect("it says what is to do");
    line.split(' ').rev().nth(2).unwrap().parse().expect("a number")
}

#[test]
fn eight_shards_in_any_order_two_of_them_twice_and_one_killed_give_the_tables_of_one_run() {
    const SHARDS: u64 = 8;
    let sandbox = Sandbox::new();
    let expected = whole(&sandbox, SWEEP);
    let seed: u64 = std::env::var("SHARDS_SEED").map_or(0, |text| text.parse().expect("SHARDS_SEED"));
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<u64> = (0..SHARDS).collect();
    order.shuffle(&mut dice);
    let killed = order[dice.next_u64() as usize % order.len()];
    // Twice, the second time anywhere after the first.
    for _ in 0..2 {
        let first = dice.next_u64() as usize % SHARDS as usize;
        let second = first + 1 + dice.next_u64() as usize % (order.len() - first);
        order.insert(second, order[first]);
    }
    println!("seed {seed}: {order:?}, {killed} is killed");
    let out = sandbox.path("shards");
    let mut ran = BTreeSet::new();
    for index in order {
        let shard = format!("{index}/{SHARDS}");
        let mut before = 0;
        if index == killed && !ran.contains(&index) {
            let others = if out.exists() { stored(&out).len() } else { 0 };
            let mut victim = begin(&sandbox, &shard);
            victim.read_stderr_until(|line| line.contains("part stored"));
            victim.signal("KILL");
            victim.wait();
            before = stored(&out).len() - others;
            assert!(before > 0, "a part is durable");
        }
        let (finished, printed) = run(&sandbox, &shard);
        assert_eq!(finished.len(), to_do(&printed));
        let first_line = printed.stderr.lines().next().unwrap();
        assert!(first_line.starts_with(&format!("same: shard {shard}, ")), "{first_line}");
        if ran.insert(index) {
            assert!(!finished.is_empty(), "no shard of this sweep is empty, and {before} is not all of it");
        } else {
            assert_eq!(finished, [""; 0], "nothing is left the second time");
        }
        let last = printed.stdout.lines().last().unwrap();
        assert_eq!(last, "when all shards have ended: coordinator --sweep same.yaml --out shards");
        assert!(printed.stdout.contains(&format!("; ran {} in ", finished.len())), "{}", printed.stdout);
        assert!(!out.join("runs.parquet").exists(), "a shard writes no tables");
    }
    let stored = stored(&out);
    assert_eq!((stored.len(), stored.iter().collect::<BTreeSet<_>>().len()), (RUNS, RUNS), "rows in parts, and runs");
    let (ran, tables) = merge(&sandbox);
    assert_eq!(ran, [""; 0], "the shards have left nothing");
    assert_same("eight shards", &tables, &expected);
}

#[test]
fn shards_run_side_by_side_and_nobody_else_runs_what_they_run() {
    let sandbox = Sandbox::new();
    let expected = whole(&sandbox, SWEEP);
    let mut zero = begin(&sandbox, "0/2");
    zero.read_stderr_until(|line| line.contains("part stored"));
    zero.signal("STOP");
    // Whatever it still has to do, it holds its lock.
    for others in [&["--shard", "0/2"][..], &[]] {
        let words = ["--sweep", "same.yaml", "--out", "shards"].iter().chain(others);
        let refused = sandbox.coordinator(words).expect_code(4);
        assert!(refused.stderr.contains("the output is locked by process"), "{}", refused.stderr);
    }
    let (ran, _) = run(&sandbox, "1/2");
    zero.signal("CONT");
    let one = begin(&sandbox, "1/2");
    zero.wait().expect_code(0);
    assert!(!ran.is_empty());
    assert_eq!(finished_runs(&one.wait().expect_code(0).stderr), [""; 0]);
    let (ran, tables) = merge(&sandbox);
    assert_eq!(ran, [""; 0]);
    assert_same("two shards at once", &tables, &expected);
}

#[test]
fn shards_of_different_cuts_and_missing_ones_leave_no_gap() {
    let sandbox = Sandbox::new();
    let expected = whole(&sandbox, &short());
    // 4 and 6 have 2 in common: shard 2/4 and 4/6 share runs, 2/4 and 1/6 share none.
    let mut all: Vec<String> = Vec::new();
    for shard in ["2/4", "4/6", "1/6", "0/3"] {
        let (ran, _) = run(&sandbox, shard);
        all.extend(ran);
    }
    let (rest, tables) = merge(&sandbox);
    assert!(!rest.is_empty() && rest.len() < RUNS, "{} were missing", rest.len());
    all.extend(rest);
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (RUNS, RUNS), "each run once");
    assert_same("any shards", &tables, &expected);
}

#[test]
fn shards_of_another_version_of_the_file_are_told_and_do_no_harm() {
    let sandbox = Sandbox::new();
    let expected = whole(&sandbox, &short());
    let earlier = ["--set", "seeds=10"];
    let first = sandbox.coordinator(arguments("0/2", &earlier)).expect_code(0);
    assert!(!first.stderr.contains("warning"), "{}", first.stderr);
    let hint = first.stdout.lines().last().unwrap();
    assert!(hint.ends_with("coordinator --sweep same.yaml --set seeds=10 --out shards"), "{hint}");
    let (_, second) = run(&sandbox, "1/2");
    assert!(second.stderr.contains("sweep.yaml is another version of this sweep"), "{}", second.stderr);
    let (_, third) = run(&sandbox, "1/2");
    assert!(!third.stderr.contains("another version"), "{}", third.stderr);
    let (rest, tables) = merge(&sandbox);
    assert!(!rest.is_empty(), "half of the runs that the first one did not know");
    assert_same("two versions", &tables, &expected);
}

#[test]
fn a_shard_with_failed_tasks_says_so_and_the_plain_command_tries_them_again() {
    let sandbox = Sandbox::new();
    let expected = whole(&sandbox, &short());
    let hurried = arguments("0/3", &["--task-timeout", "1ms", "--max-attempts", "1"]);
    let failed = sandbox.coordinator(hurried).expect_code(3);
    assert!(failed.stdout.contains(" failed\nwhen all shards have ended: "), "{}", failed.stdout);
    let (_, tables) = merge(&sandbox);
    assert_same("failed and tried again", &tables, &expected);
}

#[test]
fn what_is_no_shard_is_refused_with_what_is_allowed() {
    let sandbox = Sandbox::new();
    sandbox.write("same.yaml", SWEEP);
    let cases: [(&str, &[&str], &str); 6] = [
        ("8/8", &[], "there is no shard 8 of 8; allowed: 0 to 7 (shards count from 0)"),
        ("0/0", &[], "0/0 is a shard of none; allowed: N from 1"),
        ("three", &[], "\"three\" is not of the form I/N, such as 0/8"),
        ("/8", &[], "\"/8\" is not of the form I/N, such as 0/8"),
        ("0/8", &["--listen", "127.0.0.1:0"], "--shard 0/8 does not go with --listen: a shard has no fleet"),
        ("0/8", &["--dashboard", "127.0.0.1:0"], "--shard 0/8 does not go with --dashboard"),
    ];
    for (shard, more, message) in cases {
        let mut words = vec!["--sweep", "same.yaml", "--out", "shards", "--shard", shard];
        words.extend(more);
        let refused = sandbox.coordinator(words).expect_code(2);
        assert!(refused.stderr.contains(message), "{shard} {more:?}: {}", refused.stderr);
    }
    assert!(!sandbox.path("shards").exists());
}

/// A file of the repository's.
fn deployed(place: &str) -> PathBuf {
    repository().join("deploy").join(place)
}

/// A batch script as Slurm starts it.
fn batch(sandbox: &Sandbox, arguments: &[&str], slurm: &[(&str, &str)]) -> Command {
    let mut command = Command::new("bash");
    command.arg(deployed("slurm/sweep.sbatch")).args(arguments).current_dir(sandbox.path("")).stdin(Stdio::null());
    command.env("HEDGESWEEP_COORDINATOR", binary("coordinator")).env("SLURM_CPUS_PER_TASK", "1");
    command.envs(slurm.iter().copied());
    logged(command)
}

fn task_of_array(index: &'static str, count: &'static str, last: &'static str) -> [(&'static str, &'static str); 4] {
    [
        ("SLURM_ARRAY_TASK_ID", index),
        ("SLURM_ARRAY_TASK_COUNT", count),
        ("SLURM_ARRAY_TASK_MIN", "0"),
        ("SLURM_ARRAY_TASK_MAX", last),
    ]
}

/// Stands for Slurm: runs an array's tasks one after the other, and a job that depends on them after that.
const SBATCH: &str = r#"#!/usr/bin/env bash
set -euo pipefail
while [[ $1 == --* ]]; do
    case $1 in
        --array=0-*) last=${1#--array=0-} ;;
        --dependency=afterany:4711) [ -e array-ended ] ;;
        --parsable | --job-name=*) ;;
        *) echo "sbatch: $1?" >&2; exit 1 ;;
    esac
    shift
done
export SLURM_CPUS_PER_TASK=2
if [ -n "${last:-}" ]; then
    export SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=$last SLURM_ARRAY_TASK_COUNT=$((last + 1))
    for ((task = 0; task <= last; task++)); do
        SLURM_ARRAY_TASK_ID=$task bash "$@" >"task-$task.log" 2>&1 || echo "task $task: $?" >>failed.log
    done
    touch array-ended
    echo "4711;cluster"
else
    bash "$@" >merge.log 2>&1 || echo "merge: $?" >>failed.log
    echo 4712
fi
"#;

#[test]
fn what_is_submitted_to_slurm_gives_the_tables_of_one_run() {
    let sandbox = Sandbox::new();
    let expected = whole(&sandbox, &short().replace("{value: 6}", "{value: 4}"));
    // What is passed on to the coordinator makes it the same again.
    sandbox.write("same.yaml", short());
    let sbatch = sandbox.write("bin/sbatch", SBATCH);
    std::fs::set_permissions(&sbatch, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", sandbox.path("bin").display(), std::env::var("PATH").unwrap());
    let mut submit = Command::new("bash");
    submit.arg(deployed("slurm/submit")).args(["4", "same.yaml", "shards", "--set", "training.epochs=4"]);
    submit.current_dir(sandbox.path("")).env("PATH", path).env("HEDGESWEEP_COORDINATOR", binary("coordinator"));
    // Left from running some shards again.
    submit.env("HEDGESWEEP_SHARDS", "64");
    let submitted: Finished = submit.output().unwrap().into();
    let submitted = submitted.expect_code(0);
    assert_eq!(submitted.stdout, "shards: array job 4711, 0-3\nmerge and comparison: job 4712\n");
    let failed = std::fs::read_to_string(sandbox.path("failed.log")).unwrap_or_default();
    assert_eq!(failed, "");
    for task in 0..4 {
        let log = std::fs::read_to_string(sandbox.path(&format!("task-{task}.log"))).unwrap();
        assert!(log.contains(&format!("same: shard {task}/4, ")), "{log}");
    }
    let merged = std::fs::read_to_string(sandbox.path("merge.log")).unwrap();
    assert!(merged.contains(&format!("{RUNS} runs, {RUNS} done already, 0 to do")), "{merged}");
    assert_same("Slurm", &tables(&sandbox.path("shards")), &expected);
}

#[test]
fn an_array_that_was_submitted_is_named_even_if_the_merge_cannot_be() {
    let sandbox = Sandbox::new();
    let sbatch = "#!/bin/sh\ncase \"$*\" in *--dependency=*) exit 1 ;; *) echo 4711 ;; esac\n";
    let sbatch = sandbox.write("bin/sbatch", sbatch);
    std::fs::set_permissions(&sbatch, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", sandbox.path("bin").display(), std::env::var("PATH").unwrap());
    let mut submit = Command::new("bash");
    submit.arg(deployed("slurm/submit")).args(["4", "same.yaml", "shards"]).env("PATH", path);
    let submitted: Finished = submit.output().unwrap().into();
    assert_eq!(submitted.expect_code(1).stdout, "shards: array job 4711, 0-3\n");
}

#[test]
fn a_task_of_an_array_drains_when_slurm_ends_it_and_goes_on_when_it_is_requeued() {
    let sandbox = Sandbox::new();
    sandbox.write("same.yaml", SWEEP);
    let task = task_of_array("1", "2", "1");
    let mut first = Background::start(batch(&sandbox, &["same.yaml", "shards"], &task));
    first.read_stderr_until(|line| line.contains(FINISHED));
    // To the batch shell, as --signal=B: has it.
    first.signal("TERM");
    let first = first.wait().expect_code(130);
    assert!(first.stderr.contains("draining: "), "{}", first.stderr);
    let kept = stored(&sandbox.path("shards"));
    assert!(!kept.is_empty());

    let second = Background::start(batch(&sandbox, &["same.yaml", "shards"], &task)).wait().expect_code(0);
    let ran = finished_runs(&second.stderr);
    assert_eq!(ran.len(), to_do(&second));
    assert!(ran.iter().all(|id| !kept.contains(id)), "a stored run ran again");
}

#[test]
fn an_array_of_some_shards_has_to_say_of_how_many() {
    let sandbox = Sandbox::new();
    sandbox.write("same.yaml", short());
    // --array=1,3
    let mut some = task_of_array("3", "2", "3");
    some[2].1 = "1";
    let run = |more: &[(&str, &str)]| -> Finished {
        let slurm: Vec<_> = some.iter().chain(more).copied().collect();
        batch(&sandbox, &["same.yaml", "shards"], &slurm).output().unwrap().into()
    };
    let refused = run(&[]).expect_code(2);
    assert!(
        refused.stderr.contains("say of how many shards these are, e.g. HEDGESWEEP_SHARDS=64"),
        "{}",
        refused.stderr
    );
    let told = run(&[("HEDGESWEEP_SHARDS", "4")]).expect_code(0);
    assert!(told.stderr.contains("same: shard 3/4, "), "{}", told.stderr);
    let bare: Finished = batch(&sandbox, &["same.yaml"], &[]).output().unwrap().into();
    assert!(bare.expect_code(2).stderr.starts_with("usage: sbatch "));
}

#[test]
fn scripts_pass_shellcheck() {
    let scripts = ["slurm/sweep.sbatch", "slurm/submit"].map(deployed);
    match Command::new("shellcheck").args(scripts).output() {
        Ok(output) => drop(Finished::from(output).expect_code(0)),
        Err(error) => skipped(&format!("shellcheck: {error}")),
    }
}

/// The arguments of the coordinator in a manifest, as the container gets them.
fn container_arguments(manifest: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| line.trim() != "args:").skip(1);
    let arguments = lines.map_while(|line| line.trim().strip_prefix("- "));
    arguments.take_while(|argument| argument.starts_with("--")).map(str::to_owned).collect()
}

#[test]
fn what_the_indexed_job_runs_gives_the_tables_of_one_run() {
    let sandbox = Sandbox::new();
    let manifest = |name: &str| std::fs::read_to_string(deployed("k8s/overlays/indexed").join(name)).unwrap();
    sandbox.write("sweep.yaml", manifest("sweep.yaml"));
    sandbox.coordinator(["--sweep", "sweep.yaml", "--out", "whole", "--quiet"]).expect_code(0);
    let (shards, merge) = (manifest("shards.yaml"), manifest("merge.yaml"));
    let completions = shards.lines().find_map(|line| line.trim().strip_prefix("completions: ")).unwrap();
    let count: u64 = completions.parse().unwrap();
    let run = |arguments: Vec<String>, index: u64| {
        let here = arguments.iter().map(|argument| {
            let argument = argument.replace("$(JOB_COMPLETION_INDEX)", &index.to_string());
            argument.replace("=/sweep/", "=").replace("0.0.0.0:9464", "127.0.0.1:0")
        });
        sandbox.coordinator(here).expect_code(0)
    };
    for index in 0..count {
        let finished = run(container_arguments(&shards), index);
        assert!(finished.stderr.contains(&format!("shard {index}/{count}, ")), "{}", finished.stderr);
    }
    let merged = run(container_arguments(&merge), 0);
    assert!(merged.stderr.contains(" 0 to do"), "{}", merged.stderr);
    let tables = |out: &str| {
        let read = |name: &str| table(sandbox.path(&format!("{out}/{name}.parquet")));
        ["runs", "curves", "paths", "comparisons"].map(|name| hedgesweep_tests::without_provenance(&read(name)))
    };
    assert_same("an Indexed Job", &tables("results/smoke"), &tables("whole"));
}
