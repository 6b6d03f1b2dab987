//! The gRPC handlers. They check, convert, hash, and ask the driver.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::RunId;
use engine::record::Record;
use futures::Stream;
use proto::v1;
use proto::{
    Assembler, EncodedBatch, Grant, Heartbeat, Hello, Lease, Orders, Outcome, Report, TaskGrant, Verdict, Welcome,
};
use sweep::ledger::{Directives, WorkerId, WorkerInfo};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tonic::{Request, Response, Status, Streaming};

use super::fingerprint::fingerprint;
use super::lobby::Guest;
use super::message::{Content, Delivered, LeaseReply, Message};
use super::record::{lacks, trim};
use super::seam::TaskSource;
use super::shape::{Misfit, Shape};

/// The longest that a call may wait for tasks.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Larger batches are read on a thread of their own.
const LARGE_BATCH_BYTES: usize = 1 << 20;

/// The longest that a batch's next piece may take: what is here of it takes from the budget.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The unit of the budget for reports.
const KIB: usize = 1 << 10;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Service(Arc<Shared>);

struct Shared {
    driver: mpsc::Sender<Message>,
    source: Arc<dyn TaskSource>,
    /// What is to be kept of each run.
    record: Record,
    heartbeat_interval: Duration,
    task_timeout: Option<Duration>,
    max_batch_bytes: usize,
    /// A grant without its tasks.
    grant: v1::LeaseTasksResponse,
    /// How many KiB of reports may be in memory.
    budget: Arc<Semaphore>,
}

impl Service {
    pub(super) fn new(
        driver: mpsc::Sender<Message>,
        source: Arc<dyn TaskSource>,
        heartbeat_interval: Duration,
        task_timeout: Option<Duration>,
        max_batch_bytes: usize,
        report_memory_bytes: usize,
    ) -> Service {
        let (preset, base) = source.base();
        let record = source.record();
        let grant = Lease::Granted(Grant { preset, base, tasks: Vec::new(), record: record.clone() });
        let budget = (report_memory_bytes.max(max_batch_bytes) / KIB).min(Semaphore::MAX_PERMITS);
        Service(Arc::new(Shared {
            driver,
            source,
            record,
            heartbeat_interval,
            task_timeout,
            max_batch_bytes,
            grant: (&grant).into(),
            budget: Arc::new(Semaphore::new(budget)),
        }))
    }

    /// Asks the driver and waits for the answer.
    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Status> {
        self.send(message).await?.await.map_err(|_| ended())
    }

    async fn send<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<T>) -> Message,
    ) -> Result<oneshot::Receiver<T>, Status> {
        let (reply, answer) = oneshot::channel();
        self.0.driver.send(message(reply)).await.map_err(|_| ended())?;
        Ok(answer)
    }

    /// Puts a batch together, within the budget. The permits are to be held until the batch is acknowledged.
    async fn receive(
        &self,
        mut stream: Streaming<v1::ReportResultsRequest>,
    ) -> Result<(EncodedBatch, Vec<OwnedSemaphorePermit>), Status> {
        let mut assembler = Assembler::new(self.0.max_batch_bytes);
        let mut permits = Vec::new();
        let late = |_| Status::deadline_exceeded("the next piece of the batch took too long");
        while let Some(request) = tokio::time::timeout(LONGEST_PAUSE, stream.message()).await.map_err(late)?? {
            permits.push(self.room(request.piece.len())?);
            assembler.push(request.piece)?;
        }
        let batch = assembler.finish_encoded()?;
        permits.push(self.room(batch.lists_bytes())?);
        Ok((batch, permits))
    }

    /// Takes so many bytes from the budget.
    fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Status> {
        // Nothing takes room, too.
        let kib = u32::try_from(bytes.div_ceil(KIB).max(1)).unwrap_or(u32::MAX);
        // Waiting for room could be for ever: other batches that are half here would be waiting too.
        Arc::clone(&self.0.budget).try_acquire_many_owned(kib).map_err(|_| {
            Status::unavailable("the coordinator has too many results in memory; report again in a moment")
        })
    }
}

impl Service {
    /// Holds what is reported against the configs of the tasks it is reported of.
    async fn check_shapes(&self, reports: &mut [Delivered]) -> Result<(), Status> {
        let with_lists: Vec<&mut Delivered> = reports
            .iter_mut()
            .filter(|report| matches!(&report.content, Content::Result { output, .. } if Shape::matters_to(output)))
            .collect();
        if with_lists.is_empty() {
            return Ok(());
        }
        let run_ids = with_lists.iter().map(|report| report.run_id).collect();
        let places = self.ask(|reply| Message::Locate { run_ids, reply }).await?;
        for (report, place) in with_lists.into_iter().zip(places) {
            // What is no task of this sweep is the ledger's to refuse.
            let (Content::Result { output, .. }, Some(index)) = (&report.content, place) else { continue };
            let (run_id, attempt) = (report.run_id, report.attempt);
            match self.0.source.shape(index).check(output, &self.0.record) {
                Ok(()) => {}
                Err(Misfit::Incomplete(missing)) => report.content = incomplete(run_id, attempt, missing),
                Err(Misfit::Nonsense(problem)) => {
                    tracing::warn!(%run_id, attempt, "a result does not fit its task: {problem}");
                    report.content = Content::Invalid(format!("the result does not fit its task: {problem}"));
                }
            }
        }
        Ok(())
    }
}

/// A batch, read and checked.
struct Batch {
    worker: WorkerId,
    /// The run ids as they came, in their order.
    run_ids: Vec<Bytes>,
    /// Those reports that name a run.
    reports: Vec<Delivered>,
}

impl Batch {
    fn read(encoded: EncodedBatch, record: &Record) -> Result<Batch, Status> {
        let batch = encoded.decode()?;
        Ok(Batch {
            worker: WorkerId(batch.worker_id),
            run_ids: batch.reports.iter().map(|report| report.run_id.clone()).collect(),
            reports: batch.reports.into_iter().filter_map(|report| deliver(report, record)).collect(),
        })
    }
}

/// To be retried: whoever is the coordinator next will answer.
fn ended() -> Status {
    Status::unavailable("this coordinator has ended")
}

/// To be retried, when the store works again.
fn not_stored() -> Status {
    Status::unavailable("the results could not be stored; report them again")
}

#[tonic::async_trait]
impl v1::fleet_server::Fleet for Service {
    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinResponse>, Status> {
        // Whoever comes through the gate. Embedded workers come another way, and end with this process.
        let remote = request.extensions().get::<Arc<Guest>>().is_some();
        let request = request.into_inner();
        proto::check_versions(&request)?;
        let Hello { host, name, slots, .. } = Hello::try_from(request)?;
        let info = WorkerInfo { host, name, slots };
        let joined = self.ask(|reply| Message::Join { info, remote, reply }).await?;
        let WorkerId(worker_id) = joined.map_err(|full| Status::resource_exhausted(full.to_string()))?;
        Ok(Response::new(
            Welcome {
                worker_id,
                heartbeat_interval: self.0.heartbeat_interval,
                max_batch_bytes: self.0.max_batch_bytes as u64,
                task_timeout: self.0.task_timeout,
            }
            .into(),
        ))
    }

    async fn lease_tasks(
        &self,
        request: Request<v1::LeaseTasksRequest>,
    ) -> Result<Response<v1::LeaseTasksResponse>, Status> {
        let v1::LeaseTasksRequest { worker_id, max_tasks, wait_ms } = request.into_inner();
        let max = (max_tasks as usize).max(1);
        let mut answer = self.send(|reply| Message::Lease { worker: WorkerId(worker_id), max, reply }).await?;
        let wait = Duration::from_millis(wait_ms).min(LONGEST_WAIT);
        let reply = match tokio::time::timeout(wait, &mut answer).await {
            Ok(reply) => reply.map_err(|_| ended())?,
            Err(_) => {
                // The driver may have answered in this very moment.
                answer.close();
                match answer.try_recv() {
                    Ok(reply) => reply,
                    Err(_) => return Ok(Response::new((&Lease::Nothing).into())),
                }
            }
        };
        let parcel = match reply {
            LeaseReply::Granted(parcel) => parcel,
            LeaseReply::Finished => return Ok(Response::new((&Lease::Finished).into())),
            LeaseReply::Draining => return Ok(Response::new((&Lease::Draining).into())),
            LeaseReply::Unknown(unknown) => return Err(Status::not_found(unknown.to_string())),
        };
        let source = &self.0.source;
        let wire = |lease: &sweep::ledger::Lease| {
            let index = lease.task.index;
            v1::Task::from(&TaskGrant {
                run_id: lease.task.run_id,
                seed: source.seed(index),
                overrides: source.overrides(index),
                attempt: lease.attempt,
            })
        };
        let tasks = parcel.leases.iter().map(wire).collect();
        // From here on the grant is the transport's.
        parcel.open();
        Ok(Response::new(v1::LeaseTasksResponse { tasks, ..self.0.grant.clone() }))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        let Heartbeat { worker_id, held } = request.into_inner().try_into()?;
        let beat = self.ask(|reply| Message::Heartbeat { worker: WorkerId(worker_id), held, reply }).await?;
        let Directives { cancel, drain, finished, .. } =
            beat.map_err(|unknown| Status::not_found(unknown.to_string()))?;
        let orders = Orders { cancel, drain, finished, next: self.0.heartbeat_interval };
        Ok(Response::new(orders.into()))
    }

    async fn report_results(
        &self,
        request: Request<Streaming<v1::ReportResultsRequest>>,
    ) -> Result<Response<v1::ReportResultsResponse>, Status> {
        let (encoded, _permits) = self.receive(request.into_inner()).await?;
        let bytes = encoded.len();
        let batch = if bytes <= LARGE_BATCH_BYTES {
            Batch::read(encoded, &self.0.record)?
        } else {
            // It would keep other calls waiting, heartbeats among them.
            let record = self.0.record.clone();
            let read = tokio::task::spawn_blocking(move || Batch::read(encoded, &record)).await;
            read.map_err(|error| Status::internal(error.to_string()))??
        };
        let Batch { worker, run_ids, mut reports } = batch;
        self.check_shapes(&mut reports).await?;
        let judged = self.send(|reply| Message::Report { worker, reports, bytes, reply }).await?.await;
        let mut judged = judged.map_err(|_| not_stored())?.into_iter();
        let acknowledge = |run_id: Bytes| {
            // What does not even name a run is invalid, and nobody else's business.
            let verdict = if names_a_run(&run_id) { judged.next() } else { None };
            let verdict = v1::acknowledgement::Verdict::from(verdict.unwrap_or(Verdict::Invalid));
            v1::Acknowledgement { run_id, verdict: verdict.into() }
        };
        let acknowledgements = run_ids.into_iter().map(acknowledge).collect();
        Ok(Response::new(v1::ReportResultsResponse { acknowledgements }))
    }

    async fn leave(&self, request: Request<v1::LeaveRequest>) -> Result<Response<v1::LeaveResponse>, Status> {
        let worker = WorkerId(request.into_inner().worker_id);
        let left = self.ask(|reply| Message::Leave { worker, reply }).await?;
        left.map_err(|unknown| Status::not_found(unknown.to_string()))?;
        Ok(Response::new(v1::LeaveResponse {}))
    }

    type GetBlobStream = Pin<Box<dyn Stream<Item = Result<v1::GetBlobResponse, Status>> + Send>>;

    async fn get_blob(&self, request: Request<v1::GetBlobRequest>) -> Result<Response<Self::GetBlobStream>, Status> {
        let digest = request.into_inner().digest;
        let shown = proto::limits::clip(&digest, proto::limits::MAX_NAME_BYTES);
        let content =
            self.0.source.blob(&digest).ok_or_else(|| Status::not_found(format!("no task names a blob {shown:?}")))?;
        let pieces = proto::pieces(content).map(|piece| Ok(v1::GetBlobResponse { piece }));
        Ok(Response::new(Box::pin(futures::stream::iter(pieces))))
    }
}

/// A result that was computed for a sweep file that records less.
fn incomplete(run_id: RunId, attempt: u32, missing: &str) -> Content {
    tracing::warn!(%run_id, attempt, "a result lacks {missing}: it was computed for another version of the sweep file");
    Content::Incomplete(format!("the result lacks {missing}, which this sweep records"))
}

fn names_a_run(run_id: &[u8]) -> bool {
    run_id.len() == size_of::<RunId>()
}

/// A report as the driver takes it; `None` if it does not name a run.
fn deliver(report: v1::Report, record: &Record) -> Option<Delivered> {
    let run_id = RunId((&*report.run_id).try_into().ok()?);
    let attempt = report.attempt;
    let content = match Report::try_from(report) {
        Ok(Report { outcome: Outcome::Finished(mut output), .. }) => {
            trim(&mut output, record);
            match lacks(&output, record) {
                None => {
                    let fingerprint = fingerprint(&output);
                    Content::Result { output, fingerprint }
                }
                Some(missing) => incomplete(run_id, attempt, missing),
            }
        }
        Ok(Report { outcome: Outcome::Failed(failure), .. }) => Content::Failure(failure),
        Err(problem) => {
            tracing::warn!(%run_id, attempt, "a report makes no sense: {problem}");
            Content::Invalid(problem.to_string())
        }
    };
    Some(Delivered { run_id, attempt, content })
}
