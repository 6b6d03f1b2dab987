//! Whole runs of both presets with every optimiser.

use engine::record::{Provenance, Record};
use engine::{Preset, RunConfig, Status, Value};
use proto::Outcome;

use super::{median, peak, seconds};
use crate::attempt::attempt;
use crate::platform::Identity;
use crate::{EngineRunner, Progress};

/// A run to be timed.
#[derive(Clone, Debug)]
pub struct Case {
    /// Runs of one group are compared with its first.
    pub group: String,
    /// What it is.
    pub name: &'static str,
    /// The run.
    pub config: RunConfig,
}

/// A run that cannot be timed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{group}, {name}: {reason}")]
pub struct BenchError {
    /// The run's group.
    pub group: String,
    /// The run.
    pub name: &'static str,
    /// Why it failed or diverged.
    pub reason: String,
}

impl BenchError {
    pub(super) fn of(case: &Case, reason: String) -> BenchError {
        BenchError { group: case.group.clone(), name: case.name, reason }
    }
}

/// How long a run takes: medians over the rounds.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Of which case.
    pub case: Case,
    /// Seconds of the run, from begin to end.
    pub run_s: f64,
    /// Seconds that simulation takes.
    pub simulate_s: f64,
    /// Seconds that training takes.
    pub train_s: f64,
    /// Training time over that of the group's first run in the same round.
    pub train_ratio: f64,
    /// Floating-point operations of the training's matrix products over simulation and training, a second; `None` where
    /// they are not counted.
    pub flops_per_s: Option<f64>,
    /// Of the peak measured in the same rounds.
    pub fraction_of_peak: Option<f64>,
}

/// What [`time_runs`] is for: Adam first in every group.
///
/// `paper` whole, evaluation included; of `hedging` one epoch over the 10,000 paths, with nothing held out, in small
/// batches and in those of the sweeps that ship.
pub fn cases() -> Vec<Case> {
    let kfac: [(&str, Value); 2] = [("optimizer.kind", "kfac".into()), ("optimizer.kl_clip", Value::Float(1e-3))];
    let ggn: [(&str, Value); 1] = [("optimizer.fisher", "ggn".into())];
    let joint: [(&str, Value); 1] = [("optimizer.recurrent_factors", "joint".into())];
    let adapt: [(&str, Value); 1] = [("optimizer.damping_adapt", "levenberg_marquardt".into())];
    let reduce: [(&str, Value); 1] = [("optimizer.sharing", "reduce".into())];
    let of_paper: [(&str, Vec<(&str, Value)>); 3] = [
        ("adam", vec![]),
        ("sgd", vec![("optimizer.kind", "sgd".into())]),
        ("kfac, head", vec![("optimizer.kind", "kfac".into())]),
    ];
    let of_hedging: [(&str, Vec<(&str, Value)>); 7] = [
        ("adam", vec![]),
        ("sgd", vec![("optimizer.kind", "sgd".into())]),
        ("kfac, empirical, G per gate", kfac.to_vec()),
        ("kfac, GGN, G per gate", [&kfac[..], &ggn].concat()),
        ("kfac, GGN, G per gate, LM", [&kfac[..], &ggn, &adapt].concat()),
        ("kfac, GGN, joint G", [&kfac[..], &ggn, &joint].concat()),
        ("kfac, GGN, G per gate, reduce", [&kfac[..], &ggn, &reduce].concat()),
    ];
    let case = |group: String, preset: Preset, name: &'static str, keys: &[(&str, Value)]| Case {
        group,
        name,
        config: RunConfig::resolve(preset, 0, keys.iter().map(|(key, value)| (*key, value)))
            .expect("the keys are known and fit together"),
    };
    let mut cases: Vec<Case> =
        of_paper.iter().map(|(name, keys)| case("paper".into(), Preset::Paper, name, keys)).collect();
    for batch in [32, 256] {
        let epoch = [
            ("training.epochs", Value::Int(1)),
            ("training.batch_size", Value::Int(batch)),
            ("training.keep", "last".into()),
            ("evaluation.validation_paths", Value::Int(0)),
            ("evaluation.test_paths", Value::Int(0)),
            ("evaluation.hedges", Value::List(Vec::new())),
        ];
        let group = format!("hedging, an epoch in batches of {batch}");
        for (name, keys) in &of_hedging {
            cases.push(case(group.clone(), Preset::Hedging, name, &[&epoch[..], keys].concat()));
        }
    }
    cases
}

/// Times every case once a round, all of a group in turns; `progress` hears of each group before it begins.
///
/// # Errors
/// The first run that failed or diverged.
pub fn time_runs(cases: &[Case], rounds: u32, mut progress: impl FnMut(&str)) -> Result<Vec<Timing>, BenchError> {
    let mut timings = Vec::with_capacity(cases.len());
    for group in cases.chunk_by(|a, b| a.group == b.group) {
        progress(&group[0].group);
        let mut looks: Vec<Vec<Look>> = vec![Vec::new(); group.len()];
        for _ in 0..rounds {
            for (case, looks) in group.iter().zip(&mut looks) {
                looks.push(Look::at(&case.config).map_err(|reason| BenchError::of(case, reason))?);
            }
        }
        let first = looks[0].clone();
        timings.extend(group.iter().zip(looks).map(|(case, looks)| timing(case, &looks, &first)));
    }
    Ok(timings)
}

/// One run, timed.
#[derive(Clone, Copy, Debug)]
struct Look {
    run_s: f64,
    simulate_s: f64,
    train_s: f64,
    peak: f64,
}

impl Look {
    fn at(config: &RunConfig) -> Result<Look, String> {
        let peak = peak();
        let mut times = Ok(Provenance::default());
        let run_s = seconds(|| times = complete(&EngineRunner::default(), config));
        let times = times?;
        let of = |time: Option<f64>| time.unwrap_or(f64::NAN);
        Ok(Look { run_s, simulate_s: of(times.simulate_s), train_s: of(times.train_s), peak })
    }
}

/// Does a run to its end; says how long its parts took, or what went wrong.
pub(super) fn complete(runner: &EngineRunner, config: &RunConfig) -> Result<Provenance, String> {
    let identity = Identity { host: String::new(), worker: "bench".into() };
    match attempt(runner, config, &Record::default(), &Progress::new(1), &identity, &|_| {}) {
        Outcome::Finished(output) if output.status == Status::Ok => Ok(output.provenance),
        // A run that breaks down early would pass as a fast one.
        Outcome::Finished(output) => Err(output.error.unwrap_or_else(|| "it diverged".into())),
        Outcome::Failed(failure) => Err(failure.message),
    }
}

fn timing(case: &Case, looks: &[Look], first: &[Look]) -> Timing {
    let over = |of: fn(&Look) -> f64| median(looks.iter().map(of).collect());
    let epochs = case.config.training.epochs as f64;
    let speed = case.config.epoch_flops().map(|flops| {
        let speeds = looks.iter().map(|look| epochs * flops / (look.simulate_s + look.train_s));
        let fractions = speeds.clone().zip(looks).map(|(speed, look)| speed / look.peak);
        (median(speeds.collect()), median(fractions.collect()))
    });
    Timing {
        case: case.clone(),
        run_s: over(|look| look.run_s),
        simulate_s: over(|look| look.simulate_s),
        train_s: over(|look| look.train_s),
        train_ratio: median(looks.iter().zip(first).map(|(look, first)| look.train_s / first.train_s).collect()),
        flops_per_s: speed.map(|(speed, _)| speed),
        fraction_of_peak: speed.map(|(_, fraction)| fraction),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_a_config_and_adam_is_first() {
        let cases = cases();
        for group in cases.chunk_by(|a, b| a.group == b.group) {
            assert_eq!(group[0].name, "adam");
        }
        let digests: std::collections::BTreeSet<_> =
            cases.iter().map(|case| engine::RunId::of(&case.config).to_string()).collect();
        assert_eq!(digests.len(), cases.len(), "no run is timed twice under two names");
    }

    #[test]
    fn a_ratio_is_that_of_the_same_round() {
        let look = |train_s: f64| Look { run_s: 1.0, simulate_s: 0.5, train_s, peak: 1e9 };
        let case = &cases()[0];
        let timing = timing(case, &[look(2.0), look(6.0), look(30.0)], &[look(1.0), look(2.0), look(10.0)]);
        assert_eq!((timing.train_s, timing.train_ratio), (6.0, 3.0));
        let expected = 100.0 * case.config.epoch_flops().unwrap() / 6.5;
        assert_eq!(timing.flops_per_s, Some(expected));
    }
}
