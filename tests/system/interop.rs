//! What others read: the tables with DuckDB, pandas and Polars, the sweep files with a JSON Schema validator.
//!
//! `HEDGESWEEP_PYTHON` names a Python with their packages; without it these tests say that they are skipped.

use std::path::PathBuf;
use std::process::Command;

use hedgesweep_tests::{Sandbox, repository, skipped};

/// A command of the optional Python, or `None`, saying so.
fn python(script: &str) -> Option<Command> {
    let Some(python) = std::env::var_os("HEDGESWEEP_PYTHON") else {
        skipped("HEDGESWEEP_PYTHON names no Python with duckdb, pandas, polars and jsonschema");
        return None;
    };
    let mut command = Command::new(python);
    command.arg(repository().join("tests").join(script));
    Some(command)
}

#[track_caller]
fn succeeds(mut command: Command) {
    let output = command.output().expect("python starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn duckdb_pandas_and_polars_read_the_same_tables() {
    let Some(mut read) = python("read_tables.py") else { return };
    let sandbox = Sandbox::new();
    let smoke = repository().join("sweeps/smoke.yaml");
    let sampled = std::fs::read_to_string(smoke).unwrap() + "record: {samples: {sets: [train, test], epochs: last}}\n";
    sandbox.write("smoke.yaml", sampled);
    sandbox.coordinator(["--sweep", "smoke.yaml", "--set", "seeds=2"]).expect_code(0);
    read.arg(sandbox.path("results/smoke"));
    succeeds(read);
}

#[test]
fn the_sweeps_that_ship_are_valid_by_the_schema() {
    let Some(mut validate) = python("validate_sweeps.py") else { return };
    let sweeps = repository().join("sweeps");
    validate.arg(sweeps.join("sweep.schema.json"));
    let files: Vec<PathBuf> = std::fs::read_dir(&sweeps)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    assert!(!files.is_empty());
    validate.args(files);
    succeeds(validate);
}
