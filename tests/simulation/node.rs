//! A worker: a real session, and pretended threads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use engine::RunId;
use proto::{Failure, Outcome, Reason};
use tonic::Status;
use worker::agent::session::{Answer, Call};
use worker::agent::{Clerk, Session};
use worker::platform::Identity;
use worker::{AgentOptions, Cancellation, Progress};

use crate::dice::Dice;
use crate::fault::Fault;
use crate::tasks::{Fate, Nature, index_of, output};
use crate::world::{Broken, Event, World};

/// How many epochs a task has.
const EPOCHS: u32 = 4;

/// The machine that all workers are on.
const HOST: &str = "host";

/// A task on one of the threads.
struct Run {
    run_id: RunId,
    progress: Arc<Progress>,
    began: u64,
    epoch: u32,
    nature: Nature,
}

/// A process.
pub(crate) struct Process {
    pub(crate) session: Session,
    clerk: Arc<Clerk>,
    identity: Identity,
    pub(crate) began: u64,
    /// It has heard that the sweep is over.
    pub(crate) told: bool,
    idle_slots: usize,
    runs: BTreeMap<u64, Run>,
    /// Calls that are under way.
    calls: BTreeSet<u64>,
    wake: Option<u64>,
}

/// A worker, whichever process it is at the moment.
pub(crate) struct Node {
    name: String,
    slots: usize,
    dice: Dice,
    pub(crate) process: Option<Process>,
    /// How many processes there were.
    pub(crate) life: u32,
    pub(crate) asleep_until: u64,
    pub(crate) cut_until: u64,
    pub(crate) slow_until: u64,
    /// It could not hear of everything before that.
    pub(crate) disturbed_until: u64,
    pub(crate) wrong: bool,
    next_run: u64,
}

impl Node {
    pub(crate) fn new(index: u64, dice: &mut Dice) -> Node {
        Node {
            name: format!("w{index}"),
            slots: dice.between(1, 3) as usize,
            dice: dice.fork(),
            process: None,
            life: 0,
            asleep_until: 0,
            cut_until: 0,
            slow_until: 0,
            disturbed_until: 0,
            wrong: false,
            next_run: 0,
        }
    }

    /// The worker's process, as it introduces itself.
    pub(crate) fn full_name(&self) -> String {
        format!("{}.{} on {HOST}", self.name, self.life)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.process.is_some()
    }
}

impl World {
    pub(crate) fn node_start(&mut self, node: usize) -> Result<(), Broken> {
        let now = self.now;
        let place = &mut self.nodes[node];
        if place.process.is_some() {
            return Ok(());
        }
        place.life += 1;
        let options = AgentOptions {
            host: HOST.into(),
            exit_when_done: true,
            grace: Duration::from_secs(20),
            ..AgentOptions::new(format!("{}.{}", place.name, place.life), place.slots)
        };
        let identity = Identity { host: options.host.clone(), worker: options.name.clone() };
        let clerk = Arc::new(Clerk::new(identity.clone()));
        let mut dice = place.dice.fork();
        let session = Session::new(options, Arc::clone(&clerk), Box::new(move || dice.unit()));
        place.process = Some(Process {
            session,
            clerk,
            identity,
            began: now,
            told: false,
            idle_slots: place.slots,
            runs: BTreeMap::new(),
            calls: BTreeSet::new(),
            wake: None,
        });
        self.trace.line(now, format_args!("worker {node} starts, life {}", place.life));
        self.node_step(node)
    }

    pub(crate) fn node_crash(&mut self, node: usize) {
        let Some(process) = self.nodes[node].process.take() else { return };
        let life = self.nodes[node].life;
        self.trace.line(self.now, format_args!("worker {node} dies"));
        self.books.died(node, life, self.now);
        self.nodes[node].asleep_until = 0;
        // The kernel closes the connections.
        process.calls.into_iter().for_each(|number| self.send_hang_up(node, life, number));
        let again = self.now + self.dice.between(500, 20_000);
        self.at(again, Event::NodeStart { node });
    }

    pub(crate) fn node_leave(&mut self, node: usize) -> Result<(), Broken> {
        let now = self.now;
        if let Some(process) = &mut self.nodes[node].process {
            process.session.leave(Duration::from_millis(now - process.began));
        }
        self.node_step(node)
    }

    pub(crate) fn node_wake(&mut self, node: usize, life: u32) -> Result<(), Broken> {
        if self.nodes[node].life == life
            && let Some(process) = &mut self.nodes[node].process
            && process.wake.is_some_and(|wake| wake <= self.now)
        {
            process.wake = None;
            return self.node_step(node);
        }
        Ok(())
    }

    pub(crate) fn node_answer(
        &mut self,
        node: usize,
        life: u32,
        number: u64,
        answer: Result<Answer, Status>,
    ) -> Result<(), Broken> {
        let now = self.now;
        if self.nodes[node].life != life {
            return Ok(());
        }
        let Some(process) = &mut self.nodes[node].process else { return Ok(()) };
        if process.calls.remove(&number) {
            let what = answer.as_ref().map_or_else(|status| status.message().to_owned(), describe);
            self.trace.line(now, format_args!("worker {node} hears {number}: {what}"));
            process.told |= match &answer {
                Ok(Answer::Leased(lease)) => matches!(lease, proto::Lease::Finished),
                Ok(Answer::Ordered(orders)) => orders.finished,
                _ => false,
            };
            process.session.answered(Duration::from_millis(now - process.began), number, answer);
        }
        self.node_step(node)
    }

    /// One step of a running task.
    pub(crate) fn node_epoch(&mut self, node: usize, life: u32, number: u64) -> Result<(), Broken> {
        let now = self.now;
        let place = &mut self.nodes[node];
        if place.life != life {
            return Ok(());
        }
        let wrong = place.wrong;
        let Some(process) = &mut place.process else { return Ok(()) };
        let Some(run) = process.runs.get_mut(&number) else { return Ok(()) };
        let (index, nature) = (index_of(run.run_id), run.nature);
        if let Some(fault) = nature.fate.fault() {
            self.books.fired(fault);
        }
        if nature.fate == Fate::Kills {
            self.trace.line(now, format_args!("task {index} kills worker {node}"));
            self.books.killed(index);
            self.node_crash(node);
            return Ok(());
        }
        run.epoch += 1;
        run.progress.set_epoch(run.epoch.min(EPOCHS), Some(1.0 / f64::from(run.epoch)));
        let attempt = run.progress.attempt();
        let mut provenance = process.identity.provenance(attempt);
        provenance.train_s = Some((now - run.began) as f64 / 1e3);
        let failure = |reason, message: &str| {
            Some(Outcome::Failed(Failure { reason, message: message.into(), provenance: provenance.clone() }))
        };
        // As the worker's `attempt` does.
        let outcome = match (run.progress.cancellation(), nature.fate) {
            (Some(Cancellation::ByTimeout), _) => failure(Reason::TimedOut, "it took longer than a task may"),
            (Some(_), _) => failure(Reason::HandedBack, "cancelled"),
            (None, Fate::Panics) => failure(Reason::Panic, "panicked at tasks.rs: no way"),
            (None, Fate::Refused) => failure(Reason::Refused, "no such config"),
            (None, Fate::UnavailableAtFirst) if attempt <= 2 => failure(Reason::Unavailable, "nothing to begin with"),
            (None, Fate::Crawls) => None,
            (None, _) if run.epoch < EPOCHS => None,
            (None, _) => {
                if wrong {
                    self.books.fired(Fault::WrongNumbers);
                }
                self.books.finished(index, node, life);
                Some(Outcome::Finished(output(index, nature, provenance.clone(), wrong)))
            }
        };
        let Some(outcome) = outcome else {
            let epoch =
                (nature.duration_ms / u64::from(EPOCHS)).max(if nature.fate == Fate::Crawls { 1_000 } else { 0 });
            self.run_on(node, number, epoch);
            return Ok(());
        };
        let Some(run) = process.runs.remove(&number) else { return Ok(()) };
        let delivery = process.clerk.report(run.run_id, attempt, outcome);
        let took = Duration::from_millis(now - run.began);
        if process.session.finished(delivery, &run.progress, took) {
            process.idle_slots += 1;
        }
        self.node_step(node)
    }

    /// Has a running task go on for a while.
    fn run_on(&mut self, node: usize, run: u64, epoch_ms: u64) {
        let slow = self.nodes[node].slow_until > self.now;
        if slow && epoch_ms > 0 {
            self.books.fired(Fault::SlowWorker);
        }
        let time = self.now + if slow { epoch_ms * 8 } else { epoch_ms };
        self.at(time, Event::Epoch { node, life: self.nodes[node].life, run });
    }

    /// Lets a worker do whatever it can do now.
    pub(crate) fn node_step(&mut self, node: usize) -> Result<(), Broken> {
        let now = self.now;
        let life = self.nodes[node].life;
        loop {
            let place = &mut self.nodes[node];
            let Some(process) = &mut place.process else { return Ok(()) };
            let time = Duration::from_millis(now - process.began);
            let mut calls: Vec<Call> = std::iter::from_fn(|| process.session.poll(time)).collect();
            process.idle_slots += process.session.take_replacements();
            let mut begun = Vec::new();
            while process.idle_slots > 0
                && let Some((job, progress)) = process.session.take(time)
            {
                process.idle_slots -= 1;
                place.next_run += 1;
                let run_id = job.task().run_id;
                let mut nature = self.tasks.nature(index_of(run_id));
                nature.fate = nature.fate.of_attempt(place.next_run);
                progress.set_epochs(EPOCHS);
                process.runs.insert(place.next_run, Run { run_id, progress, began: now, epoch: 0, nature });
                begun.push((place.next_run, index_of(run_id), nature));
            }
            let dropped: Vec<u64> =
                process.calls.iter().copied().filter(|call| !process.session.expects(*call)).collect();
            process.calls.retain(|call| process.session.expects(*call));
            process.calls.extend(calls.iter().map(|call| call.number));
            if calls.is_empty() && begun.is_empty() && dropped.is_empty() {
                break;
            }
            for number in dropped {
                self.trace.line(now, format_args!("worker {node} hangs up {number}"));
                self.send_hang_up(node, life, number);
            }
            for (run, index, nature) in begun {
                self.check_begun(node, index)?;
                self.trace.line(now, format_args!("worker {node} runs task {index} ({:?})", nature.fate));
                if nature.fate == Fate::Hangs {
                    self.books.fired(Fault::HangingTask);
                } else {
                    self.run_on(node, run, nature.duration_ms / u64::from(EPOCHS));
                }
            }
            for Call { number, request } in calls.drain(..) {
                self.trace.line(now, format_args!("worker {node} asks {number}: {}", crate::head::describe(&request)));
                self.send_request(node, number, request);
            }
        }
        let Some(process) = &mut self.nodes[node].process else { return Ok(()) };
        if let Some(ended) = process.session.ended() {
            let summary = process.session.summary();
            self.trace.line(now, format_args!("worker {node} ends: {ended:?} {summary:?}"));
            let calls = std::mem::take(&mut process.calls);
            self.nodes[node].process = None;
            self.books.died(node, life, now);
            calls.into_iter().for_each(|number| self.send_hang_up(node, life, number));
            if !self.finished {
                // Its supervisor starts another one.
                let again = now + self.dice.between(500, 5_000);
                self.at(again, Event::NodeStart { node });
            }
            return Ok(());
        }
        if let Some(wake) = process.session.poll_timeout() {
            // Rounded up: a moment before it is due there is nothing to do.
            let wake = (process.began + wake.as_nanos().div_ceil(1_000_000) as u64).max(now + 1);
            if process.wake.is_none_or(|set| wake < set || set <= now) {
                process.wake = Some(wake);
                self.at(wake, Event::NodeWake { node, life });
            }
        }
        Ok(())
    }
}

fn describe(answer: &Answer) -> String {
    match answer {
        Answer::Joined(welcome) => format!("welcome {}", welcome.worker_id),
        Answer::Leased(proto::Lease::Granted(grant)) => {
            let tasks: Vec<(u64, u32)> = grant.tasks.iter().map(|task| (task.seed, task.attempt)).collect();
            format!("granted {tasks:?}")
        }
        Answer::Leased(other) => format!("{other:?}"),
        Answer::Ordered(orders) => {
            let cancel: Vec<u64> = orders.cancel.iter().map(|run_id| index_of(*run_id)).collect();
            format!("cancel {cancel:?}, drain {}, finished {}", orders.drain, orders.finished)
        }
        Answer::Acknowledged(verdicts) => {
            let verdicts: Vec<_> = verdicts.iter().flatten().map(|one| (index_of(one.run_id), one.verdict)).collect();
            format!("{verdicts:?}")
        }
        Answer::Left => "goodbye".to_owned(),
        Answer::Blob(_) => "a blob".to_owned(),
    }
}
