//! What runs a config: the engine, or in tests something that pretends to.

use engine::{EngineError, Observer, RunConfig, RunResult, Shared};

/// Runs configs, on several threads at a time.
pub trait Runner: Send + Sync + 'static {
    /// Does one run.
    ///
    /// # Errors
    /// As [`engine::run_sharing`].
    fn run(&self, config: &RunConfig, observer: &mut dyn Observer) -> Result<RunResult, EngineError>;

    /// How much memory a run takes at its peak, in bytes; `None` if nobody knows.
    fn memory_bytes(&self, config: &RunConfig) -> Option<u64> {
        let _ = config;
        None
    }
}

/// The engine. Its runs share what depends on their market alone.
#[derive(Default)]
pub struct EngineRunner {
    shared: Shared,
}

impl Runner for EngineRunner {
    fn run(&self, config: &RunConfig, observer: &mut dyn Observer) -> Result<RunResult, EngineError> {
        engine::run_sharing(config, &self.shared, observer)
    }

    fn memory_bytes(&self, config: &RunConfig) -> Option<u64> {
        Some(config.memory_bytes())
    }
}
