//! Bad input gets a message that says where, what and what is allowed; exit 2; and nothing is written.

use std::process::Command;

use hedgesweep_tests::{Background, Sandbox, repository, skipped};

/// A sweep that takes no time, as the starting point of everything that can be wrong with one.
const GOOD: &str = "\
name: bad
preset: paper
seeds: 2
parameters:
  training.epochs: {value: 1}
  evaluation.validation_paths: {value: 0}
  evaluation.test_paths: {value: 10}
  market.xi: {values: [0.3, 0.5]}
arms:
  adam:
    parameters:
      optimizer.kind: {value: adam}
  kfac:
    parameters:
      optimizer.kind: {value: kfac}
compare: {baseline: adam}
";

/// Runs the sweep with `from` replaced by `to`, and checks that it is refused with everything in `wanted`.
#[track_caller]
fn refused(from: &str, to: &str, wanted: &[&str]) {
    assert!(GOOD.contains(from), "the replacement has nothing to replace");
    refused_text(&GOOD.replacen(from, to, 1), wanted);
}

#[track_caller]
fn refused_text(text: &str, wanted: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.write("bad.yaml", text);
    let finished = sandbox.coordinator(["--sweep", "bad.yaml"]).expect_code(2);
    for part in wanted {
        assert!(finished.stderr.contains(part), "no {part:?} in:\n{}", finished.stderr);
    }
    assert!(!sandbox.path("results").exists(), "a refused sweep writes nothing");
}

#[test]
fn the_starting_point_is_good() {
    let sandbox = Sandbox::new();
    sandbox.write("bad.yaml", GOOD);
    sandbox.coordinator(["--sweep", "bad.yaml"]).expect_code(0);
}

#[test]
fn an_unknown_key_names_the_nearest() {
    refused("market.xi", "market.xl", &["bad.yaml:8:3", "parameters.market.xl", "did you mean `market.xi`?"]);
    refused("seeds: 2", "seed: 2", &["bad.yaml:3:1", "seed", "seeds"]);
}

#[test]
fn a_wrong_type_is_named() {
    refused("[0.3, 0.5]", "[0.3, high]", &["bad.yaml:8", "market.xi", "high", "number"]);
    refused("training.epochs: {value: 1}", "training.epochs: {value: 1.5}", &["bad.yaml:5", "1.5", "whole number"]);
}

#[test]
fn a_number_in_quotes_is_text_and_a_number_without_is_not() {
    refused("[0.3, 0.5]", "[\"1e-5\", 0.5]", &["bad.yaml:8", "1e-5", "without quotes"]);
    let sandbox = Sandbox::new();
    sandbox.write("good.yaml", GOOD.replace("[0.3, 0.5]", "[1e-5, 1/2]"));
    let planned = sandbox.coordinator(["plan", "good.yaml"]).expect_code(0);
    assert!(planned.stdout.contains("1e-5"), "{}", planned.stdout);
}

#[test]
fn a_key_twice_is_refused_with_its_lines() {
    refused("seeds: 2", "seeds: 2\nseeds: 3", &["bad.yaml:4:1", "seeds"]);
    let twice = "  market.xi: {values: [0.3, 0.5]}\n  market: {parameters: {xi: {value: 0.4}}}";
    refused("  market.xi: {values: [0.3, 0.5]}", twice, &["bad.yaml:9", "market.xi"]);
}

#[test]
fn values_must_be_there_and_finite() {
    refused("[0.3, 0.5]", "[]", &["bad.yaml:8", "market.xi", "values"]);
    refused("[0.3, 0.5]", "[0.3, .nan]", &["bad.yaml:8", "market.xi", "finite"]);
    refused("[0.3, 0.5]", "[0.3, .inf]", &["bad.yaml:8", "market.xi", "finite"]);
}

#[test]
fn values_must_make_sense() {
    refused("market.xi: {values: [0.3, 0.5]}", "market.v0: {value: -0.04}", &["bad.yaml:8", "market.v0", "≥ 0"]);
    refused("market.xi: {values: [0.3, 0.5]}", "market.rho: {value: 1.5}", &["bad.yaml:8", "market.rho", "≤ 1"]);
    refused("market.xi: {values: [0.3, 0.5]}", "market.steps: {value: 0}", &["bad.yaml:8", "market.steps", "≥ 1"]);
    refused("{values: [0.3, 0.5]}", "{min: 0.5, max: 0.3, count: 2}", &["bad.yaml:8", "market.xi", "0.5", "0.3"]);
}

#[test]
fn a_sweep_over_its_cap_is_refused() {
    refused("seeds: 2", "seeds: 2\nrun_cap: 7", &["8", "run_cap", "7"]);
}

#[test]
fn a_key_belongs_to_the_arm_that_has_it() {
    let misplaced = "optimizer.kind: {value: adam}\n      optimizer.damping: {value: 0.1}";
    refused("optimizer.kind: {value: adam}", misplaced, &["bad.yaml:13", "optimizer.damping", "kfac"]);
}

#[test]
fn a_seed_twice_is_refused() {
    refused("seeds: 2", "seeds: [1, 2, 1]", &["bad.yaml:3", "seeds", "1"]);
}

#[test]
fn a_baseline_must_be_an_arm() {
    refused("baseline: adam", "baseline: adan", &["bad.yaml:16", "adan", "adam"]);
}

#[test]
fn an_exclude_that_matches_nothing_is_a_warning() {
    let sandbox = Sandbox::new();
    sandbox.write("bad.yaml", format!("{GOOD}exclude: [{{market.xi: 0.9}}]\n"));
    let finished = sandbox.coordinator(["--sweep", "bad.yaml"]).expect_code(0);
    assert!(finished.stderr.contains("warning"), "{}", finished.stderr);
    assert!(finished.stderr.contains("bad.yaml:17"), "{}", finished.stderr);
}

#[test]
fn a_weights_file_must_be_there_whole_and_of_the_right_shape() {
    let good = std::fs::read(repository().join("sweeps/paper/seed42_adam_init.safetensors")).unwrap();
    let text = GOOD.replace("  market.xi: {values: [0.3, 0.5]}", "  network.init: {value: w.safetensors}");
    refused_text(&text, &["bad.yaml:8", "network.init", "w.safetensors"]);
    for (content, extra, wanted) in
        [(&good[..good.len() / 2], "", "safetensors"), (&good[..], "\n  network.hidden: {value: 16}", "shape")]
    {
        let sandbox = Sandbox::new();
        sandbox.write("w.safetensors", content);
        let value = "network.init: {value: w.safetensors}";
        sandbox.write("bad.yaml", text.replace(value, &format!("{value}{extra}")));
        let finished = sandbox.coordinator(["--sweep", "bad.yaml"]).expect_code(2);
        assert!(finished.stderr.contains("bad.yaml:8"), "{}", finished.stderr);
        assert!(finished.stderr.contains(wanted), "{}", finished.stderr);
        assert!(!sandbox.path("results").exists());
    }
}

#[test]
fn a_sweep_file_must_be_there_and_be_yaml() {
    let sandbox = Sandbox::new();
    let finished = sandbox.coordinator(["--sweep", "none.yaml"]).expect_code(2);
    assert!(finished.stderr.contains("none.yaml"), "{}", finished.stderr);
    refused_text("name: [", &["bad.yaml:"]);
    refused_text("", &["bad.yaml"]);
}

#[test]
fn an_output_that_holds_another_sweep_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("bad.yaml", GOOD);
    sandbox.write("other.yaml", GOOD.replace("name: bad", "name: other"));
    sandbox.coordinator(["--sweep", "bad.yaml", "--out", "out"]).expect_code(0);
    let finished = sandbox.coordinator(["--sweep", "other.yaml", "--out", "out"]).expect_code(2);
    for part in ["bad", "other", "out"] {
        assert!(finished.stderr.contains(part), "{}", finished.stderr);
    }
}

#[test]
fn an_output_in_use_is_refused() {
    let sandbox = Sandbox::new();
    // With no slots and no worker the first coordinator waits for ever, holding the lock.
    sandbox.write("bad.yaml", GOOD);
    let ops = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let arguments = ["--sweep", "bad.yaml", "--slots", "0", "--listen", "127.0.0.1:0", "--ops-listen", &ops];
    let mut first = Background::start(sandbox.command("coordinator", arguments));
    let line = first.read_stderr_until(|line| line.starts_with("listening on "));
    let finished = sandbox.coordinator(["--sweep", "bad.yaml"]).expect_code(4);
    assert!(finished.stderr.contains("locked"), "{}", finished.stderr);
    // The same command once more: that its ports are taken, too, is not what is wrong.
    let address = line["listening on ".len()..].split(": ").next().unwrap();
    let again = ["--sweep", "bad.yaml", "--listen", address, "--ops-listen", &ops];
    let again = sandbox.coordinator(again).expect_code(4);
    assert!(again.stderr.contains("locked"), "{}", again.stderr);
    let elsewhere = ["--sweep", "bad.yaml", "--listen", address, "--out", "elsewhere"];
    let taken = sandbox.coordinator(elsewhere).expect_code(2);
    assert!(taken.stderr.contains(&format!("cannot listen on {address}")), "{}", taken.stderr);
    assert!(finished.stderr.contains(&first.child().id().to_string()), "names the holder: {}", finished.stderr);
    first.signal("KILL");
    first.wait();
    sandbox.coordinator(["--sweep", "bad.yaml"]).expect_code(0);
}

/// Mounts a file system of its own on `out`; `None`, saying so, where that is not permitted.
struct Mount(std::path::PathBuf);

impl Mount {
    fn tmpfs(sandbox: &Sandbox, options: &str) -> Option<Mount> {
        let out = sandbox.path("out");
        std::fs::create_dir_all(&out).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&out).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Mount(out));
        }
        skipped("mounting a file system is not permitted here");
        None
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap();
        assert!(status.success(), "remount {options}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_read_only_disk_is_an_output_that_cannot_be_reached() {
    let sandbox = Sandbox::new();
    sandbox.write("bad.yaml", GOOD);
    let Some(_mount) = Mount::tmpfs(&sandbox, "ro") else { return };
    let finished = sandbox.coordinator(["--sweep", "bad.yaml", "--out", "out"]).expect_code(4);
    assert!(finished.stderr.to_lowercase().contains("read-only"), "{}", finished.stderr);
    assert!(finished.stderr.contains("out"), "{}", finished.stderr);
}

#[test]
fn a_full_disk_pauses_the_sweep_which_goes_on_when_there_is_room() {
    let sandbox = Sandbox::new();
    sandbox.write("bad.yaml", GOOD);
    let Some(mount) = Mount::tmpfs(&sandbox, "size=16k") else { return };
    let mut paused = Background::start(sandbox.command("coordinator", ["--sweep", "bad.yaml", "--out", "out"]));
    let said = paused.read_stderr_until(|line| line.contains("the sweep pauses"));
    assert!(said.to_lowercase().contains("no space left"), "{said}");
    assert!(said.contains("nothing is lost"), "{said}");
    mount.remount("size=16m");
    paused.read_stderr_until(|line| line.contains("the sweep goes on"));
    paused.wait().expect_code(0);
    let runs = hedgesweep_tests::table(sandbox.path("out/runs.parquet"));
    assert_eq!(runs.height(), 8);
    let left: Vec<_> =
        std::fs::read_dir(sandbox.path("out/parts")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.extension().is_some_and(|name| name == "parquet")), "{left:?}");
}

#[test]
fn a_disk_that_stays_full_is_left_with_ctrl_c_and_what_was_stored_is_safe() {
    let sandbox = Sandbox::new();
    sandbox.write("bad.yaml", GOOD);
    let Some(mount) = Mount::tmpfs(&sandbox, "size=16k") else { return };
    let mut paused = Background::start(sandbox.command("coordinator", ["--sweep", "bad.yaml", "--out", "out"]));
    paused.read_stderr_until(|line| line.contains("the sweep pauses"));
    paused.signal("INT");
    let finished = paused.wait().expect_code(4);
    assert!(finished.stderr.to_lowercase().contains("no space left"), "{}", finished.stderr);
    mount.remount("size=16m");
    sandbox.coordinator(["--sweep", "bad.yaml", "--out", "out"]).expect_code(0);
    assert_eq!(hedgesweep_tests::table(sandbox.path("out/runs.parquet")).height(), 8);
}
