//! The fleet: workers, embedded and remote, and the driver that gives them tasks and stores what they report.
//!
//! ```text
//! workers ──gRPC──▶ service (checks, converts) ──▶ driver ──▶ dispatcher: ledger, planner, group commit
//!                                                    └──────▶ sink (one part at a time)
//! ```
//!
//! One tokio task, the driver, owns all state. The service's handlers send it one message a call and await the
//! answer; an answer to a report is sent when its part is durable. What follows from a message is decided by the
//! dispatcher, which has no socket and no clock.

pub mod dispatcher;
mod driver;
mod durations;
mod fingerprint;
mod gate;
mod group;
mod guard;
mod keeper;
pub(crate) mod lobby;
mod lookout;
pub mod message;
mod pace;
mod pause;
mod progress;
mod record;
mod reunion;
mod seam;
mod server;
mod service;
mod shape;
mod tally;
#[cfg(test)]
mod tests;
mod turnstile;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sweep::ledger::LedgerConfig;
use sweep::plan::Planner;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use worker::agent::Backoff;

pub use fingerprint::fingerprint;
pub use gate::{Gate, Tls};
pub use group::{Kept, Part, Rhythm};
pub use lookout::Errand;
pub use progress::{FleetError, Happening, Progress, Roster, Summary, WorkerState};
pub use results::Handover;
pub use seam::{Sink, SinkError, TaskSource};
pub use server::{Connector, serve_at};
pub use shape::Shape;
pub use tally::{Retries, Tally};

use dispatcher::{Arms, Dispatcher, Terms};
use driver::Driver;
use lookout::Lookout;
use message::Control;
use server::Servers;
use service::Service;

/// How many calls may wait for the driver.
const INBOX: usize = 1024;

/// What the fleet goes by.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// How long a worker may be silent before its tasks are given to others.
    pub lease_ttl: Duration,
    /// How often workers send heartbeats.
    pub heartbeat_interval: Duration,
    /// How many attempts may count against a task before it is given up.
    pub max_attempts: u16,
    /// How long an attempt may run before it is ended and counts against its task.
    pub task_timeout: Option<Duration>,
    /// What an earlier coordinator has left ([`Sink::hand_over`]): how many attempts count against tasks, and who may hold
    /// results of them.
    pub handover: Handover,
    /// How many workers are admitted.
    pub max_workers: usize,
    /// Where remote workers are admitted, and how they are told from strangers.
    pub listen: Option<Gate>,
    /// The largest batch of results that a worker may send.
    pub max_batch_bytes: usize,
    /// How many bytes of results may be in memory, waiting to be stored.
    pub max_report_bytes: usize,
    /// At most one part is stored in this time...
    pub store_interval: Duration,
    /// ...unless there are as many bytes of results...
    pub store_bytes: usize,
    /// ...or as many results.
    pub store_records: usize,
    /// How long workers may take to hear that the sweep is over.
    pub farewell: Duration,
    /// The metric whose value the planner is told.
    pub objective: Option<String>,
    /// What those are told who look on.
    pub errand: Errand,
}

impl Default for FleetOptions {
    fn default() -> FleetOptions {
        let ledger = LedgerConfig::default();
        FleetOptions {
            lease_ttl: ledger.lease_ttl,
            heartbeat_interval: ledger.heartbeat_interval,
            max_attempts: ledger.max_attempts,
            task_timeout: None,
            handover: Handover::default(),
            max_workers: ledger.max_workers,
            listen: None,
            // Less would refuse single runs that record all their samples.
            max_batch_bytes: proto::limits::MAX_BATCH_BYTES,
            max_report_bytes: 512 << 20,
            store_interval: Duration::from_secs(1),
            store_bytes: 32 << 20,
            // Results of nothing but metrics take some kilobytes each while their part is put together.
            store_records: 8_000,
            // A heartbeat and more: who does not ask for tasks hears of the end by that.
            farewell: Duration::from_secs(8),
            objective: None,
            errand: Errand::default(),
        }
    }
}

/// A running fleet.
#[derive(Debug)]
pub struct Fleet {
    servers: Servers,
    control: mpsc::UnboundedSender<Control>,
    progress: watch::Receiver<Progress>,
    roster: watch::Sender<Roster>,
    driver: JoinHandle<Result<Summary, FleetError>>,
}

/// Starts a fleet for the tasks of `planner`. Must be called within a tokio runtime.
///
/// # Errors
/// If the address to listen on is not allowed or cannot be had.
pub fn start(
    options: FleetOptions,
    source: Arc<dyn TaskSource>,
    planner: Box<dyn Planner + Send>,
    sink: impl Sink,
) -> Result<Fleet, FleetError> {
    let gate = options.listen.clone();
    let listener = gate.as_ref().map(server::bind).transpose()?;
    let (driver, inbox) = mpsc::channel(INBOX);
    let service = Service::new(
        driver,
        Arc::clone(&source),
        options.heartbeat_interval,
        options.task_timeout,
        options.max_batch_bytes,
        options.max_report_bytes,
    );
    let (sender, progress) = watch::channel(Progress::default());
    let lookout = Lookout::new(options.errand.clone(), progress.clone());
    let servers = server::serve(service, lookout, gate.as_ref().zip(listener), options.max_workers)?;
    let (control, orders) = mpsc::unbounded_channel();
    let arms = Arms::of(Arc::clone(&source));
    let dispatcher = Dispatcher::new(options.terms(arms), planner, control.clone());
    let roster = watch::Sender::new(Roster::default());
    let driver = Driver { dispatcher, sink, source, inbox, control: orders, progress: sender, roster: roster.clone() };
    Ok(Fleet { servers, control, progress, roster, driver: tokio::spawn(driver.run()) })
}

impl FleetOptions {
    fn terms(&self, arms: Arms) -> Terms {
        Terms {
            ledger: LedgerConfig {
                lease_ttl: self.lease_ttl,
                heartbeat_interval: self.heartbeat_interval,
                max_attempts: self.max_attempts,
                max_workers: self.max_workers,
                // Randomness as good as needed: another coordinator's life at the same address gets another number.
                incarnation: (RandomState::new().build_hasher().finish() >> 32) as u32,
                ..LedgerConfig::default()
            },
            rhythm: Rhythm { interval: self.store_interval, bytes: self.store_bytes, records: self.store_records },
            farewell: self.farewell,
            objective: self.objective.clone(),
            handover: self.handover.clone(),
            // A worker that lives notices with its next heartbeat, and tries again at least so often; if it can come at all.
            reunion: match self.listen {
                Some(_) => self.heartbeat_interval + Backoff::default().longest,
                None => Duration::ZERO,
            },
            arms,
        }
    }
}

impl Fleet {
    /// Connects embedded workers.
    pub fn connector(&self) -> Connector {
        self.servers.connector.clone()
    }

    /// Where remote workers are admitted, with the port that was given out if none was asked for.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.servers.local_addr
    }

    /// How far the fleet is, whenever that changes.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Who works and what happens, about once a second as long as somebody holds the receiver.
    pub fn roster(&self) -> watch::Receiver<Roster> {
        self.roster.subscribe()
    }

    /// Begins no more tasks. What runs may end, is stored, and then the fleet ends.
    pub fn drain(&self) {
        self.drainer()();
    }

    /// [`Fleet::drain`] for someone who has no fleet, such as a signal's handler while the fleet is being joined.
    pub fn drainer(&self) -> impl Fn() + Send + Sync + 'static {
        let control = self.control.clone();
        move || {
            // A fleet that has ended needs no draining.
            let _ = control.send(Control::Drain);
        }
    }

    /// Waits for the fleet's end: every task has ended, or it was drained, or something went wrong.
    ///
    /// # Errors
    /// If results could not be stored, or for an internal error. What was stored is safe.
    pub async fn join(self) -> Result<Summary, FleetError> {
        let ended = self.driver.await;
        self.servers.stop().await;
        ended.unwrap_or_else(|error| Err(FleetError::Internal(format!("the driver: {error}"))))
    }
}
