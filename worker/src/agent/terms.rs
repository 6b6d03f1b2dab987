//! What the tasks of a grant have in common, and how one of them becomes a config.

use std::sync::Arc;

use engine::config::KeyError;
use engine::network::{InitialWeights, WeightsDigest};
use engine::record::Record;
use engine::{Preset, RunConfig, RunId, Value};
use proto::{Grant, TaskGrant};

/// The dotted key whose value may name a blob.
const WEIGHTS_KEY: &str = "network.init";

/// A grant without its tasks.
#[derive(Debug)]
pub(super) struct Terms {
    preset: Preset,
    base: Vec<(String, Value)>,
    /// The base resolved, if it stands on its own.
    resolved: Option<RunConfig>,
    pub(super) record: Record,
}

/// Why a task is not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misgranted {
    /// Its keys do not make a config.
    #[error("the task's config is not valid: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Config(Vec<KeyError>),
    /// It is another run than it says.
    #[error(
        "the task resolves to run {resolved} here, and was granted as {granted}: worker and coordinator disagree on what the config means"
    )]
    Identity {
        /// What it is here.
        resolved: RunId,
        /// What it was granted as.
        granted: RunId,
    },
}

impl Terms {
    /// Splits a grant.
    pub(super) fn split(grant: Grant) -> (Arc<Terms>, Vec<TaskGrant>) {
        let Grant { preset, base, tasks, record } = grant;
        let resolved = RunConfig::resolve(preset, 0, base.iter().map(entry)).ok();
        (Arc::new(Terms { preset, base, resolved, record }), tasks)
    }

    /// The config of a task, with the identity that it was granted under.
    pub(super) fn config(
        &self,
        task: &TaskGrant,
        weights: Option<&Arc<InitialWeights>>,
    ) -> Result<RunConfig, Misgranted> {
        let mut config = match self.over_resolved(task) {
            Some(config) => config,
            None => {
                let overrides = self.base.iter().chain(&task.overrides).map(entry);
                RunConfig::resolve(self.preset, task.seed, overrides).map_err(Misgranted::Config)?
            }
        };
        let resolved = RunId::of(&config);
        if resolved != task.run_id {
            return Err(Misgranted::Identity { resolved, granted: task.run_id });
        }
        if let Some(weights) = weights {
            config.attach_weights(weights);
        }
        Ok(config)
    }

    /// The short way: the resolved base with the task's values set, which is the same config as long as no section
    /// changes its kind. `None` if it is not as simple as that, or if anything is wrong, so that errors are always those
    /// of the long way.
    fn over_resolved(&self, task: &TaskGrant) -> Option<RunConfig> {
        let mut config = self.resolved.clone()?;
        config.seed = task.seed;
        for (key, value) in &task.overrides {
            // A tag can be set to what it is and to nothing else.
            config.set(key, value).ok()?;
        }
        config.check().is_empty().then_some(config)
    }

    /// The blob that a task needs.
    pub(super) fn weights_of(&self, task: &TaskGrant) -> Option<WeightsDigest> {
        let last = task.overrides.iter().rev().chain(self.base.iter().rev()).find(|(key, _)| key == WEIGHTS_KEY)?;
        let Value::Text(text) = &last.1 else { return None };
        text.parse().ok()
    }
}

fn entry((key, value): &(String, Value)) -> (&str, &Value) {
    (key, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(entries: &[(&str, Value)]) -> Vec<(String, Value)> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    /// Both ways, on a base and a task: what `config` makes of it, and what resolving all of it makes.
    fn both(base: &[(&str, Value)], task: &[(&str, Value)]) -> (Result<RunConfig, String>, Result<RunConfig, String>) {
        let whole: Vec<_> = base.iter().chain(task).map(|(key, value)| (*key, value)).collect();
        let expected = RunConfig::resolve(Preset::Paper, 5, whole);
        let run_id = expected.as_ref().map_or(RunId([0; 16]), RunId::of);
        let expected = expected.map_err(|errors| Misgranted::Config(errors).to_string());
        let task = TaskGrant { run_id, seed: 5, overrides: overrides(task), attempt: 1 };
        let grant =
            Grant { preset: Preset::Paper, base: overrides(base), tasks: vec![task], record: Record::default() };
        let (terms, tasks) = Terms::split(grant);
        (terms.config(&tasks[0], None).map_err(|error| error.to_string()), expected)
    }

    #[test]
    fn the_short_way_is_the_long_way() {
        let kfac = || vec![("optimizer.kind", Value::from("kfac"))];
        let damping = || vec![("optimizer.damping", Value::from(0.1))];
        let xi = |xi: f64| vec![("market.xi", Value::from(xi))];
        let cases = [
            (vec![], vec![]),
            (xi(0.3), xi(0.4)),
            (kfac(), damping()),
            (damping(), kfac()),
            (xi(0.3), damping()),
            (xi(0.3), vec![("market.rho", Value::from(2.0))]),
        ];
        for (base, task) in cases {
            let (config, expected) = both(&base, &task);
            assert_eq!(config, expected, "{base:?} {task:?}");
        }
    }

    #[test]
    fn another_run_is_not_run() {
        let task = TaskGrant { run_id: RunId([9; 16]), seed: 0, overrides: Vec::new(), attempt: 1 };
        let grant = Grant { preset: Preset::Paper, base: Vec::new(), tasks: vec![task], record: Record::default() };
        let (terms, tasks) = Terms::split(grant);
        let error = terms.config(&tasks[0], None).unwrap_err();
        assert!(matches!(error, Misgranted::Identity { granted: RunId(id), .. } if id == [9; 16]));
    }

    #[test]
    fn the_task_decides_on_its_weights() {
        let digest = WeightsDigest::of(b"weights");
        let named = ("network.init", Value::Text(digest.to_string()));
        let task = |entries: &[(&str, Value)]| TaskGrant {
            run_id: RunId([9; 16]),
            seed: 0,
            overrides: overrides(entries),
            attempt: 1,
        };
        let tasks = vec![task(&[]), task(&[("network.init", "xavier_orthogonal".into())])];
        let grant = Grant { preset: Preset::Paper, base: overrides(&[named]), tasks, record: Record::default() };
        let (terms, tasks) = Terms::split(grant);
        assert_eq!(terms.weights_of(&tasks[0]), Some(digest));
        assert_eq!(terms.weights_of(&tasks[1]), None);
    }
}
