//! The fleet with a store in memory, a plan of numbered tasks, and clients that do what they are told.

mod decisions;
mod transport;

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use engine::metrics::Metrics;
use engine::record::{Provenance, Record, RunOutput};
use engine::{Preset, RunId, RunRecord, Status, Value};
use sweep::Task;
use sweep::plan::{Outcome, Planner};

use super::seam::{Sink, SinkError, TaskSource};

pub(super) fn task(index: u64) -> Task {
    Task { run_id: RunId((u128::from(index) + 1).to_be_bytes()), index }
}

/// Tasks 0 to `total` - 1.
pub(super) struct Numbers {
    pub(super) next: u64,
    pub(super) total: u64,
}

pub(super) fn numbers(total: u64) -> Box<dyn Planner + Send> {
    Box::new(Numbers { next: 0, total })
}

impl Planner for Numbers {
    fn next(&mut self, _: &[Outcome], limit: usize) -> Vec<Task> {
        let end = self.total.min(self.next + limit as u64);
        let tasks = (self.next..end).map(task).collect();
        self.next = end;
        tasks
    }

    fn is_exhausted(&self) -> bool {
        self.next == self.total
    }
}

/// What the tasks stand for: their index is their seed.
pub(super) struct Source;

impl TaskSource for Source {
    fn base(&self) -> (Preset, Vec<(String, Value)>) {
        (Preset::Paper, vec![("training.epochs".into(), Value::Int(0))])
    }

    fn record(&self) -> Record {
        Record::default()
    }

    fn seed(&self, index: u64) -> u64 {
        index
    }

    fn overrides(&self, index: u64) -> Vec<(String, Value)> {
        vec![("market.xi".into(), Value::Float(1.0 / (index + 1) as f64))]
    }

    fn config_json(&self, index: u64) -> String {
        format!("{{\"seed\":{index}}}")
    }

    fn blob(&self, digest: &str) -> Option<Bytes> {
        (digest == "blake3:0").then(|| Bytes::from(vec![7; 3 << 20]))
    }
}

/// A store in memory, which breaks on demand.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    pub(super) parts: Arc<Mutex<Vec<Vec<RunRecord>>>>,
    pub(super) broken: Arc<AtomicBool>,
}

impl Memory {
    pub(super) fn records(&self) -> Vec<RunRecord> {
        self.parts.lock().unwrap().iter().flatten().cloned().collect()
    }
}

impl Sink for Memory {
    fn append(&mut self, records: Vec<RunRecord>) -> impl Future<Output = Result<(), SinkError>> + Send {
        let broken = self.broken.load(Ordering::SeqCst);
        if !broken {
            self.parts.lock().unwrap().push(records);
        }
        std::future::ready(if broken { Err(SinkError::new("no space left on device")) } else { Ok(()) })
    }
}

pub(super) fn output(loss: f64) -> RunOutput {
    let mut metrics = Metrics::default();
    metrics.set("test.loss", loss);
    RunOutput {
        status: Status::Ok,
        error: None,
        metrics,
        provenance: Provenance { attempt: 1, ..Provenance::default() },
        curves: Vec::new(),
        path: Vec::new(),
        samples: Vec::new(),
    }
}
