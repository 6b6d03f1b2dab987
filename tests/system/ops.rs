//! `--ops-listen`: what probes and Prometheus see of a sweep.

use std::io::{Read, Write};
use std::net::TcpListener;

use hedgesweep_tests::{Background, Sandbox, scrape};

/// The status and body of a plain GET.
fn get(address: &str, path: &str) -> (u16, String) {
    scrape::get(address, path).unwrap()
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
    assert_eq!(sandbox.coordinator(["health", address]).expect_code(0).stdout, "ok\n");
    assert_eq!(get(address, "/hedgesweep.v1.Fleet/Join").0, 404);
    let (status, metrics) = get(address, "/metrics");
    assert_eq!(status, 200);
    assert_eq!(scrape::value(&metrics, "hedgesweep_workers"), Some(0.0));
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
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = sandbox.coordinator(["--sweep", "quick.yaml", "--ops-listen", &address]).expect_code(2);
    assert!(finished.stderr.contains("--ops-listen"), "{}", finished.stderr);
}

#[test]
fn whoever_does_not_answer_as_a_coordinator_is_not_well() {
    let sandbox = Sandbox::new();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let finished = sandbox.coordinator(["health", &nobody]).expect_code(1);
    assert!(finished.stderr.contains(&nobody), "{}", finished.stderr);

    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        // All that was asked, so that closing does not reset the connection.
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            asked.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").unwrap();
    });
    let finished = sandbox.coordinator(["health", &address]).expect_code(1);
    assert!(finished.stderr.contains("404 Not Found"), "{}", finished.stderr);
    served.join().unwrap();

    sandbox.coordinator(["health", "nowhere"]).expect_code(2);
}
