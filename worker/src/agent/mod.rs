//! The fleet agent: one worker of a coordinator.
//!
//! ```text
//!             ┌─ leaser ── LeaseTasks ──┐
//! coordinator ┼─ heart ─── Heartbeat ───┼─ desk ── slot threads ── Runner
//!             └─ reporter  ReportResults┘
//! ```
//!
//! The desk owns every task that the worker holds. Slots never wait for the network as long as the desk has work, and
//! nothing that they finish is forgotten before the coordinator has acknowledged it, whatever happens to the connection
//! or to the coordinator in the meantime.

mod backoff;
mod blobs;
mod desk;
mod heart;
mod leaser;
mod pace;
mod reporter;
mod session;
mod slot;
mod terms;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use proto::WireError;
use tokio::sync::{Mutex, watch};
use tonic::transport::Channel;

pub use backoff::Backoff;

use crate::credentials::Token;
use crate::platform::{self, Identity};
use crate::runner::Runner;
use crate::shutdown::Shutdown;
use blobs::Blobs;
use desk::Desk;
use session::Context;
use slot::{Clerk, Slots};

/// What an agent is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentOptions {
    /// The machine's name.
    pub host: String,
    /// The worker's name, unique on its machine at a time.
    pub name: String,
    /// How many tasks to run at a time; at least one.
    pub slots: usize,
    /// End when the coordinator has no more tasks, rather than wait for the next coordinator.
    pub exit_when_done: bool,
    /// How long a shutdown may take.
    pub grace: Duration,
    /// How long to wait before a call is repeated.
    pub backoff: Backoff,
    /// How long the coordinator may let a lease call wait for tasks.
    pub lease_wait: Duration,
    /// With this many bytes of unacknowledged reports no more tasks are taken.
    pub unacknowledged_bytes: usize,
    /// What every call carries, for a coordinator that asks for it.
    pub token: Option<Token>,
}

impl AgentOptions {
    /// Options for this machine.
    pub fn new(name: impl Into<String>, slots: usize) -> AgentOptions {
        AgentOptions {
            host: platform::host_name(),
            name: name.into(),
            slots: slots.max(1),
            exit_when_done: false,
            grace: Duration::from_secs(25),
            backoff: Backoff::default(),
            lease_wait: Duration::from_secs(20),
            unacknowledged_bytes: 64 << 20,
            token: None,
        }
    }
}

/// What an agent has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentSummary {
    /// Runs that ended in finite numbers.
    pub ok: u64,
    /// Runs that diverged.
    pub diverged: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// Tasks that were given back unfinished.
    pub handed_back: u64,
    /// Tasks whose report was not acknowledged; not zero only if the agent had to go before it could deliver.
    pub undelivered: u64,
}

/// Why an agent ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The coordinator will not work with this worker, and says why.
    #[error("{message}")]
    Refused {
        /// What it says.
        message: String,
    },
    /// The coordinator's welcome cannot be read.
    #[error("the coordinator's answer to joining: {0}")]
    Welcome(#[from] WireError),
    /// A thread for a slot could not be started.
    #[error("cannot start a thread for a slot: {0}")]
    Slot(#[from] io::Error),
}

/// Works for the coordinator at the other end of `channel`, until it is finished ([`AgentOptions::exit_when_done`]) or
/// the agent is told to go. The channel should connect lazily, and again whenever it is broken.
///
/// # Errors
/// If the coordinator refuses the worker, now or later. That it cannot be reached is no error: it may come back.
pub async fn run(
    channel: Channel,
    options: AgentOptions,
    runner: Arc<dyn Runner>,
    shutdown: Shutdown,
) -> Result<AgentSummary, AgentError> {
    let desk = Arc::new(Desk::new(options.slots, options.unacknowledged_bytes));
    let identity = Identity { host: options.host.clone(), worker: options.name.clone() };
    let clerk = Arc::new(Clerk::new(identity));
    let slots = Slots::start(options.slots, &desk, &clerk, &runner)?;
    let context = Context {
        client: session::client(channel, options.token.as_ref()),
        options,
        desk: Arc::clone(&desk),
        clerk: Arc::clone(&clerk),
        blobs: Mutex::new(Blobs::default()),
        finished: watch::Sender::new(false),
    };
    let served = tokio::select! {
        served = session::serve(&context) => served,
        () = farewell(&context, &shutdown) => Ok(()),
        () = shutdown.stopped() => Ok(()),
    };
    let summary = clerk.summary(desk.len());
    // Idle threads are joined here; a thread that still runs something ends with its epoch, and nobody waits for it.
    drop(slots);
    served.map(|()| summary)
}

/// Waits for the word to go, and then sees to it that everything is finished or handed back in time.
async fn farewell(context: &Context, shutdown: &Shutdown) {
    shutdown.draining().await;
    let grace = context.options.grace;
    tracing::info!(?grace, held = context.desk.len(), "going: finishing what runs, handing back the rest");
    let hand_back = |run_id, attempt| context.clerk.hand_back(run_id, attempt, "the worker shuts down");
    context.desk.leave(hand_back);
    let orderly = async {
        // Most of the grace is for what runs; then it is asked to end with its epoch; then it is left behind. The rest
        // is for delivering.
        if tokio::time::timeout(grace.mul_f64(0.7), context.desk.quiet()).await.is_err() {
            context.desk.cancel_running();
            if tokio::time::timeout(grace.mul_f64(0.15), context.desk.quiet()).await.is_err() {
                context.desk.abandon_running(hand_back);
            }
        }
        context.desk.settled().await;
    };
    if tokio::time::timeout(grace, orderly).await.is_err() {
        tracing::warn!(undelivered = context.desk.len(), "the grace period is over");
    }
}
