//! Which runs were scored on the same paths.

use std::collections::HashMap;

use results::StoreError;

use crate::sources::Sources;

/// The market of every run, from its config: runs of one market have the same held-out paths, path by path.
///
/// Held-out sets depend on the market alone; a set of more paths begins with those of a smaller one. So runs of one market, with
/// equally many paths, have the same, whatever their seed, contract or costs; and runs of two markets have not, though they be of
/// one cell, as where an arm sets a key of the market. Training paths are each seed's own, drawn anew in every epoch or kept,
/// and are never paired.
pub(crate) struct Markets(Vec<u32>);

/// What the generator of training paths is called by: held-out sets do not depend on it.
const GENERATOR: &str = "generator";

impl Markets {
    pub(crate) fn of(sources: &Sources<'_>) -> Result<Markets, StoreError> {
        let mut known: HashMap<String, u32> = HashMap::new();
        let mut markets = Vec::new();
        sources.each_config(|config| {
            let next = known.len() as u32;
            markets.push(*known.entry(market(config.unwrap_or_default())).or_insert(next));
        })?;
        Ok(Markets(markets))
    }

    /// Whether the runs of two rows have the same held-out paths.
    pub(crate) fn are_same(&self, left: usize, right: usize) -> bool {
        self.0[left] == self.0[right]
    }
}

/// What a config says of the market, without what concerns training paths alone; nothing of a config that says nothing.
fn market(config: &str) -> String {
    let config: serde_json::Value = serde_json::from_str(config).unwrap_or_default();
    let keys = config.get("market").and_then(serde_json::Value::as_object).into_iter().flatten();
    let mut kept: Vec<String> =
        keys.filter(|(key, _)| !key.starts_with(GENERATOR)).map(|(key, value)| format!("{key}={value}")).collect();
    kept.sort();
    kept.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Preset, RunConfig};

    fn of(overrides: &[(&str, engine::Value)]) -> String {
        let overrides = overrides.iter().map(|(key, value)| (*key, value));
        market(&RunConfig::resolve(Preset::Paper, 0, overrides).unwrap().to_json().to_string())
    }

    #[test]
    fn a_market_is_told_by_its_own_keys() {
        let paper = of(&[]);
        assert!(paper.contains("xi=0.5") && paper.contains("model=\"heston\""), "{paper}");
        assert_ne!(of(&[("market.xi", 0.7.into())]), paper);
        assert_ne!(of(&[("market.scheme", "full_truncation".into())]), paper);
        assert_eq!(of(&[("costs.rate", 0.5.into()), ("optimizer.lr", 0.1.into())]), paper);
        let replay = [("market.generator", "numpy_mt19937".into()), ("market.generator_seed", engine::Value::Int(42))];
        assert_eq!(of(&replay), paper, "held-out paths are drawn alike");
    }

    #[test]
    fn configs_that_say_nothing_are_alike() {
        assert_eq!([market(""), market("{}"), market("{\"market\": 3}")], [""; 3]);
    }
}
