//! The dispatcher alone: no runtime, and a clock that the test turns.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proto::{Failure, Reason, Verdict};
use results::Handover;
use sweep::ledger::{LedgerConfig, Millis, Phase, WorkerId, WorkerInfo};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::super::dispatcher::{Arms, Dispatcher, Step, Terms};
use super::super::fingerprint::fingerprint;
use super::super::group::{Kept, Part, Rhythm};
use super::super::message::{Content, Control, Delivered, LeaseReply, Message};
use super::super::progress::FleetError;
use super::*;

pub(super) struct World {
    pub(super) dispatcher: Dispatcher,
    returns: mpsc::UnboundedReceiver<Control>,
    pub(super) now: Millis,
}

fn world_of(planner: Box<dyn Planner + Send>) -> World {
    world_after(planner, Handover::default())
}

/// The coordinator before has left something.
pub(super) fn world_after(planner: Box<dyn Planner + Send>, handover: Handover) -> World {
    world_waiting(planner, handover, Duration::from_secs(15))
}

/// The coordinator before has left something, and its workers are waited for so long.
pub(super) fn world_waiting(planner: Box<dyn Planner + Send>, handover: Handover, reunion: Duration) -> World {
    let terms = Terms {
        ledger: LedgerConfig::default(),
        rhythm: Rhythm { interval: Duration::from_secs(1), bytes: 1_000, records: 100 },
        farewell: Duration::from_secs(5),
        objective: Some("test.loss".into()),
        handover,
        reunion,
        arms: Arms::of(Arc::new(Source)),
    };
    let (sender, returns) = mpsc::unbounded_channel();
    World { dispatcher: Dispatcher::new(terms, planner, sender), returns, now: Millis(0) }
}

pub(super) fn world(tasks: u64) -> World {
    world_of(numbers(tasks))
}

pub(super) fn finished(index: u64, loss: f64) -> Delivered {
    let output = output(loss);
    let fingerprint = fingerprint(&output);
    Delivered { run_id: task(index).run_id, attempt: 1, content: Content::Result { output, fingerprint } }
}

pub(super) fn failed(index: u64, attempt: u32, reason: Reason) -> Delivered {
    let failure = Failure { reason, message: "why".into(), provenance: Provenance::default() };
    Delivered { run_id: task(index).run_id, attempt, content: Content::Failure(failure) }
}

impl World {
    pub(super) fn join(&mut self, slots: u32) -> WorkerId {
        self.join_as("name", slots, false)
    }

    /// A worker of this name, in a process of its own or in the coordinator's.
    pub(super) fn join_as(&mut self, name: &str, slots: u32, remote: bool) -> WorkerId {
        let (reply, mut answer) = oneshot::channel();
        let info = WorkerInfo { host: "host".into(), name: name.into(), slots };
        self.dispatcher.handle(self.now, Message::Join { info, remote, reply });
        answer.try_recv().unwrap().unwrap()
    }

    pub(super) fn ask(&mut self, worker: WorkerId, max: usize) -> oneshot::Receiver<LeaseReply> {
        let (reply, answer) = oneshot::channel();
        self.dispatcher.handle(self.now, Message::Lease { worker, max, reply });
        answer
    }

    pub(super) fn report(&mut self, worker: WorkerId, reports: Vec<Delivered>) -> oneshot::Receiver<Vec<Verdict>> {
        let (reply, answer) = oneshot::channel();
        self.dispatcher.handle(self.now, Message::Report { worker, reports, bytes: 10, reply });
        answer
    }

    /// Advances; the part to be stored, and when to come back.
    pub(super) fn advance(&mut self) -> (Option<Vec<u64>>, Option<Millis>) {
        self.dispatcher.ledger().check().unwrap();
        match self.dispatcher.advance(self.now).unwrap() {
            Step::Go { wake, part } => (part.map(seeds), wake),
            Step::End => panic!("it is not over"),
        }
    }

    pub(super) fn stored(&mut self) {
        self.dispatcher.part_ended(self.now, Kept::whole()).unwrap();
    }

    pub(super) fn store_failed(&mut self, error: SinkError) -> Result<(), FleetError> {
        self.dispatcher.part_ended(self.now, Kept { records: Err(error), handover: Ok(()) })
    }

    /// A heartbeat of a worker that holds the first attempts at these tasks.
    pub(super) fn beat(&mut self, worker: WorkerId, held: &[u64]) {
        let (reply, _) = oneshot::channel();
        let held_of =
            |index: &u64| proto::Held { run_id: task(*index).run_id, attempt: 1, epoch: 0, epochs: 0, loss: None };
        let held = held.iter().map(held_of).collect();
        self.dispatcher.handle(self.now, Message::Heartbeat { worker, held, reply });
    }
}

fn seeds(part: Part) -> Vec<u64> {
    let records = part.into_records(&Source);
    records.iter().map(|record| (record.run_id.as_u128() - 1) as u64).collect()
}

pub(super) fn indices(answer: &mut oneshot::Receiver<LeaseReply>) -> Vec<u64> {
    match answer.try_recv().unwrap() {
        LeaseReply::Granted(parcel) => parcel.open().iter().map(|lease| lease.task.index).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_waits_until_there_are_tasks() {
    let mut world = world(3);
    let worker = world.join(2);
    let mut answer = world.ask(worker, 9);
    assert!(matches!(answer.try_recv(), Err(TryRecvError::Empty)), "nothing is planned yet");
    let _ = world.advance();
    assert_eq!(indices(&mut answer), [0, 1]);
}

#[test]
fn an_acknowledgement_means_durable() {
    let mut world = world(2);
    let worker = world.join(2);
    let mut grant = world.ask(worker, 9);
    let _ = world.advance();
    indices(&mut grant);
    let mut acknowledged = world.report(worker, vec![finished(0, 0.5)]);
    let (part, _) = world.advance();
    assert_eq!(part, Some(vec![0]), "the first part has nothing to wait for");
    assert!(matches!(acknowledged.try_recv(), Err(TryRecvError::Empty)));
    world.stored();
    assert_eq!(acknowledged.try_recv(), Ok(vec![Verdict::Stored]));
}

#[test]
fn what_another_coordinators_worker_has_finished_is_not_lost_because_the_plan_has_not_come_to_it() {
    // Far beyond what is planned ahead.
    let mut world = world(50_000);
    let worker = world.join(1);
    world.advance();
    let mut answer = world.report(worker, vec![finished(45_000, 0.5), finished(60_000, 0.5)]);
    let (part, _) = world.advance();
    let part = match part {
        Some(part) => part,
        None => {
            world.now = Millis(1_000);
            world.advance().0.unwrap()
        }
    };
    assert_eq!(part, [45_000]);
    world.stored();
    assert_eq!(answer.try_recv().unwrap(), [Verdict::Stored, Verdict::Unknown], "what is in no plan is nobody's");
    // What it still works on is its own, and granted to nobody else.
    world.beat(worker, &[30_000]);
    let index = task(30_000).run_id;
    assert!(matches!(world.dispatcher.ledger().phase(index), Some(Phase::Leased(holder)) if holder == worker));
}

#[test]
fn parts_are_gathered_and_the_last_one_is_not_waited_for() {
    let mut world = world(3);
    let worker = world.join(4);
    let mut grant = world.ask(worker, 9);
    let _ = world.advance();
    assert_eq!(indices(&mut grant), [0, 1, 2]);
    drop(world.report(worker, vec![finished(0, 0.0)]));
    assert_eq!(world.advance().0, Some(vec![0]));
    world.stored();
    drop(world.report(worker, vec![finished(1, 0.0)]));
    assert_eq!(world.advance(), (None, Some(Millis(1_000))), "one part a second");
    drop(world.report(worker, vec![finished(2, 0.0)]));
    assert_eq!(world.advance().0, Some(vec![1, 2]), "there is nothing to wait for");
}

#[test]
fn results_come_in_while_a_part_is_being_stored() {
    let mut world = world(3);
    let worker = world.join(4);
    let mut grant = world.ask(worker, 9);
    let _ = world.advance();
    indices(&mut grant);
    drop(world.report(worker, vec![finished(0, 0.0)]));
    assert_eq!(world.advance().0, Some(vec![0]));
    let mut again = world.report(worker, vec![finished(0, 0.0), finished(1, 0.0)]);
    world.now = Millis(5_000);
    assert_eq!(world.advance().0, None, "one part at a time");
    world.stored();
    assert!(matches!(again.try_recv(), Err(TryRecvError::Empty)));
    assert_eq!(world.advance().0, Some(vec![1]));
    world.stored();
    assert_eq!(again.try_recv(), Ok(vec![Verdict::Duplicate, Verdict::Stored]));
}

#[test]
fn what_is_settled_at_once_is_answered_at_once() {
    let mut world = world(2);
    let worker = world.join(2);
    let mut grant = world.ask(worker, 9);
    let _ = world.advance();
    indices(&mut grant);
    let reports = vec![failed(0, 1, Reason::HandedBack), finished(77, 0.0), failed(1, 1, Reason::Unavailable)];
    let mut answer = world.report(worker, reports);
    assert_eq!(answer.try_recv(), Ok(vec![Verdict::Noted, Verdict::Unknown, Verdict::Noted]));
    let _ = world.advance();
    assert_eq!(indices(&mut world.ask(worker, 9)), [0, 1]);
}

#[test]
fn a_panic_is_stored_as_a_failure_with_its_reason() {
    let mut world = world(1);
    let worker = world.join(1);
    let mut grant = world.ask(worker, 9);
    let _ = world.advance();
    indices(&mut grant);
    let mut answer = world.report(worker, vec![failed(0, 1, Reason::Panic)]);
    let Step::Go { part: Some(part), .. } = world.dispatcher.advance(world.now).unwrap() else { panic!() };
    let records = part.into_records(&Source);
    assert_eq!((records[0].output.status, records[0].output.error.as_deref()), (Status::Failed, Some("panicked: why")));
    world.stored();
    assert_eq!(answer.try_recv(), Ok(vec![Verdict::Noted]));
}

#[test]
fn a_task_that_loses_its_workers_is_stored_as_a_failure() {
    let mut world = world(1);
    for round in 0..3 {
        world.now = Millis(round * 60_000);
        let worker = world.join(1);
        let mut grant = world.ask(worker, 1);
        let _ = world.advance();
        if grant.try_recv().map(drop_open).is_err() {
            panic!("no grant in round {round}");
        }
        world.now = Millis(round * 60_000 + 30_000);
        if round < 2 {
            let Step::Go { part: Some(mut part), .. } = world.dispatcher.advance(world.now).unwrap() else { panic!() };
            let strikes = [(task(0).run_id, round as u16 + 1)].into();
            let handover = Handover { strikes, ..Handover::default() };
            assert_eq!((part.take_handover(), part.tasks().count()), (Some(handover), 0), "for a later coordinator");
            world.stored();
        }
    }
    let Step::Go { part: Some(mut part), .. } = world.dispatcher.advance(world.now).unwrap() else { panic!() };
    assert_eq!(part.take_handover(), Some(Handover::default()), "a task that has ended has all its attempts again");
    let records = part.into_records(&Source);
    assert_eq!((records[0].output.status, records[0].output.provenance.attempt), (Status::Failed, 3));
    world.stored();
    assert!(matches!(world.dispatcher.advance(world.now), Ok(Step::End)), "nobody is left to be told");
    assert_eq!(world.dispatcher.summary().counts.failed, 1);
}

fn drop_open(reply: LeaseReply) {
    let LeaseReply::Granted(parcel) = reply else { panic!("{reply:?}") };
    parcel.open();
}

#[test]
fn a_grant_that_nobody_receives_returns_and_does_not_count() {
    let mut world = world(1);
    let worker = world.join(1);
    let answer = world.ask(worker, 9);
    let _ = world.advance();
    drop(answer);
    let control = world.returns.try_recv().unwrap();
    world.dispatcher.control(control);
    let mut again = world.ask(worker, 9);
    let _ = world.advance();
    let LeaseReply::Granted(parcel) = again.try_recv().unwrap() else { panic!() };
    assert_eq!(parcel.leases[0].attempt, 2);
    parcel.open();
    assert_eq!(world.dispatcher.progress().counts.lost_leases, 0);
}

#[test]
fn the_end_waits_for_workers_to_hear_of_it_but_not_for_ever() {
    let mut world = world(1);
    let (a, b) = (world.join(1), world.join(1));
    let mut grant = world.ask(a, 9);
    let _ = world.advance();
    indices(&mut grant);
    let mut waiting = world.ask(b, 9);
    let _ = world.advance();
    drop(world.report(a, vec![finished(0, 0.0)]));
    assert_eq!(world.advance().0, Some(vec![0]));
    world.stored();
    assert_eq!(world.advance(), (None, Some(Millis(5_000))));
    assert!(matches!(waiting.try_recv(), Ok(LeaseReply::Finished)));
    world.now = Millis(4_999);
    let _ = world.advance();
    let mut asked = world.ask(a, 9);
    assert!(matches!(asked.try_recv(), Ok(LeaseReply::Finished)));
    assert!(matches!(world.dispatcher.advance(world.now), Ok(Step::End)));
    assert!(world.dispatcher.summary().finished);
}

#[test]
fn a_drained_fleet_ends_when_what_runs_has_ended() {
    let mut world = world(10);
    let worker = world.join(1);
    let mut grant = world.ask(worker, 9);
    let _ = world.advance();
    assert_eq!(indices(&mut grant), [0]);
    world.dispatcher.control(Control::Drain);
    assert!(matches!(world.ask(worker, 9).try_recv(), Ok(LeaseReply::Draining)));
    let _ = world.advance();
    drop(world.report(worker, vec![finished(0, 0.0)]));
    assert_eq!(world.advance().0, Some(vec![0]));
    world.stored();
    assert!(matches!(world.dispatcher.advance(world.now), Ok(Step::End)));
    let summary = world.dispatcher.summary();
    assert_eq!((summary.finished, summary.counts.ok), (false, 1));
}

#[test]
fn who_was_told_of_a_drain_is_told_that_the_sweep_has_ended_after_all() {
    let mut world = world(1);
    let worker = world.join(1);
    let mut grant = world.ask(worker, 9);
    let _ = world.advance();
    assert_eq!(indices(&mut grant), [0]);
    world.dispatcher.control(Control::Drain);
    world.beat(worker, &[0]);
    drop(world.report(worker, vec![finished(0, 0.0)]));
    assert_eq!(world.advance().0, Some(vec![0]));
    world.stored();
    assert_eq!(world.advance(), (None, Some(Millis(5_000))), "it would wait for a coordinator that never comes");
    world.beat(worker, &[]);
    assert!(matches!(world.dispatcher.advance(world.now), Ok(Step::End)));
    assert!(world.dispatcher.summary().finished);
}

#[test]
fn a_broken_store_ends_the_fleet_and_acknowledges_nothing() {
    let mut world = world(1);
    let worker = world.join(1);
    let mut grant = world.ask(worker, 9);
    let _ = world.advance();
    indices(&mut grant);
    let mut answer = world.report(worker, vec![finished(0, 0.0)]);
    let _ = world.advance();
    let error = world.store_failed(SinkError::new("disk full")).unwrap_err();
    assert_eq!(error.to_string(), "the results cannot be stored: disk full");
    assert_eq!(answer.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(world.dispatcher.ledger().counts().leased, 1, "the worker has it still");
}

#[test]
fn two_results_that_differ_are_counted() {
    let mut world = world(1);
    let worker = world.join(1);
    let _ = world.advance();
    drop(world.report(worker, vec![finished(0, 0.0)]));
    let mut second = world.report(worker, vec![finished(0, 1.0)]);
    assert!(matches!(second.try_recv(), Err(TryRecvError::Empty)), "the first is not durable yet");
    assert_eq!(world.advance().0, Some(vec![0]));
    world.stored();
    assert_eq!(second.try_recv(), Ok(vec![Verdict::Duplicate]));
    assert_eq!(world.dispatcher.progress().counts.conflicts, 1);
}

#[test]
fn a_coordinator_that_slept_does_not_blame_its_workers() {
    let mut world = world(1);
    let worker = world.join(1);
    let mut grant = world.ask(worker, 9);
    let _ = world.advance();
    indices(&mut grant);
    world.now = Millis(3_600_000);
    let _ = world.advance();
    assert_eq!(world.dispatcher.progress().workers, 1);
}

/// Gives one task at a time, and the next one when it hears of the last one's outcome.
struct OneByOne {
    given: u64,
    heard: Arc<Mutex<Vec<Option<f64>>>>,
}

impl Planner for OneByOne {
    fn next(&mut self, outcomes: &[Outcome], _: usize) -> Vec<Task> {
        let mut heard = self.heard.lock().unwrap();
        heard.extend(outcomes.iter().map(|outcome| outcome.metric));
        if heard.len() as u64 == self.given && self.given < 3 {
            self.given += 1;
            return vec![task(self.given - 1)];
        }
        Vec::new()
    }

    fn is_exhausted(&self) -> bool {
        self.given == 3
    }
}

#[test]
fn the_planner_hears_of_outcomes_and_plans_by_them() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut world = world_of(Box::new(OneByOne { given: 0, heard: Arc::clone(&heard) }));
    let worker = world.join(1);
    for index in 0..3 {
        let mut grant = world.ask(worker, 9);
        let _ = world.advance();
        assert_eq!(indices(&mut grant), [index]);
        drop(world.report(worker, vec![finished(index, index as f64)]));
        assert_eq!(world.advance().0, Some(vec![index]));
        world.stored();
    }
    assert_eq!(*heard.lock().unwrap(), [Some(0.0), Some(1.0)]);
    drop(world.ask(worker, 9));
    assert!(matches!(world.dispatcher.advance(world.now), Ok(Step::End)));
}

#[test]
fn a_planner_that_waits_for_nothing_is_an_error() {
    struct Stuck;
    impl Planner for Stuck {
        fn next(&mut self, _: &[Outcome], _: usize) -> Vec<Task> {
            Vec::new()
        }
        fn is_exhausted(&self) -> bool {
            false
        }
    }
    let mut world = world_of(Box::new(Stuck));
    assert!(matches!(world.dispatcher.advance(world.now), Err(FleetError::Stuck { ended: 0 })));
}

#[test]
fn a_sweep_without_tasks_is_over_at_once() {
    let mut world = world(0);
    assert!(matches!(world.dispatcher.advance(world.now), Ok(Step::End)));
}

#[test]
fn a_full_disk_pauses_the_sweep_and_whoever_waited_reports_again() {
    let mut world = world(3);
    let worker = world.join(1);
    let mut grant = world.ask(worker, 1);
    let _ = world.advance();
    assert_eq!(indices(&mut grant), [0]);
    let mut first = world.report(worker, vec![finished(0, 0.0)]);
    assert_eq!(world.advance().0, Some(vec![0]));
    let mut again = world.report(worker, vec![finished(0, 0.0)]);
    world.store_failed(SinkError::transient("no space left")).unwrap();
    let mut waiting = world.ask(worker, 1);
    let _ = world.advance();
    assert!(world.dispatcher.progress().paused);
    assert_eq!(first.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(again.try_recv(), Err(TryRecvError::Closed), "what it waited for is not durable");
    assert!(matches!(waiting.try_recv(), Err(TryRecvError::Empty)), "nothing is begun");
    let mut third = world.report(worker, vec![finished(0, 0.0)]);
    assert_eq!(world.advance(), (None, Some(Millis(1_000))), "the store is left in peace for a while");
    world.now = Millis(1_000);
    assert_eq!(world.advance().0, Some(vec![0]));
    world.stored();
    assert_eq!(third.try_recv(), Ok(vec![Verdict::Stored]));
    let _ = world.advance();
    assert_eq!(indices(&mut waiting), [1]);
    assert!(!world.dispatcher.progress().paused);
}

#[test]
fn idle_workers_back_up_what_is_slow_beside_its_like() {
    let mut world = world(12);
    let (a, b) = (world.join(1), world.join(2));
    for index in 0..11 {
        let mut grant = world.ask(a, 1);
        let _ = world.advance();
        assert_eq!(indices(&mut grant), [index]);
        let mut report = finished(index, 0.0);
        if let Content::Result { output, .. } = &mut report.content {
            output.provenance.train_s = Some(20.0);
        }
        drop(world.report(a, vec![report]));
        let _ = world.advance();
        world.stored();
    }
    let mut grant = world.ask(a, 1);
    let _ = world.advance();
    assert_eq!(indices(&mut grant), [11]);
    let mut idle = world.ask(b, 9);
    let mut busy = world.ask(a, 9);
    let beat = |world: &mut World, worker| {
        let (reply, _) = oneshot::channel();
        world.dispatcher.handle(world.now, Message::Heartbeat { worker, held: vec![], reply });
    };
    for second in 1..39 {
        world.now = Millis(second * 1_000);
        beat(&mut world, b);
        let _ = world.advance();
        let (reply, _) = oneshot::channel();
        let held = proto::Held { run_id: task(11).run_id, attempt: 1, epoch: 1, epochs: 9, loss: Some(0.5) };
        world.dispatcher.handle(world.now, Message::Heartbeat { worker: a, held: vec![held], reply });
    }
    assert!(matches!(idle.try_recv(), Err(TryRecvError::Empty)), "20 s are the rule, twice that is not over");
    assert_eq!(
        world.dispatcher.running().map(|(worker, held)| (worker, held.loss)).collect::<Vec<_>>(),
        [(a, Some(0.5))]
    );
    world.now = Millis(45_000);
    let _ = world.advance();
    assert_eq!(indices(&mut idle), [11]);
    assert!(matches!(busy.try_recv(), Err(TryRecvError::Empty)), "it is its own");
    assert_eq!(world.dispatcher.progress().counts.backups, 1);
}
