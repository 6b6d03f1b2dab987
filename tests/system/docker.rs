//! Several hosts on one machine: the image, a network of one coordinator and three workers under fire, and the Compose file.
//!
//! `cargo test --release --workspace --test system docker -- --ignored --nocapture`

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hedgesweep_tests::docker::{IMAGE, Lab, can_run, user_for};
use hedgesweep_tests::{Finished, Sandbox, repository, scrape, skipped, table, texts, without_provenance};
use polars::prelude::DataFrame;

use crate::chaos::stored;
use crate::equivalence::assert_same;

/// The sweep that is run, and its runs.
const SWEEP: &str = "sweeps/damping.yaml";
const RUNS: usize = 900;

/// What the image may weigh, in bytes.
const HEAVIEST: u64 = 60_000_000;

/// How long a worker may be silent.
const LEASE_TTL: &str = "3s";

/// The share of a core that a worker has: so little that the sweep outlasts its faults.
const WORKER_CPUS: &str = "0.3";

/// Whoever waits longer for one thing waits for ever.
const LONGEST: Duration = Duration::from_secs(120);

/// How often a condition is looked at that is waited for.
const GLANCE: Duration = Duration::from_millis(100);

/// The coordinator's gauge of workers.
const WORKERS: &str = "hedgesweep_workers";

/// What must not depend on who computed it.
fn tables(out: &Path) -> Vec<DataFrame> {
    let table = |name| without_provenance(&table(out.join(format!("{name}.parquet"))));
    ["runs", "curves", "paths", "comparisons"].map(table).into()
}

/// Makes certificates and a token as operators do.
fn certificates(folder: &str) {
    let made: Finished =
        Command::new("deploy/compose/certs").arg(folder).current_dir(repository()).output().unwrap().into();
    made.expect_code(0);
}

/// A fleet in a lab.
struct Fleet<'a> {
    lab: &'a Lab,
}

impl Fleet<'_> {
    fn start<'a>(lab: &'a Lab, sandbox: &Sandbox, workers: &[&str]) -> Fleet<'a> {
        std::fs::create_dir(sandbox.path("results")).unwrap();
        let user = user_for(&sandbox.path("results"));
        let secrets = sandbox.path("secrets").display().to_string();
        certificates(&secrets);
        let secret = |name: &str| format!("--volume={secrets}/{name}:/run/secrets/{name}:ro");
        let (ca, cert, key, token) = (secret("ca.pem"), secret("cert.pem"), secret("key.pem"), secret("token"));
        let results = format!("--volume={}:/results", sandbox.path("results").display());
        let sweeps = format!("--volume={}:/sweeps:ro", repository().join("sweeps").display());
        let user = format!("--user={user}");
        lab.start(
            "coordinator",
            &[
                &user,
                &cert,
                &key,
                &token,
                &results,
                &sweeps,
                "--tmpfs=/tmp",
                "--publish=127.0.0.1::9464",
                "--env=RUST_LOG=coordinator=info",
            ],
            &[
                "coordinator",
                "--sweep=/sweeps/damping.yaml",
                "--slots=0",
                "--listen=0.0.0.0:4750",
                "--tls-cert=/run/secrets/cert.pem",
                "--tls-key=/run/secrets/key.pem",
                "--token-file=/run/secrets/token",
                "--ops-listen=0.0.0.0:9464",
                &format!("--lease-ttl={LEASE_TTL}"),
            ],
        );
        for worker in workers {
            lab.start(
                worker,
                &[&user, &ca, &token, &format!("--cpus={WORKER_CPUS}")],
                &[
                    "worker",
                    "--coordinator=https://coordinator:4750",
                    "--tls-ca=/run/secrets/ca.pem",
                    "--token-file=/run/secrets/token",
                    &format!("--name={worker}"),
                ],
            );
        }
        Fleet { lab }
    }

    /// The coordinator's metrics, if it is there to say them.
    fn metrics(&self) -> Option<String> {
        let ports =
            Command::new("docker").args(["port", &self.lab.container("coordinator"), "9464/tcp"]).output().ok()?;
        let address = String::from_utf8_lossy(&ports.stdout).lines().next()?.to_owned();
        scrape::get(&address, "/metrics").ok().map(|(_, text)| text)
    }

    /// Waits for the coordinator to know so many workers, and to have stored so many results, while there is still work:
    /// what happens next must not come too late.
    #[track_caller]
    fn until(&self, workers: usize, results: usize) {
        let began = Instant::now();
        loop {
            let metrics = self.metrics().unwrap_or_default();
            let value = |name: &str| scrape::value(&metrics, name);
            let results_are_there = value("hedgesweep_tasks{state=\"ok\"}").is_some_and(|ok| ok >= results as f64);
            if results_are_there && value(WORKERS) == Some(workers as f64) {
                let pending = value("hedgesweep_tasks{state=\"pending\"}").unwrap_or_default();
                println!("{:4.1} s: {workers} workers, {pending} tasks pending", began.elapsed().as_secs_f64());
                assert!(pending > 0.0, "{workers} workers came too late:\n{metrics}");
                return;
            }
            assert!(began.elapsed() < LONGEST, "no {workers} workers and {results} results:\n{metrics}");
            std::thread::sleep(GLANCE);
        }
    }
}

#[test]
#[ignore = "takes minutes, alone, with Docker and OpenSSL"]
fn containers_that_are_killed_paused_and_cut_off_leave_no_trace_in_the_results() {
    if !can_run(&["openssl", "version"]) {
        return skipped("there is no openssl");
    }
    let Some(lab) = Lab::open("faults") else { return };
    let sandbox = Sandbox::new();
    let file = repository().join(SWEEP).display().to_string();
    // Before the image is built, which leaves its own programs where the test finds these.
    sandbox.coordinator(["--sweep", &file, "--out", "laptop", "--quiet"]).expect_code(0);
    let laptop = tables(&sandbox.path("laptop"));
    assert_eq!(laptop[0].height(), RUNS);

    let image = lab.docker(["image", "inspect", "--format", "{{.Size}} {{.Config.User}}", Lab::image()]);
    let (size, user) = image.split_once(' ').unwrap();
    assert!(size.parse::<u64>().unwrap() < HEAVIEST, "{size} bytes");
    assert_eq!(user, "65532:65532");

    let fleet = Fleet::start(&lab, &sandbox, &["killed", "paused", "cut-off"]);
    let docker =
        |command: &[&str], name: &str| lab.docker(command.iter().copied().chain([lab.container(name).as_str()]));
    fleet.until(3, 50);
    docker(&["kill"], "killed");
    fleet.until(2, 0);
    docker(&["pause"], "paused");
    fleet.until(1, 0);
    docker(&["unpause"], "paused");
    fleet.until(2, 0);
    docker(&["network", "disconnect", lab.network()], "cut-off");
    fleet.until(1, 0);
    docker(&["network", "connect", lab.network()], "cut-off");
    fleet.until(2, 0);
    docker(&["kill"], "coordinator");
    let out = sandbox.path("results/damping");
    let before: BTreeSet<String> = stored(&out).into_iter().collect();
    docker(&["start"], "coordinator");
    fleet.until(2, 1);

    assert_eq!(lab.exit_code("coordinator"), 0, "{}", lab.log("coordinator"));
    for worker in ["paused", "cut-off"] {
        // SIGTERM to process 1, and SIGKILL after the time that it has.
        docker(&["stop"], worker);
        assert_eq!(lab.exit_code(worker), 0, "{}", lab.log(worker));
    }

    assert_same("the fleet under fire", &tables(&out), &laptop);
    let after = stored(&out);
    let distinct: BTreeSet<String> = after.iter().cloned().collect();
    assert_eq!((after.len(), distinct.len()), (RUNS, RUNS), "rows in parts, and runs");
    assert!(
        !before.is_empty() && before.is_subset(&distinct),
        "{} were stored when the coordinator was killed",
        before.len()
    );
    let workers: BTreeSet<String> = texts(&table(out.join("runs.parquet")), "host.worker").into_iter().collect();
    assert_eq!(workers, ["cut-off", "killed", "paused"].map(str::to_owned).into());
}

#[test]
#[ignore = "takes a minute, alone, with Docker, Compose and OpenSSL"]
fn compose_runs_a_sweep_to_its_end_with_one_command() {
    if !can_run(&["docker", "compose", "version"]) && !can_run(&["docker-compose", "version"]) {
        return skipped("there is no Compose");
    }
    if !can_run(&["openssl", "version"]) {
        return skipped("there is no openssl");
    }
    let Some(lab) = Lab::open("compose") else { return };
    let sandbox = Sandbox::new();
    let text = std::fs::read_to_string(repository().join("sweeps/smoke.yaml")).unwrap();
    // Compose's project is named for it, and must not be that of a sweep which somebody runs.
    let file = sandbox.write(&format!("{}.yaml", lab.network()), text);
    sandbox.coordinator(["--sweep", &file.display().to_string(), "--out", "laptop", "--quiet"]).expect_code(0);
    Lab::image();
    let sweep = || -> Finished {
        let mut command = Command::new(repository().join("deploy/compose/sweep"));
        command.arg(&file).arg("2").current_dir(sandbox.path("")).env("HEDGESWEEP_IMAGE", IMAGE);
        command.env("RESULTS", sandbox.path("results")).env("SECRETS", sandbox.path("secrets"));
        command.output().unwrap().into()
    };
    sweep().expect_code(0);
    assert_same("compose", &tables(&sandbox.path("results/smoke")), &tables(&sandbox.path("laptop")));

    let token = std::fs::read(sandbox.path("secrets/token")).unwrap();
    let again = sweep().expect_code(0);
    assert!(again.stderr.contains("20 done already, 0 to do"), "{}", again.stderr);
    assert_eq!(std::fs::read(sandbox.path("secrets/token")).unwrap(), token, "secrets that are good stay");
}
