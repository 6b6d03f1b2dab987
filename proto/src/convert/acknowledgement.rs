//! What became of a report.

use engine::RunId;

use super::{run_id_from_wire, run_id_to_wire};
use crate::error::{Problem, WireError};
use crate::v1;

/// What the coordinator did with a report. Whatever it is, the worker is rid of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The result is durable.
    Stored,
    /// A result for the task was durable already.
    Duplicate,
    /// A failure was noted.
    Noted,
    /// The coordinator has no such task.
    Unknown,
    /// The result is not valid for its task.
    Invalid,
}

/// The answer to one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Whose report.
    pub run_id: RunId,
    /// What became of it.
    pub verdict: Verdict,
}

impl From<Verdict> for v1::acknowledgement::Verdict {
    fn from(verdict: Verdict) -> v1::acknowledgement::Verdict {
        match verdict {
            Verdict::Stored => v1::acknowledgement::Verdict::Stored,
            Verdict::Duplicate => v1::acknowledgement::Verdict::Duplicate,
            Verdict::Noted => v1::acknowledgement::Verdict::Noted,
            Verdict::Unknown => v1::acknowledgement::Verdict::Unknown,
            Verdict::Invalid => v1::acknowledgement::Verdict::Invalid,
        }
    }
}

impl From<Acknowledgement> for v1::Acknowledgement {
    fn from(acknowledgement: Acknowledgement) -> v1::Acknowledgement {
        v1::Acknowledgement {
            run_id: run_id_to_wire(acknowledgement.run_id),
            verdict: v1::acknowledgement::Verdict::from(acknowledgement.verdict).into(),
        }
    }
}

impl TryFrom<v1::Acknowledgement> for Acknowledgement {
    type Error = WireError;

    fn try_from(acknowledgement: v1::Acknowledgement) -> Result<Acknowledgement, WireError> {
        let number = acknowledgement.verdict;
        let verdict = match v1::acknowledgement::Verdict::try_from(number) {
            Ok(v1::acknowledgement::Verdict::Stored) => Verdict::Stored,
            Ok(v1::acknowledgement::Verdict::Duplicate) => Verdict::Duplicate,
            Ok(v1::acknowledgement::Verdict::Noted) => Verdict::Noted,
            Ok(v1::acknowledgement::Verdict::Unknown) => Verdict::Unknown,
            Ok(v1::acknowledgement::Verdict::Invalid) => Verdict::Invalid,
            Ok(v1::acknowledgement::Verdict::Unspecified) | Err(_) => {
                return Err(WireError::new("verdict", Problem::UnknownEnum { number }));
            }
        };
        Ok(Acknowledgement { run_id: run_id_from_wire("run_id", &acknowledgement.run_id)?, verdict })
    }
}
