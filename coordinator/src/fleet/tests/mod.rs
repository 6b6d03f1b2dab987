//! The fleet with a store in memory, a plan of numbered tasks, and clients that do what they are told.

mod admission;
mod decisions;
mod handover;
mod lobby;
mod pause;
mod reunion;
mod transport;

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use engine::metrics::Metrics;
use engine::record::{Provenance, Record, RunOutput};
use engine::{Preset, RunId, RunRecord, Status, Value};
use proto::v1::fleet_client::FleetClient;
use sweep::Task;
use sweep::plan::{Outcome, Planner};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use worker::credentials::Token;

use super::seam::{Sink, SinkError, TaskSource};
use super::shape::Shape;

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

    fn shape(&self, _: u64) -> Shape {
        Shape { epochs: 2, steps: 2, train_paths: 4, validation_paths: 4, test_paths: 4 }
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
    /// How often it is full before there is room.
    pub(super) full: Arc<AtomicU32>,
}

impl Memory {
    pub(super) fn records(&self) -> Vec<RunRecord> {
        self.parts.lock().unwrap().iter().flatten().cloned().collect()
    }
}

impl Sink for Memory {
    fn append(&mut self, records: Vec<RunRecord>) -> impl Future<Output = Result<(), SinkError>> + Send {
        let take = |full: u32| full.checked_sub(1);
        if self.full.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
            return std::future::ready(Err(SinkError::transient("no space left on device")));
        }
        let broken = self.broken.load(Ordering::SeqCst);
        if !broken {
            self.parts.lock().unwrap().push(records);
        }
        std::future::ready(if broken { Err(SinkError::new("no space left on device")) } else { Ok(()) })
    }
}

/// A client that may carry a token.
pub(super) type Client = FleetClient<InterceptedService<Channel, Bearer>>;

pub(super) fn client_of(channel: Channel, token: Option<Token>) -> Client {
    FleetClient::with_interceptor(channel, Bearer(token)).max_decoding_message_size(proto::limits::MAX_MESSAGE_BYTES)
}

#[derive(Clone)]
pub(super) struct Bearer(Option<Token>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert(Token::HEADER, token.header());
        }
        Ok(request)
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
