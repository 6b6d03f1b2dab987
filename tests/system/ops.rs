//! `--ops-listen`: what probes and Prometheus see of a sweep.

use std::io::{Read, Write};
use std::net::TcpStream;

use hedgesweep_tests::{Background, Sandbox};

/// The status and body of a plain GET.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned())
}

#[test]
fn probes_and_metrics_say_how_the_sweep_goes_and_not_what_it_is() {
    let sandbox = Sandbox::new();
    let file = "name: secretive\npreset: paper\nseeds: 8\nparameters:\n  training.epochs: {value: 0}\n";
    sandbox.write("quick.yaml", file);
    let arguments =
        ["--sweep", "quick.yaml", "--slots", "0", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--quiet"];
    let mut coordinator = Background::start(sandbox.command("coordinator", arguments));
    let fleet = coordinator.read_stderr_until(|line| line.starts_with("listening on "));
    let fleet = fleet.split(": ").next().unwrap()["listening on ".len()..].to_owned();
    let line = coordinator.read_stderr_until(|line| line.starts_with("operations at http://"));
    let address = line["operations at http://".len()..].split(": ").next().unwrap();

    assert_eq!(get(address, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(get(address, "/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(get(address, "/hedgesweep.v1.Fleet/Join").0, 404);
    let (status, metrics) = get(address, "/metrics");
    assert_eq!(status, 200);
    let value = |metrics: &str, name: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{metrics}")).parse().unwrap()
    };
    assert_eq!(value(&metrics, "hedgesweep_workers"), 0.0);
    for secret in ["secretive", "training", "paper"] {
        assert!(!metrics.contains(secret), "{metrics}");
    }

    // A worker that stays: the sweep ends, and its last parts are counted until then.
    sandbox.worker(["--coordinator", &format!("http://{fleet}"), "--exit-when-done"]).expect_code(0);
    coordinator.wait().expect_code(0);
}

#[test]
fn an_address_that_cannot_be_had_is_bad_usage() {
    let sandbox = Sandbox::new();
    sandbox.write("quick.yaml", "name: quick\npreset: paper\nseeds: 1\nparameters:\n  training.epochs: {value: 0}\n");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = sandbox.coordinator(["--sweep", "quick.yaml", "--ops-listen", &address]).expect_code(2);
    assert!(finished.stderr.contains("--ops-listen"), "{}", finished.stderr);
}
