//! A fleet among bad clients.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use hedgesweep_tests::siege::{Nuisance, Siege, processor_time};
use hedgesweep_tests::{Background, Sandbox, repository, table};

/// A coordinator of the sweep that does nothing, of so many tasks, that leaves the work to others; and where it listens.
fn coordinator(sandbox: &Sandbox, tasks: usize, flags: &[&str], log: Option<&str>) -> (Background, SocketAddr) {
    let noop = repository().join("sweeps/noop.yaml");
    let noop = noop.to_str().unwrap();
    let seeds = format!("seeds={tasks}");
    let arguments =
        ["--sweep", noop, "--set", &seeds, "--out", "out", "--quiet", "--slots", "0", "--listen", "127.0.0.1:0"];
    let mut command = sandbox.command("coordinator", arguments.iter().chain(flags));
    if let Some(log) = log {
        command.env("RUST_LOG", log);
    }
    let mut coordinator = Background::start(command);
    let line = coordinator.read_stderr_until(|line| line.starts_with("listening on "));
    let address = line["listening on ".len()..].split(": ").next().unwrap().parse().unwrap();
    (coordinator, address)
}

fn survives(flags: &[&str]) {
    const TASKS: usize = 20_000;
    let sandbox = Sandbox::new();
    sandbox.write("token", "0123456789abcdef0123456789abcdef");
    let (coordinator, address) = coordinator(&sandbox, TASKS, flags, None);
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

/// One sweep, from when its worker has joined to its end.
#[derive(Clone, Copy)]
struct Passage {
    took: Duration,
    /// Processor time of the coordinator.
    coordinator: Duration,
    /// Processor time of the bad clients, and how many connections they made.
    besieger: Duration,
    connections: u64,
}

/// How long a sweep of so many tasks takes, from when its worker has joined, while so many bad clients are at work.
fn passage(tasks: usize, clients: usize) -> Passage {
    let sandbox = Sandbox::new();
    sandbox.write("token", "0123456789abcdef0123456789abcdef");
    let (mut coordinator, address) =
        coordinator(&sandbox, tasks, &["--token-file", "token"], Some("coordinator::fleet=info"));
    let url = format!("http://{address}");
    let flags = ["--token-file", "token", "--slots", "2", "--exit-when-done"];
    let worker = Background::start(sandbox.command("worker", ["--coordinator", &url].iter().chain(&flags)));
    coordinator.read_stderr_until(|line| line.contains("joined"));
    let began = Instant::now();
    let before = processor_time(coordinator.child().id()).unwrap_or_default();
    let mut besieger = Background::start({
        let mut command = sandbox.command("besieger", [address.to_string(), clients.to_string()]);
        command.stdin(Stdio::piped());
        command
    });
    let mut said = BufReader::new(besieger.child().stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "all have come");
    worker.wait().expect_code(0);
    let took = began.elapsed();
    let spent = |process: &mut Background| processor_time(process.child().id()).unwrap_or_default();
    let (after, besieger_spent) = (spent(&mut coordinator), spent(&mut besieger));
    drop(besieger.child().stdin.take());
    let connections = said.next().unwrap().unwrap().parse().unwrap();
    coordinator.wait().expect_code(0);
    Passage { took, coordinator: after - before, besieger: besieger_spent, connections }
}

/// `cargo test --release --workspace --test system -- --ignored --nocapture throughput`
///
/// What the clients cost themselves comes on top of what they cost the coordinator, since they run on the same machine: both
/// are said, in processor time.
#[test]
#[ignore = "a measurement: it says how much a thousand bad clients slow a sweep, and means nothing on a busy machine"]
fn throughput_under_siege() {
    const TASKS: usize = 200_000;
    // In turns, so that a machine that is busy for a while is so for both.
    let rounds: Vec<(Passage, Passage)> = (0..3).map(|_| (passage(TASKS, 0), passage(TASKS, 1_000))).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    for (peace, siege) in &rounds {
        println!(
            "peace: {TASKS} tasks in {:.2?}, of which the coordinator took {:.2?} of processor time",
            peace.took, peace.coordinator
        );
        println!(
            "siege: {TASKS} tasks in {:.2?}, coordinator {:.2?}, bad clients {:.2?}, {} connections, {:.0} a second",
            siege.took,
            siege.coordinator,
            siege.besieger,
            siege.connections,
            siege.connections as f64 / siege.took.as_secs_f64()
        );
    }
    let median = |what: &dyn Fn(&(Passage, Passage)) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(what).collect();
        values.sort_by(f64::total_cmp);
        values[1]
    };
    let seconds = |duration: Duration| duration.as_secs_f64();
    let share = |time: f64, siege: &Passage| 100.0 * time / (cores * seconds(siege.took));
    println!("medians of three rounds:");
    let ratio = median(&|(peace, siege)| seconds(siege.took) / seconds(peace.took));
    println!("time under siege over time in peace, the clients on the same {cores} cores: {ratio:.3}");
    let extra = median(&|(peace, siege)| share(seconds(siege.coordinator) - seconds(peace.coordinator), siege));
    println!("what the coordinator spends on them, of all processor time: {extra:.1}%");
    let own = median(&|(_, siege)| share(seconds(siege.besieger), siege));
    println!("what the clients spend themselves, of all processor time: {own:.1}%");
}
