//! A coordinator and workers in processes of their own, over TCP: who is admitted and who is not, with the certificates
//! that the README's commands make.

use std::process::Command;

use hedgesweep_tests::{Background, Sandbox, repository, skipped, table};

/// A sweep that takes no time.
const QUICK: &str = "\
name: quick
preset: paper
seeds: 40
parameters:
  training.epochs: {value: 1}
  evaluation.validation_paths: {value: 0}
  evaluation.test_paths: {value: 10}
record: {curves: true}
";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("quick.yaml", QUICK);
    sandbox
}

/// A coordinator that leaves the work to others, and the port at which it listens.
fn coordinator(sandbox: &Sandbox, listen: &[&str]) -> (Background, String) {
    let arguments = ["--sweep", "quick.yaml", "--out", "out", "--slots", "0", "--listen"];
    let mut coordinator = Background::start(sandbox.command("coordinator", arguments.iter().chain(listen)));
    let line = coordinator.read_stderr_until(|line| line.starts_with("listening on "));
    let address = line.split(": ").next().unwrap();
    (coordinator, address.rsplit(':').next().unwrap().to_owned())
}

/// Makes certificates and token as the README says; whether that is possible here.
fn follow_the_readme(sandbox: &Sandbox) -> bool {
    let version = Command::new("openssl").arg("version").output();
    if !version.is_ok_and(|output| output.stdout.starts_with(b"OpenSSL 3")) {
        skipped("there is no openssl of version 3");
        return false;
    }
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let joined = readme.replace("\\\n", " ");
    let commands: Vec<&str> = joined.lines().filter(|line| line.contains("openssl ") && !line.contains('|')).collect();
    let commands: Vec<&str> =
        commands.into_iter().filter(|line| line.starts_with("openssl ") || line.starts_with('(')).collect();
    assert_eq!(commands.len(), 4, "authority, coordinator, token, worker: {commands:#?}");
    for command in commands {
        let output = Command::new("sh").args(["-ec", command]).current_dir(sandbox.path("")).output().unwrap();
        assert!(output.status.success(), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    true
}

const SERVER: [&str; 5] = ["0.0.0.0:0", "--tls-cert", "cert.pem", "--tls-key", "key.pem"];

#[test]
fn the_readmes_token_and_tls_make_a_fleet_and_keep_strangers_out() {
    let sandbox = sandbox();
    if !follow_the_readme(&sandbox) {
        return;
    }
    let (coordinator, port) = coordinator(&sandbox, &[&SERVER[..], &["--token-file", "token"]].concat());
    let url = format!("https://127.0.0.1:{port}");
    let url = url.as_str();
    sandbox.write("wrong", "0123456789abcdef0123456789abcdef");
    for flags in [&["--tls-ca", "ca.pem"][..], &["--tls-ca", "ca.pem", "--token-file", "wrong"]] {
        let stranger = sandbox.worker(["--coordinator", url].iter().chain(flags)).expect_code(2);
        assert!(stranger.stderr.contains("refused by the coordinator: not admitted"), "{}", stranger.stderr);
        assert!(!stranger.stderr.contains("0123456789abcdef"), "{}", stranger.stderr);
    }
    let flags = ["--coordinator", url, "--tls-ca", "ca.pem", "--token-file", "token", "--exit-when-done"];
    sandbox.worker(flags).expect_code(0);
    coordinator.wait().expect_code(0);
    assert_eq!(table(sandbox.path("out/runs.parquet")).height(), 40);
}

#[test]
fn the_readmes_mutual_tls_makes_a_fleet_and_keeps_strangers_out() {
    let sandbox = sandbox();
    if !follow_the_readme(&sandbox) {
        return;
    }
    let (coordinator, port) = coordinator(&sandbox, &[&SERVER[..], &["--client-ca", "ca.pem"]].concat());
    let url = format!("https://127.0.0.1:{port}");
    let stranger = sandbox.worker(["--coordinator", &url, "--tls-ca", "ca.pem", "--token-file", "token"]);
    let stranger = stranger.expect_code(2);
    assert!(stranger.stderr.contains("refused by the coordinator: not admitted"), "{}", stranger.stderr);
    let identity = ["--tls-cert", "worker.pem", "--tls-key", "worker-key.pem", "--exit-when-done"];
    sandbox.worker(["--coordinator", &url, "--tls-ca", "ca.pem"].iter().chain(&identity)).expect_code(0);
    coordinator.wait().expect_code(0);
    assert_eq!(table(sandbox.path("out/runs.parquet")).height(), 40);
}

#[test]
fn a_gate_that_would_be_open_is_refused_and_so_are_files_that_do_not_fit() {
    let sandbox = sandbox();
    let refused = |flags: &[&str], wanted: &[&str]| {
        let finished = sandbox.coordinator(["--sweep", "quick.yaml", "--listen"].iter().chain(flags)).expect_code(2);
        for part in wanted {
            assert!(finished.stderr.contains(part), "no {part:?} in:\n{}", finished.stderr);
        }
        assert!(!sandbox.path("results").exists(), "a refused sweep writes nothing");
    };
    refused(&["0.0.0.0:0"], &["0.0.0.0:0", "loopback", "--tls-cert", "--token-file", "--client-ca", "--insecure"]);
    sandbox.write("token", "0123456789abcdef");
    refused(&["0.0.0.0:0", "--token-file", "token"], &["--tls-cert"]);
    refused(&["127.0.0.1:0", "--token-file", "none"], &["none: No such file"]);
    sandbox.write("short", "0123");
    refused(&["127.0.0.1:0", "--token-file", "short"], &["short: a token of 4 characters; allowed: 16 to 512"]);
    refused(&["127.0.0.1:0", "--tls-cert", "cert.pem"], &["--tls-key"]);
    if follow_the_readme(&sandbox) {
        refused(&SERVER, &["a token (--token-file)", "--client-ca"]);
        let other = ["127.0.0.1:0", "--tls-cert", "cert.pem", "--tls-key", "ca-key.pem"];
        refused(&other, &["ca-key.pem: is not the key of the certificate in cert.pem"]);
        let swapped = ["127.0.0.1:0", "--tls-cert", "key.pem", "--tls-key", "cert.pem"];
        refused(&swapped, &["key.pem: holds no certificate"]);
    }
}

#[test]
fn an_open_gate_is_a_choice_that_is_warned_of() {
    let sandbox = sandbox();
    let arguments = ["--sweep", "quick.yaml", "--out", "out", "--slots", "0", "--listen", "0.0.0.0:0", "--insecure"];
    let mut coordinator = Background::start(sandbox.command("coordinator", arguments));
    let warning = coordinator.read_stderr_until(|line| line.contains("WARN"));
    assert!(warning.contains("open to strangers"), "{warning}");
    let line = coordinator.read_stderr_until(|line| line.starts_with("listening on "));
    let port = line.split(": ").next().unwrap().rsplit(':').next().unwrap();
    sandbox.worker(["--coordinator", &format!("http://127.0.0.1:{port}"), "--exit-when-done"]).expect_code(0);
    coordinator.wait().expect_code(0);
}
