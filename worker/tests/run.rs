//! `worker run` from the outside.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Small enough to take no time.
const SMALL: &str =
    "training: {epochs: 2, batch_size: 4}\nmarket.steps: 5\nevaluation: {validation_paths: 8, test_paths: 8}\n";

fn worker(arguments: &[&str], stdin: &str, folder: &Path) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_worker"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn run(config: &str) -> Output {
    worker(&["run", "-"], config, Path::new("."))
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn one_run_is_one_json_object() {
    let run = json(&run(&format!("preset: paper\nseed: 7\n{SMALL}")));
    assert_eq!(run["status"], "ok");
    assert_eq!(run["run_id"].as_str().unwrap().len(), 32);
    assert_eq!(run["config"]["seed"], 7);
    assert_eq!(run["config"]["training"]["epochs"], 2);
    assert_eq!(run["config"]["market"]["xi"], 0.5, "the config is complete");
    assert!(run["metrics"]["test.loss"].is_f64());
    assert!(run["metrics"]["time.train_s"].is_f64());
    assert!(run["metrics"]["train.epochs_to_target"].is_null(), "there is no target");
    assert_eq!(run["curves"]["epoch"], serde_json::json!([1, 2]));
    assert_eq!(run["curves"]["loss"].as_array().unwrap().len(), 2);
    assert!(run["curves"]["seconds"][1].is_f64());
    assert!(run.get("error").is_none());
}

#[test]
fn nesting_and_dots_are_the_same_thing() {
    let nested = json(&run(&format!("{SMALL}optimizer: {{kind: kfac, damping: 1e-2}}")));
    let dotted = json(&run(&format!("{SMALL}optimizer.kind: kfac\noptimizer.damping: 0.01")));
    assert_eq!(nested["run_id"], dotted["run_id"]);
    assert_eq!(nested["curves"]["loss"], dotted["curves"]["loss"]);
}

#[test]
fn a_config_pastes_back_in() {
    let first = json(&run(&format!("seed: 3\n{SMALL}")));
    let second = json(&run(&first["config"].to_string()));
    for part in ["run_id", "config"] {
        assert_eq!(first[part], second[part]);
    }
    assert_eq!(first["metrics"]["test.loss"], second["metrics"]["test.loss"]);
}

#[test]
fn every_error_is_told() {
    let message = refused(&run("preset: papier\nseed: -1\nmarket: {xl: 1, rho: 2}\n"));
    assert_eq!(message.lines().count(), 4, "{message}");
    for part in [
        "stdin: preset: papier is not known; allowed: paper",
        "did you mean `paper`?",
        "stdin: seed: -1 is no seed",
        "stdin: market.xl: is not a known key",
        "did you mean `market.xi`?",
        "stdin: market.rho: 2 is out of range",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[test]
fn what_is_no_config_is_refused() {
    for (config, part) in [
        ("[1, 2]", "a mapping"),
        ("", "a mapping"),
        ("market: {xi: 1", "line 1"),
        ("market.xi: 0.5\nmarket: {xi: 0.4}", "market.xi is set twice"),
        ("seed: 1\nseed: 2", "duplicate"),
        ("market: {1: 2}", "no text"),
        ("market.xi: .nan", "market.xi"),
    ] {
        let message = refused(&run(config));
        assert!(message.contains(part), "{part} in {message}");
    }
    let message = refused(&worker(&["run", "missing.yaml"], "", Path::new(".")));
    assert!(message.contains("missing.yaml: No such file"), "{message}");
}

#[test]
fn weights_that_are_not_there_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let message = refused(&worker(&["run", "-"], "network.init: nowhere.safetensors", folder.path()));
    assert!(message.contains("network.init: nowhere.safetensors cannot be read"), "{message}");
    let digest = format!("network.init: blake3:{}", "0".repeat(64));
    assert!(refused(&run(&digest)).contains("--blobs DIR"));
    std::fs::write(folder.path().join("short.safetensors"), b"short").unwrap();
    std::fs::write(folder.path().join("config.yaml"), "network: {init: short.safetensors}").unwrap();
    let config = folder.path().join("config.yaml");
    let message = refused(&worker(&["run", config.to_str().unwrap()], "", Path::new(".")));
    assert!(message.contains("not a complete safetensors file"), "{message}");
}

/// A safetensors file of all weights of an LSTM with one hidden unit and two inputs.
fn weights() -> Vec<u8> {
    let tensors = [
        ("fc.bias", "[1]", 1),
        ("fc.weight", "[1,1]", 1),
        ("lstm.bias_hh_l0", "[4]", 4),
        ("lstm.bias_ih_l0", "[4]", 4),
        ("lstm.weight_hh_l0", "[4,1]", 4),
        ("lstm.weight_ih_l0", "[4,2]", 8),
    ];
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (name, shape, count) in tensors {
        let start = data.len();
        data.extend((0..count).flat_map(|index| (0.1 * index as f32).to_le_bytes()));
        entries.push(format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{}]}}"#, data.len()));
    }
    let header = format!("{{{}}}", entries.join(","));
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

#[test]
fn weights_come_from_beside_the_config_or_from_the_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("start.safetensors"), weights()).unwrap();
    let config = format!("{SMALL}network: {{hidden: 1, init: start.safetensors}}");
    std::fs::write(file("config.yaml"), &config).unwrap();
    let by_path = json(&worker(&["run", file("config.yaml").to_str().unwrap()], "", Path::new(".")));
    let digest = by_path["config"]["network"]["init"].as_str().unwrap();
    std::fs::write(file(digest.strip_prefix("blake3:").unwrap()), weights()).unwrap();
    let blobs = ["run", "-", "--blobs", folder.path().to_str().unwrap()];
    let by_digest = json(&worker(&blobs, &by_path["config"].to_string(), Path::new(".")));
    assert_eq!(by_path["run_id"], by_digest["run_id"]);
    assert_eq!(by_path["metrics"]["test.loss"], by_digest["metrics"]["test.loss"]);
    let drawn = json(&worker(&["run", "-"], &format!("{SMALL}network.hidden: 1"), Path::new(".")));
    assert_ne!(by_path["curves"]["loss"], drawn["curves"]["loss"]);
    let misfit = worker(&["run", "-"], "network.init: start.safetensors", folder.path());
    assert!(refused(&misfit).contains("network.init: does not fit: tensor"), "{misfit:?}");
    let forged = file(&"0".repeat(64));
    std::fs::write(forged, weights()).unwrap();
    let forged = worker(&blobs, &format!("network.init: blake3:{}", "0".repeat(64)), Path::new("."));
    assert!(refused(&forged).contains("is not what"), "{forged:?}");
}

#[test]
fn another_machine_is_refused_without_tls() {
    let message = refused(&worker(&["--coordinator", "http://fleet.example:7070"], "", Path::new(".")));
    assert!(message.contains("without TLS") && message.contains("--insecure"), "{message}");
}
