//! One deep-hedging run: simulate → train → evaluate.
//!
//! Pure numerics: no files, no clock, no ambient randomness, no threads. One [`RunConfig`] gives bit-identical results
//! on every machine, so nothing here calls a transcendental of the standard library, and every reduction has one fixed
//! order.

mod activation;
mod aligned;
mod buffer;
pub mod config;
pub mod contract;
pub mod costs;
pub mod evaluation;
pub mod features;
#[cfg(test)]
mod golden;
pub mod hedges;
pub mod identity;
mod isa;
mod kernel;
mod lanes;
mod logarithm;
pub mod loss;
pub mod market;
mod memory;
pub mod metrics;
pub mod network;
pub mod observer;
pub mod optimizer;
pub mod pnl;
pub mod pricing;
pub mod random;
pub mod real;
pub mod record;
mod run;
mod shared;
pub mod speed;
pub mod statistics;
pub mod trainer;
pub mod training;

pub use config::{Preset, RunConfig, Value};
pub use identity::RunId;
pub use observer::{Observer, Phase, Unobserved};
pub use record::{RunOutput, RunRecord, RunResult, Status};
pub use run::{EngineError, run, run_sharing};
pub use shared::Shared;

/// The version of the numbers: raised whenever a config's results change in any bit, so that ids change with them.
pub const NUMERIC_VERSION: u32 = 6;

/// The engine's version, as recorded with each result.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
