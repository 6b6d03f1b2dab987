//! The fleet agent: one worker of a coordinator.
//!
//! ```text
//! coordinator ══ courier ── session: lease, heartbeat, report ── slot threads ── Runner
//! ```
//!
//! The [`session`] decides, and holds every task that the worker holds; the courier makes its calls; the slots' threads
//! take tasks from it and put back what became of them. Slots never wait for the network as long as there is work, and
//! nothing that they finish is forgotten before the coordinator has acknowledged it, whatever happens to the connection
//! or to the coordinator in the meantime.

mod backoff;
mod clerk;
mod courier;
mod desk;
mod line;
mod office;
mod outbox;
mod pace;
pub mod session;
mod slot;
mod terms;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tonic::transport::Channel;
use tracing::Instrument as _;

pub use backoff::Backoff;
pub use clerk::Clerk;
pub use desk::{Delivery, Job};
pub use session::Session;

use crate::credentials::Token;
use crate::platform::{self, Identity};
use crate::runner::Runner;
use crate::shutdown::Shutdown;
use office::Office;
use slot::Slots;

/// What an agent is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentOptions {
    /// The machine's name.
    pub host: String,
    /// The worker's name, unique on its machine at a time.
    pub name: String,
    /// How many tasks to run at a time; at least one.
    pub slots: usize,
    /// End when the coordinator says that the sweep is over, rather than wait for the next sweep. A coordinator that goes
    /// before that is not the end.
    pub exit_when_done: bool,
    /// How long to try for a coordinator that does not answer; `None`: for ever.
    pub give_up_after: Option<Duration>,
    /// How long a shutdown may take.
    pub grace: Duration,
    /// How long a task may go on after its time, to end with its epoch; then it is left behind with its thread.
    pub patience: Duration,
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
            give_up_after: None,
            grace: Duration::from_secs(25),
            patience: Duration::from_secs(10),
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
    /// Whether it was told to go, and went before the coordinator said that the sweep is over.
    pub left_early: bool,
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
    /// The coordinator has not answered for too long ([`AgentOptions::give_up_after`]).
    #[error("the coordinator has not answered for {} s: given up, with {undelivered} tasks undelivered", .silence.as_secs())]
    Unreachable {
        /// For how long.
        silence: Duration,
        /// How many tasks were held, finished or not, whose report was not acknowledged.
        undelivered: u64,
    },
    /// A thread for a slot could not be started.
    #[error("cannot start a thread for a slot: {0}")]
    Slot(#[from] io::Error),
}

/// Works for the coordinator at the other end of `channel`, until the sweep is over ([`AgentOptions::exit_when_done`]) or
/// the agent is told to go. The channel should connect lazily, and again whenever it is broken.
///
/// # Errors
/// If the coordinator refuses the worker, now or later. That it cannot be reached is no error, unless it is for longer than
/// [`AgentOptions::give_up_after`]: it may come back.
pub async fn run(
    channel: Channel,
    options: AgentOptions,
    runner: Arc<dyn Runner>,
    shutdown: Shutdown,
) -> Result<AgentSummary, AgentError> {
    // The id is known when the worker has joined.
    let span = tracing::info_span!("worker", name = %options.name, worker = tracing::field::Empty);
    work(channel, options, runner, shutdown).instrument(span).await
}

async fn work(
    channel: Channel,
    options: AgentOptions,
    runner: Arc<dyn Runner>,
    shutdown: Shutdown,
) -> Result<AgentSummary, AgentError> {
    let identity = Identity { host: options.host.clone(), worker: options.name.clone() };
    let clerk = Arc::new(Clerk::new(identity));
    let (count, client) = (options.slots, courier::client(channel, options.token.as_ref()));
    let office = Arc::new(Office::new(Session::new(options, Arc::clone(&clerk), Box::new(jitter))));
    let mut slots = Slots::start(count, &office, &clerk, &runner)?;
    let served = tokio::select! {
        served = courier::serve(client, &office, &mut slots) => served,
        () = leave_in_time(&office, &shutdown) => Ok(()),
        () = shutdown.stopped() => Ok(()),
    };
    let summary = office.with(|session, _| session.summary());
    // Idle threads are joined here; a thread that still runs something ends with its epoch, and nobody waits for it.
    drop(slots);
    served.map(|()| summary)
}

/// Passes the word to go on to the session, which then ends by itself.
async fn leave_in_time(office: &Office, shutdown: &Shutdown) {
    shutdown.draining().await;
    office.with(|session, now| session.leave(now));
    office.nudge();
    std::future::pending().await
}

/// Randomness as good as needed, from the seed that every hash map gets.
fn jitter() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}
