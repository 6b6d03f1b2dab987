//! A fleet among bad clients.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hedgesweep_tests::siege::{Nuisance, Siege};
use hedgesweep_tests::{Background, Sandbox, repository, table};

/// A coordinator of the sweep that does nothing, of so many tasks, that leaves the work to others; and where it listens.
fn coordinator(sandbox: &Sandbox, tasks: usize, flags: &[&str]) -> (Background, SocketAddr) {
    let noop = repository().join("sweeps/noop.yaml");
    let noop = noop.to_str().unwrap();
    let seeds = format!("seeds={tasks}");
    let arguments =
        ["--sweep", noop, "--set", &seeds, "--out", "out", "--quiet", "--slots", "0", "--listen", "127.0.0.1:0"];
    let mut coordinator = Background::start(sandbox.command("coordinator", arguments.iter().chain(flags)));
    let line = coordinator.read_stderr_until(|line| line.starts_with("listening on "));
    let address = line["listening on ".len()..].split(": ").next().unwrap().parse().unwrap();
    (coordinator, address)
}

fn survives(flags: &[&str]) {
    const TASKS: usize = 20_000;
    let sandbox = Sandbox::new();
    sandbox.write("token", "0123456789abcdef0123456789abcdef");
    let (coordinator, address) = coordinator(&sandbox, TASKS, flags);
    // More than the strangers that are put up with at a time.
    let clients = 25 * Nuisance::ALL.len();
    let siege = Siege::lay(address, clients);
    let url = format!("http://{address}");
    let worker = sandbox.worker(["--coordinator", &url, "--slots", "2", "--exit-when-done"].iter().chain(flags));
    worker.expect_code(0);
    let finished = coordinator.wait().expect_code(0);
    assert!(siege.connections() >= clients as u64, "all of them came: {}", siege.connections());
    siege.raise();
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    // Strangers do not write the log: one that nobody reads would stop the coordinator when the pipe is full.
    assert!(finished.stderr.lines().count() < 10, "{}", finished.stderr);
    assert_eq!(table(sandbox.path("out/runs.parquet")).height(), TASKS);
}

#[test]
fn bad_clients_do_not_break_an_open_coordinator() {
    survives(&[]);
}

#[test]
fn bad_clients_do_not_break_a_guarded_coordinator() {
    survives(&["--token-file", "token"]);
}

/// `cargo test --release --workspace --test system -- --ignored --nocapture throughput`
#[test]
#[ignore = "a measurement: it says how much a thousand bad clients slow a sweep, and means nothing on a busy machine"]
fn throughput_under_siege() {
    const TASKS: usize = 200_000;
    let took = |clients: usize| -> Duration {
        let sandbox = Sandbox::new();
        sandbox.write("token", "0123456789abcdef0123456789abcdef");
        let (coordinator, address) = coordinator(&sandbox, TASKS, &["--token-file", "token"]);
        let siege = Siege::lay(address, clients);
        while siege.connections() < clients as u64 {
            std::thread::yield_now();
        }
        let url = format!("http://{address}");
        let began = Instant::now();
        let flags = ["--token-file", "token", "--slots", "2", "--exit-when-done"];
        sandbox.worker(["--coordinator", &url].iter().chain(&flags)).expect_code(0);
        let took = began.elapsed();
        println!("{clients} bad clients: {TASKS} tasks in {took:.2?}, {} connections", siege.connections());
        siege.raise();
        coordinator.wait().expect_code(0);
        took
    };
    // In turns, so that a machine that is busy for a while is so for both.
    let rounds: Vec<(Duration, Duration)> = (0..3).map(|_| (took(0), took(1_000))).collect();
    let mut ratios: Vec<f64> = rounds.iter().map(|(calm, siege)| siege.as_secs_f64() / calm.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    println!("time under siege over time in peace, median of three rounds: {:.3}", ratios[1]);
}
