//! A worker's side of the protocol in virtual time: no thread, no socket, nobody waits.

mod support;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use engine::Preset;
use engine::record::{Provenance, Record};
use proto::{Acknowledgement, Failure, Grant, Lease, Orders, Outcome, Reason, Verdict, Welcome};
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
        let welcome =
            Welcome { worker_id: WORKER, heartbeat_interval: HEARTBEAT, max_batch_bytes: 1 << 20, task_timeout };
        world.answer(|request| matches!(request, Request::Join(_)), Ok(Answer::Joined(welcome)));
        world
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
            while alive && self.has(|request| matches!(request, Request::Heartbeat(_))) {
                let orders = Orders { cancel: Vec::new(), drain: false, next: HEARTBEAT };
                self.answer(|request| matches!(request, Request::Heartbeat(_)), Ok(Answer::Ordered(orders)));
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
        let grant = Grant {
            preset: Preset::Paper,
            base: Vec::new(),
            tasks: tasks(0..count),
            record: Record { curves: false, samples: None },
        };
        self.answer(is_lease, Ok(Answer::Leased(Lease::Granted(grant))));
    }

    fn take(&mut self) -> (Job, Arc<Progress>) {
        let taken = self.session.take(self.now).expect("there is a task");
        self.step();
        taken
    }

    fn finish(&mut self, job: &Job, progress: &Arc<Progress>) {
        let failure = Failure { reason: Reason::Panic, message: "no".into(), provenance: Provenance::default() };
        let delivery = self.clerk.report(job.task().run_id, progress.attempt(), Outcome::Failed(failure));
        self.session.finished(delivery, progress, Duration::from_secs(1));
        self.step();
    }

    fn acknowledge(&mut self, jobs: &[Job]) {
        let verdict = Verdict::Noted;
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
