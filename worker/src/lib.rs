//! The worker: leases tasks from a coordinator, runs them, reports what became of them.
//!
//! A worker is stateless and interchangeable. The same [`agent`] serves the `worker` program, over TCP, and the
//! coordinator's embedded workers, over an in-memory transport.

pub mod agent;
pub mod attempt;
pub mod bench;
pub mod connection;
pub mod credentials;
pub mod duration;
pub mod log;
pub mod memory;
mod panic;
pub mod platform;
pub mod progress;
pub mod recorder;
pub mod runner;
pub mod shutdown;

pub use agent::{AgentError, AgentOptions, AgentSummary, run};
pub use progress::{Cancellation, Progress};
pub use recorder::Recorder;
pub use runner::{EngineRunner, Runner};
pub use shutdown::{Shutdown, ShutdownHandle};
