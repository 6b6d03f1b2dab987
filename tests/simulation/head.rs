//! The coordinator: a real dispatcher, with the calls that wait for it and the part that is being written.

use std::sync::Arc;
use std::time::Duration;

use coordinator::fleet::dispatcher::{Arms, Dispatcher, Step, Terms};
use coordinator::fleet::message::{Content, Control, Delivered, LeaseReply, Message};
use coordinator::fleet::{Handover, Kept, Part, Rhythm, SinkError, fingerprint};
use engine::{RunId, RunRecord};
use proto::{Acknowledgement, Assembler, Grant, Lease, Orders, Outcome, Report, TaskGrant, Verdict, Welcome};
use sweep::ledger::{Directives, LedgerConfig, Millis, TooManyWorkers, UnknownWorker, WorkerId, WorkerInfo};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;
use worker::agent::session::{Answer, Request};

use crate::disk::Row;
use crate::fault::{Bug, Fault};
use crate::tasks::{Source, index_of, run_id};
use crate::world::{Broken, Event, World};

pub(crate) const LEASE_TTL: Duration = Duration::from_secs(30);
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(5);
pub(crate) const MAX_ATTEMPTS: u16 = 3;

/// How long the workers of an earlier coordinator are waited for: a heartbeat, and the longest wait before a call is repeated.
const REUNION: Duration = Duration::from_secs(15);

/// How long an attempt may take.
const TASK_TIMEOUT: Duration = Duration::from_secs(120);

/// What a call waits for.
enum Awaited {
    Joined(oneshot::Receiver<Result<WorkerId, TooManyWorkers>>),
    Leased(oneshot::Receiver<LeaseReply>),
    Ordered(oneshot::Receiver<Result<Directives, UnknownWorker>>),
    Left(oneshot::Receiver<Result<(), UnknownWorker>>),
    /// A report, with the tasks that it names.
    Judged(oneshot::Receiver<Vec<Verdict>>, Vec<RunId>),
}

/// A call that is not answered yet.
struct Waiting {
    node: usize,
    life: u32,
    number: u64,
    awaited: Awaited,
}

/// A part on its way to the disk.
struct Writing {
    records: Vec<RunRecord>,
    handover: Option<Handover>,
}

/// A coordinator's process.
pub(crate) struct Head {
    pub(crate) dispatcher: Dispatcher,
    began: u64,
    returns: mpsc::UnboundedReceiver<Control>,
    waiting: Vec<Waiting>,
    writing: Option<Writing>,
    wake: Option<u64>,
}

impl Head {
    fn time(&self, now: u64) -> Millis {
        Millis(now - self.began)
    }
}

impl World {
    pub(crate) fn head_start(&mut self) -> Result<(), Broken> {
        if self.head.is_some() || self.finished {
            return Ok(());
        }
        self.head_life += 1;
        let (sender, returns) = mpsc::unbounded_channel();
        let mut handover = self.disk.handover.clone();
        match self.bug {
            Some(Bug::StrikesForgotten) => handover.strikes.clear(),
            Some(Bug::WorkersForgotten) => handover.workers.clear(),
            _ => {}
        }
        let terms = Terms {
            ledger: LedgerConfig {
                lease_ttl: LEASE_TTL,
                heartbeat_interval: HEARTBEAT,
                max_attempts: MAX_ATTEMPTS,
                incarnation: self.head_life,
                ..LedgerConfig::default()
            },
            rhythm: Rhythm { interval: Duration::from_secs(1), bytes: 1 << 20, records: 20 },
            farewell: Duration::from_secs(8),
            objective: None,
            handover,
            reunion: REUNION,
            arms: Arms::of(Arc::new(Source)),
        };
        let planner = self.tasks.planner(self.disk.done());
        self.books.coordinator_starts(&self.disk, self.now);
        self.head = Some(Head {
            dispatcher: Dispatcher::new(terms, planner, sender),
            began: self.now,
            returns,
            waiting: Vec::new(),
            writing: None,
            wake: None,
        });
        self.trace.line(self.now, format_args!("coordinator starts, life {}", self.head_life));
        self.head_step("planned")
    }

    pub(crate) fn head_crash(&mut self) {
        let Some(head) = self.head.take() else { return };
        self.trace.line(self.now, format_args!("coordinator dies"));
        self.head_asleep_until = 0;
        if let Some(Writing { records, handover }) = head.writing {
            // The part is there, whole, or it is not: it is renamed into its place when it is fsynced.
            if self.dice.chance(0.5) {
                self.disk.write(&records);
                if self.dice.chance(0.5)
                    && let Some(handover) = handover
                {
                    self.disk.handover = handover;
                }
            }
        }
        for Waiting { node, life, number, .. } in head.waiting {
            self.send_answer(node, life, number, Err(Status::unavailable("connection closed")));
        }
        let again = self.now + self.dice.between(500, 60_000);
        self.at(again, Event::HeadStart);
    }

    pub(crate) fn head_drain(&mut self) -> Result<(), Broken> {
        if let Some(head) = &mut self.head {
            head.dispatcher.control(Control::Drain);
        }
        self.head_step("drained")
    }

    pub(crate) fn head_wake(&mut self, life: u32) -> Result<(), Broken> {
        if life == self.head_life
            && let Some(head) = &mut self.head
            && head.wake.is_some_and(|wake| wake <= self.now)
        {
            head.wake = None;
            return self.head_step("silence");
        }
        Ok(())
    }

    /// As the gRPC handlers do: check, convert, hash, ask.
    pub(crate) fn head_request(&mut self, node: usize, life: u32, number: u64, request: Request) -> Result<(), Broken> {
        let now = self.now;
        let Some(head) = &mut self.head else {
            self.send_answer(node, life, number, Err(Status::unavailable("connection refused")));
            return Ok(());
        };
        let time = head.time(now);
        let mut cause = "asked";
        let (message, awaited) = match request {
            Request::Join(hello) => {
                let (reply, answer) = oneshot::channel();
                let info = WorkerInfo { host: hello.host, name: hello.name, slots: hello.slots };
                (Message::Join { info, remote: true, reply }, Awaited::Joined(answer))
            }
            Request::Lease { worker_id, max_tasks, wait } => {
                let (reply, answer) = oneshot::channel();
                let until = now + wait.as_millis() as u64;
                self.at(until, Event::WaitOver { life: self.head_life, node, node_life: life, number });
                (Message::Lease { worker: WorkerId(worker_id), max: max_tasks, reply }, Awaited::Leased(answer))
            }
            Request::Heartbeat(heartbeat) => {
                let (reply, answer) = oneshot::channel();
                let worker = WorkerId(heartbeat.worker_id);
                self.books.heartbeat(worker, &heartbeat.held, now);
                cause = "listed";
                (Message::Heartbeat { worker, held: heartbeat.held, reply }, Awaited::Ordered(answer))
            }
            Request::Leave { worker_id } => {
                let (reply, answer) = oneshot::channel();
                cause = "left";
                (Message::Leave { worker: WorkerId(worker_id), reply }, Awaited::Left(answer))
            }
            Request::Report { worker_id, reports } => {
                let (reply, answer) = oneshot::channel();
                let batch = proto::join_reports(worker_id, &reports);
                let bytes = batch.len();
                let mut assembler = Assembler::new(bytes);
                assembler.push(batch).expect("it is as long as it is");
                let batch = assembler.finish_batch().expect("the session encodes what can be decoded");
                let reports: Vec<Delivered> = batch.reports.into_iter().map(deliver).collect();
                let ids = reports.iter().map(|report| report.run_id).collect();
                let worker = WorkerId(batch.worker_id);
                self.reported(worker, &reports);
                cause = "reported";
                (Message::Report { worker, reports, bytes, reply }, Awaited::Judged(answer, ids))
            }
            Request::Blob(_) => unreachable!("no task has initial weights"),
        };
        let Some(head) = &mut self.head else { return Ok(()) };
        head.dispatcher.handle(time, message);
        head.waiting.push(Waiting { node, life, number, awaited });
        self.head_step(cause)
    }

    /// What is reported, before the ledger hears of it.
    fn reported(&mut self, worker: WorkerId, reports: &[Delivered]) {
        let Some(head) = &self.head else { return };
        for report in reports {
            self.books.report(worker, report, head.dispatcher.ledger());
            if self.bug == Some(Bug::LateResultOverwrites)
                && let Content::Result { output, .. } = &report.content
                && self.disk.has_result(report.run_id)
            {
                let record = RunRecord {
                    run_id: report.run_id,
                    config: String::new(),
                    record: engine::record::Record::default(),
                    output: output.clone(),
                };
                self.disk.overwrite(report.run_id, Row::of(&record));
            }
        }
    }

    /// The caller is gone; so is whoever waits for it.
    pub(crate) fn head_hang_up(&mut self, node: usize, life: u32, number: u64) -> Result<(), Broken> {
        let Some(head) = &mut self.head else { return Ok(()) };
        head.waiting.retain(|waiting| (waiting.node, waiting.life, waiting.number) != (node, life, number));
        self.head_step("hung up")
    }

    pub(crate) fn head_wait_over(&mut self, life: u32, node: usize, node_life: u32, number: u64) -> Result<(), Broken> {
        if life != self.head_life {
            return Ok(());
        }
        let Some(head) = &mut self.head else { return Ok(()) };
        let is_it = |waiting: &Waiting| {
            matches!(waiting.awaited, Awaited::Leased(_))
                && (waiting.node, waiting.life, waiting.number) == (node, node_life, number)
        };
        let Some(place) = head.waiting.iter().position(is_it) else { return Ok(()) };
        head.waiting.remove(place);
        self.send_answer(node, node_life, number, Ok(Answer::Leased(Lease::Nothing)));
        self.head_step("hung up")
    }

    /// The part that was being written is on the disk, or is not.
    pub(crate) fn head_written(&mut self, life: u32) -> Result<(), Broken> {
        let now = self.now;
        if life != self.head_life {
            return Ok(());
        }
        let Some(head) = &mut self.head else { return Ok(()) };
        let Some(Writing { records, handover }) = head.writing.take() else { return Ok(()) };
        let full = || Err(SinkError::transient("no space left on device"));
        let mut left = Ok(());
        let ended = if self.disk.full_until > now && records.is_empty() {
            left = full();
            Ok(())
        } else if self.disk.full_until > now {
            self.books.fired(Fault::DiskFull);
            full()
        } else {
            self.disk.write(&records);
            if let Some(handover) = handover {
                self.disk.handover = handover;
            }
            if std::mem::take(&mut self.books.store_lies) {
                self.books.fired(Fault::StoreLies);
                Err(SinkError::transient("the folder's entry could not be flushed"))
            } else {
                Ok(())
            }
        };
        self.trace
            .line(now, format_args!("{} records: {}", records.len(), if ended.is_ok() { "durable" } else { "no" }));
        let cause = if ended.is_ok() { "stored" } else { "store failed" };
        if self.bug != Some(Bug::AcknowledgedBeforeDurable) {
            let time = head.time(now);
            if let Err(error) = head.dispatcher.part_ended(time, Kept { records: ended, handover: left }) {
                // It was to end anyway, and does not wait for room: what is not stored is still the workers'.
                assert!(head.dispatcher.ledger().is_draining(), "what fails here passes: {error}");
                self.head_crash();
                return Ok(());
            }
        }
        self.head_step(cause)
    }

    /// Does what follows from what has just happened: the driver's loop, once.
    fn head_step(&mut self, cause: &'static str) -> Result<(), Broken> {
        let now = self.now;
        self.ghosts();
        self.observe(cause)?;
        loop {
            let Some(head) = &mut self.head else { return Ok(()) };
            let time = head.time(now);
            let step = head.dispatcher.advance(time);
            self.observe("silence")?;
            let Some(head) = &mut self.head else { return Ok(()) };
            match step.map_err(|error| Broken { invariant: "the_fleet_has_no_error", found: error.to_string() })? {
                Step::End => return self.head_end(),
                Step::Go { wake, part } => {
                    if let Some(wake) = wake {
                        let wake = (head.began + wake.0).max(now + 1);
                        if head.wake.is_none_or(|set| wake < set || set <= now) {
                            head.wake = Some(wake);
                            let life = self.head_life;
                            self.at(wake, Event::HeadWake { life });
                        }
                    }
                    if let Some(part) = part {
                        self.head_write(part)?;
                    }
                }
            }
            self.head_answer()?;
            let Some(head) = &mut self.head else { return Ok(()) };
            let Ok(control) = head.returns.try_recv() else { return Ok(()) };
            self.books.returned(&control);
            head.dispatcher.control(control);
            self.observe("reported")?;
        }
    }

    fn head_write(&mut self, mut part: Part) -> Result<(), Broken> {
        let now = self.now;
        let handover = part.take_handover();
        let records = part.into_records(&Source);
        let life = self.head_life;
        let written = now + self.dice.between(1, 300);
        let Some(head) = &mut self.head else { return Ok(()) };
        head.writing = Some(Writing { records, handover });
        self.at(written, Event::Written { life });
        if self.bug == Some(Bug::AcknowledgedBeforeDurable)
            && let Some(head) = &mut self.head
        {
            let time = head.time(now);
            head.dispatcher.part_ended(time, Kept::whole()).expect("nothing failed");
            self.observe("stored")?;
        }
        if std::mem::take(&mut self.books.crash_while_storing) {
            self.books.fired(Fault::CrashWhileStoring);
            self.head_crash();
        }
        Ok(())
    }

    /// Sends the answers that are there.
    fn head_answer(&mut self) -> Result<(), Broken> {
        let Some(head) = &mut self.head else { return Ok(()) };
        let mut answers = Vec::new();
        let mut still = Vec::new();
        for Waiting { node, life, number, mut awaited } in std::mem::take(&mut head.waiting) {
            match ready(&mut awaited) {
                None => still.push(Waiting { node, life, number, awaited }),
                Some(answer) => answers.push((node, life, number, answer)),
            }
        }
        head.waiting = still;
        for (node, life, number, answer) in answers {
            match &answer {
                Ok(Answer::Acknowledged(verdicts)) => self.acknowledged(verdicts)?,
                Ok(Answer::Joined(welcome)) => self.books.joined(WorkerId(welcome.worker_id), node, life, self.now),
                _ => {}
            }
            self.send_answer(node, life, number, answer);
        }
        Ok(())
    }

    fn head_end(&mut self) -> Result<(), Broken> {
        let now = self.now;
        // Whoever was told now is told.
        self.head_answer()?;
        let Some(head) = self.head.take() else { return Ok(()) };
        let summary = head.dispatcher.summary();
        self.trace.line(now, format_args!("coordinator ends: {:?}", summary.counts));
        self.finished = summary.finished;
        if self.finished {
            self.check_farewell(head.dispatcher.ledger())?;
        } else {
            let again = now + self.dice.between(500, 10_000);
            self.at(again, Event::HeadStart);
        }
        Ok(())
    }

    /// A planted bug: somebody goes on sending heartbeats for the dead.
    fn ghosts(&mut self) {
        if self.bug != Some(Bug::LeaseNotReturned) {
            return;
        }
        let now = self.now;
        let Some(head) = &mut self.head else { return };
        let time = head.time(now);
        for (worker, held) in self.books.ghosts() {
            let (reply, _) = oneshot::channel();
            head.dispatcher.handle(time, Message::Heartbeat { worker, held, reply });
        }
    }
}

/// The answer to a call, if there is one.
fn ready(awaited: &mut Awaited) -> Option<Result<Answer, Status>> {
    let ended = || Some(Err(Status::unavailable("not stored, or the coordinator has ended")));
    match awaited {
        Awaited::Joined(answer) => match answer.try_recv() {
            Ok(Ok(WorkerId(worker_id))) => Some(Ok(Answer::Joined(Welcome {
                worker_id,
                heartbeat_interval: HEARTBEAT,
                max_batch_bytes: 1 << 20,
                task_timeout: Some(TASK_TIMEOUT),
            }))),
            Ok(Err(full)) => Some(Err(Status::resource_exhausted(full.to_string()))),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => ended(),
        },
        Awaited::Leased(answer) => match answer.try_recv() {
            Ok(LeaseReply::Granted(parcel)) => {
                let grant = |lease: sweep::ledger::Lease| TaskGrant {
                    run_id: lease.task.run_id,
                    seed: lease.task.index,
                    overrides: Vec::new(),
                    attempt: lease.attempt,
                };
                let tasks = parcel.open().into_iter().map(grant).collect();
                let record = engine::record::Record { curves: false, samples: None };
                let grant = Grant { preset: engine::Preset::Paper, base: Vec::new(), tasks, record };
                Some(Ok(Answer::Leased(Lease::Granted(grant))))
            }
            Ok(LeaseReply::Finished) => Some(Ok(Answer::Leased(Lease::Finished))),
            Ok(LeaseReply::Draining) => Some(Ok(Answer::Leased(Lease::Draining))),
            Ok(LeaseReply::Unknown(unknown)) => Some(Err(Status::not_found(unknown.to_string()))),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => ended(),
        },
        Awaited::Ordered(answer) => match answer.try_recv() {
            Ok(Ok(Directives { cancel, drain, finished, .. })) => {
                Some(Ok(Answer::Ordered(Orders { cancel, drain, finished, next: HEARTBEAT })))
            }
            Ok(Err(unknown)) => Some(Err(Status::not_found(unknown.to_string()))),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => ended(),
        },
        Awaited::Left(answer) => match answer.try_recv() {
            Ok(Ok(())) => Some(Ok(Answer::Left)),
            Ok(Err(unknown)) => Some(Err(Status::not_found(unknown.to_string()))),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => ended(),
        },
        Awaited::Judged(answer, ids) => match answer.try_recv() {
            Ok(verdicts) => {
                let acknowledgement = |(run_id, verdict)| Some(Acknowledgement { run_id, verdict });
                let ids = std::mem::take(ids).into_iter();
                Some(Ok(Answer::Acknowledged(ids.zip(verdicts).map(acknowledgement).collect())))
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => ended(),
        },
    }
}

fn deliver(report: proto::v1::Report) -> Delivered {
    let Report { run_id, attempt, outcome } = Report::try_from(report).expect("the clerk reports what can be read");
    let content = match outcome {
        Outcome::Finished(output) => {
            let fingerprint = fingerprint(&output);
            Content::Result { output, fingerprint }
        }
        Outcome::Failed(failure) => Content::Failure(failure),
    };
    Delivered { run_id, attempt, content }
}

/// A request in a few words.
pub(crate) fn describe(request: &Request) -> String {
    match request {
        Request::Join(hello) => format!("join as {}", hello.name),
        Request::Lease { worker_id, max_tasks, .. } => format!("lease {max_tasks} as {worker_id}"),
        Request::Heartbeat(heartbeat) => {
            let held: Vec<(u64, u32)> =
                heartbeat.held.iter().map(|held| (index_of(held.run_id), held.attempt)).collect();
            format!("heartbeat as {} of {held:?}", heartbeat.worker_id)
        }
        Request::Report { worker_id, reports } => format!("report {} as {worker_id}", reports.len()),
        Request::Leave { worker_id } => format!("leave as {worker_id}"),
        Request::Blob(digest) => format!("blob {digest}"),
    }
}

/// All tasks' ids.
pub(crate) fn ids(count: u64) -> impl Iterator<Item = RunId> {
    (0..count).map(run_id)
}
