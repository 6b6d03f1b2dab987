//! A worker's side of the protocol as a state machine: no socket, no clock, no thread, no randomness of its own.
//!
//! ```text
//!             ┌─ lease ─────────────────┐
//! coordinator ┼─ heartbeat ─────────────┼─ desk ── slots
//!             └─ report ────────────────┘
//! ```
//!
//! Whoever owns a session asks it for calls to make ([`Session::poll`]) until there is none, tells it the answers
//! ([`Session::answered`]), and comes back at [`Session::poll_timeout`] at the latest. Slots take tasks and put back what
//! became of them. Time is an argument, counted from whenever the owner likes. The agent owns one with a connection and
//! threads around it; the simulation owns many, with a network that loses and doubles what they say.
//!
//! Of each kind of call one is under way at a time. A call that is not answered in time counts as failed; its answer, if
//! it comes after all, is not listened to.

mod answers;
mod call;
mod parting;
mod time;

use std::sync::Arc;
use std::time::Duration;

use engine::RunId;
use engine::network::{InitialWeights, WeightsDigest, WeightsError};
use proto::{Heartbeat, Welcome};
use tonic::Status;

pub use call::{Answer, Call, Request};

use super::clerk::Clerk;
use super::desk::{Delivery, Desk, Job};
use super::line::Line;
use super::outbox::Outbox;
use super::{AgentOptions, AgentSummary};
use crate::progress::{Cancellation, Progress};
use parting::{Ending, Farewell};

/// How long a call may take that the coordinator answers at once.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// How long to wait for the answer to a lease call that is not wanted any more. Tasks that are on their way would be
/// lost until their leases end.
const LAST_CALL: Duration = Duration::from_millis(250);

/// How long the coordinator may take to make a batch durable before it is sent again.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);

/// How often to try for a blob before the tasks that need it are given back.
const BLOB_TRIES: u32 = 4;

/// Numbers from 0 to 1, for the jitter of waits.
pub type Jitter = Box<dyn FnMut() -> f64 + Send>;

/// Where the session stands with the coordinator.
#[derive(Debug)]
enum Stage {
    /// It has to join (again).
    Joining,
    Joined {
        welcome: Welcome,
        /// The coordinator knows what the worker held when it joined, and so does not grant it to anybody else.
        introduced: bool,
    },
    /// It goes, and says so.
    Parting { worker_id: u64 },
    /// For good.
    Ended(Result<(), Ending>),
}

/// A blob that is being fetched or is here.
#[derive(Debug)]
struct Blob {
    digest: WeightsDigest,
    line: Line,
    /// Content decides: what it says once of usable or not is so for ever.
    content: Option<Result<Arc<InitialWeights>, WeightsError>>,
}

/// See the [module](self).
pub struct Session {
    options: AgentOptions,
    clerk: Arc<Clerk>,
    jitter: Jitter,
    desk: Desk,
    stage: Stage,
    calls: u64,
    joining: Line,
    leasing: Line,
    beating: Line,
    reporting: Line,
    blobs: Vec<Blob>,
    outbox: Outbox,
    /// Whether a coordinator was ever there.
    has_joined: bool,
    /// The coordinator says that the sweep is over.
    finished: bool,
    farewell: Option<Farewell>,
    parting: Line,
    /// When the coordinator was last heard of.
    heard: Duration,
    /// Threads to be started in the place of those that were left behind.
    replacements: usize,
}

impl Session {
    /// A session that has not joined yet.
    pub fn new(options: AgentOptions, clerk: Arc<Clerk>, jitter: Jitter) -> Session {
        let line = || Line::new(options.backoff);
        Session {
            clerk,
            jitter,
            desk: Desk::new(options.slots, options.unacknowledged_bytes),
            stage: Stage::Joining,
            calls: 0,
            joining: line(),
            leasing: line(),
            beating: line(),
            reporting: line(),
            blobs: Vec::new(),
            outbox: Outbox::default(),
            has_joined: false,
            finished: false,
            farewell: None,
            parting: line(),
            heard: Duration::ZERO,
            replacements: 0,
            options,
        }
    }

    // For the owner.

    /// The next call to make at `now`; `None` if there is nothing to ask.
    pub fn poll(&mut self, now: Duration) -> Option<Call> {
        self.handle_timeout(now);
        let request = match &self.stage {
            Stage::Ended(_) => None,
            Stage::Joining => self.joining.is_due(now).then(|| {
                self.begin(now, CALL_TIMEOUT, |session| &mut session.joining);
                Request::Join(self.hello())
            }),
            &Stage::Joined { welcome, introduced } => self.next_request(now, welcome, introduced),
            &Stage::Parting { worker_id } => self.parting.is_due(now).then(|| {
                self.begin_until(self.last_word(now), |session| &mut session.parting);
                Request::Leave { worker_id }
            }),
        };
        request.map(|request| Call { number: self.calls, request })
    }

    fn next_request(&mut self, now: Duration, welcome: Welcome, introduced: bool) -> Option<Request> {
        let worker_id = welcome.worker_id;
        if self.beating.is_due(now) {
            self.begin(now, CALL_TIMEOUT, |session| &mut session.beating);
            return Some(Request::Heartbeat(Heartbeat { worker_id, held: self.desk.held() }));
        }
        if !introduced {
            return None;
        }
        if self.reporting.is_due(now) && self.desk.has_reports() {
            self.outbox.fill(&mut self.desk, &self.clerk, welcome.max_batch_bytes);
            self.begin(now, DELIVERY_TIMEOUT, |session| &mut session.reporting);
            return Some(Request::Report { worker_id, reports: self.outbox.reports() });
        }
        let desk = &self.desk;
        let wanted = |blob: &Blob| blob.content.is_none() && blob.line.is_due(now) && desk.awaits(blob.digest);
        if let Some(place) = self.blobs.iter().position(wanted) {
            self.begin(now, DELIVERY_TIMEOUT, |session| &mut session.blobs[place].line);
            return Some(Request::Blob(self.blobs[place].digest));
        }
        if self.leasing.is_due(now)
            && let Some(max_tasks) = self.desk.room()
        {
            let wait = self.options.lease_wait;
            self.begin(now, wait + CALL_TIMEOUT, |session| &mut session.leasing);
            return Some(Request::Lease { worker_id, max_tasks, wait });
        }
        None
    }

    fn begin(&mut self, now: Duration, limit: Duration, line: impl FnOnce(&mut Session) -> &mut Line) {
        self.begin_until(now + limit, line);
    }

    fn begin_until(&mut self, deadline: Duration, line: impl FnOnce(&mut Session) -> &mut Line) {
        self.calls += 1;
        let number = self.calls;
        line(self).begin(number, deadline);
    }

    /// When to come back at the latest.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let mut due: Vec<Duration> = Vec::with_capacity(8);
        match &self.stage {
            Stage::Ended(_) => return None,
            Stage::Joining => due.extend(self.joining.due()),
            Stage::Joined { welcome, introduced } => {
                due.extend(self.beating.due());
                // The others wait for what they wait for, and then for their turn.
                if *introduced && (self.desk.has_reports() || self.reporting.is_under_way()) {
                    due.extend(self.reporting.due());
                }
                if *introduced && (self.desk.room().is_some() || self.leasing.is_under_way()) {
                    due.extend(self.leasing.due());
                }
                let open = self.blobs.iter().filter(|blob| blob.content.is_none());
                due.extend(open.filter(|blob| self.desk.awaits(blob.digest)).filter_map(|blob| blob.line.due()));
                due.extend(welcome.task_timeout.and_then(|limit| self.next_overdue(limit)));
            }
            Stage::Parting { .. } => due.extend(self.parting.due()),
        }
        let parting = matches!(self.stage, Stage::Parting { .. });
        due.extend(self.farewell.as_ref().map(|farewell| farewell.due(parting)));
        due.extend(self.given_up());
        due.into_iter().min()
    }

    /// Whether the answer to a call is still of interest. If not, the call may be dropped.
    pub fn expects(&self, number: u64) -> bool {
        self.lines().any(|line| line.is(number))
    }

    fn lines(&self) -> impl Iterator<Item = &Line> {
        let lines = [&self.joining, &self.leasing, &self.beating, &self.reporting, &self.parting];
        lines.into_iter().chain(self.blobs.iter().map(|blob| &blob.line))
    }

    /// The answer to a call, or why there is none.
    pub fn answered(&mut self, now: Duration, number: u64, answer: Result<Answer, Status>) {
        self.handle_timeout(now);
        if self.expects(number) {
            if Session::is_sign_of_life(&answer) {
                self.heard = now;
            }
            self.take_answer(now, number, answer);
        }
    }

    fn take_answer(&mut self, now: Duration, number: u64, answer: Result<Answer, Status>) {
        if self.joining.ended(number) {
            self.joined(now, answer);
        } else if self.leasing.ended(number) {
            self.leased(now, answer);
        } else if self.beating.ended(number) {
            self.ordered(now, answer);
        } else if self.reporting.ended(number) {
            self.delivered(now, answer);
        } else if self.parting.ended(number) {
            self.left(answer);
        } else if let Some(place) = self.blobs.iter_mut().position(|blob| blob.line.ended(number)) {
            self.fetched(now, place, answer);
        }
    }

    /// How many threads are to be started in the place of those that were left behind with a task that does not end.
    /// Counted once.
    pub fn take_replacements(&mut self) -> usize {
        std::mem::take(&mut self.replacements)
    }

    /// What was done so far.
    pub fn summary(&self) -> AgentSummary {
        AgentSummary { left_early: self.farewell.is_some() && !self.finished, ..self.clerk.summary(self.desk.len()) }
    }

    // For slots.

    /// The next task to run; `None` if there is none now.
    pub fn take(&mut self, now: Duration) -> Option<(Job, Arc<Progress>)> {
        self.desk.take(now)
    }

    /// A task that was taken waits for memory, and does not run yet.
    pub fn waits(&mut self, run_id: RunId, progress: &Arc<Progress>) {
        self.desk.set_since(run_id, progress, None);
    }

    /// A task that has waited begins.
    pub fn begins(&mut self, now: Duration, run_id: RunId, progress: &Arc<Progress>) {
        self.desk.set_since(run_id, progress, Some(now));
    }

    /// What became of a task, in a report from the [`Clerk`], and how long that took. `false`: the task was given up, the
    /// slot that ran it has been replaced, and is not to take another one.
    pub fn finished(&mut self, delivery: Delivery, progress: &Arc<Progress>, took: Duration) -> bool {
        self.desk.finish(delivery, progress, took)
    }

    /// Whether a slot would find something to do.
    pub fn has_work(&self) -> bool {
        self.desk.has_work()
    }

    /// Asks every running task to end.
    pub fn cancel_running(&self) {
        self.desk.running().for_each(|(_, running)| running.progress.cancel(Cancellation::ByShutdown));
    }

    /// Every task that is held, for checks.
    pub fn held(&self) -> Vec<proto::Held> {
        self.desk.held()
    }
}
