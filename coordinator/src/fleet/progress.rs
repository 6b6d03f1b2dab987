//! What the fleet tells those who look on, and how it ended.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sweep::ledger::Counts;

use super::seam::SinkError;
use super::tally::Tally;

/// How far the fleet is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Where the tasks are. Tasks that the planner has not come to yet are not counted.
    pub counts: Counts,
    /// How many workers there are.
    pub workers: usize,
    /// How many tasks they run at a time, all together.
    pub slots: u64,
    /// The planner has no more tasks: `counts.submitted` is all there will be.
    pub planned: bool,
    /// No more tasks are begun.
    pub draining: bool,
    /// How many parts were stored.
    pub parts: u64,
    /// How many tasks run, by what the workers said last.
    pub running: u64,
    /// Results cannot be stored for now; no more tasks are begun until they can.
    pub paused: bool,
    /// What has happened so far.
    pub tally: Tally,
}

/// Who works, and what has happened lately.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// When this was so.
    pub at: Option<Instant>,
    /// The workers, those that have been silent for longest first; no more than are looked at.
    pub workers: Vec<WorkerState>,
    /// How long a worker may be silent before its tasks are given to others.
    pub lease_ttl: Duration,
    /// How often workers are to be heard of.
    pub heartbeat_interval: Duration,
    /// What has happened, the latest last.
    pub happenings: Vec<Happening>,
    /// For how long tasks had been waiting, without a break, if any were.
    pub pending: Option<Duration>,
    /// How old the oldest lease was, if there was one.
    pub oldest_lease: Option<Duration>,
}

/// A worker, as a looker-on sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerState {
    /// Its name and machine.
    pub name: String,
    /// How many tasks it runs at a time.
    pub slots: u32,
    /// How many tasks it holds.
    pub leases: usize,
    /// How long it had been silent then.
    pub silence: Duration,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// How long ago it was then.
    pub ago: Duration,
    /// What, for people.
    pub what: String,
    /// Whether something went wrong.
    pub bad: bool,
}

/// How the fleet ended, if nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Where the tasks are.
    pub counts: Counts,
    /// Every task has ended; otherwise the fleet was drained.
    pub finished: bool,
    /// How many parts were stored.
    pub parts: u64,
}

/// Why the fleet could not begin, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// Results cannot be stored. What was stored before is safe; what was not is computed again next time.
    #[error("the results cannot be stored: {0}")]
    Sink(#[from] SinkError),
    /// Workers of other machines could not be told from strangers.
    #[error(
        "cannot listen on {address}, which is not a loopback address (127.0.0.1, [::1]), without {lacks}; --insecure does \
         without, on a network that is trusted as a whole"
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
        /// What is missing.
        lacks: &'static str,
    },
    /// The transport finds a fault in the certificates.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// The address cannot be had.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// The planner has no tasks, waits for no outcomes, and is not done.
    #[error("the planner is stuck: {ended} tasks have ended, it has no more, and says that there are more")]
    Stuck {
        /// How many tasks have ended.
        ended: u64,
    },
    /// A part of the program ended that should not have.
    #[error("internal error: {0}")]
    Internal(String),
}
