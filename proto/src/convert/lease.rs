//! Tasks on their way to a worker, and what is to be kept of their runs.

use engine::record::{Record, RecordSamples, SampleSet};
use engine::{Preset, RunId, Value};

use super::value::{overrides_from_wire, overrides_to_wire};
use super::{each, run_id_from_wire, run_id_to_wire};
use crate::error::{Problem, WireError};
use crate::limits::{self, MAX_GRANT_TASKS, MAX_NAME_BYTES};
use crate::v1;

/// One task of a grant.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskGrant {
    /// Which run: the id of the config that preset, base and overrides resolve to.
    pub run_id: RunId,
    /// The run's seed.
    pub seed: u64,
    /// What the task sets over the grant's base.
    pub overrides: Vec<(String, Value)>,
    /// Which attempt at the task this is, from 1.
    pub attempt: u32,
}

/// Tasks that share a preset and a base.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The preset of every task.
    pub preset: Preset,
    /// What every task sets over the preset.
    pub base: Vec<(String, Value)>,
    /// The tasks; never empty on arrival.
    pub tasks: Vec<TaskGrant>,
    /// What to keep of each run.
    pub record: Record,
}

/// The answer to a worker that asks for tasks.
#[derive(Clone, Debug, PartialEq)]
pub enum Lease {
    /// There are some.
    Granted(Grant),
    /// There are none now. Ask again.
    Nothing,
    /// There will be none any more: the sweep is over.
    Finished,
    /// There will be none from this coordinator, which drains; the sweep goes on with the next one.
    Draining,
}

impl From<&TaskGrant> for v1::Task {
    fn from(task: &TaskGrant) -> v1::Task {
        v1::Task {
            run_id: run_id_to_wire(task.run_id),
            seed: task.seed,
            overrides: overrides_to_wire(&task.overrides),
            attempt: task.attempt,
        }
    }
}

impl TryFrom<v1::Task> for TaskGrant {
    type Error = WireError;

    fn try_from(task: v1::Task) -> Result<TaskGrant, WireError> {
        Ok(TaskGrant {
            run_id: run_id_from_wire("run_id", &task.run_id)?,
            seed: task.seed,
            overrides: overrides_from_wire("overrides", task.overrides)?,
            attempt: task.attempt,
        })
    }
}

impl From<&Lease> for v1::LeaseTasksResponse {
    fn from(lease: &Lease) -> v1::LeaseTasksResponse {
        match lease {
            Lease::Granted(grant) => v1::LeaseTasksResponse {
                preset: grant.preset.word().to_owned(),
                base: overrides_to_wire(&grant.base),
                tasks: grant.tasks.iter().map(v1::Task::from).collect(),
                record: Some((&grant.record).into()),
                finished: false,
                draining: false,
            },
            Lease::Nothing => v1::LeaseTasksResponse::default(),
            Lease::Finished => v1::LeaseTasksResponse { finished: true, ..v1::LeaseTasksResponse::default() },
            Lease::Draining => v1::LeaseTasksResponse { draining: true, ..v1::LeaseTasksResponse::default() },
        }
    }
}

impl TryFrom<v1::LeaseTasksResponse> for Lease {
    type Error = WireError;

    fn try_from(response: v1::LeaseTasksResponse) -> Result<Lease, WireError> {
        let contradiction = |field, other| Err(WireError::new(field, Problem::Contradiction { other }));
        match (response.finished, response.draining, response.tasks.is_empty()) {
            (true, true, _) => return contradiction("draining", "finished"),
            (true, false, false) => return contradiction("finished", "tasks"),
            (false, true, false) => return contradiction("draining", "tasks"),
            (true, false, true) => return Ok(Lease::Finished),
            (false, true, true) => return Ok(Lease::Draining),
            (false, false, true) => return Ok(Lease::Nothing),
            (false, false, false) => {}
        }
        limits::at_most("tasks", response.tasks.len(), MAX_GRANT_TASKS)?;
        let word = limits::bounded("preset", response.preset, MAX_NAME_BYTES)?;
        Ok(Lease::Granted(Grant {
            preset: Preset::from_word(&word).ok_or_else(|| WireError::new("preset", Problem::UnknownWord { word }))?,
            base: overrides_from_wire("base", response.base)?,
            tasks: each("tasks", response.tasks, TaskGrant::try_from)?,
            record: response
                .record
                .ok_or_else(|| WireError::new("record", Problem::Missing))?
                .try_into()
                .map_err(|error: WireError| error.within("record"))?,
        }))
    }
}

impl From<&Record> for v1::Record {
    fn from(record: &Record) -> v1::Record {
        v1::Record {
            curves: record.curves,
            samples: record.samples.as_ref().map(|samples| v1::RecordSamples {
                sets: samples.sets.iter().map(|set| v1::SampleSet::from(*set).into()).collect(),
                all_epochs: samples.all_epochs,
                max_paths: samples.max_paths,
            }),
        }
    }
}

impl TryFrom<v1::Record> for Record {
    type Error = WireError;

    fn try_from(record: v1::Record) -> Result<Record, WireError> {
        let samples = record.samples.map(|samples| {
            if samples.sets.is_empty() {
                return Err(WireError::new("sets", Problem::Missing));
            }
            limits::at_most("sets", samples.sets.len(), SampleSet::ALL.len())?;
            Ok(RecordSamples {
                sets: each("sets", samples.sets, |number| sample_set("", number))?,
                all_epochs: samples.all_epochs,
                max_paths: samples.max_paths,
            })
        });
        Ok(Record { curves: record.curves, samples: samples.transpose().map_err(|error| error.within("samples"))? })
    }
}

impl From<SampleSet> for v1::SampleSet {
    fn from(set: SampleSet) -> v1::SampleSet {
        match set {
            SampleSet::Train => v1::SampleSet::Train,
            SampleSet::Validation => v1::SampleSet::Validation,
            SampleSet::Test => v1::SampleSet::Test,
        }
    }
}

/// A set by its number on the wire.
pub(super) fn sample_set(field: &str, number: i32) -> Result<SampleSet, WireError> {
    match v1::SampleSet::try_from(number) {
        Ok(v1::SampleSet::Train) => Ok(SampleSet::Train),
        Ok(v1::SampleSet::Validation) => Ok(SampleSet::Validation),
        Ok(v1::SampleSet::Test) => Ok(SampleSet::Test),
        Ok(v1::SampleSet::Unspecified) | Err(_) => Err(WireError::new(field, Problem::UnknownEnum { number })),
    }
}
