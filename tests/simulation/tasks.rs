//! The tasks of a sweep, what each of them does to whoever runs it, and what becomes of it.

use std::collections::BTreeSet;

use bytes::Bytes;
use coordinator::fleet::{Shape, TaskSource};
use engine::metrics::Metrics;
use engine::record::{Provenance, Record, RunOutput};
use engine::{Preset, RunId, Status, Value};
use sweep::Task;
use sweep::plan::{Outcome, Planner};

use crate::dice::Dice;
use crate::fault::Fault;

/// How a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Ok,
    Diverges,
    Panics,
    /// It is refused by whoever looks at it.
    Refused,
    /// The first worker lacks something.
    UnavailableAtFirst,
    /// It ends the process.
    Kills,
    /// It goes on for ever, and looks up after each epoch.
    Crawls,
    /// It goes on for ever.
    Hangs,
    /// It ends in another way whenever it is tried: not every machine is sound.
    Fickle,
}

impl Fate {
    pub(crate) fn fault(self) -> Option<Fault> {
        match self {
            Fate::Ok | Fate::Fickle => None,
            Fate::Diverges => Some(Fault::Diverged),
            Fate::Panics => Some(Fault::PanickingTask),
            Fate::Refused => Some(Fault::Refused),
            Fate::UnavailableAtFirst => Some(Fault::Unavailable),
            Fate::Kills => Some(Fault::KillerTask),
            Fate::Crawls => Some(Fault::CrawlingTask),
            Fate::Hangs => Some(Fault::HangingTask),
        }
    }

    /// How an attempt ends.
    pub(crate) fn of_attempt(self, attempt: u64) -> Fate {
        let fickle =
            [Fate::Ok, Fate::Panics, Fate::Ok, Fate::Refused, Fate::UnavailableAtFirst, Fate::Ok, Fate::Crawls];
        if self == Fate::Fickle { fickle[(attempt % fickle.len() as u64) as usize] } else { self }
    }

    /// Whether every attempt ends without a result.
    pub(crate) fn is_hopeless(self) -> bool {
        matches!(self, Fate::Panics | Fate::Refused | Fate::Kills | Fate::Crawls | Fate::Hangs)
    }
}

/// What a task is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nature {
    pub(crate) fate: Fate,
    /// On an ordinary worker.
    pub(crate) duration_ms: u64,
}

/// The tasks of one sweep.
#[derive(Clone, Debug)]
pub(crate) struct Tasks(Vec<Nature>);

impl Tasks {
    pub(crate) fn draw(dice: &mut Dice, count: u64) -> Tasks {
        let fates = [
            (Fate::Diverges, 0.05),
            (Fate::Panics, 0.01),
            (Fate::Refused, 0.01),
            (Fate::UnavailableAtFirst, 0.02),
            (Fate::Kills, 0.008),
            (Fate::Crawls, 0.008),
            (Fate::Hangs, 0.006),
            (Fate::Fickle, 0.06),
        ];
        let nature = |_| {
            let mut point = dice.unit();
            let mut fate = Fate::Ok;
            for (kind, share) in fates {
                if point < share {
                    fate = kind;
                    break;
                }
                point -= share;
            }
            // Some take no time at all, most some seconds.
            let duration_ms = if dice.chance(0.1) { 0 } else { dice.between(100, 12_000) };
            Nature { fate, duration_ms }
        };
        Tasks((0..count).map(nature).collect())
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    pub(crate) fn nature(&self, index: u64) -> Nature {
        self.0[index as usize]
    }

    /// A planner of those that are not done.
    pub(crate) fn planner(&self, done: BTreeSet<RunId>) -> Box<dyn Planner + Send> {
        Box::new(InOrder { next: 0, total: self.len(), done })
    }
}

pub(crate) fn run_id(index: u64) -> RunId {
    RunId((u128::from(index) + 1).to_be_bytes())
}

pub(crate) fn index_of(run_id: RunId) -> u64 {
    (u128::from_be_bytes(run_id.0) - 1) as u64
}

pub(crate) fn task(index: u64) -> Task {
    Task { run_id: run_id(index), index }
}

/// The result of a task: a function of the task alone, provenance apart; unless the worker is broken.
pub(crate) fn output(index: u64, nature: Nature, provenance: Provenance, wrong: bool) -> RunOutput {
    let mut metrics = Metrics::default();
    metrics.set("test.loss", index as f64 + if wrong { 0.5 } else { 0.0 });
    let diverged = nature.fate == Fate::Diverges;
    RunOutput {
        status: if diverged { Status::Diverged } else { Status::Ok },
        error: diverged.then(|| "it diverged".to_owned()),
        metrics,
        provenance,
        curves: Vec::new(),
        path: Vec::new(),
        samples: Vec::new(),
    }
}

struct InOrder {
    next: u64,
    total: u64,
    done: BTreeSet<RunId>,
}

impl Planner for InOrder {
    fn next(&mut self, _: &[Outcome], limit: usize) -> Vec<Task> {
        let mut tasks = Vec::new();
        while tasks.len() < limit && self.next < self.total {
            if !self.done.contains(&run_id(self.next)) {
                tasks.push(task(self.next));
            }
            self.next += 1;
        }
        tasks
    }

    fn is_exhausted(&self) -> bool {
        self.next == self.total
    }
}

/// The tasks as the fleet sees them.
pub(crate) struct Source;

impl TaskSource for Source {
    fn base(&self) -> (Preset, Vec<(String, Value)>) {
        (Preset::Paper, Vec::new())
    }

    fn record(&self) -> Record {
        Record { curves: false, samples: None }
    }

    fn seed(&self, index: u64) -> u64 {
        index
    }

    fn overrides(&self, _: u64) -> Vec<(String, Value)> {
        Vec::new()
    }

    fn arm(&self, index: u64) -> u32 {
        (index % 2) as u32
    }

    fn config_json(&self, index: u64) -> String {
        index.to_string()
    }

    fn shape(&self, _: u64) -> Shape {
        Shape { epochs: 0, steps: 0, train_paths: 0, validation_paths: 0, test_paths: 0 }
    }

    fn blob(&self, _: &str) -> Option<Bytes> {
        None
    }
}
