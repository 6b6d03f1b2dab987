//! One coordinator after another: whom this one waits for, and what it leaves to the next.

use results::Handover;
use sweep::ledger::{Millis, Phase, WorkerId};

use super::super::keeper::Version;
use super::Dispatcher;

impl Dispatcher {
    /// A worker has said what it holds.
    pub(super) fn came_back(&mut self, worker: WorkerId) {
        if self.reunion.is_on()
            && let Some(info) = self.ledger.worker(worker)
            && self.reunion.came(&info.to_string())
        {
            self.changes += 1;
        }
    }

    /// Waits no longer for workers that must have come back by now.
    pub(super) fn end_reunion(&mut self, now: Millis) {
        let missing = self.reunion.missing(now);
        if !missing.is_empty() {
            self.changes += 1;
            let names: Vec<&str> = missing.iter().take(5).map(String::as_str).collect();
            let more = if missing.len() > names.len() { ", …" } else { "" };
            let what = format!("workers of the coordinator before have not come back: {}{more}", names.join(", "));
            tracing::warn!(count = missing.len(), "{what}");
            self.happened(now, true, what);
        }
    }

    /// Which state of what a later coordinator is to know this is.
    pub(super) fn version(&self) -> Version {
        Version { strikes: self.ledger.strike_changes(), others: self.changes, settled: self.is_settled() }
    }

    /// When what a later coordinator is to know is to be stored, if nothing else is.
    pub(super) fn handover_due(&self, now: Millis, idle: bool) -> Option<Millis> {
        let due = self.last_part.filter(|_| !idle).map_or(now, |last| last.after(self.terms.rhythm.interval));
        self.keeper.due(now, self.version(), due)
    }

    /// What a later coordinator is to know, if that is to be stored.
    pub(super) fn changed_handover(&mut self, now: Millis) -> Option<Handover> {
        let version = self.version();
        self.keeper.due(now, version, now).filter(|due| *due <= now)?;
        let known = self.known_strikes.iter().map(|(run_id, strikes)| (*run_id, *strikes));
        // What is being stored has ended when this is: its record goes before.
        let open = self.ledger.strikes().filter(|(run_id, _)| self.ledger.phase(*run_id) != Some(Phase::Storing));
        let strikes = known.chain(open).collect();
        // When all work has ended nobody holds anything.
        let remote = self.remote.iter().filter(|_| !version.settled);
        let names = remote.filter_map(|worker| Some(self.ledger.worker(*worker)?.to_string()));
        // They may hold results until the sweep is over.
        let out_of_reach = self.reunion.out_of_reach().filter(|_| !self.ledger.is_finished());
        let workers = names.chain(self.reunion.awaited().chain(out_of_reach).cloned()).collect();
        self.keeper.begin(version, Handover { strikes, workers })
    }
}
