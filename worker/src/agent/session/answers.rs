//! What follows from each answer, or from there being none.

use std::sync::Arc;
use std::time::Duration;

use engine::network::{InitialWeights, WeightsDigest, WeightsError};
use proto::{Grant, Hello, Lease, Orders, Reason, TaskGrant};
use tonic::{Code, Status};

use super::parting::Ending;
use super::{Answer, BLOB_TRIES, Blob, LAST_CALL, Session, Stage};
use crate::agent::desk::{Job, Weights};
use crate::agent::line::Line;
use crate::agent::outbox::Replied;
use crate::agent::terms::Terms;

/// Why tasks are handed back to a coordinator that goes.
const DRAINS: &str = "the coordinator drains";

impl Session {
    pub(super) fn hello(&self) -> Hello {
        Hello {
            engine_version: engine::VERSION.to_owned(),
            host: self.options.host.clone(),
            name: self.options.name.clone(),
            slots: u32::try_from(self.options.slots).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn joined(&mut self, now: Duration, answer: Result<Answer, Status>) {
        match answer {
            Ok(Answer::Joined(welcome)) => {
                // Whatever is logged from here on says who it is of.
                tracing::Span::current().record("worker", tracing::field::display(welcome.worker_id));
                tracing::info!(slots = self.options.slots, "joined");
                self.joining.went_well(now);
                self.has_joined = true;
                // What the worker still holds is told first. Otherwise joining was a sign of life.
                let introduced = self.desk.len() == 0;
                self.beating.went_well(if introduced { now + welcome.heartbeat_interval } else { now });
                [&mut self.leasing, &mut self.reporting].into_iter().for_each(|line| line.went_well(now));
                // What another coordinator wanted is past.
                self.desk.order_drain(false, self.clerk.hands_back(""));
                self.stage = Stage::Joined { welcome, introduced };
            }
            Ok(other) => self.unreadable(&other),
            Err(status) if is_final(&status) || status.code() == Code::InvalidArgument => self.refuse(&status),
            // Nobody who ever was at this address. Later it is a proxy without its coordinator, which comes again.
            Err(status) if status.code() == Code::Unimplemented && !self.has_joined => self.refuse(&status),
            Err(status) => {
                let wait = self.joining.failed(now, (self.jitter)());
                tracing::info!(?wait, "cannot join: {}", describe(&status));
            }
        }
    }

    pub(super) fn leased(&mut self, now: Duration, answer: Result<Answer, Status>) {
        match answer {
            Ok(Answer::Leased(Lease::Granted(grant))) => {
                self.leasing.went_well(now);
                self.admit(now, grant);
            }
            Ok(Answer::Leased(Lease::Nothing)) => self.leasing.went_well(now),
            Ok(Answer::Leased(Lease::Finished)) => {
                self.finished = true;
                self.leasing.failed(now, (self.jitter)());
            }
            Ok(Answer::Leased(Lease::Draining)) => {
                self.leasing.went_well(now);
                self.desk.order_drain(true, self.clerk.hands_back(DRAINS));
            }
            Ok(other) => self.unreadable(&other),
            Err(status) => {
                if !self.ends(now, &status) {
                    self.leasing.failed(now, (self.jitter)());
                    if !self.desk.draining() {
                        tracing::info!("cannot lease tasks: {}", describe(&status));
                    }
                }
            }
        }
    }

    fn admit(&mut self, now: Duration, grant: Grant) {
        let (terms, tasks) = Terms::split(grant);
        let mut unusable: Vec<WeightsDigest> = Vec::new();
        let mut jobs = Vec::with_capacity(tasks.len());
        for task in tasks {
            let weights = match terms.weights_of(&task) {
                None => Weights::Drawn,
                Some(digest) => match self.blob(now, digest) {
                    Some(Ok(weights)) => Weights::Here(Arc::clone(weights)),
                    Some(Err(_)) => {
                        unusable.push(digest);
                        Weights::Awaited(digest)
                    }
                    None => Weights::Awaited(digest),
                },
            };
            jobs.push(Job { task, terms: terms.clone(), weights });
        }
        {
            let hand_back = self.clerk.hands_back("the worker takes no more tasks");
            self.desk.admit(jobs, |task: &TaskGrant| hand_back(task.run_id, task.attempt));
        }
        for digest in unusable {
            self.reject_unusable(digest);
        }
    }

    /// What is known of a blob, of which the fetching begins if it has not.
    fn blob(&mut self, now: Duration, digest: WeightsDigest) -> Option<&Result<Arc<InitialWeights>, WeightsError>> {
        let place = match self.blobs.iter().position(|blob| blob.digest == digest) {
            Some(place) => place,
            None => {
                let mut line = Line::new(self.options.backoff);
                line.went_well(now);
                self.blobs.push(Blob { digest, line, content: None });
                self.blobs.len() - 1
            }
        };
        self.blobs[place].content.as_ref()
    }

    pub(super) fn fetched(&mut self, now: Duration, place: usize, answer: Result<Answer, Status>) {
        let blob = &mut self.blobs[place];
        let digest = blob.digest;
        match answer {
            Ok(Answer::Blob(content)) => {
                if let Ok(weights) = &content {
                    self.desk.attach(digest, weights);
                }
                blob.content = Some(content);
                self.reject_unusable(digest);
            }
            Ok(other) => self.unreadable(&other),
            Err(status) => {
                blob.line.failed(now, (self.jitter)());
                let hopeless = status.code() == Code::NotFound || is_final(&status);
                if hopeless || blob.line.tries() >= BLOB_TRIES {
                    // That it could not be had is not remembered: another time it may.
                    self.blobs.remove(place);
                    let message = format!("the initial weights {digest} could not be fetched: {}", describe(&status));
                    let clerk = Arc::clone(&self.clerk);
                    self.desk.reject(digest, |run_id, attempt| {
                        clerk.failure(run_id, attempt, Reason::Unavailable, message.clone())
                    });
                }
            }
        }
    }

    fn reject_unusable(&mut self, digest: WeightsDigest) {
        let content = self.blobs.iter().find(|blob| blob.digest == digest).and_then(|blob| blob.content.as_ref());
        if let Some(Err(error)) = content {
            let message = format!("the initial weights {digest} cannot be used: {error}");
            let clerk = Arc::clone(&self.clerk);
            self.desk
                .reject(digest, |run_id, attempt| clerk.failure(run_id, attempt, Reason::Refused, message.clone()));
        }
    }

    pub(super) fn ordered(&mut self, now: Duration, answer: Result<Answer, Status>) {
        let interval = match &self.stage {
            Stage::Joined { welcome, .. } => welcome.heartbeat_interval,
            Stage::Joining | Stage::Parting { .. } | Stage::Ended(_) => return,
        };
        match answer {
            Ok(Answer::Ordered(orders)) => self.carry_out(now, &orders),
            Ok(other) => self.unreadable(&other),
            Err(status) => {
                if !self.ends(now, &status) {
                    let wait = self.beating.failed_at_most(now, (self.jitter)(), interval);
                    tracing::info!(?wait, "heartbeat not answered: {}", describe(&status));
                }
            }
        }
        if let Stage::Joined { introduced, .. } = &mut self.stage {
            *introduced = true;
        }
    }

    fn carry_out(&mut self, now: Duration, orders: &Orders) {
        self.beating.went_well(now + orders.next);
        self.desk.cancel(&orders.cancel, self.clerk.hands_back("cancelled by the coordinator before it began"));
        self.desk.order_drain(orders.drain, self.clerk.hands_back(DRAINS));
        self.finished |= orders.finished;
        if orders.drain {
            self.leasing.end_by(now + LAST_CALL);
        }
    }

    pub(super) fn delivered(&mut self, now: Duration, answer: Result<Answer, Status>) {
        let replied = match answer {
            Ok(Answer::Acknowledged(acknowledgements)) => {
                self.outbox.acknowledged(&mut self.desk, &self.clerk, acknowledgements)
            }
            Ok(other) => {
                self.unreadable(&other);
                Replied::Again
            }
            Err(status) => {
                if self.ends(now, &status) {
                    return;
                }
                tracing::info!("cannot deliver {} reports: {}", self.outbox.len(), describe(&status));
                self.outbox.refused(&mut self.desk, &self.clerk, &status)
            }
        };
        match replied {
            Replied::Done | Replied::Narrowed => self.reporting.went_well(now),
            Replied::Again => {
                self.reporting.failed(now, (self.jitter)());
            }
        }
    }

    /// Whether a failed call ends what the worker has with the coordinator: for ever, or until it has joined again.
    fn ends(&mut self, now: Duration, status: &Status) -> bool {
        if matches!(self.stage, Stage::Parting { .. }) {
            self.outbox.put_back(&mut self.desk);
            return true;
        }
        if status.code() == Code::NotFound {
            tracing::info!("the coordinator does not know this worker: joining again");
            self.outbox.put_back(&mut self.desk);
            let lines = [&mut self.joining, &mut self.leasing, &mut self.beating, &mut self.reporting];
            let blobs = self.blobs.iter_mut().map(|blob| &mut blob.line);
            lines.into_iter().chain(blobs).for_each(|line| line.forget(now));
            self.stage = Stage::Joining;
            return true;
        }
        if is_final(status) {
            self.outbox.put_back(&mut self.desk);
            self.refuse(status);
            return true;
        }
        false
    }

    fn refuse(&mut self, status: &Status) {
        self.stage = Stage::Ended(Err(Ending::Refused(status.message().to_owned())));
    }

    /// An answer to another question: whoever owns the session has mixed up numbers.
    pub(super) fn unreadable(&self, answer: &Answer) {
        debug_assert!(false, "an answer to another question: {answer:?}");
        tracing::error!("an answer to another question");
    }
}

/// What a status says, down to its cause: `tcp connect error: Connection refused`.
fn describe(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let message = error.to_string();
        // Wrappers repeat what they wrap.
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

/// Whether trying again is of no use.
fn is_final(status: &Status) -> bool {
    matches!(status.code(), Code::FailedPrecondition | Code::Unauthenticated | Code::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use proto::Welcome;

    use super::*;
    use crate::agent::session::Request;
    use crate::agent::{AgentOptions, Clerk};
    use crate::platform::Identity;

    #[test]
    fn an_address_that_serves_nothing_is_refused_at_first_and_outlived_later() {
        let identity = Identity { host: "host".into(), worker: "w".into() };
        let clerk = Arc::new(Clerk::new(identity));
        let session = || Session::new(AgentOptions::new("w", 1), Arc::clone(&clerk), Box::new(|| 0.5));
        let unserved = || Err(Status::unimplemented("404"));

        let mut stranger = session();
        let join = stranger.poll(Duration::ZERO).unwrap();
        stranger.answered(Duration::ZERO, join.number, unserved());
        assert!(stranger.ended().is_some_and(|ended| ended.is_err()));

        let mut worker = session();
        let join = worker.poll(Duration::ZERO).unwrap();
        let welcome = Welcome {
            worker_id: 7,
            heartbeat_interval: Duration::from_secs(5),
            max_batch_bytes: 1 << 20,
            task_timeout: None,
        };
        worker.answered(Duration::ZERO, join.number, Ok(Answer::Joined(welcome)));
        let lease = worker.poll(Duration::ZERO).unwrap();
        assert!(matches!(lease.request, Request::Lease { .. }));
        worker.answered(Duration::ZERO, lease.number, unserved());
        assert!(worker.ended().is_none());
    }
}
