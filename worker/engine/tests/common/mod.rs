//! What the integration tests share.

use engine::{Preset, RunConfig, Value};

/// The config of preset `paper` with these keys.
#[allow(dead_code, reason = "each test file uses its part")]
pub(crate) fn paper(seed: u64, keys: &[(&str, Value)]) -> RunConfig {
    RunConfig::resolve(Preset::Paper, seed, keys.iter().map(|(key, value)| (*key, value)))
        .unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// The config of preset `hedging` with these keys.
#[allow(dead_code, reason = "each test file uses its part")]
pub(crate) fn hedging(seed: u64, keys: &[(&str, Value)]) -> RunConfig {
    RunConfig::resolve(Preset::Hedging, seed, keys.iter().map(|(key, value)| (*key, value)))
        .unwrap_or_else(|errors| panic!("{errors:?}"))
}
