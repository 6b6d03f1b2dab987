//! How a task ended, on its way back.

use engine::RunId;
use engine::record::{Provenance, RunOutput, Status};

use super::{finite, output, run_id_from_wire, run_id_to_wire};
use crate::error::{Problem, WireError};
use crate::limits::{self, MAX_NAME_BYTES, MAX_TEXT_BYTES, clip};
use crate::v1;

/// How one task ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Which task.
    pub run_id: RunId,
    /// Which attempt at it, from 1; the provenance of the outcome says the same.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// In a result: [`Status::Ok`] or [`Status::Diverged`].
    Finished(RunOutput),
    /// In none.
    Failed(Failure),
}

/// A task that did not end in a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What kind of failure, which decides whether the task is tried again.
    pub reason: Reason,
    /// For people: what happened and where.
    pub message: String,
    /// Where and when.
    pub provenance: Provenance,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The engine panicked. It would again: not retried.
    Panic,
    /// The config cannot run here (it is invalid, or it needs more memory than there is): not retried.
    Refused,
    /// What the task needs could not be fetched, or the worker could not run it: retried, and counted.
    Unavailable,
    /// The worker gives the task back unfinished: retried, not counted.
    HandedBack,
    /// The attempt took longer than a task may: retried, and counted.
    TimedOut,
}

impl From<&Report> for v1::Report {
    /// Text beyond the limits is clipped. An output that says it failed travels as a refusal.
    fn from(report: &Report) -> v1::Report {
        let outcome = match &report.outcome {
            Outcome::Finished(output) => match output::to_wire(output) {
                Some(finished) => v1::report::Outcome::Finished(finished),
                None => v1::report::Outcome::Failure(v1::Failure {
                    reason: v1::failure::Reason::Refused.into(),
                    message: clip(output.error.as_deref().unwrap_or_default(), MAX_TEXT_BYTES).to_owned(),
                    provenance: Some(provenance_to_wire(&output.provenance)),
                }),
            },
            Outcome::Failed(failure) => v1::report::Outcome::Failure(v1::Failure {
                reason: v1::failure::Reason::from(failure.reason).into(),
                message: clip(&failure.message, MAX_TEXT_BYTES).to_owned(),
                provenance: Some(provenance_to_wire(&failure.provenance)),
            }),
        };
        v1::Report { run_id: run_id_to_wire(report.run_id), attempt: report.attempt, outcome: Some(outcome) }
    }
}

impl TryFrom<v1::Report> for Report {
    type Error = WireError;

    fn try_from(report: v1::Report) -> Result<Report, WireError> {
        let run_id = run_id_from_wire("run_id", &report.run_id)?;
        let attempt = report.attempt;
        let outcome = match report.outcome.ok_or_else(|| WireError::new("outcome", Problem::Missing))? {
            v1::report::Outcome::Finished(finished) => {
                Outcome::Finished(output::from_wire(finished, attempt).map_err(|error| error.within("finished"))?)
            }
            v1::report::Outcome::Failure(failure) => {
                Outcome::Failed(failure_from_wire(failure, attempt).map_err(|error| error.within("failure"))?)
            }
        };
        Ok(Report { run_id, attempt, outcome })
    }
}

fn failure_from_wire(failure: v1::Failure, attempt: u32) -> Result<Failure, WireError> {
    let number = failure.reason;
    let reason = match v1::failure::Reason::try_from(number) {
        Ok(v1::failure::Reason::Panic) => Reason::Panic,
        Ok(v1::failure::Reason::Refused) => Reason::Refused,
        Ok(v1::failure::Reason::Unavailable) => Reason::Unavailable,
        Ok(v1::failure::Reason::HandedBack) => Reason::HandedBack,
        Ok(v1::failure::Reason::TimedOut) => Reason::TimedOut,
        Ok(v1::failure::Reason::Unspecified) | Err(_) => {
            return Err(WireError::new("reason", Problem::UnknownEnum { number }));
        }
    };
    Ok(Failure {
        reason,
        message: limits::bounded("message", failure.message, MAX_TEXT_BYTES)?,
        provenance: provenance_from_wire(failure.provenance, attempt)?,
    })
}

impl From<Reason> for v1::failure::Reason {
    fn from(reason: Reason) -> v1::failure::Reason {
        match reason {
            Reason::Panic => v1::failure::Reason::Panic,
            Reason::Refused => v1::failure::Reason::Refused,
            Reason::Unavailable => v1::failure::Reason::Unavailable,
            Reason::HandedBack => v1::failure::Reason::HandedBack,
            Reason::TimedOut => v1::failure::Reason::TimedOut,
        }
    }
}

impl From<Status> for v1::Status {
    /// A failed run has no status on the wire: it travels as a failure.
    fn from(status: Status) -> v1::Status {
        match status {
            Status::Ok => v1::Status::Ok,
            Status::Diverged => v1::Status::Diverged,
            Status::Failed => v1::Status::Unspecified,
        }
    }
}

/// Provenance without the attempt, which the report has.
pub(super) fn provenance_to_wire(provenance: &Provenance) -> v1::Provenance {
    let finite = |number: Option<f64>| number.filter(|number| number.is_finite());
    let name = |text: &str| clip(text, MAX_NAME_BYTES).to_owned();
    v1::Provenance {
        simulate_s: finite(provenance.simulate_s),
        train_s: finite(provenance.train_s),
        evaluate_s: finite(provenance.evaluate_s),
        to_target_s: finite(provenance.to_target_s),
        host: name(&provenance.host),
        worker: name(&provenance.worker),
        isa: name(&provenance.isa),
        engine_version: name(&provenance.engine_version),
    }
}

/// Provenance with the attempt of its report.
pub(super) fn provenance_from_wire(provenance: Option<v1::Provenance>, attempt: u32) -> Result<Provenance, WireError> {
    let read = |provenance: v1::Provenance| {
        let seconds = |field: &str, number: Option<f64>| number.map(|number| finite(field, number)).transpose();
        let name = |field: &str, text: String| limits::bounded(field, text, MAX_NAME_BYTES);
        Ok(Provenance {
            simulate_s: seconds("simulate_s", provenance.simulate_s)?,
            train_s: seconds("train_s", provenance.train_s)?,
            evaluate_s: seconds("evaluate_s", provenance.evaluate_s)?,
            to_target_s: seconds("to_target_s", provenance.to_target_s)?,
            host: name("host", provenance.host)?,
            worker: name("worker", provenance.worker)?,
            isa: name("isa", provenance.isa)?,
            attempt,
            engine_version: name("engine_version", provenance.engine_version)?,
        })
    };
    let provenance = provenance.ok_or_else(|| WireError::new("provenance", Problem::Missing))?;
    read(provenance).map_err(|error: WireError| error.within("provenance"))
}
