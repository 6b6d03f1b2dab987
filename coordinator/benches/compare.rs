//! How long `coordinator compare` takes over many runs, and how much memory: `cargo bench -p coordinator --bench compare`,
//! with `-- SEEDS VARIANTS EPOCHS FOLDER` for another shape or to keep the results.
//!
//! The results are made up, but stored and merged as real ones are: twenty cells, a baseline, an arm of several variants,
//! validation losses in every epoch.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use coordinator::commands::run::open_store;
use coordinator::seams::PlanRows;
use engine::metrics::{Metrics, catalogue};
use engine::record::{Epoch, Provenance, Record};
use engine::{RunOutput, RunRecord, Status};
use results::{Access, Location, RUNS};
use sweep::plan::Plan;
use sweep::spec::NoWeights;

fn sweep_file(seeds: u64, variants: u64) -> String {
    format!(
        "name: many
preset: paper
seeds: {seeds}
parameters:
  market.xi: {{values: [0.1, 0.3, 0.5, 0.7, 0.9]}}
  market.rho: {{values: [-0.7, -0.5, -0.3, -0.1]}}
arms:
  adam:
    parameters: {{optimizer.kind: {{value: adam}}}}
  kfac:
    parameters:
      optimizer.kind: {{value: kfac}}
      optimizer.damping: {{min: 1e-4, max: 1e-1, distribution: log_uniform_values, count: {variants}}}
compare:
  baseline: adam
  metrics: [test.loss, test.pnl_variance, test.mean_cost, test.cvar95]
"
    )
}

/// A number in (0, 1) that is another one for every pair.
fn noise(run: u64, of: u64) -> f64 {
    let mixed = (run + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(of.wrapping_mul(0xd134_2543_de82_ef95));
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

fn record(plan: &Plan, index: u64, epochs: u64) -> RunRecord {
    let values = (0..catalogue().len() as u64).map(|metric| Some(1.0 + noise(index, metric))).collect();
    let epoch = |epoch: u64| Epoch {
        epoch: epoch as u32,
        loss: Some(1.0 / epoch as f64 + noise(index, epoch)),
        pnl_mean: Some(noise(index, 1000 + epoch)),
        pnl_variance: Some(noise(index, 2000 + epoch)),
        mean_cost: Some(noise(index, 3000 + epoch)),
        grad_norm: Some(noise(index, 4000 + epoch)),
        validation_loss: Some(1.0 / epoch as f64 + 0.1 * noise(index, 5000 + epoch)),
        seconds: Some(0.01 * epoch as f64),
        ..Epoch::default()
    };
    let provenance =
        Provenance { host: "host".into(), worker: "worker".into(), isa: "avx2".into(), ..Provenance::default() };
    RunRecord {
        run_id: plan.run_id(index),
        config: plan.config(index).to_json().to_string(),
        record: Record::default(),
        output: RunOutput {
            status: Status::Ok,
            error: None,
            metrics: Metrics::from_values(values).expect("one value a metric"),
            provenance,
            curves: (1..=epochs).map(epoch).collect(),
            path: Vec::new(),
            samples: Vec::new(),
        },
    }
}

fn generate(folder: &Path, seeds: u64, variants: u64, epochs: u64) {
    let text = sweep_file(seeds, variants);
    let parsed = sweep::spec::parse(&text, "many.yaml", &[], &mut NoWeights);
    let (spec, _) = parsed.unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let plan = Plan::build(&spec).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let begun = Instant::now();
    let mut store = open_store(&Location::folder(folder), &spec, text, &[], Access::Write).expect("an output");
    for first in (0..plan.len()).step_by(1000) {
        let records: Vec<RunRecord> =
            (first..plan.len().min(first + 1000)).map(|index| record(&plan, index, epochs)).collect();
        store.append(&records).expect("a part");
    }
    store.merge(&PlanRows::new(&plan)).expect("tables");
    println!("{} runs of {epochs} epochs made in {:.1} s", plan.len(), begun.elapsed().as_secs_f64());
}

/// The most memory that a process has held, as long as it lives.
fn peak(process: u32) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find(|line| line.starts_with("VmHWM")).map(str::to_owned)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let number = |place: usize, default: u64| {
        arguments.get(place).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")))
    };
    let (seeds, variants, epochs) = (number(0, 100), number(1, 49), number(2, 100));
    let place = tempfile::tempdir().expect("a temporary folder");
    let folder = arguments.get(3).map_or_else(|| place.path().join("many"), PathBuf::from);
    if !folder.join(RUNS).exists() {
        generate(&folder, seeds, variants, epochs);
    }
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_coordinator"))
        .arg("compare")
        .arg(&folder)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("coordinator starts");
    let mut most = None;
    let status = loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            break status;
        }
        most = peak(child.id()).or(most);
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    println!("compare: {:.1} s, {}, {status}", begun.elapsed().as_secs_f64(), most.unwrap_or_default());
    assert!(status.success());
}
