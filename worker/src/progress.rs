//! How far a run is, and whether it is to go on: what a running slot and the rest of the agent share.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::memory::Reservation;

/// Why a run is to end before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cancellation {
    /// The coordinator does not need it any more.
    ByCoordinator = 1,
    /// The worker has to go.
    ByShutdown = 2,
    /// It took longer than a task may.
    ByTimeout = 3,
}

/// The state of one running task. Nothing here orders anything else, so every access is relaxed.
#[derive(Debug)]
pub struct Progress {
    attempt: AtomicU32,
    epoch: AtomicU32,
    epochs: AtomicU32,
    /// The bits of the last epoch's loss; all set before there is one.
    loss: AtomicU64,
    cancelled: AtomicU8,
    memory: Reservation,
}

impl Progress {
    /// The progress of a task that is about to run.
    pub fn new(attempt: u32) -> Progress {
        let zero = AtomicU32::default;
        let loss = AtomicU64::new(u64::MAX);
        Progress {
            attempt: AtomicU32::new(attempt),
            epoch: zero(),
            epochs: zero(),
            loss,
            cancelled: AtomicU8::new(0),
            memory: Reservation::default(),
        }
    }

    /// The memory that is kept for the task.
    pub(crate) fn memory(&self) -> &Reservation {
        &self.memory
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

    /// The training loss of the last epoch that is done, if it is a number.
    pub fn loss(&self) -> Option<f64> {
        Some(f64::from_bits(self.loss.load(Ordering::Relaxed))).filter(|loss| loss.is_finite())
    }

    /// Says which epoch is done, and with which training loss.
    pub fn set_epoch(&self, epoch: u32, loss: Option<f64>) {
        self.epoch.store(epoch, Ordering::Relaxed);
        self.loss.store(loss.map_or(u64::MAX, f64::to_bits), Ordering::Relaxed);
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
            3 => Some(Cancellation::ByTimeout),
            _ => Some(Cancellation::ByShutdown),
        }
    }
}
