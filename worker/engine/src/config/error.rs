//! What is wrong with a key.

use std::fmt;

use super::keys::Keys;
use super::section::{Section, catalogue};
use super::{Value, nearest};
use crate::features::Features;

/// What is wrong with one key of a config.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct KeyError {
    /// The dotted key.
    pub key: String,
    /// The offending value, where a value offends.
    pub value: Option<Value>,
    /// What is wrong, as the rest of a sentence that begins with the key or the value.
    pub problem: String,
    /// What is allowed.
    pub allowed: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
}

impl KeyError {
    pub(crate) fn conflict(key: &str, value: Option<Value>, problem: impl Into<String>) -> KeyError {
        KeyError { key: key.to_owned(), value, problem: problem.into(), allowed: None, help: None }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.key)?;
        match &self.value {
            Some(value) => write!(f, "{value} {}", self.problem)?,
            None => f.write_str(&self.problem)?,
        }
        if let Some(allowed) = &self.allowed {
            write!(f, "; allowed: {allowed}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

/// The error for a key that no config has.
pub(super) fn unknown_key(key: &str) -> KeyError {
    let names = catalogue().iter().map(|known| known.name.as_str());
    let in_section = Section::of_key(key).map(|(section, _)| {
        let keys = catalogue().iter().filter(|known| known.section == section);
        keys.map(|known| known.name.as_str()).collect::<Vec<_>>().join(", ")
    });
    KeyError {
        key: key.to_owned(),
        value: None,
        problem: "is not a known key".into(),
        allowed: in_section.or_else(|| {
            let prefixes = Section::ALL.iter().map(|section| section.prefix()).filter(|prefix| !prefix.is_empty());
            let top = Features::SPECS.iter().map(|spec| spec.name.to_owned());
            Some(prefixes.map(|prefix| format!("{prefix}.*")).chain(top).collect::<Vec<_>>().join(", "))
        }),
        help: nearest(key, names).map(|near| format!("did you mean `{near}`?")),
    }
}
