//! Results in a bucket: the same tables as in a folder, whatever becomes of the coordinator, the network and the service.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use hedgesweep_tests::faults::{Faults, Mood};
use hedgesweep_tests::s3::{BUCKET, S3, at};
use hedgesweep_tests::{Background, Finished, Sandbox, repository, table, texts};
use polars::prelude::DataFrame;

use crate::equivalence::{FINISHED, RUNS, SWEEP, assert_same, tables};

/// A server, and a sandbox with the sweep; `None` where there is no server.
fn begin() -> Option<(S3, Sandbox)> {
    let s3 = S3::start()?;
    let sandbox = Sandbox::new();
    sandbox.write("same.yaml", SWEEP);
    Some((s3, sandbox))
}

fn out(prefix: &str) -> String {
    format!("s3://{BUCKET}/{prefix}")
}

/// A coordinator that says what it does, at the server or at what stands before it.
fn coordinator(sandbox: &Sandbox, address: std::net::SocketAddr, arguments: &[&str]) -> Command {
    let mut command = at(sandbox.command("coordinator", arguments), address);
    command.env("RUST_LOG", "warn,coordinator=debug,worker=debug");
    command
}

fn sweep(sandbox: &Sandbox, address: std::net::SocketAddr, prefix: &str) -> Command {
    coordinator(sandbox, address, &["--sweep", "same.yaml", "--out", &out(prefix)])
}

fn finish(mut command: Command) -> Finished {
    command.output().expect("coordinator starts").into()
}

/// What a bucket holds, in a folder.
fn fetched(s3: &S3, sandbox: &Sandbox, prefix: &str) -> PathBuf {
    let folder = sandbox.path(&format!("fetched/{prefix}"));
    s3.download(prefix, &folder);
    folder
}

fn local(sandbox: &Sandbox) -> Vec<DataFrame> {
    sandbox.coordinator(["--sweep", "same.yaml", "--out", "local", "--quiet"]).expect_code(0);
    tables(&sandbox.path("local"))
}

/// The ids of all rows in the parts, as often as they are there.
fn stored(folder: &Path) -> Vec<String> {
    let parts = std::fs::read_dir(folder.join("parts")).unwrap();
    parts.flat_map(|part| texts(&table(part.unwrap().path()), "run_id")).collect()
}

#[track_caller]
fn assert_stored_once(folder: &Path) {
    let stored = stored(folder);
    let distinct: BTreeSet<&String> = stored.iter().collect();
    assert_eq!((stored.len(), distinct.len()), (RUNS, RUNS), "rows in parts, and runs");
}

#[test]
fn killed_and_started_again_it_takes_the_lock_over_and_goes_on_where_it_stopped() {
    let Some((s3, sandbox)) = begin() else { return };
    let mut first = Background::start(sweep(&sandbox, s3.address(), "killed"));
    first.read_stderr_until(|line| line.contains("part stored"));
    first.signal("KILL");
    first.wait();
    let before = fetched(&s3, &sandbox, "killed");
    let durable: BTreeSet<String> = stored(&before).into_iter().collect();
    assert!(!durable.is_empty() && durable.len() < RUNS, "{} of {RUNS} were stored at the kill", durable.len());
    std::fs::remove_dir_all(&before).unwrap();

    let second = finish(sweep(&sandbox, s3.address(), "killed")).expect_code(0);
    assert!(second.stderr.contains("waiting up to 30s to see whether it is still at work"), "{}", second.stderr);
    let ran: Vec<&str> = second.stderr.lines().filter(|line| line.contains(FINISHED)).collect();
    assert_eq!(ran.len(), RUNS - durable.len(), "runs of the engine after the kill");
    assert!(!ran.iter().any(|line| durable.iter().any(|id| line.contains(id))), "a finished run ran again");
    let after = fetched(&s3, &sandbox, "killed");
    assert_same("in a bucket", &tables(&after), &local(&sandbox));
    assert_stored_once(&after);
}

#[test]
fn a_second_coordinator_hears_who_holds_the_output() {
    let Some((s3, sandbox)) = begin() else { return };
    let waiting = ["--sweep", "same.yaml", "--out", &out("held"), "--slots", "0", "--listen", "127.0.0.1:0"];
    let mut first = Background::start(coordinator(&sandbox, s3.address(), &waiting));
    first.read_stderr_until(|line| line.contains("listening"));
    let refused = finish(sweep(&sandbox, s3.address(), "held")).expect_code(4);
    let holder =
        format!("{}/locks/sweep.json: the output is locked by process {} on ", out("held"), first.child().id());
    assert!(refused.stderr.contains(&holder), "{}", refused.stderr);
    first.signal("INT");
    first.wait().expect_code(130);
    // Whoever ends gives it back: the next one does not wait.
    let next = finish(sweep(&sandbox, s3.address(), "held")).expect_code(0);
    assert!(!next.stderr.contains("locked by"), "{}", next.stderr);
}

#[test]
fn who_has_lost_the_lock_says_so_and_begins_nothing_more() {
    let Some((s3, sandbox)) = begin() else { return };
    let waiting = ["--sweep", "same.yaml", "--out", &out("lost"), "--slots", "0", "--listen", "127.0.0.1:0"];
    let mut first = Background::start(coordinator(&sandbox, s3.address(), &waiting));
    first.read_stderr_until(|line| line.contains("listening"));
    let other = r#"{"pid":7,"host":"elsewhere","since":"2026-01-01T00:00:00Z","token":"another","renewals":1}"#;
    s3.put("lost/locks/sweep.json", other);
    let told = first.read_stderr_until(|line| line.contains("no more tasks are begun"));
    assert!(told.contains("the lock was lost to process 7 on elsewhere"), "{told}");
    let ended = first.wait().expect_code(4);
    assert!(ended.stderr.contains("the lock was lost to process 7 on elsewhere"), "{}", ended.stderr);
    assert_eq!(s3.get("lost/locks/sweep.json").unwrap(), other.as_bytes(), "it is the other one's");
}

#[test]
fn requests_that_fail_and_connections_that_are_cut_cost_nothing() {
    let Some((s3, sandbox)) = begin() else { return };
    let faults = Faults::before(s3.address());
    faults.set(Mood::Moody);
    finish(sweep(&sandbox, faults.address(), "moody")).expect_code(0);
    assert!(faults.failed() > 10, "{} requests failed", faults.failed());
    let folder = fetched(&s3, &sandbox, "moody");
    assert_same("in a bucket", &tables(&folder), &local(&sandbox));
    assert_stored_once(&folder);
}

#[test]
fn an_outage_pauses_the_sweep_and_nothing_is_lost() {
    let Some((s3, sandbox)) = begin() else { return };
    let faults = Faults::before(s3.address());
    let mut sweeping = Background::start(sweep(&sandbox, faults.address(), "outage"));
    sweeping.read_stderr_until(|line| line.contains("part stored"));
    faults.set(Mood::Busy);
    let told = sweeping.read_stderr_until(|line| line.contains("the sweep pauses"));
    for word in ["503 Service Unavailable, SlowDown", BUCKET, &faults.address().to_string(), "nothing is lost"] {
        assert!(told.contains(word), "no {word:?} in {told}");
    }
    faults.set(Mood::Fair);
    sweeping.read_stderr_until(|line| line.contains("results can be stored again"));
    // Another one when everything is computed.
    faults.set(Mood::NoTables);
    sweeping.read_stderr_until(|line| line.contains("all runs are stored, and the tables are written when it is back"));
    faults.set(Mood::Fair);
    sweeping.wait().expect_code(0);
    let folder = fetched(&s3, &sandbox, "outage");
    assert_same("in a bucket", &tables(&folder), &local(&sandbox));
    assert_stored_once(&folder);
}

#[test]
fn what_is_in_a_bucket_is_planned_and_compared_as_what_is_in_a_folder() {
    let Some((s3, sandbox)) = begin() else { return };
    let run = |arguments: &[&str]| finish(coordinator(&sandbox, s3.address(), arguments));
    let bucket = out("again");
    let planned = run(&["plan", "same.yaml", "--out", &bucket]).expect_code(0);
    assert!(planned.stdout.contains("48 runs, 0 done already, 48 to do"), "{}", planned.stdout);
    run(&["--sweep", "same.yaml", "--out", &bucket]).expect_code(0);
    let planned = run(&["plan", "same.yaml", "--out", &bucket]).expect_code(0);
    assert!(planned.stdout.contains("48 runs, 48 done already, 0 to do"), "{}", planned.stdout);

    let expected = local(&sandbox);
    let before = s3.get("again/comparisons.parquet").unwrap();
    let compared = run(&["compare", &bucket]).expect_code(0);
    assert!(compared.stdout.contains(&format!("{bucket}/report.html")), "{}", compared.stdout);
    let answer = |stdout: &str| stdout.split("\n\n  ").next().unwrap().to_owned();
    let of_the_folder = run(&["compare", "local"]).expect_code(0);
    assert_eq!(answer(&compared.stdout), answer(&of_the_folder.stdout));
    assert_eq!(s3.get("again/comparisons.parquet").unwrap(), before);
    assert_same("in a bucket", &tables(&fetched(&s3, &sandbox, "again")), &expected);

    let joint = run(&["compare", &bucket, "local", "--out", &out("joint")]).expect_code(0);
    assert!(joint.stdout.contains("side by side"), "{}", joint.stdout);
    assert_eq!(s3.keys("joint/comparisons.parquet").len(), 1);
    let twice = run(&["compare", &bucket, &format!("{bucket}/")]).expect_code(2);
    assert!(twice.stderr.contains("given twice"), "{}", twice.stderr);
    let taken = run(&["compare", "local", "--out", &bucket]).expect_code(2);
    assert!(taken.stderr.contains("holds a sweep's own results"), "{}", taken.stderr);
    let foreign = run(&["compare", &out("nothing")]).expect_code(2);
    assert!(foreign.stderr.contains("holds no sweep's results"), "{}", foreign.stderr);
}

#[test]
fn weights_files_are_kept_in_the_bucket_too() {
    let Some((s3, sandbox)) = begin() else { return };
    let file = repository().join("sweeps/paper_table2.yaml");
    let arguments = ["--sweep", file.to_str().unwrap(), "--out", &out("paper")];
    finish(coordinator(&sandbox, s3.address(), &arguments)).expect_code(0);
    assert!(!s3.keys("paper/blobs/").is_empty());
    finish(coordinator(&sandbox, s3.address(), &["compare", &out("paper")])).expect_code(0);
}

#[test]
fn what_only_people_can_mend_ends_at_once_and_says_what_to_set() {
    let Some((s3, sandbox)) = begin() else { return };
    let faults = Faults::before(s3.address());
    let told = |address, place: &str, words: &[&str]| {
        let commands: [&[&str]; 3] =
            [&["--sweep", "same.yaml", "--out", place], &["plan", "same.yaml", "--out", place], &["compare", place]];
        for command in commands {
            let refused = finish(coordinator(&sandbox, address, command)).expect_code(4);
            for word in words {
                assert!(refused.stderr.contains(word), "{command:?}: no {word:?} in {}", refused.stderr);
            }
        }
    };
    let endpoint = format!("http://{}", s3.address());
    told(s3.address(), "s3://no-such-bucket/x", &["there is no bucket \"no-such-bucket\"", &endpoint, "AWS_REGION"]);
    faults.set(Mood::Denying);
    let endpoint = format!("http://{}", faults.address());
    let denied =
        ["permission denied", "InvalidAccessKeyId", BUCKET, &endpoint, "set AWS_ACCESS_KEY_ID", "s3:PutObject"];
    told(faults.address(), &out("denied"), &denied);
    assert!(s3.keys("denied").is_empty());
}

#[test]
fn an_endpoint_that_nobody_serves_is_named() {
    let sandbox = Sandbox::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let compare = ["compare", "s3://bucket/x"];
    let refused = finish(coordinator(&sandbox, free, &compare)).expect_code(4);
    let expected = format!("bucket \"bucket\" at http://{free}: ");
    assert!(refused.stderr.contains(&expected), "{}", refused.stderr);
    let mut command = coordinator(&sandbox, free, &compare);
    command.env("AWS_ENDPOINT_URL", "127.0.0.1:9000");
    let refused = finish(command).expect_code(4);
    assert!(refused.stderr.contains("AWS_ENDPOINT_URL is \"127.0.0.1:9000\", not an http://"), "{}", refused.stderr);
    let mut command = coordinator(&sandbox, free, &compare);
    command.env_remove("AWS_SECRET_ACCESS_KEY");
    let refused = finish(command).expect_code(4);
    let expected = "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not; set both";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
}
