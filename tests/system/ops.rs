//! `--ops-listen`: what probes and Prometheus see of a sweep.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use hedgesweep_tests::ops::watched;
use hedgesweep_tests::scrape::get;
use hedgesweep_tests::{Background, Sandbox, exposition, grafana, repository};

const NOTHING_TO_DO: &str = "name: secretive\npreset: paper\nseeds: 8\nparameters:\n  training.epochs: {value: 0}\n";

#[test]
fn probes_and_metrics_say_how_the_sweep_goes_and_not_what_it_is() {
    let sandbox = Sandbox::new();
    sandbox.write("quick.yaml", NOTHING_TO_DO);
    let ops = watched(&sandbox, "quick.yaml");
    assert_eq!(get(&ops.address, "/healthz").unwrap(), (200, "ok\n".to_owned()));
    assert_eq!(get(&ops.address, "/readyz").unwrap(), (200, "ready\n".to_owned()));
    assert_eq!(sandbox.coordinator(["health", &ops.address]).expect_code(0).stdout, "ok\n");
    assert_eq!(get(&ops.address, "/hedgesweep.v1.Fleet/Join").unwrap().0, 404);
    let (status, page) = get(&ops.address, "/metrics").unwrap();
    assert_eq!(status, 200);
    for secret in ["secretive", "training", "paper"] {
        assert!(!page.contains(secret), "{page}");
    }
    let families = exposition::read(&page).unwrap_or_else(|problem| panic!("{problem}\n{page}"));
    let workers = &families["hedgesweep_workers"].samples;
    assert_eq!((workers.len(), workers[0].value), (1, 0.0));
    let pending = families["hedgesweep_tasks"].samples.iter().find(|sample| sample.labels["state"] == "pending");
    assert_eq!(pending.unwrap().value, 8.0);

    sandbox.worker(["--coordinator", &ops.fleet, "--exit-when-done"]).expect_code(0);
    ops.coordinator.wait().expect_code(0);
}

#[test]
fn the_metrics_that_are_documented_and_drawn_are_those_that_there_are() {
    let sandbox = Sandbox::new();
    sandbox.write("quick.yaml", NOTHING_TO_DO);
    let ops = watched(&sandbox, "quick.yaml");
    let (_, page) = get(&ops.address, "/metrics").unwrap();
    let families = exposition::read(&page).unwrap_or_else(|problem| panic!("{problem}\n{page}"));
    let exposed: BTreeSet<String> = families.keys().cloned().collect();

    let table = std::fs::read_to_string(repository().join("deploy/grafana/README.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `hedgesweep_"));
    let documented: BTreeSet<String> = rows.clone().flat_map(|row| grafana::metrics(row).into_iter().next()).collect();
    assert_eq!(documented, exposed);
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells[2], families[cells[1].trim_matches('`')].kind, "{row}");
    }

    let manual = std::fs::read_to_string(repository().join("deploy/README.md")).unwrap();
    let advice = grafana::metrics(&manual);
    assert!(advice.len() > 3 && advice.is_subset(&exposed), "{advice:?}");

    let samples: BTreeSet<String> =
        families.values().flat_map(|family| family.samples.iter().map(|sample| sample.name.clone())).collect();
    let dashboard = grafana::dashboard();
    let queries = grafana::queries(&dashboard);
    let mut drawn = BTreeSet::new();
    for query in &queries {
        let metrics = query.metrics();
        assert!(!metrics.is_empty() && metrics.is_subset(&samples), "{query:?}");
        drawn.extend(metrics);
    }
    for family in &exposed {
        assert!(drawn.iter().any(|metric| metric.starts_with(family.as_str())), "no panel shows {family}");
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let metrics = grafana::metrics(&variable.to_string());
        assert!(metrics.is_subset(&samples), "{variable}");
    }
}

#[cfg(unix)]
#[test]
fn a_worker_that_is_told_to_go_gives_back_what_it_has_and_is_not_missed() {
    let sandbox = Sandbox::new();
    let file = "name: long\npreset: paper\nseeds: 100000\nparameters:\n  training.epochs: {value: 3}\n";
    sandbox.write("long.yaml", file);
    let ops = watched(&sandbox, "long.yaml");
    let command = sandbox.command("worker", ["--coordinator", &ops.fleet, "--slots", "1"]);
    let mut worker = Background::start(command);
    let value = |name: &str, label: &str| -> f64 {
        let (_, page) = get(&ops.address, "/metrics").unwrap();
        let families = exposition::read(&page).unwrap_or_else(|problem| panic!("{problem}\n{page}"));
        let has = |sample: &&exposition::Sample| label.is_empty() || sample.labels.values().any(|own| own == label);
        families[name].samples.iter().find(has).unwrap_or_else(|| panic!("no {name} {label}")).value
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let wait_until = |what: &str, holds: &dyn Fn() -> bool| {
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    wait_until("results come", &|| value("hedgesweep_tasks", "ok") > 0.0);
    assert_eq!(value("hedgesweep_workers", ""), 1.0);
    assert!(value("hedgesweep_tasks", "leased") > 0.0);
    worker.signal("TERM");
    worker.wait().expect_code(0);
    // Its last word was answered before it ended.
    wait_until("it is gone", &|| value("hedgesweep_workers", "") == 0.0);
    assert_eq!(
        (value("hedgesweep_workers_gone_total", "left"), value("hedgesweep_workers_gone_total", "lost")),
        (1.0, 0.0)
    );
    assert_eq!(value("hedgesweep_tasks", "leased"), 0.0);
    assert_eq!(value("hedgesweep_strikes_total", ""), 0.0);
}

#[test]
fn an_address_that_cannot_be_had_is_bad_usage_before_anything_is_computed() {
    let sandbox = Sandbox::new();
    sandbox.write("quick.yaml", NOTHING_TO_DO);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = sandbox.coordinator(["--sweep", "quick.yaml", "--ops-listen", &address]).expect_code(2);
    assert!(finished.stderr.contains("--ops-listen"), "{}", finished.stderr);
    let parts = sandbox.path("results/secretive/parts");
    assert_eq!(std::fs::read_dir(parts).unwrap().count(), 0, "nothing was computed");
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
