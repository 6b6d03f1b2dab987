//! One run, whole.

use crate::RunConfig;
use crate::observer::Observer;
use crate::record::RunResult;

/// Why a run could not be done. Divergence is a result, not an error.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The config's keys do not fit together.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<crate::config::KeyError>),
    /// The config names initial weights by digest, and they are not attached.
    #[error("the initial weights {digest} are not attached")]
    MissingWeights {
        /// Their digest.
        digest: crate::network::WeightsDigest,
    },
    /// The initial weights do not fit the network.
    #[error(transparent)]
    Weights(#[from] crate::network::WeightsError),
    /// The observer ended the run.
    #[error("cancelled after epoch {epoch}")]
    Cancelled {
        /// The last epoch that was done.
        epoch: u32,
    },
}

/// Does one run: simulate, train, evaluate.
///
/// # Errors
/// See [`EngineError`].
pub fn run(config: &RunConfig, observer: &mut dyn Observer) -> Result<RunResult, EngineError> {
    let _ = (config, observer);
    unimplemented!("the numerics")
}
