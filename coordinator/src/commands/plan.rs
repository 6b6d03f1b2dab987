//! `coordinator plan FILE`: what a sweep would run, without running anything.

use std::fmt::Write as _;

use engine::Value;
use results::{Access, Location, StoreError};
use sweep::plan::Plan;
use sweep::spec::Spec;

use crate::cli::PlanArgs;
use crate::commands::run::open_store;
use crate::commands::tally::Tally;
use crate::commands::{Loaded, load, output};
use crate::exit::{Exit, Failure, OrExit, print};
use crate::format;

/// Prints the plan.
///
/// # Errors
/// If anything about the sweep file is wrong, or the output cannot be read.
pub fn plan(args: &PlanArgs) -> Result<Exit, Failure> {
    let Loaded { text, spec, plan, .. } = load(&args.file, &args.set)?;
    let out = output(args.out.as_deref(), &spec);
    let location: Location = out.parse().or_exit(Exit::Usage)?;
    let tally = match open_store(&location, &spec, text, &args.set, Access::Read) {
        Ok(store) => Tally::of(&plan, &store, &spec, None),
        // Nothing has been run yet.
        Err(StoreError::Missing { .. }) => Tally::nothing_done(&plan),
        Err(error) => return Err(error.into()),
    };
    print(&describe(&spec, &plan, &tally, &out, args.show))?;
    Ok(Exit::Success)
}

fn describe(spec: &Spec, plan: &Plan, tally: &Tally, out: &str, show: u64) -> String {
    let mut text = spec.name.clone();
    if let Some(description) = &spec.description {
        let _ = write!(text, "\n{}", format::wrap(description, 100));
    }
    let cells = format::plural(u64::from(plan.cells()), "cell");
    let _ = writeln!(text, "\n\n{cells}, {}", format::plural(plan.seeds(), "seed"));
    let width = plan.arms().iter().map(|name| name.chars().count()).max().unwrap_or(0);
    for (arm, name) in plan.arms().iter().enumerate() {
        let variants = format::plural(u64::from(plan.variants(arm as u32)), "variant");
        let baseline = match plan.baseline() {
            Some((baseline, _)) if baseline as usize == arm => "  (baseline)",
            _ => "",
        };
        let _ = writeln!(text, "  arm {name:<width$}  {variants}{baseline}");
    }
    let _ = writeln!(text, "\n{tally}");
    let _ = writeln!(text, "{out}: about {} when done\n", format::bytes(estimated_bytes(spec, plan)));
    for index in 0..show.min(plan.len()) {
        let run = plan.get(index);
        let _ = writeln!(
            text,
            "{}  {} | {} | {} | seed {}",
            plan.run_id(index),
            plan.arms()[run.arm as usize],
            plan.variant_label(run.arm, run.variant),
            plan.cell_label(run.cell),
            run.seed,
        );
        let _ = writeln!(text, "  {}", plan.config(index).to_json());
    }
    if plan.len() > show && show > 0 {
        let _ = writeln!(text, "... and {} more", format::count(plan.len() - show));
    }
    text
}

/// Roughly what the results will take on disk: from the sizes of the Parquet files of finished sweeps, per run, metrics of
/// training, metrics of a held-out set, epoch, path point and sample. Small sweeps take more, for the files' footers.
fn estimated_bytes(spec: &Spec, plan: &Plan) -> u64 {
    const RUN: f64 = 30.0;
    const TRAINED: f64 = 80.0;
    const HELD_OUT: f64 = 104.0;
    const EPOCH: f64 = 55.0;
    const POINT: f64 = 24.0;
    const SAMPLE: f64 = 7.5;
    // The parts and the tables each hold everything once.
    const COPIES: f64 = 2.0;
    let config = plan.config(0);
    let epochs = config.training.epochs as f64;
    let held_out = [config.evaluation.validation_paths, config.evaluation.test_paths];
    let sets = held_out.into_iter().filter(|paths| *paths > 0).count() as f64;
    // A classical hedge has the same metrics on the test set as the network.
    let hedges = config.evaluation.hedges.len() as f64;
    let mut bytes = RUN + HELD_OUT * (sets + hedges);
    if config.training.epochs > 0 {
        bytes += TRAINED;
    }
    if spec.record.curves {
        bytes += EPOCH * epochs;
    }
    if config.evaluation.test_paths > 0 {
        let steps = match config.get("market.steps") {
            Some(Value::Int(steps)) => steps,
            _ => 0,
        };
        bytes += POINT * (steps + 1) as f64;
    }
    if let Some(samples) = &spec.record.samples {
        for set in &samples.sets {
            let training_paths = config.training.batches() * config.training.batch_size;
            let (paths, times) = match set {
                engine::record::SampleSet::Train if samples.all_epochs => (training_paths, epochs),
                engine::record::SampleSet::Train => (training_paths, 1.0),
                engine::record::SampleSet::Validation => (config.evaluation.validation_paths, 1.0),
                engine::record::SampleSet::Test => (config.evaluation.test_paths, 1.0),
            };
            bytes += SAMPLE * times * paths.min(samples.max_paths) as f64;
        }
    }
    (COPIES * bytes * plan.len() as f64) as u64
}
