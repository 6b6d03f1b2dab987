//! `coordinator watch`: how far a running coordinator is, from elsewhere.

use hedgesweep_tests::{Background, Sandbox};

const SWEEP: &str = "\
name: watched
preset: paper
seeds: 4
parameters: {training.epochs: {value: 2}}
arms:
  adam: {parameters: {optimizer.kind: {value: adam}}}
  kfac: {parameters: {optimizer.kind: {value: kfac}}}
compare: {baseline: adam, metrics: [test.loss]}
";

/// A coordinator that waits for workers, and where.
fn coordinator(sandbox: &Sandbox, listen: &str, more: &[&str]) -> (Background, String) {
    let arguments = [&["--sweep", "watched.yaml", "--slots", "0", "--listen", listen], more].concat();
    let mut coordinator = Background::start(sandbox.command("coordinator", arguments));
    let line = coordinator.read_stderr_until(|line| line.starts_with("listening on "));
    let address = line.trim_start_matches("listening on ").split(": ").next().unwrap().to_owned();
    (coordinator, address)
}

#[test]
fn one_line_says_how_far_a_sweep_is() {
    let sandbox = Sandbox::new();
    sandbox.write("watched.yaml", SWEEP);
    let (_coordinator, address) = coordinator(&sandbox, "127.0.0.1:0", &[]);
    let watched = sandbox.coordinator(["watch", &address, "--once"]).expect_code(0);
    assert_eq!(watched.stdout, "watched: 0 of 8 (0%) \u{b7} waiting for workers\n");
}

#[test]
fn a_watcher_sees_the_sweep_to_its_end_and_past_a_restart() {
    let sandbox = Sandbox::new();
    sandbox.write("watched.yaml", SWEEP);
    let (mut first, address) = coordinator(&sandbox, "127.0.0.1:0", &[]);
    let mut watcher = Background::start(sandbox.command("coordinator", ["watch", &address]));
    let line = watcher.read_stderr_until(|line| line.starts_with("watched: "));
    assert_eq!(line, "watched: 0 done before, 8 to do");
    first.signal("KILL");
    first.wait();
    watcher.read_stderr_until(|line| line.contains("does not answer") && line.contains("it is asked for another"));
    let (second, again) = coordinator(&sandbox, &address, &[]);
    assert_eq!(again, address);
    let url = format!("http://{address}");
    sandbox.worker(["--coordinator", &url, "--slots", "1", "--exit-when-done"]).expect_code(0);
    second.wait().expect_code(0);
    let seen = watcher.wait().expect_code(0);
    assert!(seen.stdout.starts_with("watched: 8 of 8 (100%)"), "{}", seen.stdout);
}

#[test]
fn strangers_may_not_watch_and_nobody_is_nobody() {
    let sandbox = Sandbox::new();
    sandbox.write("watched.yaml", SWEEP);
    sandbox.write("token", "0123456789abcdef");
    let (coordinator, address) = coordinator(&sandbox, "127.0.0.1:0", &["--token-file", "token"]);
    let stranger = sandbox.coordinator(["watch", &address, "--once"]).expect_code(2);
    assert!(stranger.stderr.contains("not admitted") && stranger.stdout.is_empty(), "{}", stranger.stderr);
    let known = sandbox.coordinator(["watch", &address, "--once", "--token-file", "token"]).expect_code(0);
    assert!(known.stdout.contains("waiting for workers"), "{}", known.stdout);
    drop(coordinator);
    let nobody = sandbox.coordinator(["watch", &address, "--once"]).expect_code(4);
    assert!(nobody.stderr.contains(&address) && nobody.stderr.contains("nobody answers"), "{}", nobody.stderr);
    let nonsense = sandbox.coordinator(["watch", "nonsense url", "--once"]).expect_code(2);
    assert!(nonsense.stderr.contains("not a URL"), "{}", nonsense.stderr);
    sandbox.coordinator(["watch", "203.0.113.1:4750", "--once"]).expect_code(2);
}
