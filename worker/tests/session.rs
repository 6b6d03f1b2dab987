//! A worker's side of the protocol in virtual time: no thread, no socket, nobody waits.

mod support;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use engine::Preset;
use engine::metrics::Metrics;
use engine::record::{Provenance, Record, RunOutput};
use proto::{
    Acknowledgement, Assembler, Failure, Grant, Lease, Orders, Outcome, Reason, Report, TaskGrant, Verdict, Welcome,
};
use support::tasks;
use tonic::Status;
use worker::agent::session::{Answer, Call, Request};
use worker::agent::{Clerk, Job, Session};
use worker::platform::Identity;
use worker::{AgentError, AgentOptions, Cancellation, Progress};

const WORKER: u64 = 7;
const HEARTBEAT: Duration = Duration::from_secs(5);

/// A session, the time, and calls that were made and not answered.
struct World {
    session: Session,
    clerk: Arc<Clerk>,
    now: Duration,
    calls: VecDeque<Call>,
}

impl World {
    /// A worker that has joined, and whose call for tasks waits.
    fn joined(options: AgentOptions, task_timeout: Option<Duration>) -> World {
        let mut world = World::new(options);
        world.join(task_timeout);
        world
    }

    fn join(&mut self, task_timeout: Option<Duration>) {
        let welcome =
            Welcome { worker_id: WORKER, heartbeat_interval: HEARTBEAT, max_batch_bytes: 1 << 20, task_timeout };
        self.answer(|request| matches!(request, Request::Join(_)), Ok(Answer::Joined(welcome)));
    }

    fn new(options: AgentOptions) -> World {
        let identity = Identity { host: options.host.clone(), worker: options.name.clone() };
        let clerk = Arc::new(Clerk::new(identity));
        let session = Session::new(options, Arc::clone(&clerk), Box::new(|| 0.5));
        let mut world = World { session, clerk, now: Duration::ZERO, calls: VecDeque::new() };
        world.step();
        world
    }

    fn step(&mut self) {
        self.calls.extend(std::iter::from_fn(|| self.session.poll(self.now)));
        self.calls.retain(|call| self.session.expects(call.number));
    }

    /// Answers the first call of a kind.
    #[track_caller]
    fn answer(&mut self, kind: impl Fn(&Request) -> bool, answer: Result<Answer, Status>) -> Request {
        let place = self.calls.iter().position(|call| kind(&call.request));
        let place = place.unwrap_or_else(|| panic!("no such call among {:?}", self.calls));
        let Call { number, request } = self.calls.remove(place).unwrap();
        self.session.answered(self.now, number, answer);
        self.step();
        request
    }

    /// Lets time pass, to the moments that the session asks for, with heartbeats answered if somebody is there.
    fn pass(&mut self, time: Duration, alive: bool) {
        let until = self.now + time;
        while self.session.ended().is_none() {
            let Some(due) = self.session.poll_timeout().filter(|due| *due <= until) else { break };
            assert!(due > self.now || !self.calls.is_empty() || self.session.ended().is_some(), "it goes on");
            self.now = due.max(self.now);
            self.step();
            while alive && self.has(is_heartbeat) {
                let orders = Orders { cancel: Vec::new(), drain: false, finished: false, next: HEARTBEAT };
                self.answer(is_heartbeat, Ok(Answer::Ordered(orders)));
            }
        }
        self.now = self.now.max(until);
        if self.session.ended().is_none() {
            self.step();
        }
    }

    fn has(&self, kind: impl Fn(&Request) -> bool) -> bool {
        self.calls.iter().any(|call| kind(&call.request))
    }

    fn leased(&mut self, count: u64) {
        self.grant(tasks(0..count));
    }

    fn grant(&mut self, tasks: Vec<TaskGrant>) {
        let grant =
            Grant { preset: Preset::Paper, base: Vec::new(), tasks, record: Record { curves: false, samples: None } };
        self.answer(is_lease, Ok(Answer::Leased(Lease::Granted(grant))));
    }

    fn take(&mut self) -> (Job, Arc<Progress>) {
        let taken = self.session.take(self.now).expect("there is a task");
        self.step();
        taken
    }

    fn finish(&mut self, job: &Job, progress: &Arc<Progress>) {
        let failure = Failure { reason: Reason::Panic, message: "no".into(), provenance: Provenance::default() };
        self.end(job, progress, Outcome::Failed(failure));
    }

    fn end(&mut self, job: &Job, progress: &Arc<Progress>, outcome: Outcome) {
        let delivery = self.clerk.report(job.task().run_id, progress.attempt(), outcome);
        self.session.finished(delivery, progress, Duration::from_secs(1));
        self.step();
    }

    fn acknowledge(&mut self, jobs: &[Job]) {
        self.acknowledge_as(Verdict::Noted, jobs);
    }

    fn acknowledge_as(&mut self, verdict: Verdict, jobs: &[Job]) {
        let verdicts = jobs.iter().map(|job| Some(Acknowledgement { run_id: job.task().run_id, verdict })).collect();
        self.answer(is_report, Ok(Answer::Acknowledged(verdicts)));
    }
}

fn options() -> AgentOptions {
    AgentOptions { host: "host".into(), exit_when_done: true, ..AgentOptions::new("worker", 2) }
}

fn is_lease(request: &Request) -> bool {
    matches!(request, Request::Lease { .. })
}

fn is_heartbeat(request: &Request) -> bool {
    matches!(request, Request::Heartbeat(_))
}

fn is_report(request: &Request) -> bool {
    matches!(request, Request::Report { .. })
}

fn is_leave(request: &Request) -> bool {
    matches!(request, Request::Leave { .. })
}

#[test]
fn a_worker_that_is_done_says_goodbye_before_it_ends() {
    let mut world = World::joined(options(), None);
    world.leased(1);
    let (job, progress) = world.take();
    world.answer(is_lease, Ok(Answer::Leased(Lease::Finished)));
    world.finish(&job, &progress);
    world.acknowledge(&[job]);
    assert!(world.session.ended().is_none(), "it has not said so yet");
    let request = world.answer(is_leave, Ok(Answer::Left));
    assert!(matches!(request, Request::Leave { worker_id: WORKER }), "{request:?}");
    assert!(matches!(world.session.ended(), Some(Ok(()))));
}

#[test]
fn a_worker_that_is_told_to_go_and_runs_out_of_grace_says_goodbye_within_it() {
    let mut world = World::joined(options(), None);
    world.leased(2);
    let (job, _progress) = world.take();
    let told = world.now;
    world.session.leave(world.now);
    world.step();
    assert!(!world.has(is_leave), "there is something to finish");
    // Nothing is acknowledged: one task hands itself back at once, and the other runs on.
    world.pass(Duration::from_millis(24_500), true);
    assert!(world.session.held().iter().any(|held| held.run_id == job.task().run_id));
    assert!(world.has(is_leave), "{:?}", world.calls);
    world.answer(is_leave, Ok(Answer::Left));
    assert!(matches!(world.session.ended(), Some(Ok(()))));
    assert!(world.now <= told + options().grace);
    assert!(world.session.summary().left_early);
}

#[test]
fn a_coordinator_that_drains_is_not_the_end_of_the_sweep() {
    for by_heartbeat in [true, false] {
        let mut world = World::joined(options(), None);
        world.leased(1);
        let (job, progress) = world.take();
        if by_heartbeat {
            world.now += HEARTBEAT;
            world.step();
            let orders = Orders { cancel: Vec::new(), drain: true, finished: false, next: HEARTBEAT };
            world.answer(is_heartbeat, Ok(Answer::Ordered(orders)));
        } else {
            world.answer(is_lease, Ok(Answer::Leased(Lease::Draining)));
        }
        world.finish(&job, &progress);
        world.acknowledge(&[job]);
        // The coordinator goes, and nobody is there for a while.
        world.pass(Duration::from_secs(120), false);
        assert!(world.session.ended().is_none() && !world.has(is_leave) && !world.has(is_lease));
        while !world.has(is_heartbeat) {
            world.pass(Duration::from_secs(1), false);
        }
        world.answer(is_heartbeat, Err(Status::not_found("no such worker")));
        world.join(None);
        world.answer(is_lease, Ok(Answer::Leased(Lease::Finished)));
        world.answer(is_leave, Ok(Answer::Left));
        assert!(matches!(world.session.ended(), Some(Ok(()))));
    }
}

#[test]
fn a_heartbeat_tells_of_the_end_as_well() {
    let mut world = World::joined(options(), None);
    world.now += HEARTBEAT;
    world.step();
    let orders = Orders { cancel: Vec::new(), drain: true, finished: true, next: HEARTBEAT };
    world.answer(is_heartbeat, Ok(Answer::Ordered(orders)));
    // The call for tasks is given up soon.
    world.pass(Duration::from_secs(1), false);
    world.answer(is_leave, Ok(Answer::Left));
    assert!(matches!(world.session.ended(), Some(Ok(()))));
}

#[test]
fn a_worker_that_is_told_to_go_when_the_sweep_is_over_has_not_left_early() {
    let mut world = World::joined(options(), None);
    world.answer(is_lease, Ok(Answer::Leased(Lease::Finished)));
    world.session.leave(world.now);
    world.step();
    world.answer(is_leave, Ok(Answer::Left));
    assert!(matches!(world.session.ended(), Some(Ok(()))));
    assert!(!world.session.summary().left_early);
}

#[test]
fn a_task_that_is_granted_again_before_its_result_is_refused_is_handed_back() {
    let mut world = World::joined(options(), None);
    world.leased(1);
    let (job, progress) = world.take();
    let output = RunOutput {
        status: engine::Status::Ok,
        error: None,
        metrics: Metrics::default(),
        provenance: Provenance::default(),
        curves: Vec::new(),
        path: Vec::new(),
        samples: Vec::new(),
    };
    world.end(&job, &progress, Outcome::Finished(output));
    // The coordinator has queued the task again, and a call that waited got it before the report was answered.
    world.grant(vec![TaskGrant { attempt: 2, ..job.task().clone() }]);
    assert!(!world.session.has_work(), "there is a result, as far as the worker knows");
    world.acknowledge_as(Verdict::Invalid, std::slice::from_ref(&job));
    let held: Vec<u32> = world.session.held().iter().map(|held| held.attempt).collect();
    assert_eq!(held, [2], "what the coordinator believes");
    let verdict = Verdict::Noted;
    let acknowledged = vec![Some(Acknowledgement { run_id: job.task().run_id, verdict })];
    let Request::Report { worker_id, reports } = world.answer(is_report, Ok(Answer::Acknowledged(acknowledged))) else {
        unreachable!("asked for one")
    };
    let batch = proto::join_reports(worker_id, &reports);
    let mut assembler = Assembler::new(batch.len());
    assembler.push(batch).unwrap();
    let mut reports = assembler.finish_batch().unwrap().reports;
    let Report { run_id, attempt, outcome } = Report::try_from(reports.remove(0)).unwrap();
    assert_eq!((run_id, attempt, reports.len()), (job.task().run_id, 2, 0));
    assert!(matches!(outcome, Outcome::Failed(Failure { reason: Reason::HandedBack, .. })), "{outcome:?}");
    assert!(world.session.held().is_empty());
}

#[test]
fn nobody_waits_for_the_answer_to_a_goodbye_for_long() {
    for answered in [true, false] {
        let mut world = World::joined(options(), None);
        world.answer(is_lease, Ok(Answer::Leased(Lease::Finished)));
        assert!(world.has(is_leave));
        if answered {
            world.answer(is_leave, Err(Status::unavailable("connection refused")));
        } else {
            world.pass(Duration::from_secs(1), false);
        }
        assert!(matches!(world.session.ended(), Some(Ok(()))));
    }
}

#[test]
fn a_worker_that_ends_with_its_sweep_gives_up_a_coordinator_that_is_gone() {
    let limit = Duration::from_secs(60);
    let patient = AgentOptions { give_up_after: Some(limit), ..options() };
    let mut world = World::joined(patient.clone(), None);
    world.leased(1);
    let (job, progress) = world.take();
    world.pass(Duration::from_secs(600), true);
    assert!(world.session.ended().is_none(), "heartbeats are answered");
    world.finish(&job, &progress);
    world.pass(limit + HEARTBEAT, false);
    let Some(Err(AgentError::Unreachable { silence, undelivered: 1 })) = world.session.ended() else {
        panic!("{:?}", world.session.ended())
    };
    assert!(silence >= limit && silence <= limit + HEARTBEAT, "{silence:?}");

    // It never met one.
    let mut world = World::new(patient);
    world.pass(limit, false);
    assert!(matches!(world.session.ended(), Some(Err(AgentError::Unreachable { undelivered: 0, .. }))));

    // Others wait for ever.
    let mut world = World::new(options());
    world.pass(Duration::from_secs(100_000), false);
    assert!(world.session.ended().is_none());
}

#[test]
fn a_server_that_has_too_much_to_do_is_no_reason_to_give_up_a_result() {
    let mut world = World::joined(options(), None);
    world.leased(2);
    let (first, second) = (world.take(), world.take());
    world.finish(&first.0, &first.1);
    world.answer(is_report, Err(Status::resource_exhausted("too many requests")));
    assert!(!world.has(is_report), "not at once");
    world.finish(&second.0, &second.1);
    world.pass(Duration::from_secs(1), true);
    let (one, rest) = (first.0, second.0);
    let request = world.answer(is_report, Err(Status::resource_exhausted("too many requests")));
    let Request::Report { reports, .. } = request else { unreachable!("asked for one") };
    assert_eq!(reports.len(), 1, "in case there were too many");
    world.pass(Duration::from_secs(1), true);
    // What is sent at last is what the slots have reported, unchanged.
    let request = world.calls.iter().find(|call| is_report(&call.request)).cloned().unwrap().request;
    let Request::Report { reports: again, .. } = request else { unreachable!("looked for one") };
    assert_eq!(again, reports);
    world.acknowledge(&[one]);
    world.acknowledge(&[rest]);
    assert_eq!(world.session.held().len(), 0);
}

#[test]
fn the_time_of_a_task_is_counted_from_when_it_runs() {
    let limit = Duration::from_secs(30);
    let mut world = World::joined(options(), Some(limit));
    world.leased(1);
    let (job, progress) = world.take();
    world.session.waits(job.task().run_id, &progress);
    world.pass(limit * 10, true);
    assert_eq!(progress.cancellation(), None, "it waits for memory");
    world.session.begins(world.now, job.task().run_id, &progress);
    world.pass(limit - Duration::from_millis(1), true);
    assert_eq!(progress.cancellation(), None);
    world.pass(Duration::from_millis(1), true);
    assert_eq!(progress.cancellation(), Some(Cancellation::ByTimeout));
}
