//! Whether a worker and a coordinator may work together.

use crate::v1::JoinRequest;
use crate::{PROTOCOL_VERSION, limits};

/// A worker of another version. The message says which side to upgrade.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionMismatch {
    /// The two speak different protocols.
    #[error("worker {engine_version} speaks protocol {worker}, this coordinator {coordinator}: upgrade the {}", older(*worker, *coordinator))]
    Protocol {
        /// The worker's engine version, as it calls itself.
        engine_version: String,
        /// The worker's protocol.
        worker: u32,
        /// The coordinator's protocol.
        coordinator: u32,
    },
    /// The two compute different numbers.
    #[error("worker {engine_version} computes version {worker} of the numbers, this coordinator {coordinator}: upgrade the {}", older(*worker, *coordinator))]
    Numeric {
        /// The worker's engine version, as it calls itself.
        engine_version: String,
        /// The worker's numeric version.
        worker: u32,
        /// The coordinator's numeric version.
        coordinator: u32,
    },
}

/// Which side is behind.
fn older(worker: u32, coordinator: u32) -> &'static str {
    if worker > coordinator { "coordinator" } else { "worker" }
}

impl From<VersionMismatch> for tonic::Status {
    fn from(mismatch: VersionMismatch) -> tonic::Status {
        tonic::Status::failed_precondition(mismatch.to_string())
    }
}

/// The coordinator's half of the handshake: whether a worker that introduces itself like this may join.
///
/// To be called before the request is converted: what a stranger's version fills the other fields with is unknown. The
/// engine's version itself may differ, as long as the numbers are the same.
///
/// # Errors
/// If protocol or numbers differ.
pub fn check_versions(request: &JoinRequest) -> Result<(), VersionMismatch> {
    let engine_version = || limits::clip(&request.engine_version, limits::MAX_NAME_BYTES).to_owned();
    if request.protocol_version != PROTOCOL_VERSION {
        return Err(VersionMismatch::Protocol {
            engine_version: engine_version(),
            worker: request.protocol_version,
            coordinator: PROTOCOL_VERSION,
        });
    }
    if request.numeric_version != engine::NUMERIC_VERSION {
        return Err(VersionMismatch::Numeric {
            engine_version: engine_version(),
            worker: request.numeric_version,
            coordinator: engine::NUMERIC_VERSION,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(protocol_version: u32, numeric_version: u32) -> JoinRequest {
        JoinRequest { protocol_version, numeric_version, engine_version: "0.1.0".into(), ..JoinRequest::default() }
    }

    #[test]
    fn equal_versions_may_work_together() {
        assert_eq!(check_versions(&request(PROTOCOL_VERSION, engine::NUMERIC_VERSION)), Ok(()));
    }

    #[test]
    fn the_message_says_which_side_is_behind() {
        let newer = check_versions(&request(PROTOCOL_VERSION + 1, engine::NUMERIC_VERSION)).unwrap_err();
        let (theirs, ours) = (PROTOCOL_VERSION + 1, PROTOCOL_VERSION);
        assert_eq!(
            newer.to_string(),
            format!("worker 0.1.0 speaks protocol {theirs}, this coordinator {ours}: upgrade the coordinator")
        );
        let older = check_versions(&request(PROTOCOL_VERSION, engine::NUMERIC_VERSION - 1)).unwrap_err();
        let numeric = engine::NUMERIC_VERSION;
        assert_eq!(
            older.to_string(),
            format!(
                "worker 0.1.0 computes version {} of the numbers, this coordinator {numeric}: upgrade the worker",
                numeric - 1
            )
        );
    }
}
