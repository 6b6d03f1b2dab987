//! The handshake.

use std::time::Duration;

use crate::error::{Problem, WireError};
use crate::limits::{self, MAX_NAME_BYTES, MAX_SLOTS, clip};
use crate::v1::{JoinRequest, JoinResponse};
use crate::{PROTOCOL_VERSION, version};

/// How a worker introduces itself, its versions apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The engine's version, for messages and provenance.
    pub engine_version: String,
    /// The machine's name.
    pub host: String,
    /// The worker's name, unique on its machine at a time.
    pub name: String,
    /// How many tasks it runs at a time; at least one.
    pub slots: u32,
}

impl From<&Hello> for JoinRequest {
    /// Adds the versions of this build.
    fn from(hello: &Hello) -> JoinRequest {
        JoinRequest {
            protocol_version: PROTOCOL_VERSION,
            numeric_version: engine::NUMERIC_VERSION,
            engine_version: clip(&hello.engine_version, MAX_NAME_BYTES).to_owned(),
            host: clip(&hello.host, MAX_NAME_BYTES).to_owned(),
            name: clip(&hello.name, MAX_NAME_BYTES).to_owned(),
            slots: hello.slots.clamp(1, MAX_SLOTS),
        }
    }
}

impl TryFrom<JoinRequest> for Hello {
    type Error = WireError;

    /// To be called after [`check_versions`](version::check_versions), which has the better message.
    fn try_from(request: JoinRequest) -> Result<Hello, WireError> {
        debug_assert!(version::check_versions(&request).is_ok(), "the versions are checked first");
        if !(1..=MAX_SLOTS).contains(&request.slots) {
            let problem = Problem::OutOfRange { value: request.slots.into(), low: 1, high: MAX_SLOTS.into() };
            return Err(WireError::new("slots", problem));
        }
        Ok(Hello {
            engine_version: limits::bounded("engine_version", request.engine_version, MAX_NAME_BYTES)?,
            host: limits::bounded("host", request.host, MAX_NAME_BYTES)?,
            name: limits::bounded("name", request.name, MAX_NAME_BYTES)?,
            slots: request.slots,
        })
    }
}

/// What a worker is told when it joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// What it calls itself from now on.
    pub worker_id: u64,
    /// How often to send a heartbeat; never zero.
    pub heartbeat_interval: Duration,
    /// The largest encoded result batch that is accepted.
    pub max_batch_bytes: u64,
    /// How long an attempt may run, if there is a limit.
    pub task_timeout: Option<Duration>,
}

impl From<Welcome> for JoinResponse {
    fn from(welcome: Welcome) -> JoinResponse {
        JoinResponse {
            worker_id: welcome.worker_id,
            heartbeat_interval_ms: super::heartbeat::millis(welcome.heartbeat_interval),
            max_batch_bytes: welcome.max_batch_bytes,
            task_timeout_ms: welcome.task_timeout.map_or(0, whole_millis),
        }
    }
}

/// At least one, so that a limit does not become none.
fn whole_millis(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1)
}

impl TryFrom<JoinResponse> for Welcome {
    type Error = WireError;

    fn try_from(response: JoinResponse) -> Result<Welcome, WireError> {
        Ok(Welcome {
            worker_id: response.worker_id,
            heartbeat_interval: super::heartbeat::interval("heartbeat_interval_ms", response.heartbeat_interval_ms)?,
            max_batch_bytes: response.max_batch_bytes,
            task_timeout: Some(Duration::from_millis(response.task_timeout_ms)).filter(|limit| !limit.is_zero()),
        })
    }
}
