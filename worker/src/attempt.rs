//! One attempt at one run: the config is there, what becomes of it?

use engine::record::Record;
use engine::{EngineError, RunConfig};
use proto::{Failure, Outcome, Reason};

use crate::memory::Reserved;
use crate::panic::caught;
use crate::platform::Identity;
use crate::progress::{Cancellation, Progress};
use crate::recorder::Recorder;
use crate::runner::Runner;

/// Where an attempt is that cannot begin at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It waits for other runs of this process to leave it the memory that it needs.
    Waits,
    /// It has waited, and begins.
    Begins,
}

/// Runs a config under a recorder. Panics and the engine's errors become failures; a config that cannot fit into memory
/// is not begun. `turn` hears of it if the attempt has to wait.
pub fn attempt(
    runner: &dyn Runner,
    config: &RunConfig,
    record: &Record,
    progress: &Progress,
    identity: &Identity,
    turn: &dyn Fn(Turn),
) -> Outcome {
    let needed = runner.memory_bytes(config).filter(|&bytes| bytes >= SMALL_RUN_BYTES).unwrap_or(0);
    // Held until the run has ended: runs that fit one by one, but not together, take turns.
    let _reserved = match progress.memory().reserve(needed, || turn(Turn::Waits)) {
        Ok(Reserved { waited, guard }) => {
            if waited {
                turn(Turn::Begins);
            }
            guard
        }
        Err(available) => {
            let provenance = identity.provenance(progress.attempt());
            let message = too_large(needed, available);
            return Outcome::Failed(Failure { reason: Reason::Refused, message, provenance });
        }
    };
    progress.set_epochs(u32::try_from(config.training.epochs).unwrap_or(u32::MAX));
    let mut recorder = Recorder::started(record, config.training.target_loss, progress);
    let ended = caught(|| runner.run(config, &mut recorder));
    // The attempt is read last: it may have risen in the meantime.
    let provenance = identity.provenance(progress.attempt());
    let (reason, message) = match ended {
        Ok(Ok(result)) => return Outcome::Finished(recorder.finish(result, provenance)),
        Ok(Err(error)) => (reason_for(&error, progress), explain(&error, progress)),
        Err(panic) => (Reason::Panic, panic),
    };
    Outcome::Failed(Failure { reason, message, provenance: recorder.timed(provenance) })
}

fn reason_for(error: &EngineError, progress: &Progress) -> Reason {
    match error {
        EngineError::Cancelled { .. } if progress.cancellation() == Some(Cancellation::ByTimeout) => Reason::TimedOut,
        EngineError::MissingWeights { .. } => Reason::Unavailable,
        EngineError::Cancelled { .. } => Reason::HandedBack,
        // Whatever else is wrong lies in the config, and is as wrong on every other worker.
        _ => Reason::Refused,
    }
}

fn explain(error: &EngineError, progress: &Progress) -> String {
    match progress.cancellation().filter(|_| matches!(error, EngineError::Cancelled { .. })) {
        Some(Cancellation::ByCoordinator) => format!("{error}, by the coordinator"),
        Some(Cancellation::ByShutdown) => format!("{error}: the worker shuts down"),
        Some(Cancellation::ByTimeout) => format!("{error}: it took longer than a task may"),
        None => error.to_string(),
    }
}

/// Runs smaller than this are not worth asking the kernel about.
const SMALL_RUN_BYTES: u64 = 256 << 20;

fn too_large(needed: u64, available: u64) -> String {
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    format!("the run needs about {:.2} GiB of memory, and {:.2} GiB are available", gib(needed), gib(available))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use engine::metrics::Metrics;
    use engine::{Observer, Preset, RunResult, Status};

    use super::*;

    /// Takes more than half of the memory, and does nothing with it.
    struct Large(u64);

    impl Runner for Large {
        fn run(&self, _: &RunConfig, _: &mut dyn Observer) -> Result<RunResult, EngineError> {
            let (metrics, curves, path) = (Metrics::default(), Vec::new(), Vec::new());
            Ok(RunResult { status: Status::Ok, error: None, metrics, curves, path })
        }

        fn memory_bytes(&self, _: &RunConfig) -> Option<u64> {
            Some(self.0)
        }
    }

    #[test]
    fn a_run_that_waits_for_memory_says_so_until_the_others_end_or_are_given_up() {
        let large = Large(crate::memory::available_bytes().unwrap_or(u64::MAX) / 10 * 6);
        let config = RunConfig::resolve(Preset::Paper, 0, []).unwrap();
        let identity = Identity { host: "host".into(), worker: "worker".into() };
        for given_up in [false, true] {
            let first = Progress::new(1);
            let reserved = first.memory().reserve(large.0, || panic!("nobody else is here")).unwrap();
            let (turns, heard) = mpsc::channel();
            std::thread::scope(|scope| {
                let second = scope.spawn(|| {
                    let turn = move |turn| turns.send(turn).unwrap();
                    attempt(&large, &config, &Record::default(), &Progress::new(1), &identity, &turn)
                });
                assert_eq!(heard.recv(), Ok(Turn::Waits));
                if given_up {
                    first.memory().forfeit();
                } else {
                    drop(reserved);
                }
                assert_eq!(heard.recv(), Ok(Turn::Begins));
                assert!(matches!(second.join().unwrap(), Outcome::Finished(_)));
            });
            assert!(heard.recv().is_err(), "it waits once");
        }
    }
}
