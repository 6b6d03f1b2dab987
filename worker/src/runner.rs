//! What runs a config: the engine, or in tests something that pretends to.

use engine::{EngineError, Observer, RunConfig, RunResult};

/// Runs configs, on several threads at a time.
pub trait Runner: Send + Sync + 'static {
    /// Does one run.
    ///
    /// # Errors
    /// As [`engine::run`].
    fn run(&self, config: &RunConfig, observer: &mut dyn Observer) -> Result<RunResult, EngineError>;

    /// How much memory a run takes at its peak, in bytes; `None` if nobody knows.
    fn memory_bytes(&self, config: &RunConfig) -> Option<u64> {
        let _ = config;
        None
    }
}

/// The engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineRunner;

impl Runner for EngineRunner {
    fn run(&self, config: &RunConfig, observer: &mut dyn Observer) -> Result<RunResult, EngineError> {
        engine::run(config, observer)
    }

    fn memory_bytes(&self, config: &RunConfig) -> Option<u64> {
        Some(config.memory_bytes())
    }
}
