//! What a run leaves behind: status, metrics, path and samples.

use engine::metrics::{self, Metrics};
use engine::record::{PathPoint, RunOutput, Samples, Status};

use super::lease::sample_set;
use super::report::{provenance_from_wire, provenance_to_wire};
use super::{curves, each, finite, number_from_wire, number_to_wire};
use crate::error::{Problem, WireError};
use crate::limits::{self, MAX_PATH_POINTS, MAX_SAMPLE_PATHS, MAX_SAMPLES, MAX_TEXT_BYTES, clip};
use crate::v1;

/// An output as it travels; `None` if the run failed, which is no result.
pub(super) fn to_wire(output: &RunOutput) -> Option<v1::Finished> {
    let error = match output.status {
        Status::Ok => String::new(),
        Status::Diverged => clip(output.error.as_deref().unwrap_or_default(), MAX_TEXT_BYTES).to_owned(),
        Status::Failed => return None,
    };
    Some(v1::Finished {
        status: v1::Status::from(output.status).into(),
        error,
        metrics: output.metrics.values().iter().copied().map(number_to_wire).collect(),
        provenance: Some(provenance_to_wire(&output.provenance)),
        curves: (!output.curves.is_empty()).then(|| curves::to_wire(&output.curves)),
        path: (!output.path.is_empty()).then(|| v1::Path {
            price: output.path.iter().map(|point| point.price).collect(),
            variance: output.path.iter().map(|point| point.variance).collect(),
            position: output.path.iter().map(|point| point.position).collect(),
        }),
        samples: output.samples.iter().map(samples_to_wire).collect(),
    })
}

/// An output as it arrives, of this attempt.
pub(super) fn from_wire(finished: v1::Finished, attempt: u32) -> Result<RunOutput, WireError> {
    let number = finished.status;
    let status = match v1::Status::try_from(number) {
        Ok(v1::Status::Ok) => Status::Ok,
        Ok(v1::Status::Diverged) => Status::Diverged,
        Ok(v1::Status::Unspecified) | Err(_) => {
            return Err(WireError::new("status", Problem::UnknownEnum { number }));
        }
    };
    let error = limits::bounded("error", finished.error, MAX_TEXT_BYTES)?;
    if status == Status::Ok && !error.is_empty() {
        return Err(WireError::new("error", Problem::Contradiction { other: "status" }));
    }
    limits::at_most("samples", finished.samples.len(), MAX_SAMPLES)?;
    Ok(RunOutput {
        status,
        error: (!error.is_empty()).then_some(error),
        metrics: metrics_from_wire(&finished.metrics)?,
        provenance: provenance_from_wire(finished.provenance, attempt)?,
        curves: match finished.curves {
            Some(curves) => curves::from_wire(&curves).map_err(|error| error.within("curves"))?,
            None => Vec::new(),
        },
        path: match finished.path {
            Some(path) => path_from_wire(&path).map_err(|error| error.within("path"))?,
            None => Vec::new(),
        },
        samples: each("samples", finished.samples, samples_from_wire)?,
    })
}

fn metrics_from_wire(values: &[f64]) -> Result<Metrics, WireError> {
    let expected = metrics::catalogue().len();
    let values: Vec<Option<f64>> = values
        .iter()
        .zip(metrics::catalogue())
        .map(|(&value, metric)| {
            number_from_wire("", value).map_err(|error| error.within(format_args!("metrics[{}]", metric.name)))
        })
        .collect::<Result<_, _>>()
        .and_then(|taken: Vec<_>| check_length("metrics", values.len(), expected).map(|()| taken))?;
    Ok(Metrics::from_values(values).expect("there are as many values as metrics"))
}

fn path_from_wire(path: &v1::Path) -> Result<Vec<PathPoint>, WireError> {
    let length = path.price.len();
    limits::at_most("price", length, MAX_PATH_POINTS)?;
    check_length("variance", path.variance.len(), length)?;
    check_length("position", path.position.len(), length)?;
    (0_u32..)
        .zip(path.price.iter().zip(&path.variance).zip(&path.position))
        .map(|(step, ((&price, &variance), &position))| {
            Ok(PathPoint {
                step,
                price: finite("price", price)?,
                variance: finite("variance", variance)?,
                position: finite("position", position)?,
            })
        })
        .collect()
}

/// Infinities become NaN: a sample of a run that blew up is absent.
fn samples_to_wire(samples: &Samples) -> v1::Samples {
    let present = |numbers: &[f32]| {
        numbers.iter().map(|&number| if number.is_finite() { number } else { f32::NAN }).collect::<Vec<f32>>()
    };
    v1::Samples {
        set: v1::SampleSet::from(samples.set).into(),
        epoch: samples.epoch,
        pnl: present(&samples.pnl),
        cost: present(&samples.cost),
    }
}

/// NaN stays NaN: the domain's samples are plain numbers, of which a diverged run's may be absent.
fn samples_from_wire(samples: v1::Samples) -> Result<Samples, WireError> {
    limits::at_most("pnl", samples.pnl.len(), MAX_SAMPLE_PATHS)?;
    check_length("cost", samples.cost.len(), samples.pnl.len())?;
    for (field, numbers) in [("pnl", &samples.pnl), ("cost", &samples.cost)] {
        if let Some(&number) = numbers.iter().find(|number| number.is_infinite()) {
            return Err(WireError::new(field, Problem::NotFinite { value: number.into() }));
        }
    }
    Ok(Samples { set: sample_set("set", samples.set)?, epoch: samples.epoch, pnl: samples.pnl, cost: samples.cost })
}

fn check_length(field: &str, length: usize, expected: usize) -> Result<(), WireError> {
    if length == expected { Ok(()) } else { Err(WireError::new(field, Problem::Length { length, expected })) }
}
