//! Which tasks wait for a worker, in the order of submission.

use std::collections::BTreeSet;

use super::task::{Entry, Phase, Slot};

/// The waiting tasks: those that were never taken out are the slots from `fresh` on, those that came back are listed.
///
/// So a million fresh tasks cost nothing here, and whatever came back goes out first, as it was submitted first.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    fresh: usize,
    returned: BTreeSet<Slot>,
}

impl Queue {
    /// Notes that a task waits (again).
    pub(super) fn insert(&mut self, slot: Slot) {
        if slot.index() < self.fresh {
            self.returned.insert(slot);
        }
    }

    /// Notes that a task waits no longer.
    pub(super) fn remove(&mut self, slot: Slot) {
        self.returned.remove(&slot);
    }

    /// The first of the waiting tasks. The caller moves it out of [`Phase::Queued`], which takes it out of here.
    pub(super) fn first(&mut self, entries: &[Entry]) -> Option<Slot> {
        if let Some(&slot) = self.returned.first() {
            return Some(slot);
        }
        // A fresh task may have got its result from elsewhere: a worker that got it from an earlier coordinator.
        while entries.get(self.fresh).is_some_and(|entry| entry.phase != Phase::Queued) {
            self.fresh += 1;
        }
        if self.fresh == entries.len() {
            return None;
        }
        self.fresh += 1;
        let slot = Slot::new(self.fresh - 1);
        self.returned.insert(slot);
        Some(slot)
    }

    /// Whether the task is listed or fresh.
    pub(super) fn contains(&self, slot: Slot) -> bool {
        slot.index() >= self.fresh || self.returned.contains(&slot)
    }

    /// The tasks that came back.
    pub(super) fn returned(&self) -> impl Iterator<Item = Slot> {
        self.returned.iter().copied()
    }
}
