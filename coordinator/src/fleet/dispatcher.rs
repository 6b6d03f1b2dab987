//! The driver's mind: what follows from each message, without a socket, a clock or a thread.
//!
//! It owns the ledger, the planner, the calls that wait for tasks and the results that wait for the next part. The
//! driver's loop tells it what happened and when, and does what [`Dispatcher::advance`] says.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use engine::RunId;
use engine::record::{Provenance, RunOutput};
use proto::{Held, Reason, Verdict};
use results::Handover;
use sweep::Task;
use sweep::ledger::{Decision, Event, FailureReason, Finish, Ledger, LedgerConfig, Millis, Phase, Reported, WorkerId};
use sweep::plan::{Outcome, Planner};
use tokio::sync::{mpsc, oneshot};

use super::durations::Durations;
use super::group::{Group, Kept, Part, Promise, Rhythm, Waiter};
use super::keeper::{Keeper, Version};
use super::message::{Content, Control, Delivered, LeaseReply, Message, Parcel};
use super::pace::Pace;
use super::pause::Pause;
use super::progress::{FleetError, Happening, Progress, Roster, Summary, WorkerState};
use super::reunion::Reunion;
use super::seam::TaskSource;

/// Tasks are planned ahead for this many grants.
const GRANTS_AHEAD: usize = 4;

/// And at least this many: planning a few more costs less than asking often.
const LEAST_AHEAD: u64 = 64;

/// Tasks are planned so many at a time while one of them is looked for.
const SEARCHED_AT_A_TIME: u64 = 4096;

/// How often to look for tasks that are slow enough for a backup.
const BACKUP_INTERVAL: Duration = Duration::from_secs(1);

/// A task is slow if its lease is older than this, and than twice the 95th percentile of its arm.
const SLOW: Duration = Duration::from_secs(10);

/// So many happenings are kept for those who look on.
const HAPPENINGS: usize = 50;

/// Nobody looks through more workers than these.
const ROSTER_WORKERS: usize = 1000;

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
    /// How long the workers that were at work then are waited for before any task is granted.
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
    /// Workers that know that there will be no more tasks.
    told: HashSet<WorkerId>,
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
}

impl Dispatcher {
    /// A dispatcher of what the planner plans. Through `returns` it is told of grants that were not received; whoever has
    /// the other end passes it on to [`Dispatcher::control`].
    pub fn new(terms: Terms, planner: Box<dyn Planner + Send>, returns: mpsc::UnboundedSender<Control>) -> Dispatcher {
        let workers = &terms.handover.workers;
        if !workers.is_empty() {
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
            told: HashSet::new(),
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
                if directives.as_ref().is_ok_and(|directives| directives.drain) && self.paces.contains_key(&worker) {
                    // It will not ask for tasks again, so this is how it learns that there are none.
                    self.told.insert(worker);
                }
                let _ = reply.send(directives);
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
                    let _ = self.ledger.report(worker, lease.task.run_id, lease.attempt, reported);
                }
            }
        }
    }

    /// The part that was being stored is durable, or could not be stored. What goes with it for a later coordinator is no
    /// matter of the sweep.
    ///
    /// This is the one place that decides what follows from a broken store. If its state may pass, as a full disk does,
    /// the fleet pauses: no tasks are begun, results that were not acknowledged stay with their workers, which report them
    /// again, and whatever comes is tried again after a while. Otherwise, or if it was to end anyway, it ends.
    ///
    /// # Errors
    /// If the store will not recover.
    pub fn part_ended(&mut self, now: Millis, kept: Kept) -> Result<(), FleetError> {
        let Some(Promise { receipts, waiters }) = self.storing.take() else { return Ok(()) };
        if let Err(error) = kept.records {
            self.keeper.put_off();
            receipts.into_iter().for_each(|(receipt, _)| self.ledger.store_failed(now, receipt));
            // Some of those who wait for the next part wait for this one too. All are to report again.
            self.group.promise.waiters.clear();
            if !error.is_transient() || self.ledger.is_draining() {
                return Err(error.into());
            }
            let wait = self.pause.begin(now);
            tracing::warn!(
                "results cannot be stored: {error}; the sweep pauses and tries again in {wait:?}; nothing is lost, the \
                 workers keep what they have finished"
            );
            return Ok(());
        }
        if !receipts.is_empty() && self.pause.end() {
            tracing::warn!("results can be stored again: the sweep goes on");
        }
        self.keeper.ended(now, kept.handover);
        // What is for a later coordinator may have been all that there was to store.
        self.parts += u64::from(!receipts.is_empty());
        for (receipt, metric) in receipts {
            if let Some(status) = self.ledger.stored(receipt)
                && !self.planned
            {
                self.outcomes.push(Outcome { task: receipt.task(), status, metric });
            }
        }
        waiters.into_iter().for_each(Waiter::answer);
        Ok(())
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
        }
    }

    /// What the workers' running tasks have come to, by their last heartbeats.
    pub fn running(&self) -> impl Iterator<Item = (WorkerId, &Held)> {
        self.running.iter().flat_map(|(worker, held)| held.iter().map(|held| (*worker, held)))
    }

    /// Who works, and what has happened lately.
    pub fn roster(&self, now: Millis) -> Roster {
        let workers = self.ledger.by_silence().take(ROSTER_WORKERS).map(|(_, info, leases, heard)| WorkerState {
            name: info.to_string(),
            slots: info.slots,
            leases,
            silence: now.since(heard),
        });
        let happenings = self.happenings.iter().map(|(moment, what, bad)| Happening {
            ago: now.since(*moment),
            what: what.clone(),
            bad: *bad,
        });
        Roster {
            at: None,
            workers: workers.collect(),
            lease_ttl: self.terms.ledger.lease_ttl,
            heartbeat_interval: self.terms.ledger.heartbeat_interval,
            happenings: happenings.collect(),
        }
    }

    /// How it ended.
    pub fn summary(&self) -> Summary {
        Summary { counts: self.ledger.counts(), finished: self.ledger.is_finished(), parts: self.parts }
    }

    /// The ledger, for checks.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn lease(&mut self, now: Millis, parked: Parked) {
        if self.no_more_tasks() {
            if self.paces.contains_key(&parked.worker) {
                self.told.insert(parked.worker);
            }
            let _ = parked.reply.send(LeaseReply::Finished);
            return;
        }
        if self.grants_nothing(now) && self.paces.contains_key(&parked.worker) {
            self.parked.push_back(parked);
            return;
        }
        let pace = self.paces.get(&parked.worker).copied().unwrap_or_else(|| Pace::new(1));
        let grant = pace.grant(self.ledger.counts().queued, self.slots).min(parked.max);
        match self.ledger.lease(now, parked.worker, grant) {
            Err(unknown) => {
                let _ = parked.reply.send(LeaseReply::Unknown(unknown));
            }
            Ok(leases) if leases.is_empty() => self.parked.push_back(parked),
            Ok(leases) => {
                if let Some(pace) = self.paces.get_mut(&parked.worker) {
                    pace.granted(now);
                }
                let parcel = Parcel { worker: parked.worker, leases, returns: self.returns.clone() };
                let _ = parked.reply.send(LeaseReply::Granted(parcel));
            }
        }
    }

    /// Whether there are workers with nothing to do and tasks that others are slow with.
    fn looks_for_backups(&self) -> bool {
        let counts = self.ledger.counts();
        !self.parked.is_empty() && counts.queued == 0 && counts.leased > 0 && !self.no_more_tasks()
    }

    /// Has workers that have nothing to do run the tasks that others are slowest with.
    fn back_up(&mut self, now: Millis) {
        if !self.looks_for_backups() || now < self.next_backups || self.pause.is_on() {
            return;
        }
        self.next_backups = now.after(BACKUP_INTERVAL);
        let is_slow = |task: Task, age: Duration| {
            let p95 = if age < SLOW { None } else { self.durations.p95((self.terms.arms.0)(task)) };
            p95.is_some_and(|p95| age > p95.saturating_mul(2))
        };
        let mut slow = self.ledger.slow(now, is_slow);
        for Parked { worker, max, reply } in std::mem::take(&mut self.parked) {
            let slots = self.ledger.worker(worker).map_or(0, |info| info.slots as usize);
            let mut leases = Vec::new();
            if !reply.is_closed() {
                slow.retain(|&(run_id, holder)| {
                    if leases.len() >= slots.min(max) || holder == worker {
                        return true;
                    }
                    let granted = self.ledger.back_up(now, worker, run_id).ok().flatten();
                    leases.extend(granted);
                    granted.is_none()
                });
            }
            if leases.is_empty() {
                self.parked.push_back(Parked { worker, max, reply });
            } else {
                tracing::info!(%worker, count = leases.len(), "slow tasks are given to a second worker");
                let parcel = Parcel { worker, leases, returns: self.returns.clone() };
                let _ = reply.send(LeaseReply::Granted(parcel));
            }
        }
    }

    fn note_running(&mut self, worker: WorkerId, mut held: Vec<Held>) {
        held.retain(|held| held.epochs > 0);
        self.running_count += held.len() as u64;
        let before = if held.is_empty() { self.running.remove(&worker) } else { self.running.insert(worker, held) };
        self.running_count -= before.map_or(0, |before| before.len() as u64);
    }

    /// Whether no tasks are granted for now, whatever waits: the store is waited for, or workers of an earlier coordinator.
    fn grants_nothing(&self, now: Millis) -> bool {
        self.reunion.is_on() || self.pause.lasts_until(now).is_some()
    }

    /// A worker has said what it holds.
    fn came_back(&mut self, worker: WorkerId) {
        if self.reunion.is_on()
            && let Some(info) = self.ledger.worker(worker)
            && self.reunion.came(&info.to_string())
        {
            self.changes += 1;
        }
    }

    /// Waits no longer for workers that must have come back by now.
    fn end_reunion(&mut self, now: Millis) {
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
    fn version(&self) -> Version {
        Version { strikes: self.ledger.strike_changes(), others: self.changes, settled: self.is_settled() }
    }

    /// When what a later coordinator is to know is to be stored, if nothing else is.
    fn handover_due(&self, now: Millis, idle: bool) -> Option<Millis> {
        let due = self.last_part.filter(|_| !idle).map_or(now, |last| last.after(self.terms.rhythm.interval));
        self.keeper.due(now, self.version(), due)
    }

    /// What a later coordinator is to know, if that is to be stored.
    fn changed_handover(&mut self, now: Millis) -> Option<Handover> {
        let version = self.version();
        self.keeper.due(now, version, now).filter(|due| *due <= now)?;
        let known = self.known_strikes.iter().map(|(run_id, strikes)| (*run_id, *strikes));
        // What is being stored has ended when this is: its record goes before.
        let open = self.ledger.strikes().filter(|(run_id, _)| self.ledger.phase(*run_id) != Some(Phase::Storing));
        let strikes = known.chain(open).collect();
        // When all work has ended nobody holds anything.
        let remote = self.remote.iter().filter(|_| !version.settled);
        let names = remote.filter_map(|worker| Some(self.ledger.worker(*worker)?.to_string()));
        let workers = names.chain(self.reunion.awaited().cloned()).collect();
        self.keeper.begin(version, Handover { strikes, workers })
    }

    /// Answers the calls that wait, first come, first served.
    fn serve_parked(&mut self, now: Millis) {
        if self.parked.len() > 2 * self.ledger.worker_count() {
            self.parked.retain(|parked| !parked.reply.is_closed());
        }
        // As many as there are now: who cannot be served is parked again behind them.
        for _ in 0..self.parked.len() {
            let nothing_to_grant = self.ledger.counts().queued == 0 || self.grants_nothing(now);
            if nothing_to_grant && !self.no_more_tasks() {
                break;
            }
            let Some(parked) = self.parked.pop_front() else { break };
            if !parked.reply.is_closed() {
                self.lease(now, parked);
            }
        }
    }

    fn report(
        &mut self,
        worker: WorkerId,
        reports: Vec<Delivered>,
        bytes: usize,
        reply: oneshot::Sender<Vec<Verdict>>,
    ) {
        self.plan_up_to(reports.iter().map(|report| report.run_id));
        let mut waits = false;
        let mut verdicts = Vec::with_capacity(reports.len());
        for report in reports {
            let (verdict, waiting) = self.report_one(worker, report);
            verdicts.push(verdict);
            waits |= waiting;
        }
        if waits {
            self.group.bytes += bytes;
            self.group.promise.waiters.push(Waiter { reply, verdicts });
        } else {
            let _ = reply.send(verdicts);
        }
    }

    /// The verdict on a report, and whether it is to be kept back until the next part is durable.
    fn report_one(&mut self, worker: WorkerId, report: Delivered) -> (Verdict, bool) {
        let Delivered { run_id, attempt, content } = report;
        let (reported, output, verdict) = match content {
            Content::Result { output, fingerprint } => match Finish::new(output.status, fingerprint) {
                Some(finish) => (Reported::Finished(finish), Some(output), Verdict::Duplicate),
                None => return (Verdict::Invalid, false),
            },
            Content::Failure(failure) => {
                let reason = match failure.reason {
                    Reason::Panic => FailureReason::Panic,
                    Reason::Refused => FailureReason::Refused,
                    Reason::Unavailable => FailureReason::Unavailable,
                    Reason::HandedBack => FailureReason::HandedBack,
                    Reason::TimedOut => FailureReason::TimedOut,
                };
                let output = RunOutput::failed("", failure.provenance);
                (Reported::Failed { reason, message: failure.message }, Some(output), Verdict::Noted)
            }
            Content::Incomplete(message) => {
                (Reported::Failed { reason: FailureReason::Incomplete, message }, None, Verdict::Invalid)
            }
            Content::Invalid(problem) => {
                let message = format!("its report makes no sense: {problem}");
                (Reported::Failed { reason: FailureReason::Unavailable, message }, None, Verdict::Invalid)
            }
        };
        let failed_elsewhere = || RunOutput::failed("", provenance(attempt));
        match self.ledger.report(worker, run_id, attempt, reported) {
            Decision::Store(receipt) => {
                let output = output.unwrap_or_else(failed_elsewhere);
                if let Some(time) = time_taken(&output.provenance) {
                    self.durations.add((self.terms.arms.0)(receipt.task()), time);
                }
                let metric = self.terms.objective.as_deref().and_then(|name| output.metrics.get(name));
                self.group.add(receipt, metric, output);
                (Verdict::Stored, true)
            }
            Decision::GiveUp { receipt, message } => {
                tracing::warn!(%run_id, attempt, "task failed: {message}");
                let mut output = output.unwrap_or_else(failed_elsewhere);
                output.error = Some(message);
                self.group.add(receipt, None, output);
                (verdict, true)
            }
            Decision::Wait => (verdict, true),
            // The first result may still be on its way to the store.
            Decision::Conflict => (Verdict::Duplicate, self.ledger.phase(run_id) == Some(Phase::Storing)),
            Decision::Duplicate | Decision::Retry | Decision::Stale => (verdict, false),
            Decision::Unknown => (Verdict::Unknown, false),
        }
    }

    /// Keeps the ledger supplied, a few grants ahead.
    fn plan(&mut self) -> Result<(), FleetError> {
        if self.planned || self.ledger.is_draining() {
            return Ok(());
        }
        let ahead = ((self.largest_grant * GRANTS_AHEAD) as u64).max(LEAST_AHEAD).max(2 * self.slots);
        let mut nothing = false;
        while self.ledger.counts().queued < ahead && !nothing {
            nothing = !self.plan_more(2 * ahead - self.ledger.counts().queued);
            if self.planned {
                return Ok(());
            }
        }
        let waits_for_nothing = nothing && self.ledger.counts().queued == 0 && self.ledger.is_settled();
        if waits_for_nothing { Err(FleetError::Stuck { ended: self.ledger.counts().ended() }) } else { Ok(()) }
    }

    /// Plans at most `limit` tasks more. Whether there were any.
    fn plan_more(&mut self, limit: u64) -> bool {
        let tasks = self.planner.next(&self.outcomes, usize::try_from(limit).unwrap_or(usize::MAX));
        self.outcomes.clear();
        let any = !tasks.is_empty();
        for task in tasks {
            // Known tasks are no harm: a planner need not remember what it said.
            let strikes = self.known_strikes.remove(&task.run_id).unwrap_or(0);
            self.ledger.submit_with_strikes(task, strikes);
        }
        if self.planner.is_exhausted() {
            self.planned = true;
            self.ledger.close();
            // What is left is of tasks that have ended, or are in no plan any more.
            if !std::mem::take(&mut self.known_strikes).is_empty() {
                self.changes += 1;
            }
        }
        any
    }

    /// Plans on until these tasks are known, or there is nothing more to plan: a worker that has outlived another coordinator
    /// holds, and has finished, tasks that this one has not come to yet, and what it delivers must not pass for nobody's.
    fn plan_up_to(&mut self, run_ids: impl IntoIterator<Item = RunId>) {
        for run_id in run_ids {
            while !self.planned && self.ledger.phase(run_id).is_none() && self.plan_more(SEARCHED_AT_A_TIME) {}
        }
    }

    /// Logs what has happened, and takes over what has to be stored without anybody having reported it.
    fn note_events(&mut self, now: Millis) {
        while let Some(event) = self.ledger.poll_event() {
            match event {
                Event::WorkerJoined { worker, info } => {
                    tracing::info!(%worker, slots = info.slots, "worker {info} joined");
                    self.happened(now, false, format!("worker {info} joined"));
                }
                Event::WorkerLeft { worker, info, leases } => {
                    self.forget(worker, info.slots);
                    tracing::info!(%worker, leases, "worker {info} left");
                    self.happened(now, false, format!("worker {info} left"));
                }
                Event::WorkerLost { worker, info, leases, silence } => {
                    self.forget(worker, info.slots);
                    tracing::warn!(%worker, leases, "worker {info} is lost: not heard of for {silence:?}");
                    let what = format!("worker {info} is lost, and {leases} of its tasks are tried again");
                    self.happened(now, true, what);
                }
                Event::LeaseLost { run_id, attempt, worker, strikes } => {
                    tracing::warn!(%run_id, attempt, %worker, strikes, "a lease was lost, the task is tried again");
                }
                Event::GaveUp { receipt, attempt, message } => {
                    tracing::warn!(run_id = %receipt.task().run_id, attempt, "task failed: {message}");
                    self.happened(now, true, format!("task {} failed: {message}", receipt.task().run_id));
                    self.group.add(receipt, None, RunOutput::failed(message, provenance(attempt)));
                }
                Event::Conflict { run_id, worker } => {
                    tracing::error!(
                        %run_id, %worker,
                        "two results of one run differ: equal ids did not give equal numbers; the first one is kept"
                    );
                    self.happened(now, true, format!("two results of run {run_id} differ; the first one is kept"));
                }
            }
        }
    }

    /// Remembers what has happened for those who look on.
    fn happened(&mut self, now: Millis, bad: bool, what: String) {
        if self.happenings.len() == HAPPENINGS {
            self.happenings.pop_front();
        }
        self.happenings.push_back((now, what, bad));
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

    /// Whether every worker knows that it is over, or had time enough to ask.
    fn farewell(&mut self, now: Millis) -> bool {
        let ended = *self.ended.get_or_insert(now);
        let all_know = self.ledger.workers().all(|(worker, ..)| self.told.contains(&worker));
        all_know || now.since(ended) >= self.terms.farewell
    }
}

/// How long a run took, if its provenance says so.
fn time_taken(provenance: &Provenance) -> Option<Duration> {
    let times_s = [provenance.simulate_s, provenance.train_s, provenance.evaluate_s];
    let total_s = times_s.into_iter().flatten().reduce(|left, right| left + right)?;
    Duration::try_from_secs_f64(total_s).ok()
}

/// Where a failure comes from that no worker reported.
fn provenance(attempt: u32) -> Provenance {
    Provenance { attempt, engine_version: engine::VERSION.to_owned(), ..Provenance::default() }
}
