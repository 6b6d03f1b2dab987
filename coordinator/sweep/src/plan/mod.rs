//! The plan: which runs a sweep consists of, and in which order.
//!
//! A *cell* is one combination of the block's parameters, a *variant* one combination of an arm's own, a *run* is (arm,
//! variant, cell, seed). The plan maps a dense index to a run and a run to its config and id; nothing is written down
//! for a run, so a million of them take no more room than their axes.
//!
//! One file a noun: `space` addresses combinations, `draw` makes random ones, `layout` puts runs into order with
//! `exclude` and `include`, `model` makes configs, `identity` caches what ids are made of, `build` checks it all, `labels`
//! names cells and variants, `order` is the [`Planner`], `shard` cuts a plan for batch schedulers.

mod build;
mod draw;
mod identity;
mod labels;
mod layout;
mod model;
mod order;
mod shard;
mod space;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use engine::network::InitialWeights;
use engine::{Preset, RunConfig, RunId, Value};

pub use order::{Outcome, PlanOrder, Planner};
pub use shard::{Shard, ShardError};

use crate::spec::{Diagnostics, LoadedWeights, Seeds, Spec, Templates, catalogue, fingerprint};
use identity::ArmDigests;
use labels::Labels;
use layout::{At, Layout};
use model::ArmModel;
use space::Space;

/// One run's place in its sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// The arm's index in the file.
    pub arm: u32,
    /// The variant's index within its arm.
    pub variant: u32,
    /// The cell's index.
    pub cell: u32,
    /// The replicate.
    pub seed: u64,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Plan {
    preset: Preset,
    arms: Vec<String>,
    seeds: Seeds,
    cells: Space,
    variants: Vec<Space>,
    templates: Vec<Templates>,
    /// The first variant of each arm among those of all arms, and their number.
    first: Vec<u64>,
    layout: Layout,
    digests: Vec<ArmDigests>,
    base: Vec<(String, Value)>,
    swept: Vec<String>,
    weights: Vec<LoadedWeights>,
    baseline: Option<(u32, Option<u32>)>,
    cell_labels: Labels,
    variant_labels: Vec<Labels>,
}

impl Plan {
    /// Plans a sweep and checks the config of every run.
    ///
    /// # Errors
    /// If there are too many runs or none, if values fit each on their own but not together, or if the baseline is not
    /// one variant.
    pub fn build(spec: &Spec) -> Result<Plan, Diagnostics> {
        let shape = build::shape(spec)?;
        let checked = build::check(spec, &shape);
        let baseline = build::baseline(spec, &shape);
        let baseline = match (checked, baseline) {
            (Ok(()), Ok(baseline)) => baseline,
            (Err(a), Err(b)) => return Err(Diagnostics(a.0.into_iter().chain(b.0).collect())),
            (Err(errors), _) | (_, Err(errors)) => return Err(errors),
        };
        let build::Shape { cells, variants, templates, first, layout } = shape;
        let mut budget = identity::MAX_ENTRIES;
        let digests = (variants.iter().zip(&templates))
            .map(|(variants, templates)| {
                let model = ArmModel { preset: spec.preset, cells: &cells, variants, templates };
                ArmDigests::build(&model, &mut budget)
            })
            .collect();
        let base = base(&cells, &variants);
        let swept = swept(&cells, &variants, &templates);
        let labels = |space: &Space| Labels::new(space.len() as u32);
        Ok(Plan {
            preset: spec.preset,
            arms: spec.arms.iter().map(|arm| arm.name.clone()).collect(),
            seeds: spec.seeds.clone(),
            cell_labels: labels(&cells),
            variant_labels: variants.iter().map(labels).collect(),
            cells,
            variants,
            templates,
            first,
            layout,
            digests,
            base,
            swept,
            weights: spec.weights.clone(),
            baseline,
        })
    }

    /// How many runs there are, after `exclude` and `include`: the rows of `runs.parquet`.
    #[expect(clippy::len_without_is_empty, reason = "a plan is never empty")]
    pub fn len(&self) -> u64 {
        self.layout.len()
    }

    /// The run at an index, in the order cell, arm, variant, seed.
    ///
    /// # Panics
    /// If there is none, here and wherever an index is taken.
    pub fn get(&self, index: u64) -> Run {
        let At { cell, variant, seed } = self.layout.get(index, &self.seeds);
        let arm = build::arm_of(&self.first, variant);
        Run { arm: arm as u32, variant: (u64::from(variant) - self.first[arm]) as u32, cell, seed }
    }

    /// The run's identity. Well below a microsecond, except for what `include` added.
    pub fn run_id(&self, index: u64) -> RunId {
        let Run { arm, variant, cell, seed } = self.get(index);
        let variants = &self.variants[arm as usize];
        if self.cells.is_extra(cell) || variants.is_extra(variant) {
            return RunId::of(&self.config(index));
        }
        let config = || self.config(index);
        let digests = self.digests[arm as usize].get(&self.cells, variants, cell, variant, config);
        RunId::from_digests(seed, &digests)
    }

    /// What every config is built on.
    pub fn preset(&self) -> Preset {
        self.preset
    }

    /// The overrides that all runs share.
    pub fn base(&self) -> &[(String, Value)] {
        &self.base
    }

    /// What the run sets over [`Plan::base`], kinds included.
    pub fn overrides(&self, index: u64) -> Vec<(String, Value)> {
        let Run { arm, variant, cell, .. } = self.get(index);
        (self.cells.settings(cell))
            .chain(self.variants[arm as usize].settings(variant))
            .filter(|(key, _)| self.base.iter().all(|(shared, _)| shared != key))
            .map(|(key, value)| (key.to_owned(), value.into_owned()))
            .collect()
    }

    /// The run's complete config. Weights are named by digest and not attached.
    pub fn config(&self, index: u64) -> RunConfig {
        let Run { arm, variant, cell, seed } = self.get(index);
        self.model(arm).config(cell, variant, seed).expect("every config was checked when the plan was built")
    }

    fn model(&self, arm: u32) -> ArmModel<'_> {
        ArmModel {
            preset: self.preset,
            cells: &self.cells,
            variants: &self.variants[arm as usize],
            templates: &self.templates[arm as usize],
        }
    }

    /// The initial weights that the sweep's file names, each content once.
    pub fn weights(&self) -> impl Iterator<Item = &Arc<InitialWeights>> {
        self.weights.iter().map(|loaded| &loaded.weights)
    }

    /// The arms' names, in the order of the file.
    pub fn arms(&self) -> &[String] {
        &self.arms
    }

    /// How many variants an arm has.
    pub fn variants(&self, arm: u32) -> u32 {
        self.variants[arm as usize].len() as u32
    }

    /// How many cells there are.
    pub fn cells(&self) -> u32 {
        self.cells.len() as u32
    }

    /// How many seeds the sweep has.
    pub fn seeds(&self) -> u64 {
        self.seeds.len()
    }

    /// The comparison's baseline: its arm, and its variant unless tuning chooses one; `None` without a comparison.
    pub fn baseline(&self) -> Option<(u32, Option<u32>)> {
        self.baseline
    }

    /// The keys that vary within the arm with the variant's values, `default` if there is one variant.
    pub fn variant_label(&self, arm: u32, variant: u32) -> &str {
        let fallback = |key: &str| {
            let mut configs = self.templates[arm as usize].configs();
            configs.find_map(|config| config.get(key))
        };
        self.label(&self.variant_labels[arm as usize], &self.variants[arm as usize], variant, fallback)
    }

    /// The keys that have more than one value in the block with the cell's values, `default` if there is one cell.
    pub fn cell_label(&self, cell: u32) -> &str {
        self.label(&self.cell_labels, &self.cells, cell, |_| None)
    }

    /// A label; `fallback` has the value of a key that other combinations pin and this one does not.
    fn label<'p>(
        &'p self,
        labels: &'p Labels,
        space: &Space,
        index: u32,
        fallback: impl Fn(&str) -> Option<Value>,
    ) -> &'p str {
        if space.len() == 1 {
            return "default";
        }
        labels.get(index, |range, chunk| {
            let keys = space.varying();
            for index in range {
                let settings: Vec<_> = space.settings(index).collect();
                let mut separator = "";
                for key in &keys {
                    let set = settings.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_ref().clone());
                    let Some(value) = set.or_else(|| fallback(key)) else { continue };
                    chunk.push(&format!("{separator}{key}={}", self.shown(value)));
                    separator = ", ";
                }
                chunk.end();
            }
        })
    }

    /// A value as the user wrote it: weights by their path.
    fn shown(&self, value: Value) -> Value {
        if let (Value::Text(text), false) = (&value, self.weights.is_empty())
            && text.starts_with("blake3:")
            && let Some(loaded) = self.weights.iter().find(|loaded| loaded.weights.digest().to_string() == *text)
        {
            return Value::Text(loaded.path.clone());
        }
        value
    }

    /// Every swept parameter: a key that the sweep sets and that has more than one value among its runs, in the order
    /// of the engine's catalogue.
    pub fn swept(&self) -> &[String] {
        &self.swept
    }

    /// The run's value of the `key`-th swept parameter, from its config; `None` where its kinds lack the key. Weights
    /// are named by the path in the file.
    pub fn swept_value(&self, index: u64, key: usize) -> Option<Value> {
        let key = self.swept[key].as_str();
        let Run { arm, variant, cell, .. } = self.get(index);
        for (space, index) in [(&self.cells, cell), (&self.variants[arm as usize], variant)] {
            if let Some((_, value)) = space.pins(index).0.iter().find(|(pinned, _)| pinned == key) {
                return Some(self.shown(value.clone()));
            }
            if let Some(axis) = space.axes().iter().position(|axis| axis.key == key) {
                return Some(self.shown(space.value(axis, index).into_owned()));
            }
        }
        // No parameter of this run: what its kinds and its preset say.
        let is_own = !self.cells.is_extra(cell) && !self.variants[arm as usize].is_extra(variant);
        let value = if is_own { self.model(arm).template(cell, variant).get(key) } else { self.config(index).get(key) };
        value.map(|value| self.shown(value))
    }

    /// Whether two runs can have one id. Arms can be alike, draws can, and so can what `include` adds; the values of
    /// one axis cannot.
    pub fn may_repeat(&self) -> bool {
        self.arms.len() > 1 || self.cells.may_repeat() || self.variants.iter().any(Space::may_repeat)
    }
}

/// The constants that all runs share: the block's, and the arm's if there is but one.
fn base(cells: &Space, variants: &[Space]) -> Vec<(String, Value)> {
    let only = if let [only] = variants { Some(only) } else { None };
    let pinned: Vec<&str> = variants.iter().chain([cells]).flat_map(Space::pinned_keys).collect();
    let constants = |space: &Space| -> Vec<(String, Value)> {
        let constant = |place: &usize| {
            let axis = &space.axes()[*place];
            !axis.varies() && !pinned.contains(&axis.key.as_str())
        };
        let places = (0..space.axes().len()).filter(constant);
        places.map(|place| (space.axes()[place].key.clone(), space.value(place, 0).into_owned())).collect()
    };
    let mut base = constants(cells);
    base.extend(only.map(constants).unwrap_or_default());
    base
}

/// The keys that the sweep sets and that have more than one value.
fn swept(cells: &Space, variants: &[Space], templates: &[Templates]) -> Vec<String> {
    let spaces = || variants.iter().chain([cells]);
    let is_set = |key: &str| {
        spaces().any(|space| space.axes().iter().any(|axis| axis.key == key) || space.pinned_keys().any(|p| p == key))
    };
    let differs = |key: &str| {
        let varies = |space: &Space| space.axes().iter().any(|axis| axis.key == key && axis.varies());
        if spaces().any(varies) {
            return true;
        }
        let constants = templates.iter().flat_map(Templates::configs).filter_map(|config| config.get(key));
        let pinned = spaces().flat_map(|space| space.pinned_values(key)).cloned();
        let mut prints = constants.chain(pinned).map(|value| fingerprint(&value));
        let first = prints.next();
        prints.any(|print| Some(&print) != first.as_ref())
    };
    let names = catalogue().iter().map(|key| key.name.as_str());
    names.filter(|key| is_set(key) && differs(key)).map(str::to_owned).collect()
}
