//! `worker run`: one run on stdout.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use engine::record::{Epoch, Provenance, Record, RunOutput};
use engine::{RunConfig, RunId, metrics};
use proto::Outcome;
use serde_json::{Map, Value as Json, json};
use worker::attempt::attempt;
use worker::platform::{Identity, host_name};
use worker::{EngineRunner, Progress};

use super::args::Run;
use super::config_file;
use super::exit::Exit;

pub(crate) fn run(arguments: &Run) -> ExitCode {
    let config = match config_file::read(&arguments.config, arguments.blobs.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            let file = if arguments.config == Path::new("-") {
                "stdin".into()
            } else {
                arguments.config.display().to_string()
            };
            for line in error.to_string().lines() {
                eprintln!("error: {file}: {line}");
            }
            return Exit::Usage.into();
        }
    };
    let identity = Identity { host: host_name(), worker: "run".into() };
    let outcome = attempt(&EngineRunner::default(), &config, &Record::default(), &Progress::new(1), &identity, &|_| {});
    let (output, exit) = match outcome {
        Outcome::Finished(output) => (output, Exit::Success),
        Outcome::Failed(failure) => (RunOutput::failed(failure.message, failure.provenance), Exit::Failure),
    };
    match writeln!(std::io::stdout(), "{}", to_json(&config, &output)) {
        Ok(()) => exit.into(),
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => exit.into(),
        Err(error) => {
            eprintln!("error: cannot write the result: {error}");
            Exit::Failure.into()
        }
    }
}

fn to_json(config: &RunConfig, output: &RunOutput) -> Json {
    let mut root = Map::new();
    root.insert("run_id".into(), RunId::of(config).to_string().into());
    root.insert("status".into(), output.status.word().into());
    if let Some(error) = &output.error {
        root.insert("error".into(), error.as_str().into());
    }
    root.insert("config".into(), config.to_json());
    root.insert("metrics".into(), metrics_to_json(output));
    root.insert("curves".into(), curves_to_json(&output.curves));
    root.into()
}

fn metrics_to_json(output: &RunOutput) -> Json {
    let Provenance { simulate_s, train_s, evaluate_s, to_target_s, .. } = &output.provenance;
    let times = [
        ("time.simulate_s", simulate_s),
        ("time.train_s", train_s),
        ("time.evaluate_s", evaluate_s),
        ("time.to_target_s", to_target_s),
    ];
    let values = metrics::catalogue().iter().zip(output.metrics.values());
    let values = values.map(|(metric, value)| (metric.name.clone(), json!(value)));
    values.chain(times.map(|(name, value)| (name.to_owned(), json!(value)))).collect::<Map<_, _>>().into()
}

fn curves_to_json(curves: &[Epoch]) -> Json {
    let column = |field: fn(&Epoch) -> Option<f64>| curves.iter().map(field).collect::<Vec<_>>();
    json!({
        "epoch": curves.iter().map(|row| row.epoch).collect::<Vec<_>>(),
        "loss": column(|row| row.loss),
        "pnl_mean": column(|row| row.pnl_mean),
        "pnl_variance": column(|row| row.pnl_variance),
        "mean_cost": column(|row| row.mean_cost),
        "sharpe": column(|row| row.sharpe),
        "grad_norm": column(|row| row.grad_norm),
        "damping": column(|row| row.damping),
        "validation_loss": column(|row| row.validation_loss),
        "step_norm": column(|row| row.step_norm),
        "trust_ratio": column(|row| row.trust_ratio),
        "factor_condition": column(|row| row.factor_condition),
        "seconds": column(|row| row.seconds),
    })
}
