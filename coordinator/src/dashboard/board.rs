//! What the dashboard shows: shared by those who know and those who serve.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use results::{Location, SweepIdentity};
use sweep::plan::Plan;
use sweep::spec::Spec;
use tokio::sync::watch;

use crate::fleet::{Progress, Roster};
use crate::progress::Pace;

/// The sweep that is looked at.
pub struct Sweep {
    /// What its file says.
    pub spec: Spec,
    /// Its runs.
    pub plan: Arc<Plan>,
    /// Where its results are.
    pub location: Location,
    /// Whose results they are.
    pub identity: SweepIdentity,
    /// Tasks that are to be done in this coordinator's life.
    pub total: u64,
    /// Runs that were done before.
    pub done_before: u64,
}

/// What the dashboard looks at: what is known of the sweep, and the last report of it.
pub struct Board {
    pub(super) sweep: Sweep,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) roster: watch::Receiver<Roster>,
    /// The report so far.
    pub(super) report: watch::Sender<Arc<Rendered>>,
    pace: Mutex<Pace>,
    began: Instant,
    /// Milliseconds after the beginning at which somebody looked last; 0 if nobody ever did.
    looked: AtomicU64,
}

/// A report, rendered.
#[derive(Clone, Debug, Default)]
pub(super) struct Rendered {
    /// Tells reports apart, also those of another coordinator's life; empty before the first.
    pub(super) version: String,
    /// HTML.
    pub(super) body: String,
}

impl Board {
    /// A board that nothing was written on yet.
    pub fn new(sweep: Sweep, progress: watch::Receiver<Progress>, roster: watch::Receiver<Roster>) -> Board {
        Board {
            sweep,
            progress,
            roster,
            report: watch::Sender::new(Arc::default()),
            pace: Mutex::new(Pace::starting(0)),
            began: Instant::now(),
            looked: AtomicU64::new(0),
        }
    }

    /// How far the sweep is, and how many tasks end a second.
    pub(super) fn pace(&self) -> (Progress, f64) {
        let progress = *self.progress.borrow();
        let mut pace = self.pace.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (progress, pace.rate(progress.counts.ended()))
    }

    /// How long the coordinator has been at it.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Somebody looks.
    pub(super) fn look(&self) {
        self.looked.store(self.now().max(1), Ordering::Relaxed);
    }

    /// Whether somebody has looked within this time.
    pub(super) fn is_watched(&self, within: Duration) -> bool {
        let looked = self.looked.load(Ordering::Relaxed);
        looked > 0 && self.now().saturating_sub(looked) <= u64::try_from(within.as_millis()).unwrap_or(u64::MAX)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
