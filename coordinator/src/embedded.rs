//! The worker inside the coordinator: the same agent as the `worker` program, over an in-memory transport.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use worker::{AgentError, AgentOptions, AgentSummary, EngineRunner, Shutdown, ShutdownHandle};

use crate::fleet::Fleet;

/// How many bytes of results may wait to be stored. Less than a remote worker's: here they are in memory twice, with the
/// worker and with the coordinator. It is two parts of the smallest results, one in the making and one being stored.
const UNACKNOWLEDGED_BYTES: usize = 32 << 20;

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
    // Whoever waits for a drain waits here, not at a supervisor's deadline: running tasks have all the time they need.
    let grace = Duration::from_secs(366 * 24 * 3600);
    let options = AgentOptions {
        exit_when_done: true,
        grace,
        unacknowledged_bytes: UNACKNOWLEDGED_BYTES,
        ..AgentOptions::new("embedded", slots)
    };
    let agent = worker::run(fleet.connector().channel(), options, Arc::new(EngineRunner::default()), shutdown);
    Embedded { agent: Some((tokio::spawn(agent), handle)) }
}

impl Embedded {
    /// Lets the workers finish what runs and give back the rest, without waiting for a heartbeat to tell them.
    pub fn drainer(&self) -> impl Fn() + Send + Sync + 'static {
        let handle = self.agent.as_ref().map(|(_, handle)| handle.clone());
        move || {
            if let Some(handle) = &handle {
                handle.drain();
            }
        }
    }

    /// Waits until the workers have ended by themselves, and says why if that was no ordinary end. Without workers it
    /// waits for ever.
    pub async fn failed(&mut self) -> String {
        let Some((agent, _)) = &mut self.agent else { return std::future::pending().await };
        match agent.await {
            Ok(Ok(_)) => {
                self.agent = None;
                std::future::pending().await
            }
            Ok(Err(error)) => {
                self.agent = None;
                error.to_string()
            }
            Err(error) => {
                self.agent = None;
                error.to_string()
            }
        }
    }

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
