//! A coordinator that tests can watch and command, and runners that pretend.

#![allow(dead_code, reason = "every test program uses a part of this")]

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use engine::metrics::Metrics;
use engine::record::Record;
use engine::{EngineError, Observer, Preset, RunConfig, RunId, RunResult, Status as RunStatus, Value};
use hyper_util::rt::TokioIo;
use proto::v1::fleet_server::{Fleet, FleetServer};
use proto::{Acknowledgement, Assembler, Grant, Heartbeat, Lease, Orders, Report, TaskGrant, Verdict, Welcome, v1};
use tokio::io::DuplexStream;
use tokio::sync::{Notify, mpsc};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use worker::agent::Backoff;
use worker::{AgentOptions, Runner};

/// What the coordinator knows, has heard and is told to do.
#[derive(Default)]
pub(crate) struct Books {
    /// Tasks to be granted.
    pub(crate) tasks: VecDeque<TaskGrant>,
    /// What every task sets.
    pub(crate) base: Vec<(String, Value)>,
    /// There will be no more tasks: the sweep is over.
    pub(crate) finished: bool,
    /// How many joined.
    pub(crate) joined: u64,
    /// Workers that are known.
    pub(crate) workers: HashSet<u64>,
    /// Who said goodbye.
    pub(crate) left: Vec<u64>,
    /// Why nobody may join.
    pub(crate) refusal: Option<String>,
    /// Everything granted.
    pub(crate) granted: Vec<RunId>,
    /// Everything reported, as often as it was.
    pub(crate) reports: Vec<(u64, Report)>,
    /// Every heartbeat.
    pub(crate) heartbeats: Vec<Heartbeat>,
    /// What to cancel.
    pub(crate) cancel: Vec<RunId>,
    /// Whether workers are to drain.
    pub(crate) drain: bool,
    /// How many batches are heard, and their acknowledgement lost.
    pub(crate) lost_acknowledgements: u32,
    /// Batches wait for their acknowledgement as long as this is set.
    pub(crate) withhold: bool,
    /// Blobs by digest, and how often each was asked for.
    pub(crate) blobs: HashMap<String, Bytes>,
    /// How often blobs were asked for.
    pub(crate) blob_calls: u32,
    /// How long an attempt may run.
    pub(crate) task_timeout: Option<Duration>,
    /// The largest batch.
    pub(crate) max_batch_bytes: u64,
}

/// The coordinator.
#[derive(Clone, Default)]
pub(crate) struct Coordinator {
    books: Arc<Mutex<Books>>,
    changed: Arc<Notify>,
}

impl Coordinator {
    pub(crate) fn new() -> Coordinator {
        let coordinator = Coordinator::default();
        coordinator.change(|books| books.max_batch_bytes = 1 << 20);
        coordinator
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// Changes the books, and wakes whoever waits for that.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Books) -> T) -> T {
        let out = change(&mut self.books());
        self.changed.notify_waiters();
        out
    }

    /// Waits until the books say so.
    pub(crate) async fn until(&self, condition: impl Fn(&Books) -> bool) {
        let wait = self.wait(condition);
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it happens within 30 s");
    }

    async fn wait(&self, condition: impl Fn(&Books) -> bool) {
        loop {
            let notified = self.changed.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if condition(&self.books()) {
                return;
            }
            notified.await;
        }
    }

    /// Waits until the worker has been heard of a few times more.
    pub(crate) async fn heartbeats(&self, count: usize) {
        let before = self.books().heartbeats.len();
        self.until(|books| books.heartbeats.len() >= before + count).await;
    }

    /// Serves, and returns a channel to it.
    pub(crate) fn channel(&self) -> Channel {
        let (sender, incoming) = mpsc::channel::<std::io::Result<DuplexStream>>(16);
        let service = FleetServer::new(self.clone());
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(ReceiverStream::new(incoming)));
        let connector = tower::service_fn(move |_: tonic::transport::Uri| {
            let sender = sender.clone();
            async move {
                let (client, server) = tokio::io::duplex(64 << 10);
                sender.send(Ok(server)).await.map_err(|_| std::io::Error::other("the server is gone"))?;
                Ok::<_, std::io::Error>(TokioIo::new(client))
            }
        });
        Endpoint::from_static("http://coordinator.invalid").connect_with_connector_lazy(connector)
    }

    /// Serves on a port of this machine, and returns the URL.
    pub(crate) async fn listen(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        tokio::spawn(Server::builder().add_service(FleetServer::new(self.clone())).serve_with_incoming(incoming));
        url
    }

    fn known(&self, worker: u64) -> Result<(), Status> {
        if self.books().workers.contains(&worker) { Ok(()) } else { Err(Status::not_found("no such worker")) }
    }
}

#[tonic::async_trait]
impl Fleet for Coordinator {
    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinResponse>, Status> {
        proto::check_versions(request.get_ref())?;
        if let Some(refusal) = &self.books().refusal {
            return Err(Status::failed_precondition(refusal));
        }
        self.change(|books| {
            books.joined += 1;
            let worker_id = books.joined;
            books.workers.insert(worker_id);
            let heartbeat_interval = Duration::from_millis(2);
            let max_batch_bytes = books.max_batch_bytes;
            let task_timeout = books.task_timeout;
            Ok(Response::new(Welcome { worker_id, heartbeat_interval, max_batch_bytes, task_timeout }.into()))
        })
    }

    async fn lease_tasks(
        &self,
        request: Request<v1::LeaseTasksRequest>,
    ) -> Result<Response<v1::LeaseTasksResponse>, Status> {
        let request = request.into_inner();
        let ready =
            |books: &Books| !books.workers.contains(&request.worker_id) || !books.tasks.is_empty() || books.finished;
        self.wait(ready).await;
        self.known(request.worker_id)?;
        let lease = self.change(|books| {
            let count = books.tasks.len().min(request.max_tasks as usize);
            let tasks: Vec<TaskGrant> = books.tasks.drain(..count).collect();
            books.granted.extend(tasks.iter().map(|task| task.run_id));
            if tasks.is_empty() {
                return Lease::Finished;
            }
            let base = books.base.clone();
            Lease::Granted(Grant { preset: Preset::Paper, base, tasks, record: Record::default() })
        });
        Ok(Response::new((&lease).into()))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        let heartbeat = Heartbeat::try_from(request.into_inner())?;
        self.known(heartbeat.worker_id)?;
        let orders = self.change(|books| {
            books.heartbeats.push(heartbeat);
            let finished = books.finished && books.tasks.is_empty();
            Orders { cancel: books.cancel.clone(), drain: books.drain, finished, next: Duration::from_millis(2) }
        });
        Ok(Response::new(orders.into()))
    }

    async fn report_results(
        &self,
        request: Request<Streaming<v1::ReportResultsRequest>>,
    ) -> Result<Response<v1::ReportResultsResponse>, Status> {
        let mut pieces = request.into_inner();
        let mut assembler = Assembler::new(self.books().max_batch_bytes as usize);
        while let Some(message) = pieces.message().await? {
            assembler.push(message.piece)?;
        }
        let batch = assembler.finish_batch()?;
        self.known(batch.worker_id)?;
        let reports: Vec<Report> = batch.reports.into_iter().map(Report::try_from).collect::<Result<_, _>>()?;
        let acknowledgements = reports
            .iter()
            .map(|report| Acknowledgement { run_id: report.run_id, verdict: Verdict::Stored }.into())
            .collect();
        let lost = self.change(|books| {
            books.reports.extend(reports.into_iter().map(|report| (batch.worker_id, report)));
            let lost = books.lost_acknowledgements > 0;
            books.lost_acknowledgements = books.lost_acknowledgements.saturating_sub(1);
            lost
        });
        if lost {
            return Err(Status::unavailable("the acknowledgement is lost"));
        }
        self.wait(|books| !books.withhold).await;
        self.known(batch.worker_id)?;
        Ok(Response::new(v1::ReportResultsResponse { acknowledgements }))
    }

    async fn leave(&self, request: Request<v1::LeaveRequest>) -> Result<Response<v1::LeaveResponse>, Status> {
        let worker = request.into_inner().worker_id;
        self.known(worker)?;
        self.change(|books| {
            books.workers.remove(&worker);
            books.left.push(worker);
        });
        Ok(Response::new(v1::LeaveResponse {}))
    }

    type GetBlobStream = Pin<Box<dyn Stream<Item = Result<v1::GetBlobResponse, Status>> + Send>>;

    async fn get_blob(&self, request: Request<v1::GetBlobRequest>) -> Result<Response<Self::GetBlobStream>, Status> {
        let digest = request.into_inner().digest;
        let blob = self.change(|books| {
            books.blob_calls += 1;
            books.blobs.get(&digest).cloned()
        });
        let blob = blob.ok_or_else(|| Status::not_found("no such blob"))?;
        let pieces = proto::pieces(blob).map(|piece| Ok(v1::GetBlobResponse { piece }));
        Ok(Response::new(Box::pin(tokio_stream::iter(pieces))))
    }
}

/// A runner that calls a function.
pub(crate) struct Pretend<F>(pub(crate) F);

impl<F> Runner for Pretend<F>
where
    F: Fn(&RunConfig, &mut dyn Observer) -> Result<RunResult, EngineError> + Send + Sync + 'static,
{
    fn run(&self, config: &RunConfig, observer: &mut dyn Observer) -> Result<RunResult, EngineError> {
        (self.0)(config, observer)
    }
}

/// The result of a run that did nothing.
pub(crate) fn nothing() -> Result<RunResult, EngineError> {
    Ok(RunResult {
        status: RunStatus::Ok,
        error: None,
        metrics: Metrics::default(),
        curves: Vec::new(),
        path: Vec::new(),
    })
}

/// A task for each seed.
pub(crate) fn tasks(seeds: std::ops::Range<u64>) -> Vec<TaskGrant> {
    seeds.map(|seed| task(seed, &[])).collect()
}

/// A task with values of its own.
pub(crate) fn task(seed: u64, overrides: &[(&str, Value)]) -> TaskGrant {
    let config = RunConfig::resolve(Preset::Paper, seed, overrides.iter().map(|(key, value)| (*key, value))).unwrap();
    let overrides = overrides.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    TaskGrant { run_id: RunId::of(&config), seed, overrides, attempt: 1 }
}

/// Options that do not wait for anything.
pub(crate) fn options(slots: usize) -> AgentOptions {
    AgentOptions {
        host: "host".into(),
        exit_when_done: true,
        backoff: Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(4) },
        ..AgentOptions::new("worker", slots)
    }
}
