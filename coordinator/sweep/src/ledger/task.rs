//! What the ledger knows of one task.

use engine::{RunId, Status};

use super::worker::WorkerId;
use crate::Task;

/// A task's place in the order of submission. Everything inside the ledger names tasks by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(u32);

impl Slot {
    /// The slot of the `index`-th task.
    ///
    /// # Panics
    /// At 2³² tasks; at 48 bytes a task, memory has run out long before.
    pub(super) fn new(index: usize) -> Slot {
        Slot(u32::try_from(index).expect("a ledger holds fewer than 2^32 tasks"))
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A result, as far as the ledger compares results: how the run ended and a digest of its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finish {
    status: Status,
    fingerprint: u64,
}

impl Finish {
    /// A result; `None` for [`Status::Failed`], which is the lack of one.
    ///
    /// `fingerprint` covers everything that equal ids make equal, so no provenance.
    pub fn new(status: Status, fingerprint: u64) -> Option<Finish> {
        status.is_done().then_some(Finish { status, fingerprint })
    }

    /// [`Status::Ok`] or [`Status::Diverged`].
    pub fn status(self) -> Status {
        self.status
    }

    /// The digest of the numbers.
    pub fn fingerprint(self) -> u64 {
        self.fingerprint
    }
}

/// Where a task is. One place at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits for a worker.
    Queued,
    /// This worker has the lease.
    Leased(WorkerId),
    /// Its record is on its way to durable storage.
    Storing,
    /// Its result is durable. Final.
    Done(Finish),
    /// A record of its failure is durable. Final, unless a late result comes.
    Failed,
}

/// Attempts are counted from 1. Half of all numbers are more than enough for those that workers tell of.
const LAST_HEARD_ATTEMPT: u32 = u32::MAX / 2;

/// One task of the ledger. There may be a million, so every byte counts.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) task: Task,
    pub(super) phase: Phase,
    /// The number of the latest attempt; 0 before the first.
    pub(super) attempts: u32,
    /// How many attempts count against the task.
    pub(super) strikes: u16,
    /// The latest attempt is one of them.
    pub(super) struck: bool,
    /// The latest attempt's end was reported: nobody works on it any more.
    pub(super) over: bool,
}

const _: () = assert!(size_of::<Entry>() <= 48, "a million tasks take 48 MB");

impl Entry {
    pub(super) fn new(task: Task, strikes: u16) -> Entry {
        Entry { task, phase: Phase::Queued, attempts: u32::from(strikes), strikes, struck: strikes > 0, over: false }
    }

    /// The next attempt begins.
    pub(super) fn begin_next(&mut self) {
        self.begin(self.attempts.saturating_add(1));
    }

    /// An attempt is heard of that may be another coordinator's. A number that no coordinator has come to is taken for the
    /// last one that could be: all that are granted from then on have to have one of their own.
    pub(super) fn hear_of(&mut self, attempt: u32) {
        self.begin(attempt.clamp(1, LAST_HEARD_ATTEMPT));
    }

    fn begin(&mut self, attempt: u32) {
        if attempt > self.attempts {
            self.attempts = attempt;
            self.struck = false;
            self.over = false;
        }
    }

    /// The latest attempt counts against the task; but once, however often it is lost and found, and no more than
    /// `limit` do. Returns how many do.
    pub(super) fn strike(&mut self, limit: u16) -> u16 {
        if !self.struck {
            self.struck = true;
            self.strikes = self.strikes.saturating_add(1).min(limit);
        }
        self.strikes
    }

    pub(super) fn run_id(&self) -> RunId {
        self.task.run_id
    }
}

/// Run ids are digests already, so hashing one again would be a waste; the mixing is for the ids of tests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RunIdHasher(u64);

impl std::hash::Hasher for RunIdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0_u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_be_bytes(word);
        }
    }

    /// The length of an id says nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        let mixed = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 32)
    }
}

/// Maps run ids to what belongs to them.
pub(super) type RunIdMap<T> = std::collections::HashMap<RunId, T, std::hash::BuildHasherDefault<RunIdHasher>>;
