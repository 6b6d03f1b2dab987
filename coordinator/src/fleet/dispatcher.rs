//! The driver's mind: what follows from each message, without a socket, a clock or a thread.
//!
//! It owns the ledger, the planner, the calls that wait for tasks and the results that wait for the next part. The
//! driver's loop tells it what happened and when, and does what [`Dispatcher::advance`] says.

mod chronicle;
mod grants;
mod planning;
mod reports;
mod succession;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use engine::RunId;
use proto::{Held, Reason};
use results::Handover;
use sweep::Task;
use sweep::ledger::{Decision, FailureReason, Ledger, LedgerConfig, Millis, Reported, UnknownWorker, WorkerId};
use sweep::plan::{Outcome, Planner};
use tokio::sync::{mpsc, oneshot};

use super::durations::Durations;
use super::group::{Group, Part, Promise, Rhythm, Waiter};
use super::keeper::Keeper;
use super::message::{Control, LeaseReply, Message};
use super::pace::Pace;
use super::pause::Pause;
use super::progress::{FleetError, Progress, Summary};
use super::reunion::Reunion;
use super::seam::TaskSource;
use super::tally::{Cause, Tally};

/// What the dispatcher goes by.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What the ledger goes by.
    pub ledger: LedgerConfig,
    /// When parts are written.
    pub rhythm: Rhythm,
    /// How long workers may take to hear that the sweep is over.
    pub farewell: Duration,
    /// The metric that the planner looks at.
    pub objective: Option<String>,
    /// What an earlier coordinator has left.
    pub handover: Handover,
    /// How long the workers that were at work then are waited for before any task is granted; zero: no worker can come.
    pub reunion: Duration,
    /// Which tasks are alike.
    pub arms: Arms,
}

/// Says of which arm a task is.
#[derive(Clone)]
pub struct Arms(Arc<dyn Fn(Task) -> u32 + Send + Sync>);

impl Arms {
    /// As the source says.
    pub fn of(source: Arc<dyn TaskSource>) -> Arms {
        Arms(Arc::new(move |task| source.arm(task.index)))
    }
}

impl std::fmt::Debug for Arms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Arms")
    }
}

/// A call that waits for tasks.
#[derive(Debug)]
struct Parked {
    worker: WorkerId,
    max: usize,
    reply: oneshot::Sender<LeaseReply>,
}

/// What the driver is to do next.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// Store the part, if there is one, and come back when something happens, at `wake` at the latest.
    Go {
        /// When to come back at the latest.
        wake: Option<Millis>,
        /// What to store; then [`Dispatcher::part_ended`].
        part: Option<Part>,
    },
    /// Everybody knows that the sweep is over.
    End,
}

/// See the [module](self).
pub struct Dispatcher {
    ledger: Ledger,
    planner: Box<dyn Planner + Send>,
    terms: Terms,
    returns: mpsc::UnboundedSender<Control>,
    paces: HashMap<WorkerId, Pace>,
    slots: u64,
    /// The most tasks that any worker was to get at a time.
    largest_grant: usize,
    parked: VecDeque<Parked>,
    group: Group,
    /// What depends on the part that is being stored.
    storing: Option<Promise>,
    /// Whether the store is waited for.
    pause: Pause,
    /// When the last part was begun.
    last_part: Option<Millis>,
    parts: u64,
    /// What the planner has not heard of.
    outcomes: Vec<Outcome>,
    planned: bool,
    ended: Option<Millis>,
    /// Workers that know that there will be no more tasks here, and whether they know that the sweep is over.
    told: HashMap<WorkerId, bool>,
    /// What each worker's tasks have come to, by its last heartbeat.
    running: HashMap<WorkerId, Vec<Held>>,
    running_count: u64,
    durations: Durations,
    /// When the search for slow tasks is due again.
    next_backups: Millis,
    /// Strikes that are known of tasks that are not planned yet.
    known_strikes: BTreeMap<RunId, u16>,
    /// Workers in processes of their own.
    remote: BTreeSet<WorkerId>,
    /// Workers of an earlier coordinator that have not come back.
    reunion: Reunion,
    /// What a later coordinator is to know, and how often it changed beside the ledger's strikes.
    keeper: Keeper,
    changes: u64,
    /// What has happened lately: when, what, and whether something went wrong.
    happenings: VecDeque<(Millis, String, bool)>,
    tally: Tally,
    /// Since when tasks wait, without a break.
    pending_since: Option<Millis>,
}

impl Dispatcher {
    /// A dispatcher of what the planner plans. Through `returns` it is told of grants that were not received; whoever has
    /// the other end passes it on to [`Dispatcher::control`].
    pub fn new(terms: Terms, planner: Box<dyn Planner + Send>, returns: mpsc::UnboundedSender<Control>) -> Dispatcher {
        let workers = &terms.handover.workers;
        if !workers.is_empty() && !terms.reunion.is_zero() {
            tracing::warn!(
                "the coordinator before did not end in order: for {:?} at most, no tasks are granted before its workers ({}) \
                 have said what they hold",
                terms.reunion,
                workers.len()
            );
        }
        Dispatcher {
            ledger: Ledger::new(terms.ledger),
            planner,
            returns,
            paces: HashMap::new(),
            slots: 0,
            largest_grant: 0,
            parked: VecDeque::new(),
            group: Group::default(),
            storing: None,
            pause: Pause::default(),
            last_part: None,
            parts: 0,
            outcomes: Vec::new(),
            planned: false,
            ended: None,
            told: HashMap::new(),
            running: HashMap::new(),
            running_count: 0,
            durations: Durations::default(),
            next_backups: Millis(0),
            known_strikes: terms.handover.strikes.clone(),
            remote: BTreeSet::new(),
            reunion: Reunion::of(terms.handover.workers.clone(), terms.reunion),
            keeper: Keeper::inheriting(terms.handover.clone()),
            changes: 0,
            happenings: VecDeque::new(),
            tally: Tally::default(),
            pending_since: None,
            terms,
        }
    }

    /// Takes in a call. Its answer may come later; a caller that is gone misses it.
    pub fn handle(&mut self, now: Millis, message: Message) {
        match message {
            Message::Join { info, remote, reply } => {
                let slots = info.slots;
                let joined = self.ledger.join(now, info);
                if let Ok(worker) = joined {
                    self.paces.insert(worker, Pace::new(slots));
                    self.slots += u64::from(slots);
                    if remote {
                        self.remote.insert(worker);
                        self.changes += 1;
                    }
                }
                if let Err(Ok(worker)) = reply.send(joined) {
                    self.ledger.leave(worker);
                }
            }
            Message::Lease { worker, max, reply } => {
                if let Some(pace) = self.paces.get_mut(&worker) {
                    pace.asked(now);
                    self.largest_grant = self.largest_grant.max(pace.size());
                }
                // Whoever asks holds nothing, or has said what before.
                self.came_back(worker);
                self.lease(now, Parked { worker, max, reply });
            }
            Message::Heartbeat { worker, held, reply } => {
                self.plan_up_to(held.iter().map(|held| held.run_id));
                let attempts: Vec<(RunId, u32)> = held.iter().map(|held| (held.run_id, held.attempt)).collect();
                let directives = self.ledger.heartbeat(now, worker, &attempts);
                self.came_back(worker);
                if directives.is_ok() && self.paces.contains_key(&worker) {
                    self.note_running(worker, held);
                }
                if let Ok(directives) = &directives
                    && directives.drain
                {
                    // It will not ask for tasks again, so this is how it learns that there are none.
                    self.tell(worker, directives.finished);
                }
                let _ = reply.send(directives);
            }
            Message::Leave { worker, reply } => {
                let known = self.ledger.worker(worker).is_some();
                self.ledger.leave(worker);
                let _ = reply.send(if known { Ok(()) } else { Err(UnknownWorker(worker)) });
            }
            Message::Locate { run_ids, reply } => {
                self.plan_up_to(run_ids.iter().copied());
                let index = |run_id: &RunId| self.ledger.task(*run_id).map(|task| task.index);
                let _ = reply.send(run_ids.iter().map(index).collect());
            }
            Message::Report { worker, reports, bytes, reply } => self.report(worker, reports, bytes, reply),
        }
    }

    /// Takes in what needs no answer.
    pub fn control(&mut self, control: Control) {
        match control {
            Control::Drain => {
                self.ledger.drain();
                self.pause.cut_short();
            }
            Control::Undelivered { worker, leases } => {
                for lease in leases {
                    let reason = FailureReason::HandedBack;
                    let reported = Reported::Failed { reason, message: "the grant never arrived".into() };
                    // Whatever became of the lease in the meantime, there is nothing to do about it.
                    if self.ledger.report(worker, lease.task.run_id, lease.attempt, reported) == Decision::Retry {
                        self.tally.retries.add(Cause::Failure(Reason::HandedBack));
                    }
                }
            }
        }
    }

    /// Does whatever is due, and says what the driver is to do.
    ///
    /// # Errors
    /// If the planner is stuck.
    pub fn advance(&mut self, now: Millis) -> Result<Step, FleetError> {
        if self.ledger.poll_timeout().is_some_and(|due| now.since(due) > self.terms.ledger.heartbeat_interval) {
            tracing::warn!("the coordinator was asleep; its workers are given time to report");
            self.ledger.excuse(now);
        }
        self.ledger.handle_timeout(now);
        self.plan()?;
        self.note_events(now);
        self.end_reunion(now);
        self.serve_parked(now);
        self.back_up(now);
        let waiting = !self.planned || self.ledger.counts().queued > 0;
        self.pending_since = waiting.then(|| self.pending_since.unwrap_or(now));
        let idle = {
            let counts = self.ledger.counts();
            counts.leased == 0 && (counts.queued == 0 || self.ledger.is_draining())
        };
        let mut part = None;
        let mut due = None;
        if self.storing.is_none() {
            if self.group.pending.is_empty() {
                // They wait for the part before, which is durable by now.
                self.group.promise.waiters.drain(..).for_each(Waiter::answer);
                self.group.bytes = 0;
            }
            due = self.group.due(now, self.last_part, idle, self.terms.rhythm);
            due = due.or_else(|| self.handover_due(now, idle));
            // While the store is waited for, no part is due.
            due = due.map(|due| self.pause.lasts_until(now).map_or(due, |until| due.max(until)));
            if due.is_some_and(|due| due <= now) {
                due = None;
                let handover = self.changed_handover(now);
                if handover.is_some() || !self.group.is_empty() {
                    let (records, promise) = self.group.take(handover);
                    (self.storing, self.last_part, part) = (Some(promise), Some(now), Some(records));
                }
            }
        }
        if part.is_none() && self.is_over() && self.farewell(now) {
            return Ok(Step::End);
        }
        let parting = self.ended.map(|ended| ended.after(self.terms.farewell));
        let backups = self.looks_for_backups().then_some(self.next_backups);
        let (paused, reunion) = (self.pause.lasts_until(now), self.reunion.lasts_until());
        let wake = [self.ledger.poll_timeout(), due, parting, backups, paused, reunion].into_iter().flatten().min();
        Ok(Step::Go { wake, part })
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        Progress {
            counts: self.ledger.counts(),
            workers: self.ledger.worker_count(),
            slots: self.slots,
            planned: self.planned,
            draining: self.ledger.is_draining(),
            parts: self.parts,
            running: self.running_count,
            paused: self.pause.is_on(),
            tally: self.tally,
        }
    }

    /// What the workers' running tasks have come to, by their last heartbeats.
    pub fn running(&self) -> impl Iterator<Item = (WorkerId, &Held)> {
        self.running.iter().flat_map(|(worker, held)| held.iter().map(|held| (*worker, held)))
    }

    /// How it ended.
    pub fn summary(&self) -> Summary {
        Summary { counts: self.ledger.counts(), finished: self.ledger.is_finished(), parts: self.parts }
    }

    /// The ledger, for checks.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn note_running(&mut self, worker: WorkerId, mut held: Vec<Held>) {
        held.retain(|held| held.epochs > 0);
        self.running_count += held.len() as u64;
        let before = if held.is_empty() { self.running.remove(&worker) } else { self.running.insert(worker, held) };
        self.running_count -= before.map_or(0, |before| before.len() as u64);
    }

    fn forget(&mut self, worker: WorkerId, slots: u32) {
        if self.paces.remove(&worker).is_some() {
            self.slots -= u64::from(slots);
        }
        self.told.remove(&worker);
        if self.remote.remove(&worker) {
            self.changes += 1;
        }
        self.running_count -= self.running.remove(&worker).map_or(0, |held| held.len() as u64);
    }

    /// A worker is told that there are no more tasks here, or that the sweep is over.
    fn tell(&mut self, worker: WorkerId, finished: bool) {
        if self.paces.contains_key(&worker) {
            self.told.insert(worker, finished);
        }
    }

    fn no_more_tasks(&self) -> bool {
        self.ledger.is_draining() || self.ledger.is_finished()
    }

    /// All work has ended.
    fn is_settled(&self) -> bool {
        self.ledger.is_finished() || self.ledger.is_draining() && self.ledger.is_settled()
    }

    /// Nothing will happen any more, and a later coordinator will know of nothing that is past.
    fn is_over(&self) -> bool {
        let stored = self.group.is_empty() && self.storing.is_none() && self.keeper.is_settled(self.version());
        self.is_settled() && stored
    }

    /// Whether every worker knows that it is over, or had time enough to ask. Who has heard of a drain waits for the next
    /// coordinator, and has yet to hear that none will come if the sweep has ended after all.
    fn farewell(&mut self, now: Millis) -> bool {
        let ended = *self.ended.get_or_insert(now);
        let sweep_ended = self.ledger.is_finished();
        let knows = |finished: &bool| *finished || !sweep_ended;
        let all_know = self.ledger.workers().all(|(worker, ..)| self.told.get(&worker).is_some_and(knows));
        all_know || now.since(ended) >= self.terms.farewell
    }
}
