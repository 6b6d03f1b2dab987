//! What an onlooker knows: which faults took effect, which transitions of the ledger were seen, and who is who.

use std::collections::{BTreeMap, BTreeSet};

use coordinator::fleet::message::{Content, Control, Delivered};
use engine::RunId;
use proto::{Held, Reason};
use sweep::ledger::{Ledger, Phase, WorkerId};

use crate::disk::{Disk, Row};
use crate::fault::Fault;
use crate::head::ids;
use crate::tasks::{Tasks, index_of};

/// Where a task is, as the ledger's table of transitions says it; `a` is whoever acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    Unknown,
    Queued,
    Leased { first: WorkerId, second: Option<WorkerId> },
    StoringResult,
    StoringFailure,
    Done,
    Failed,
}

impl Place {
    /// The table's name for it, if `actor` acts.
    fn name(self, actor: Option<WorkerId>) -> &'static str {
        match self {
            Place::Unknown => "unknown",
            Place::Queued => "queued",
            Place::Leased { first, second: None } if actor.is_none_or(|actor| actor == first) => "leased to a",
            Place::Leased { second: None, .. } => "leased to b",
            Place::Leased { first, second: Some(_) } if actor.is_none_or(|actor| actor == first) => {
                "leased to a, backed up by b"
            }
            Place::Leased { second, .. } if second == actor => "leased to b, backed up by a",
            // A third worker: the table has no name for it.
            Place::Leased { .. } => "leased to b",
            Place::StoringResult => "storing result",
            Place::StoringFailure => "storing failure",
            Place::Done => "done",
            Place::Failed => "failed",
        }
    }
}

/// A row of the ledger's table: a state and an event.
pub(crate) type Transition = (&'static str, &'static str);

/// A process as the onlooker knows it by the id that the coordinator gave it.
#[derive(Clone, Debug)]
struct Known {
    node: usize,
    life: u32,
    /// When the coordinator heard of it last.
    heard: u64,
    /// What it listed last.
    held: Vec<Held>,
}

pub(crate) struct Books {
    pub(crate) faults: BTreeMap<Fault, u64>,
    pub(crate) transitions: BTreeSet<Transition>,
    pub(crate) places: Vec<Place>,
    known: BTreeMap<WorkerId, Known>,
    /// When processes died, by node and life.
    deaths: BTreeMap<(usize, u32), u64>,
    /// How many processes each task has killed.
    pub(crate) kills: BTreeMap<u64, u32>,
    /// The rows that readers have seen with a result.
    pub(crate) seen: BTreeMap<RunId, Row>,
    pub(crate) coordinator_lives: u32,
    pub(crate) coordinator_began: u64,
    /// When the coordinator woke up from its last sleep.
    pub(crate) last_awakening: u64,
    pub(crate) crash_while_storing: bool,
    pub(crate) store_lies: bool,
    pub(crate) acknowledged: u64,
    /// What counted against tasks when this coordinator started.
    pub(crate) inherited: BTreeMap<RunId, u16>,
    /// How often tasks that had failed were begun anew.
    pub(crate) retried: BTreeMap<u64, u32>,
    /// Processes that are to hear of the end.
    pub(crate) to_be_told: Vec<(usize, u32)>,
    pub(crate) backups: u64,
    /// Tasks that were ever given to a second worker.
    pub(crate) backed_up: BTreeSet<u64>,
    /// Which processes have results of which tasks.
    finished: BTreeMap<u64, BTreeSet<(usize, u32)>>,
    /// The workers that this coordinator knew of when it started, by name.
    pub(crate) awaited: BTreeSet<String>,
}

impl Books {
    pub(crate) fn new(tasks: &Tasks) -> Books {
        Books {
            faults: BTreeMap::new(),
            transitions: BTreeSet::new(),
            places: vec![Place::Unknown; tasks.len() as usize],
            known: BTreeMap::new(),
            deaths: BTreeMap::new(),
            kills: BTreeMap::new(),
            seen: BTreeMap::new(),
            coordinator_lives: 0,
            coordinator_began: 0,
            last_awakening: 0,
            crash_while_storing: false,
            store_lies: false,
            acknowledged: 0,
            inherited: BTreeMap::new(),
            retried: BTreeMap::new(),
            to_be_told: Vec::new(),
            backups: 0,
            backed_up: BTreeSet::new(),
            finished: BTreeMap::new(),
            awaited: BTreeSet::new(),
        }
    }

    pub(crate) fn fired(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    pub(crate) fn killed(&mut self, task: u64) {
        *self.kills.entry(task).or_default() += 1;
    }

    pub(crate) fn finished(&mut self, task: u64, node: usize, life: u32) {
        self.finished.entry(task).or_default().insert((node, life));
    }

    /// The processes that have had a result of a task.
    pub(crate) fn finishers(&self, task: u64) -> impl Iterator<Item = (usize, u32)> {
        self.finished.get(&task).into_iter().flatten().copied()
    }

    pub(crate) fn died(&mut self, node: usize, life: u32, now: u64) {
        self.deaths.insert((node, life), now);
    }

    pub(crate) fn joined(&mut self, worker: WorkerId, node: usize, life: u32, now: u64) {
        self.known.insert(worker, Known { node, life, heard: now, held: Vec::new() });
    }

    /// A new coordinator, which knows what is on the disk and nothing else.
    pub(crate) fn coordinator_starts(&mut self, disk: &Disk, now: u64) {
        self.coordinator_began = now;
        let done = disk.done();
        self.coordinator_lives += 1;
        self.awaited = disk.handover.workers.clone();
        self.inherited = disk.handover.strikes.clone();
        self.known.clear();
        for (place, run_id) in self.places.iter_mut().zip(ids(u64::MAX)) {
            *place = if done.contains(&run_id) { Place::Done } else { Place::Unknown };
            if *place == Place::Unknown && disk.seen(run_id).is_some() {
                *self.retried.entry(index_of(run_id)).or_default() += 1;
            }
        }
    }

    /// Which node's which life a worker id is.
    pub(crate) fn who(&self, worker: WorkerId) -> Option<(usize, u32)> {
        self.known.get(&worker).map(|known| (known.node, known.life))
    }

    /// When a worker's process died, if it has, or was heard of after that: news travel slowly.
    pub(crate) fn death(&self, worker: WorkerId) -> Option<u64> {
        let known = self.known.get(&worker)?;
        self.deaths.get(&(known.node, known.life)).map(|death| known.heard.max(*death))
    }

    /// A row of the table was seen.
    fn see(&mut self, index: usize, actor: Option<WorkerId>, event: &'static str) {
        self.transitions.insert((self.places[index].name(actor), event));
    }

    fn index(&self, run_id: RunId) -> Option<usize> {
        let number = u128::from_be_bytes(run_id.0);
        (1..=self.places.len() as u128).contains(&number).then(|| number as usize - 1)
    }

    pub(crate) fn heartbeat(&mut self, worker: WorkerId, held: &[Held], now: u64) {
        let Some(known) = self.known.get_mut(&worker) else { return };
        known.held = held.to_vec();
        known.heard = now;
        let listed: BTreeSet<usize> = held.iter().filter_map(|held| self.index(held.run_id)).collect();
        for &index in &listed {
            self.see(index, Some(worker), "listed by a");
        }
    }

    /// A report, before the ledger hears of it.
    pub(crate) fn report(&mut self, worker: WorkerId, report: &Delivered, ledger: &Ledger) {
        let Some(index) = self.index(report.run_id) else { return };
        let event = match &report.content {
            Content::Result { output, fingerprint } => {
                let first = match ledger.phase(report.run_id) {
                    Some(Phase::Done(first)) => Some(first.fingerprint()),
                    _ => None,
                };
                let wrong = output.metrics.get("test.loss").is_some_and(|loss| loss.fract() != 0.0);
                if first.map_or(wrong, |first| first != *fingerprint) { "other result" } else { "result" }
            }
            Content::Failure(failure) => match failure.reason {
                Reason::Panic => "panic",
                Reason::Refused => "refused",
                Reason::Unavailable => "unavailable",
                Reason::TimedOut => "timed out",
                Reason::HandedBack => "handed back",
            },
            Content::Incomplete(_) => "incomplete",
            Content::Invalid(_) => "unavailable",
        };
        self.see(index, Some(worker), event);
        // What is stored of it shows only in what is being stored.
        let stores_result = matches!(report.content, Content::Result { .. });
        let place = &mut self.places[index];
        if stores_result && matches!(place, Place::StoringFailure) {
            *place = Place::StoringResult;
        }
    }

    pub(crate) fn returned(&mut self, control: &Control) {
        if let Control::Undelivered { worker, leases } = control {
            for lease in leases {
                if let Some(index) = self.index(lease.task.run_id) {
                    self.see(index, Some(*worker), "handed back");
                }
            }
        }
    }

    /// A task was at one place and is at another: what must have happened.
    pub(crate) fn moved(&mut self, index: usize, to: Place, cause: &'static str) {
        let from = self.places[index];
        let event = match (from, to) {
            (Place::Unknown, Place::Queued) => Some("submitted"),
            // In one step: planned, and granted to whoever was waiting.
            (Place::Unknown, Place::Leased { .. }) => {
                self.transitions.insert(("unknown", "submitted"));
                self.transitions.insert(("queued", "a leases"));
                None
            }
            (Place::Queued, Place::Leased { .. }) if cause != "listed" => Some("a leases"),
            (Place::Leased { second: None, .. }, Place::Leased { second: Some(second), .. }) => {
                self.transitions.insert((from.name(Some(second)), "a backs up"));
                self.backups += 1;
                self.backed_up.insert(index as u64);
                None
            }
            (Place::Leased { .. }, Place::Queued | Place::StoringFailure | Place::Leased { .. }) => match cause {
                "silence" => Some("silence"),
                "listed" => Some("unlisted by a"),
                "left" => Some("a leaves"),
                _ => None,
            },
            (Place::StoringResult | Place::StoringFailure, Place::Done | Place::Failed) if cause == "stored" => {
                Some("stored")
            }
            (Place::StoringResult | Place::StoringFailure, Place::Leased { .. }) => Some("store failed"),
            (Place::StoringResult, Place::Queued | Place::Failed) => Some("store failed"),
            _ => None,
        };
        if let Some(event) = event {
            self.see(index, None, event);
        }
        self.places[index] = to;
    }

    /// Workers that have died, and what they held then.
    pub(crate) fn ghosts(&self) -> Vec<(WorkerId, Vec<Held>)> {
        let dead = self.known.iter().filter(|(_, known)| self.deaths.contains_key(&(known.node, known.life)));
        dead.map(|(worker, known)| (*worker, known.held.clone())).collect()
    }
}
