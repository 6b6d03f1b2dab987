//! `--log-format json`: every line of the log is an object that says which worker and which task it is of.

use hedgesweep_tests::{Background, Sandbox};
use serde_json::Value;

/// Needs a terabyte of memory, and is refused: something to log of each task.
const TOO_LARGE: &str = "name: large\npreset: paper\nseeds: 3\nparameters:
  training.batch_size: {value: 1000000}\n  market.steps: {value: 1000}\n";

/// The objects among the lines.
fn objects(log: &str) -> Vec<Value> {
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(Value::is_object).collect()
}

#[test]
fn lines_of_json_name_the_worker_and_the_task() {
    let sandbox = Sandbox::new();
    sandbox.write("large.yaml", TOO_LARGE);
    let arguments =
        ["--sweep", "large.yaml", "--slots", "0", "--listen", "127.0.0.1:0", "--quiet", "--log-format", "json"];
    let mut command = sandbox.command("coordinator", arguments);
    command.env("RUST_LOG", "coordinator=info");
    let mut coordinator = Background::start(command);
    let line = coordinator.read_stderr_until(|line| line.starts_with("listening on "));
    let url = format!("http://{}", line["listening on ".len()..].split(": ").next().unwrap());
    let arguments = ["--coordinator", &url, "--exit-when-done", "--name", "fred", "--log-format", "json"];
    let worker = sandbox.worker(arguments).expect_code(0);
    let coordinator = coordinator.wait().expect_code(3);

    let own = objects(&worker.stderr);
    assert_eq!(own.len(), worker.stderr.lines().count(), "nothing but JSON: {}", worker.stderr);
    let id = own.iter().find_map(|line| line["worker"].as_str()).expect("it has joined");
    let failed: Vec<&Value> = own.iter().filter(|line| !line["run_id"].is_null()).collect();
    assert_eq!(failed.len(), 3, "{}", worker.stderr);
    for line in failed {
        assert_eq!((line["name"].as_str(), line["worker"].as_str()), (Some("fred"), Some(id)), "{line}");
        assert_eq!((line["attempt"].as_u64(), line["level"].as_str()), (Some(1), Some("WARN")), "{line}");
        // The coordinator says of the same task that the same worker had it.
        let theirs = objects(&coordinator.stderr);
        let same = theirs.iter().find(|other| other["run_id"] == line["run_id"]).expect("it is logged there, too");
        assert_eq!((same["worker"].as_str(), same["attempt"].as_u64()), (Some(id), Some(1)), "{same}");
    }
    let joined = objects(&coordinator.stderr).into_iter().find(|line| line["name"] == "fred");
    assert_eq!(joined.expect("who joins is logged")["worker"].as_str(), Some(id));
}
