//! The worker inside the coordinator: the same agent as the `worker` program, over an in-memory transport.

use std::sync::Arc;

use tokio::task::JoinHandle;
use worker::{AgentError, AgentOptions, AgentSummary, EngineRunner, Shutdown, ShutdownHandle};

use crate::fleet::Fleet;

/// Embedded workers at work.
pub struct Embedded {
    agent: Option<(JoinHandle<Result<AgentSummary, AgentError>>, ShutdownHandle)>,
}

/// Starts a worker with `slots` slots; none at all with no slots.
pub fn start(fleet: &Fleet, slots: usize) -> Embedded {
    if slots == 0 {
        return Embedded { agent: None };
    }
    let (handle, shutdown): (ShutdownHandle, Shutdown) = ShutdownHandle::new();
    let options = AgentOptions { exit_when_done: true, ..AgentOptions::new("embedded", slots) };
    let agent = worker::run(fleet.connector().channel(), options, Arc::new(EngineRunner), shutdown);
    Embedded { agent: Some((tokio::spawn(agent), handle)) }
}

impl Embedded {
    /// Waits for the workers' end, after the fleet's.
    pub async fn finish(self) {
        let Some((agent, handle)) = self.agent else { return };
        // The fleet is gone; whatever the agent still wants of it will not come.
        handle.stop();
        match agent.await {
            Ok(Ok(summary)) => tracing::debug!(?summary, "the embedded worker is done"),
            Ok(Err(error)) => tracing::error!(%error, "the embedded worker failed"),
            Err(error) => tracing::error!(%error, "the embedded worker panicked"),
        }
    }
}
