//! The driver's mind: what follows from each message, without a socket, a clock or a thread.
//!
//! It owns the ledger, the planner, the calls that wait for tasks and the results that wait for the next part. The
//! driver's loop tells it what happened and when, and does what [`Dispatcher::advance`] says.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use engine::RunId;
use engine::record::{Provenance, RunOutput};
use proto::{Reason, Verdict};
use sweep::ledger::{Decision, Event, FailureReason, Finish, Ledger, LedgerConfig, Millis, Phase, Reported, WorkerId};
use sweep::plan::{Outcome, Planner};
use tokio::sync::{mpsc, oneshot};

use super::group::{Group, Part, Promise, Rhythm, Waiter};
use super::message::{Content, Control, Delivered, LeaseReply, Message, Parcel};
use super::pace::Pace;
use super::pause::Pause;
use super::progress::{FleetError, Progress, Summary};
use super::seam::SinkError;

/// Tasks are planned ahead for this many grants.
const GRANTS_AHEAD: usize = 4;

/// And at least this many: planning a few more costs less than asking often.
const LEAST_AHEAD: u64 = 64;

/// What the dispatcher goes by.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) ledger: LedgerConfig,
    pub(super) rhythm: Rhythm,
    /// How long workers may take to hear that the sweep is over.
    pub(super) farewell: Duration,
    /// The metric that the planner looks at.
    pub(super) objective: Option<String>,
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
pub(super) enum Step {
    /// Store the part, if there is one, and come back when something happens, at `wake` at the latest.
    Go { wake: Option<Millis>, part: Option<Part> },
    /// Everybody knows that the sweep is over.
    End,
}

/// See the [module](self).
pub(super) struct Dispatcher {
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
}

impl Dispatcher {
    pub(super) fn new(
        terms: Terms,
        planner: Box<dyn Planner + Send>,
        returns: mpsc::UnboundedSender<Control>,
    ) -> Dispatcher {
        Dispatcher {
            ledger: Ledger::new(terms.ledger),
            planner,
            terms,
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
        }
    }

    /// Takes in a call. Its answer may come later; a caller that is gone misses it.
    pub(super) fn handle(&mut self, now: Millis, message: Message) {
        match message {
            Message::Join { info, reply } => {
                let slots = info.slots;
                let joined = self.ledger.join(now, info);
                if let Ok(worker) = joined {
                    self.paces.insert(worker, Pace::new(slots));
                    self.slots += u64::from(slots);
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
                self.lease(now, Parked { worker, max, reply });
            }
            Message::Heartbeat { worker, held, reply } => {
                let directives = self.ledger.heartbeat(now, worker, &held);
                if directives.as_ref().is_ok_and(|directives| directives.drain) && self.paces.contains_key(&worker) {
                    // It will not ask for tasks again, so this is how it learns that there are none.
                    self.told.insert(worker);
                }
                let _ = reply.send(directives);
            }
            Message::Locate { run_ids, reply } => {
                let index = |run_id: &RunId| self.ledger.task(*run_id).map(|task| task.index);
                let _ = reply.send(run_ids.iter().map(index).collect());
            }
            Message::Report { worker, reports, bytes, reply } => self.report(worker, reports, bytes, reply),
        }
    }

    /// Takes in what needs no answer.
    pub(super) fn control(&mut self, control: Control) {
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

    /// The part that was being stored is durable, or could not be stored.
    ///
    /// This is the one place that decides what follows from a broken store. If that may pass, the fleet pauses: results
    /// that were not acknowledged stay with their workers, which report them again. Otherwise, or if it was to end anyway,
    /// it ends.
    pub(super) fn part_ended(&mut self, now: Millis, ended: Result<(), SinkError>) -> Result<(), FleetError> {
        let Some(Promise { receipts, waiters }) = self.storing.take() else { return Ok(()) };
        if let Err(error) = ended {
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
        if self.pause.end() {
            tracing::warn!("results can be stored again: the sweep goes on");
        }
        self.parts += 1;
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
    pub(super) fn advance(&mut self, now: Millis) -> Result<Step, FleetError> {
        if self.ledger.poll_timeout().is_some_and(|due| now.since(due) > self.terms.ledger.heartbeat_interval) {
            tracing::warn!("the coordinator was asleep; its workers are given time to report");
            self.ledger.excuse(now);
        }
        self.ledger.handle_timeout(now);
        self.plan()?;
        self.note_events();
        self.serve_parked(now);
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
            // While the store is waited for, no part is due.
            due = due.map(|due| self.pause.lasts_until(now).map_or(due, |until| due.max(until)));
            if due.is_some_and(|due| due <= now) {
                let (records, promise) = self.group.take();
                (self.storing, self.last_part) = (Some(promise), Some(now));
                (part, due) = (Some(records), None);
            }
        }
        if part.is_none() && self.is_over() && self.farewell(now) {
            return Ok(Step::End);
        }
        let parting = self.ended.map(|ended| ended.after(self.terms.farewell));
        let wake = [self.ledger.poll_timeout(), due, parting, self.pause.lasts_until(now)].into_iter().flatten().min();
        Ok(Step::Go { wake, part })
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            counts: self.ledger.counts(),
            workers: self.ledger.worker_count(),
            slots: self.slots,
            planned: self.planned,
            draining: self.ledger.is_draining(),
            parts: self.parts,
        }
    }

    pub(super) fn summary(&self) -> Summary {
        Summary { counts: self.ledger.counts(), finished: self.ledger.is_finished(), parts: self.parts }
    }

    /// The ledger, for checks.
    pub(super) fn ledger(&self) -> &Ledger {
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
        if self.pause.lasts_until(now).is_some() && self.paces.contains_key(&parked.worker) {
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

    /// Answers the calls that wait, first come, first served.
    fn serve_parked(&mut self, now: Millis) {
        if self.parked.len() > 2 * self.ledger.worker_count() {
            self.parked.retain(|parked| !parked.reply.is_closed());
        }
        // As many as there are now: who cannot be served is parked again behind them.
        for _ in 0..self.parked.len() {
            let nothing_to_grant = self.ledger.counts().queued == 0 || self.pause.lasts_until(now).is_some();
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
                };
                let output = RunOutput::failed("", failure.provenance);
                (Reported::Failed { reason, message: failure.message }, Some(output), Verdict::Noted)
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
            let limit = 2 * ahead - self.ledger.counts().queued;
            let tasks = self.planner.next(&self.outcomes, usize::try_from(limit).unwrap_or(usize::MAX));
            self.outcomes.clear();
            nothing = tasks.is_empty();
            for task in tasks {
                // Known tasks are no harm: a planner need not remember what it said.
                self.ledger.submit(task);
            }
            if self.planner.is_exhausted() {
                self.planned = true;
                self.ledger.close();
                return Ok(());
            }
        }
        let waits_for_nothing = nothing && self.ledger.counts().queued == 0 && self.ledger.is_settled();
        if waits_for_nothing { Err(FleetError::Stuck { ended: self.ledger.counts().ended() }) } else { Ok(()) }
    }

    /// Logs what has happened, and takes over what has to be stored without anybody having reported it.
    fn note_events(&mut self) {
        while let Some(event) = self.ledger.poll_event() {
            match event {
                Event::WorkerJoined { worker, info } => {
                    tracing::info!(%worker, slots = info.slots, "worker {info} joined");
                }
                Event::WorkerLeft { worker, info, leases } => {
                    self.forget(worker, info.slots);
                    tracing::info!(%worker, leases, "worker {info} left");
                }
                Event::WorkerLost { worker, info, leases, silence } => {
                    self.forget(worker, info.slots);
                    tracing::warn!(%worker, leases, "worker {info} is lost: not heard of for {silence:?}");
                }
                Event::LeaseLost { run_id, attempt, worker, strikes } => {
                    tracing::warn!(%run_id, attempt, %worker, strikes, "a lease was lost, the task is tried again");
                }
                Event::GaveUp { receipt, attempt, message } => {
                    tracing::warn!(run_id = %receipt.task().run_id, attempt, "task failed: {message}");
                    self.group.add(receipt, None, RunOutput::failed(message, provenance(attempt)));
                }
                Event::Conflict { run_id, worker } => {
                    tracing::error!(
                        %run_id, %worker,
                        "two results of one run differ: equal ids did not give equal numbers; the first one is kept"
                    );
                }
            }
        }
    }

    fn forget(&mut self, worker: WorkerId, slots: u32) {
        if self.paces.remove(&worker).is_some() {
            self.slots -= u64::from(slots);
        }
        self.told.remove(&worker);
    }

    fn no_more_tasks(&self) -> bool {
        self.ledger.is_draining() || self.ledger.is_finished()
    }

    /// Nothing will happen any more.
    fn is_over(&self) -> bool {
        let settled = self.ledger.is_finished() || self.ledger.is_draining() && self.ledger.is_settled();
        settled && self.group.is_empty() && self.storing.is_none()
    }

    /// Whether every worker knows that it is over, or had time enough to ask.
    fn farewell(&mut self, now: Millis) -> bool {
        let ended = *self.ended.get_or_insert(now);
        let all_know = self.ledger.workers().all(|(worker, ..)| self.told.contains(&worker));
        all_know || now.since(ended) >= self.terms.farewell
    }
}

/// Where a failure comes from that no worker reported.
fn provenance(attempt: u32) -> Provenance {
    Provenance { attempt, engine_version: engine::VERSION.to_owned(), ..Provenance::default() }
}
