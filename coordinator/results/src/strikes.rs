//! How many attempts count against tasks that have not ended: what a later coordinator has to know beside the results,
//! so that a task that ends its workers does not begin anew with every restart.
//!
//! One small JSON object in `attempts/`, from run id to count, written whole whenever it changes; each shard has one of
//! its own. It is a safeguard and no result: without it, or with a damaged one, tasks have all their attempts again.

use std::collections::HashMap;

use engine::RunId;

use crate::error::StoreError;
use crate::store::{Access, Store};

/// The folder.
const FOLDER: &str = "attempts";

impl Store {
    /// Keeps how many attempts count against which tasks, in the place of what this writer kept before.
    ///
    /// # Errors
    /// If it cannot be written; what was kept before is intact then.
    pub fn keep_strikes(&self, strikes: &[(RunId, u16)]) -> Result<(), StoreError> {
        self.allow_writing("keep attempts")?;
        let object: serde_json::Map<String, serde_json::Value> =
            strikes.iter().map(|(run_id, count)| (run_id.to_string(), (*count).into())).collect();
        let text = serde_json::Value::Object(object).to_string();
        self.folder.replace(&key(self.access()), text)
    }

    /// How many attempts count against which tasks, by all writers. What cannot be read is left aside, with a warning.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn strikes(&self) -> Result<HashMap<RunId, u16>, StoreError> {
        let mut strikes: HashMap<RunId, u16> = HashMap::new();
        for object in self.folder.list(FOLDER)? {
            let content = match self.folder.read(&object.key) {
                Ok(content) => content,
                // Another shard replaced it just now.
                Err(StoreError::Missing { .. }) => continue,
                Err(error) => return Err(error),
            };
            let Ok(counts) = serde_json::from_slice::<HashMap<String, u16>>(&content) else {
                let path = self.folder.path(&object.key);
                tracing::warn!(path = %path.display(), "does not say how often tasks were attempted: left aside");
                continue;
            };
            for (run_id, count) in counts {
                if let Ok(run_id) = run_id.parse() {
                    let known = strikes.entry(run_id).or_default();
                    *known = count.max(*known);
                }
            }
        }
        Ok(strikes)
    }
}

fn key(access: Access) -> String {
    match access {
        Access::Shard { index, count } => format!("{FOLDER}/shard-{index}-of-{count}.json"),
        Access::Write | Access::Read => format!("{FOLDER}/sweep.json"),
    }
}
