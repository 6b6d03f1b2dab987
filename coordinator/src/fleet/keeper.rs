//! Keeps what a later coordinator is to know ([`Handover`]) in the store: written with the next part when it has changed.
//! It is a safeguard, so a store that refuses it ends nothing.

use results::Handover;
use sweep::ledger::Millis;

use super::pause::Pause;
use super::seam::SinkError;

/// Stands for a state of what is to be handed over: of equal versions nothing has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Version {
    /// How often the ledger's strikes changed.
    pub(super) strikes: u64,
    /// How often anything else changed.
    pub(super) others: u64,
    /// Whether all work has ended.
    pub(super) settled: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Keeper {
    /// What the store has, and its version.
    stored: Handover,
    version: Version,
    /// What is on its way there.
    storing: Option<(Handover, Version)>,
    /// The store refuses it for now.
    pause: Pause,
}

impl Keeper {
    /// The store has what was inherited.
    pub(super) fn inheriting(handover: Handover) -> Keeper {
        Keeper { stored: handover, version: Version::default(), storing: None, pause: Pause::default() }
    }

    /// When the current version is to be stored at the latest, if it is `due` for that the store has not got it.
    pub(super) fn due(&self, now: Millis, current: Version, due: Millis) -> Option<Millis> {
        (current != self.version).then(|| self.pause.lasts_until(now).map_or(due, |until| due.max(until)))
    }

    /// What is to be written in the place of what is there, if it differs.
    pub(super) fn begin(&mut self, current: Version, handover: Handover) -> Option<Handover> {
        if handover == self.stored {
            self.version = current;
            return None;
        }
        self.storing = Some((handover.clone(), current));
        Some(handover)
    }

    /// What was to be written is there, or is refused.
    pub(super) fn ended(&mut self, now: Millis, ended: Result<(), SinkError>) {
        let Some((handover, version)) = self.storing.take() else { return };
        match ended {
            Ok(()) => {
                (self.stored, self.version) = (handover, version);
                if self.pause.end() {
                    tracing::warn!("attempts are kept again");
                }
            }
            Err(error) => {
                if !self.pause.is_on() {
                    tracing::warn!(
                        "attempts that count cannot be kept for a later coordinator: {error}; the sweep goes on, and this is \
                         tried again"
                    );
                }
                self.pause.begin(now);
            }
        }
    }

    /// The part with which it was to be written was not stored.
    pub(super) fn put_off(&mut self) {
        self.storing = None;
    }

    /// Whether there is nothing to wait for: the store has the current version, or refuses it.
    pub(super) fn is_settled(&self, current: Version) -> bool {
        current == self.version || self.pause.is_on()
    }
}
