//! How far a run is, and whether it is to go on: what a running slot and the rest of the agent share.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// Why a run is to end before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cancellation {
    /// The coordinator does not need it any more.
    ByCoordinator = 1,
    /// The worker has to go.
    ByShutdown = 2,
}

/// The state of one running task. Nothing here orders anything else, so every access is relaxed.
#[derive(Debug, Default)]
pub struct Progress {
    attempt: AtomicU32,
    epoch: AtomicU32,
    epochs: AtomicU32,
    cancelled: AtomicU8,
}

impl Progress {
    /// The progress of a task that is about to run.
    pub fn new(attempt: u32) -> Progress {
        Progress { attempt: AtomicU32::new(attempt), ..Progress::default() }
    }

    /// Which attempt at the task this is. It rises if the coordinator grants what already runs once more.
    pub fn attempt(&self) -> u32 {
        self.attempt.load(Ordering::Relaxed)
    }

    /// Makes it a later attempt.
    pub fn set_attempt(&self, attempt: u32) {
        self.attempt.store(attempt, Ordering::Relaxed);
    }

    /// The last epoch that is done, and how many there will be.
    pub fn epochs(&self) -> (u32, u32) {
        (self.epoch.load(Ordering::Relaxed), self.epochs.load(Ordering::Relaxed))
    }

    /// Says how many epochs there will be.
    pub fn set_epochs(&self, epochs: u32) {
        self.epochs.store(epochs, Ordering::Relaxed);
    }

    /// Says which epoch is done.
    pub fn set_epoch(&self, epoch: u32) {
        self.epoch.store(epoch, Ordering::Relaxed);
    }

    /// Asks the run to end after the epoch that it is in. The first to ask is the one that is named.
    pub fn cancel(&self, why: Cancellation) {
        let _ = self.cancelled.compare_exchange(0, why as u8, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether and why the run is to end.
    pub fn cancellation(&self) -> Option<Cancellation> {
        match self.cancelled.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Cancellation::ByCoordinator),
            _ => Some(Cancellation::ByShutdown),
        }
    }
}
