//! Where slots' threads and the connection meet: the session behind a lock, with a clock, and ways to wake each other.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::desk::{Delivery, Job};
use super::session::Session;
use crate::progress::Progress;

/// See the [module](self).
pub(super) struct Office {
    start: Instant,
    state: Mutex<State>,
    /// For slots: there is work, or no more.
    work: Condvar,
    /// For the connection: there may be calls to make.
    calls: Notify,
}

struct State {
    session: Session,
    /// Threads that run something, abandoned or not.
    busy_slots: usize,
    closed: bool,
}

impl Office {
    pub(super) fn new(session: Session) -> Office {
        Office {
            start: Instant::now(),
            state: Mutex::new(State { session, busy_slots: 0, closed: false }),
            work: Condvar::new(),
            calls: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if it did, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// The first moment at which the session's clock says `moment`.
    pub(super) fn instant(&self, moment: Duration) -> tokio::time::Instant {
        // Tokio cannot wait for ever, and nobody else wants to.
        tokio::time::Instant::from_std(self.start + moment.min(Duration::from_secs(10 * 366 * 24 * 3600)))
    }

    /// Does something with the session, and wakes slots if there is work for them afterwards.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Session, Duration) -> T) -> T {
        let mut state = self.lock();
        let out = act(&mut state.session, self.now());
        if state.session.has_work() {
            self.work.notify_all();
        }
        out
    }

    /// Waits until a slot has changed something.
    pub(super) async fn changed(&self) {
        self.calls.notified().await;
    }

    /// Has the connection look for calls to make.
    pub(super) fn nudge(&self) {
        self.calls.notify_one();
    }

    /// Puts back what became of a slot's last task, and waits for its next one; `None` when there will be none.
    pub(super) fn next(&self, last: Option<(Delivery, Arc<Progress>, Duration)>) -> Option<(Job, Arc<Progress>)> {
        let mut state = self.lock();
        if let Some((delivery, progress, took)) = last {
            state.busy_slots -= 1;
            let goes_on = state.session.finished(delivery, &progress, took);
            self.calls.notify_one();
            if !goes_on {
                // Another thread has this one's place, or the worker goes.
                return None;
            }
        }
        loop {
            if state.closed {
                return None;
            }
            let now = self.now();
            if let Some(task) = state.session.take(now) {
                state.busy_slots += 1;
                self.calls.notify_one();
                return Some(task);
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets every thread go that has nothing to do, and asks the others to end. Returns whether all have nothing to do.
    pub(super) fn close(&self) -> bool {
        let mut state = self.lock();
        state.closed = true;
        state.session.cancel_running();
        self.work.notify_all();
        state.busy_slots == 0
    }
}
