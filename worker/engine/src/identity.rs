//! A run's identity: equal ids mean equal numbers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::Section;
use crate::{NUMERIC_VERSION, RunConfig};

/// The 128-bit identity of a run: BLAKE3 over the engine's numeric version, the seed and one digest for each section
/// of the complete config, defaults included.
///
/// It lives in the engine because coordinator and worker both compute it: a worker that resolves a task to another id
/// than the one it was granted must not run it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub [u8; 16]);

/// The digest of one section of a config. Planning caches these, so that an id costs one small hash.
pub type SectionDigest = [u8; 16];

/// The digest of one section of `config`; `scratch` is overwritten.
pub fn section_digest(config: &RunConfig, section: Section, scratch: &mut Vec<u8>) -> SectionDigest {
    scratch.clear();
    config.write_canonical(section, scratch);
    truncated(blake3::hash(scratch))
}

impl RunId {
    /// The identity of a complete config.
    pub fn of(config: &RunConfig) -> RunId {
        let mut scratch = Vec::new();
        let digests = Section::ALL.map(|section| section_digest(config, section, &mut scratch));
        RunId::from_digests(config.seed, &digests)
    }

    /// The identity of the config with this seed and these section digests, in the order of [`Section::ALL`].
    pub fn from_digests(seed: u64, digests: &[SectionDigest; Section::COUNT]) -> RunId {
        let mut bytes = [0_u8; 12 + 16 * Section::COUNT];
        bytes[..4].copy_from_slice(&NUMERIC_VERSION.to_le_bytes());
        bytes[4..12].copy_from_slice(&seed.to_le_bytes());
        for (slot, digest) in bytes[12..].chunks_exact_mut(16).zip(digests) {
            slot.copy_from_slice(digest);
        }
        RunId(truncated(blake3::hash(&bytes)))
    }

    /// The id as a number, for `run_id mod N`.
    pub fn as_u128(self) -> u128 {
        u128::from_be_bytes(self.0)
    }
}

fn truncated(hash: blake3::Hash) -> [u8; 16] {
    *hash.as_bytes().first_chunk().expect("32 bytes hold 16")
}

impl fmt::Display for RunId {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.as_u128())
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no run id: 32 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no run id: 32 hexadecimal digits")]
pub struct RunIdError {
    text: String,
}

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<RunId, RunIdError> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = if digits { u128::from_str_radix(text, 16).ok() } else { None };
        number
            .map(|number| RunId(number.to_be_bytes()))
            .ok_or_else(|| RunIdError { text: text.chars().take(64).collect() })
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RunId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Preset, Value};

    #[test]
    fn text_reads_back() {
        let id = RunId::of(&RunConfig::preset(Preset::Paper, 7));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 32);
        assert!("+123456789012345678901234567890a".parse::<RunId>().is_err());
    }

    #[test]
    fn seed_and_every_section_count() {
        let base = RunConfig::preset(Preset::Paper, 7);
        assert_ne!(RunId::of(&base), RunId::of(&RunConfig::preset(Preset::Paper, 8)));
        for (key, value) in [
            ("market.xi", Value::Float(0.6)),
            ("optimizer.lr", Value::Float(0.1)),
            ("evaluation.test_paths", Value::Int(10)),
        ] {
            let other = RunConfig::resolve(Preset::Paper, 7, [(key, &value)]).unwrap();
            assert_ne!(RunId::of(&base), RunId::of(&other), "{key}");
        }
    }

    #[test]
    fn spelling_a_default_out_changes_nothing() {
        let explicit = RunConfig::resolve(Preset::Paper, 7, [("market.xi", &Value::from("1/2"))]).unwrap();
        assert_eq!(RunId::of(&explicit), RunId::of(&RunConfig::preset(Preset::Paper, 7)));
    }
}
