//! A real Prometheus looks at a running sweep, and the dashboard's queries find what they ask for.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hedgesweep_tests::ops::watched;
use hedgesweep_tests::scrape::get;
use hedgesweep_tests::{Background, Finished, Sandbox, grafana, skipped};
use serde_json::Value;

/// Enough runs that the sweep goes on as long as it is looked at.
const ENDLESS: &str = "name: endless\npreset: paper\nseeds: 900000\nparameters:
  training.epochs: {value: 3}\n  evaluation.validation_paths: {value: 8}\n  evaluation.test_paths: {value: 8}\n";

/// How long Prometheus may take to have seen enough.
const PATIENCE: Duration = Duration::from_secs(60);

fn is_here(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// `text` as a part of a URL's query.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { (byte as char).into() } else { format!("%{byte:02X}") })
        .collect()
}

fn prometheus(sandbox: &Sandbox, target: &str) -> (Background, String) {
    let config = format!(
        "global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}
scrape_configs:
  - job_name: hedgesweep
    static_configs: [{{targets: ['{target}']}}]\n"
    );
    let config = sandbox.write("prometheus.yml", config);
    // Prometheus does not say which port it got, so it is told one that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", sandbox.path("tsdb").display()));
    command.arg(format!("--web.listen-address={free}"));
    command.current_dir(sandbox.path("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    (Background::start_as_is(command), free)
}

/// What a query finds.
fn ask(address: &str, query: &str) -> Result<Vec<Value>, String> {
    let (status, body) =
        get(address, &format!("/api/v1/query?query={}", escaped(query))).map_err(|error| error.to_string())?;
    let answer: Value = serde_json::from_str(&body).map_err(|error| format!("{status} {error}: {body}"))?;
    if answer["status"] != "success" {
        return Err(body);
    }
    Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
}

/// Asks until something is found.
fn ask_until_found(address: &str, query: &str, deadline: Instant) -> Vec<Value> {
    loop {
        let found = ask(address, query);
        match found {
            Ok(found) if !found.is_empty() => return found,
            // A query that cannot be read will never be; one that nobody answers may come too early.
            Err(problem) if problem.contains("bad_data") => panic!("{query}: {problem}"),
            _ if Instant::now() > deadline => panic!("nothing is found by {query}: {found:?}"),
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

#[test]
fn prometheus_scrapes_a_sweep_and_every_query_of_the_dashboard_finds_something() {
    if !is_here("prometheus") {
        skipped("there is no prometheus here (Debian: apt-get install prometheus)");
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("endless.yaml", ENDLESS);
    let ops = watched(&sandbox, "endless.yaml");
    let worker = sandbox.command("worker", ["--coordinator", &ops.fleet, "--slots", "1", "--name", "fred"]);
    let worker = Background::start(worker);
    let (_prometheus, address) = prometheus(&sandbox, &ops.address);
    let deadline = Instant::now() + PATIENCE;

    let up = ask_until_found(&address, "up{job=\"hedgesweep\"} == 1", deadline);
    assert_eq!(up.len(), 1);
    // From here on there is something to see: results are stored.
    ask_until_found(&address, "hedgesweep_store_seconds_count > 1", deadline);
    for query in grafana::queries(&grafana::dashboard()) {
        ask_until_found(&address, &query.for_prometheus("20s"), deadline);
    }
    let number = |query: &str| -> f64 {
        let found = ask_until_found(&address, query, deadline);
        found[0]["value"][1]
            .as_str()
            .and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("{query}: {found:?}"))
    };
    assert_eq!(number("sum(hedgesweep_tasks)"), 900_000.0);
    assert_eq!(number("hedgesweep_workers"), 1.0);
    assert!(number("sum(rate(hedgesweep_task_seconds_count[20s])) > 0") > 0.0);
    assert_eq!(number("hedgesweep_paused"), 0.0);
    drop(worker);
    // It was killed, and so it is missed; its tasks return.
    drop(ops);
}

#[test]
fn promtool_finds_nothing_to_mend() {
    if !is_here("promtool") {
        skipped("there is no promtool here (Debian: apt-get install prometheus)");
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("endless.yaml", ENDLESS);
    let ops = watched(&sandbox, "endless.yaml");
    let (_, page) = get(&ops.address, "/metrics").unwrap();
    let checked = check_metrics(&page, &sandbox.path(""));
    assert_eq!((checked.status.code(), checked.stdout.as_str(), checked.stderr.as_str()), (Some(0), "", ""), "{page}");
}

fn check_metrics(page: &str, folder: &Path) -> Finished {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).current_dir(folder);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("promtool starts");
    child.stdin.take().expect("its input is piped").write_all(page.as_bytes()).expect("promtool reads");
    child.wait_with_output().expect("promtool ends").into()
}
