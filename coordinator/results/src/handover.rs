//! What a coordinator leaves to a later one beside the results, so that a task that ends its workers does not begin anew
//! with every restart, and what workers have finished in the meantime is not computed again.
//!
//! One small JSON object in `attempts/`, written whole whenever it changes; each shard has one of its own. It is a safeguard
//! and no result: without it, or with a damaged one, tasks have all their attempts again, and nobody is waited for.

use std::collections::{BTreeMap, BTreeSet};

use engine::RunId;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::store::{Access, Store};

/// The folder.
const FOLDER: &str = "attempts";

/// What one coordinator leaves to the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handover {
    /// How many attempts count against tasks that have not ended.
    pub strikes: BTreeMap<RunId, u16>,
    /// The workers in processes of their own, by name: they may outlive the coordinator, and hold what they finish.
    pub workers: BTreeSet<String>,
}

impl Handover {
    /// Whether a later coordinator has nothing to know.
    pub fn is_empty(&self) -> bool {
        self.strikes.is_empty() && self.workers.is_empty()
    }

    /// Takes in what another writer left.
    fn join(&mut self, other: Handover) {
        for (run_id, count) in other.strikes {
            let known = self.strikes.entry(run_id).or_default();
            *known = count.max(*known);
        }
        self.workers.extend(other.workers);
    }
}

impl Store {
    /// Leaves this to a later coordinator, in the place of what this writer left before.
    ///
    /// # Errors
    /// If it cannot be written; what was left before is intact then.
    pub fn hand_over(&self, handover: &Handover) -> Result<(), StoreError> {
        self.allow_writing("keep attempts")?;
        let key = key(self.access());
        if handover.is_empty() {
            return self.folder.delete(&key);
        }
        let text = serde_json::to_string(handover).expect("a handover is plain data");
        self.folder.replace(&key, text)
    }

    /// What all earlier writers left. Whoever writes the whole sweep is alone, and makes it its own. What cannot be read is
    /// left aside, with a warning.
    pub fn inherit(&self) -> Handover {
        let own = key(self.access());
        let mut inherited = Handover::default();
        let mut others = Vec::new();
        let objects = self.folder.list(FOLDER).unwrap_or_else(|error| {
            tracing::warn!(%error, "what an earlier coordinator left cannot be read: tasks have all their attempts again");
            Vec::new()
        });
        for object in objects {
            let content = match self.folder.read(&object.key) {
                Ok(content) => content,
                // Another shard replaced it just now.
                Err(StoreError::Missing { .. }) => continue,
                Err(error) => {
                    tracing::warn!(%error, "how often tasks were attempted cannot be read: left aside");
                    continue;
                }
            };
            let Ok(handover) = serde_json::from_slice::<Handover>(&content) else {
                let path = self.folder.path(&object.key);
                tracing::warn!(path = %path.display(), "does not say how often tasks were attempted: left aside");
                continue;
            };
            inherited.join(handover);
            if object.key != own {
                others.push(object.key);
            }
        }
        if self.is_alone() && !others.is_empty() {
            let own_now = self.hand_over(&inherited);
            // What stays is read again by the next one.
            if let Err(error) = own_now.and_then(|()| others.iter().try_for_each(|key| self.folder.delete(key))) {
                tracing::warn!(%error, "what shards left of their attempts stays");
            }
        }
        inherited
    }
}

fn key(access: Access) -> String {
    match access {
        Access::Shard { index, count } => format!("{FOLDER}/shard-{index}-of-{count}.json"),
        Access::Write | Access::Read => format!("{FOLDER}/sweep.json"),
    }
}
