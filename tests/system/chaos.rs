//! Real processes under fire: killed, stopped and cut off at random moments. What comes out is what a calm run gives.
//!
//! `CHAOS_ROUNDS=20 cargo test --release --workspace --test system chaos -- --nocapture` runs more rounds, and
//! `CHAOS_SEED=N` begins with another one. A round that fails says which it was.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use hedgesweep_tests::proxy::{Proxy, Wire};
use hedgesweep_tests::{Background, Sandbox, table, texts, without_provenance};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

use crate::equivalence::FINISHED;

/// Two hundred runs, of as many epochs as `EPOCHS` says.
const SWEEP: &str = "\
name: chaos
preset: paper
seeds: 50
parameters:
  training.epochs: {value: EPOCHS}
  evaluation.validation_paths: {value: 50}
  evaluation.test_paths: {value: 50}
  market.xi: {values: [0.3, 0.7]}
arms:
  adam: {parameters: {optimizer.kind: {value: adam}}}
  kfac: {parameters: {optimizer.kind: {value: kfac}}}
compare: {baseline: adam, metrics: [test.loss]}
";

const RUNS: usize = 200;

/// So long a calm run takes at least: time enough for things to go wrong, on a fast machine too.
const LONG_ENOUGH: Duration = Duration::from_secs(10);

/// Faults of a round, at least.
const FAULTS: usize = 3;

/// A round that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, Debug)]
enum Fault {
    KillWorker(usize),
    StopWorker(usize),
    KillCoordinator,
    StopCoordinator,
    CutNetwork,
    SilenceNetwork,
}

/// A fault, and what undoes it.
struct Trouble {
    fault: Fault,
    until: Instant,
}

fn random(dice: &mut ChaCha8Rng, low: u64, high: u64) -> u64 {
    low + dice.next_u64() % (high - low + 1)
}

fn draw(dice: &mut ChaCha8Rng) -> (Fault, Duration) {
    let worker = random(dice, 0, 1) as usize;
    let millis = |dice: &mut ChaCha8Rng, low, high| Duration::from_millis(random(dice, low, high));
    match random(dice, 0, 5) {
        0 => (Fault::KillWorker(worker), millis(dice, 100, 1_000)),
        // Longer than a lease, sometimes.
        1 => (Fault::StopWorker(worker), millis(dice, 500, 5_000)),
        2 => (Fault::KillCoordinator, millis(dice, 100, 1_500)),
        3 => (Fault::StopCoordinator, millis(dice, 500, 5_000)),
        4 => (Fault::CutNetwork, millis(dice, 200, 4_000)),
        _ => (Fault::SilenceNetwork, millis(dice, 500, 5_000)),
    }
}

/// A coordinator without slots, two workers, and a wire between them.
struct Fleet<'a> {
    sandbox: &'a Sandbox,
    out: String,
    port: SocketAddr,
    proxy: Proxy,
    coordinator: Option<Background>,
    workers: [Option<Background>; 2],
    logs: usize,
}

impl Fleet<'_> {
    fn start<'a>(sandbox: &'a Sandbox, out: &str) -> Fleet<'a> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let proxy = Proxy::to(port);
        let mut fleet =
            Fleet { sandbox, out: out.to_owned(), port, proxy, coordinator: None, workers: [None, None], logs: 0 };
        fleet.start_coordinator();
        (0..2).for_each(|worker| fleet.start_worker(worker));
        fleet
    }

    /// A command whose output goes to a file of its own: nobody reads a pipe here.
    fn logged(&mut self, mut command: Command, name: &str) -> Background {
        self.logs += 1;
        let path = self.sandbox.write(&format!("{}-{name}-{}.log", self.out, self.logs), "");
        let file = std::fs::File::create(path).unwrap();
        command.env("RUST_LOG", "coordinator=info,worker=debug").stdout(Stdio::null()).stderr(file);
        Background::start_as_is(command)
    }

    fn start_coordinator(&mut self) {
        let port = self.port.to_string();
        let arguments = [
            "--sweep",
            "chaos.yaml",
            "--slots",
            "0",
            "--listen",
            &port,
            "--out",
            &self.out,
            "--lease-ttl",
            "3s",
            "--max-attempts",
            "50",
        ];
        let command = self.sandbox.command("coordinator", arguments);
        self.coordinator = Some(self.logged(command, "coordinator"));
    }

    fn start_worker(&mut self, worker: usize) {
        let url = format!("http://{}", self.proxy.address());
        let name = format!("w{worker}");
        let arguments = ["--coordinator", &url, "--slots", "1", "--name", &name, "--exit-when-done"];
        let command = self.sandbox.command("worker", arguments);
        self.workers[worker] = Some(self.logged(command, &name));
    }

    fn signal(process: &mut Option<Background>, signal: &str) {
        if let Some(process) = process {
            process.signal(signal);
        }
    }

    fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::KillWorker(worker) => self.workers[worker] = None,
            Fault::KillCoordinator => self.coordinator = None,
            Fault::StopWorker(worker) => Self::signal(&mut self.workers[worker], "STOP"),
            Fault::StopCoordinator => Self::signal(&mut self.coordinator, "STOP"),
            Fault::CutNetwork => self.proxy.set(Wire::Cut),
            Fault::SilenceNetwork => self.proxy.set(Wire::Silent),
        }
    }

    fn end(&mut self, fault: Fault) {
        match fault {
            Fault::KillWorker(worker) => self.start_worker(worker),
            Fault::KillCoordinator => self.start_coordinator(),
            Fault::StopWorker(worker) => Self::signal(&mut self.workers[worker], "CONT"),
            Fault::StopCoordinator => Self::signal(&mut self.coordinator, "CONT"),
            Fault::CutNetwork | Fault::SilenceNetwork => self.proxy.set(Wire::Whole),
        }
    }

    /// How the coordinator ended, if it has by itself.
    fn ended(&mut self) -> Option<ExitStatus> {
        self.coordinator.as_mut().and_then(|coordinator| coordinator.child().try_wait().unwrap())
    }

    fn pause() {
        std::thread::sleep(Duration::from_millis(20));
    }

    /// How many runs the workers have finished, by their logs.
    fn finished_runs(&self) -> usize {
        let logs = std::fs::read_dir(self.sandbox.path("")).unwrap().map(|entry| entry.unwrap());
        let prefix = format!("{}-w", self.out);
        let ours = logs.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        ours.map(|entry| std::fs::read_to_string(entry.path()).unwrap().matches(FINISHED).count()).sum()
    }
}

/// The ids of the rows in all parts, as often as they are there.
pub(crate) fn stored(out: &Path) -> Vec<String> {
    let parts = std::fs::read_dir(out.join("parts")).unwrap();
    parts.flat_map(|part| texts(&table(part.unwrap().path()), "run_id")).collect()
}

/// What comes out when nothing happens. The sweep is made as long as this machine needs it.
fn calm(sandbox: &Sandbox) -> polars::prelude::DataFrame {
    let mut epochs = 100;
    loop {
        sandbox.write("chaos.yaml", SWEEP.replace("EPOCHS", &epochs.to_string()));
        let (out, began) = (format!("calm-{epochs}"), Instant::now());
        sandbox.coordinator(["--sweep", "chaos.yaml", "--out", &out, "--quiet"]).expect_code(0);
        if began.elapsed() >= LONG_ENOUGH {
            let calm = table(sandbox.path(&format!("{out}/runs.parquet")));
            assert_eq!(calm.height(), RUNS);
            return without_provenance(&calm);
        }
        epochs *= 2;
    }
}

/// What came out is what came out of the calm run; each run is stored, and once.
#[track_caller]
fn assert_nothing_happened(sandbox: &Sandbox, out: &str, calm: &polars::prelude::DataFrame) {
    let runs = without_provenance(&table(sandbox.path(&format!("{out}/runs.parquet"))));
    assert!(runs.equals_missing(calm), "{out}: runs.parquet is another");
    let stored = stored(&sandbox.path(out));
    let distinct: BTreeSet<&String> = stored.iter().collect();
    assert_eq!((stored.len(), distinct.len()), (RUNS, RUNS), "{out}: rows in parts, and runs");
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect(name))
}

/// Runs a round, and returns what happened in it.
fn round(sandbox: &Sandbox, out: &str, seed: u64) -> Vec<Fault> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut fleet = Fleet::start(sandbox, out);
    let began = Instant::now();
    let mut happened = Vec::new();
    let mut trouble: Option<Trouble> = None;
    let mut next = began + Duration::from_millis(random(&mut dice, 300, 1_500));
    loop {
        let now = Instant::now();
        assert!(now - began < LONGEST, "{out} hangs after {happened:?}");
        if let Some(Trouble { fault, until }) = trouble
            && now >= until
        {
            fleet.end(fault);
            trouble = None;
            next = now + Duration::from_millis(random(&mut dice, 200, 1_500));
        }
        if let Some(status) = fleet.ended() {
            assert!(status.success(), "{out}: the coordinator ended with {status} after {happened:?}");
            return happened;
        }
        if trouble.is_none() && now >= next && happened.len() < 2 * FAULTS {
            let (fault, lasts) = draw(&mut dice);
            fleet.begin(fault);
            happened.push(fault);
            trouble = Some(Trouble { fault, until: now + lasts });
        }
        Fleet::pause();
    }
}

#[test]
fn chaos_leaves_no_trace_in_the_results() {
    let (rounds, first) = (setting("CHAOS_ROUNDS", 3), setting("CHAOS_SEED", 0));
    let sandbox = Sandbox::new();
    let calm = calm(&sandbox);
    for seed in first..first + rounds {
        let out = format!("round-{seed}");
        let began = Instant::now();
        let happened = round(&sandbox, &out, seed);
        println!("{out}: {:.1} s, {happened:?}", began.elapsed().as_secs_f64());
        assert!(happened.len() >= FAULTS, "{out} was over after {happened:?}: the sweep is too short");
        assert_nothing_happened(&sandbox, &out, &calm);
    }
}

/// `cargo test … --test system the_only_coordinator -- --ignored --nocapture`: half a minute of nothing.
#[test]
#[ignore = "takes a minute or more, half of one in waiting"]
fn the_only_coordinator_is_gone_for_half_a_minute_and_nothing_finished_is_lost() {
    let sandbox = Sandbox::new();
    let calm = calm(&sandbox);
    let mut fleet = Fleet::start(&sandbox, "gone");
    while fleet.finished_runs() < RUNS / 4 {
        Fleet::pause();
    }
    fleet.begin(Fault::KillCoordinator);
    let durable = stored(&sandbox.path("gone")).len();
    std::thread::sleep(Duration::from_secs(30));
    let meanwhile = fleet.finished_runs();
    fleet.start_coordinator();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = fleet.ended() {
            break status;
        }
        assert!(began.elapsed() < LONGEST, "it hangs");
        Fleet::pause();
    };
    assert!(status.success(), "{status}");
    let all = fleet.finished_runs();
    println!(
        "durable at the kill: {durable}; finished when it came back: {meanwhile}; runs of the engine in all: {all}"
    );
    assert_nothing_happened(&sandbox, "gone", &calm);
    assert!(all <= RUNS + 2, "{all} runs of the engine for {RUNS} tasks: finished work was done again");
}
