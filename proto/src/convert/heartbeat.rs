//! What keeps leases alive, and the orders that come back.

use std::time::Duration;

use engine::RunId;

use super::{each, finite, run_id_from_wire, run_id_to_wire};
use crate::error::{Problem, WireError};
use crate::limits::{self, MAX_HELD};
use crate::v1;

/// The longest interval that a coordinator may ask for; a longer one is a mistake in units.
const MAX_INTERVAL_MS: u64 = 24 * 3600 * 1000;

/// A task that a worker holds: running, waiting to run, or finished and not yet acknowledged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Held {
    /// The task.
    pub run_id: RunId,
    /// Which attempt at it this is, from 1.
    pub attempt: u32,
    /// The last epoch that is done; 0 before the first.
    pub epoch: u32,
    /// How many epochs there will be; 0 before the task has begun.
    pub epochs: u32,
    /// The training loss of the last epoch that is done, if it is finite.
    pub loss: Option<f64>,
}

/// One heartbeat.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// Whose.
    pub worker_id: u64,
    /// Everything that it holds.
    pub held: Vec<Held>,
}

/// What the coordinator answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orders {
    /// Tasks that need not be finished.
    pub cancel: Vec<RunId>,
    /// Take no more tasks; finish what runs.
    pub drain: bool,
    /// The sweep is over: no other coordinator will have more tasks either.
    pub finished: bool,
    /// When the next heartbeat is due, from now; never zero.
    pub next: Duration,
}

impl From<Heartbeat> for v1::HeartbeatRequest {
    fn from(heartbeat: Heartbeat) -> v1::HeartbeatRequest {
        let held = heartbeat.held.into_iter().map(|held| v1::Held {
            run_id: run_id_to_wire(held.run_id),
            attempt: held.attempt,
            epoch: held.epoch,
            epochs: held.epochs,
            loss: held.loss.filter(|loss| loss.is_finite()),
        });
        v1::HeartbeatRequest { worker_id: heartbeat.worker_id, held: held.collect() }
    }
}

impl TryFrom<v1::HeartbeatRequest> for Heartbeat {
    type Error = WireError;

    fn try_from(request: v1::HeartbeatRequest) -> Result<Heartbeat, WireError> {
        limits::at_most("held", request.held.len(), MAX_HELD)?;
        let held = each("held", request.held, |held| {
            Ok(Held {
                run_id: run_id_from_wire("run_id", &held.run_id)?,
                attempt: held.attempt,
                epoch: held.epoch,
                epochs: held.epochs,
                loss: held.loss.map(|loss| finite("loss", loss)).transpose()?,
            })
        })?;
        Ok(Heartbeat { worker_id: request.worker_id, held })
    }
}

impl From<Orders> for v1::HeartbeatResponse {
    fn from(orders: Orders) -> v1::HeartbeatResponse {
        v1::HeartbeatResponse {
            cancel: orders.cancel.into_iter().map(run_id_to_wire).collect(),
            drain: orders.drain,
            next_ms: millis(orders.next),
            finished: orders.finished,
        }
    }
}

impl TryFrom<v1::HeartbeatResponse> for Orders {
    type Error = WireError;

    fn try_from(response: v1::HeartbeatResponse) -> Result<Orders, WireError> {
        limits::at_most("cancel", response.cancel.len(), MAX_HELD)?;
        Ok(Orders {
            cancel: each("cancel", response.cancel, |run_id| run_id_from_wire("", &run_id))?,
            drain: response.drain,
            finished: response.finished,
            next: interval("next_ms", response.next_ms)?,
        })
    }
}

/// Whole milliseconds, rounded up so that a short interval does not become none.
pub(super) fn millis(interval: Duration) -> u64 {
    u64::try_from(interval.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX).clamp(1, MAX_INTERVAL_MS)
}

/// An interval that can be waited for.
pub(super) fn interval(field: &str, millis: u64) -> Result<Duration, WireError> {
    if (1..=MAX_INTERVAL_MS).contains(&millis) {
        Ok(Duration::from_millis(millis))
    } else {
        Err(WireError::new(field, Problem::OutOfRange { value: millis, low: 1, high: MAX_INTERVAL_MS }))
    }
}
