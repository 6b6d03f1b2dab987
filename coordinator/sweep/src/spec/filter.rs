//! `exclude` and `include`: runs that are left out of the grid, and runs that are added to it.
//!
//! An `exclude` entry drops what matches all its keys, as in GitHub Actions: axis keys, `arm` and `seed`. An `include`
//! entry pins its keys and keeps every value of every axis that it does not mention; `arm` limits it to one arm, `seed`
//! to one seed. Includes come after excludes, so that they can bring back what those dropped.

use engine::Value;
use engine::config::KeyError;

use super::Arm;
use super::axis::{Axis, Domain};
use super::compare::arm;
use super::context::{Context, Problem, catalogue, catalogue_key, step};
use super::seeds::{self, Seeds};
use super::templates::Templates;
use super::yaml::{Data, Node, Place};

/// Every combination is held against every entry, so there is a limit to them.
const MAX_ENTRIES: usize = 1000;

/// What an entry of `exclude` or `include` says.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) arm: Option<u32>,
    pub(crate) seed: Option<u64>,
    /// Config keys with their values, as a config holds them.
    pub(crate) pins: Vec<(String, Value)>,
    pub(crate) place: Place,
    pub(crate) path: String,
}

/// The sweep that the entries are about.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'s> {
    pub(crate) seeds: &'s Seeds,
    pub(crate) block: &'s [Axis],
    pub(crate) arms: &'s [Arm],
    pub(crate) templates: &'s [Templates],
}

/// The value as the first of the configs that have the key holds it; `Err(None)` if none has it.
pub(crate) fn typed(templates: &[Templates], key: &str, value: &Value) -> Result<Value, Option<Box<KeyError>>> {
    let mut refusal = None;
    for config in templates.iter().flat_map(Templates::configs) {
        if catalogue_key(key).is_some_and(|known| known.is_tag) {
            return Ok(value.clone());
        }
        if config.get(key).is_none() {
            continue;
        }
        let mut config = config.clone();
        match config.set(key, value) {
            Ok(()) => return Ok(config.get(key).expect("a key that was set is there")),
            Err(error) => refusal = refusal.or_else(|| Some(Box::new(error))),
        }
    }
    Err(refusal)
}

/// Reads a list of entries.
fn read(cx: &mut Context<'_>, node: &Node, name: &str, scope: Scope<'_>) -> Vec<(Filter, Vec<Unmatched>)> {
    if matches!(&node.data, Data::Scalar { value: Value::Null, .. }) {
        return Vec::new();
    }
    let Some(items) = cx.list(node, name) else { return Vec::new() };
    if items.len() > MAX_ENTRIES {
        let problem = Problem::new(node.place, name, format!("has {} entries", items.len()));
        cx.error(problem.allowed(format!("at most {MAX_ENTRIES}")));
        return Vec::new();
    }
    let read =
        |cx: &mut Context<'_>, (place, item): (usize, &Node)| read_entry(cx, item, &format!("{name}[{place}]"), scope);
    items.iter().enumerate().filter_map(|item| read(cx, item)).collect()
}

/// A key that no arm of the entry has.
struct Unmatched {
    key: String,
    place: Place,
}

fn read_entry(cx: &mut Context<'_>, node: &Node, path: &str, scope: Scope<'_>) -> Option<(Filter, Vec<Unmatched>)> {
    let Data::Map(entries) = &node.data else {
        let problem = Problem::new(node.place, path, format!("is {}, not a map", node.describe()));
        cx.error(problem.value(node.shown()).allowed("a map such as {arm: adam, optimizer.lr: 1e-3, seed: 3}"));
        return None;
    };
    if entries.is_empty() {
        cx.error(Problem::new(node.place, path, "is empty: it would mean every run"));
        return None;
    }
    let mut filter = Filter { arm: None, seed: None, pins: Vec::new(), place: node.place, path: path.to_owned() };
    let mut unmatched = Vec::new();
    let mut sound = true;
    if let Some(entry) = entries.iter().find(|entry| entry.key == "arm") {
        filter.arm = arm(cx, &entry.node, &step(path, "arm"), scope.arms);
        sound &= filter.arm.is_some();
    }
    let templates = match filter.arm {
        Some(arm) => &scope.templates[arm as usize..=arm as usize],
        None => scope.templates,
    };
    for entry in entries {
        let path = step(path, &entry.key);
        match entry.key.as_str() {
            "arm" => {}
            "seed" => {
                filter.seed = seeds::seed(cx, &entry.node, &path);
                sound &= filter.seed.is_some();
            }
            key => {
                let Some(value) = cx.config_value(&entry.node, &path, key) else {
                    sound = false;
                    continue;
                };
                let value = match typed(templates, key, &value) {
                    Ok(value) => value,
                    Err(None) => {
                        unmatched.push(Unmatched { key: key.to_owned(), place: entry.place });
                        value
                    }
                    Err(Some(error)) => {
                        cx.error(Problem::of_key(entry.node.place, &path, *error));
                        sound = false;
                        continue;
                    }
                };
                filter.pins.push((key.to_owned(), value));
            }
        }
    }
    sound.then_some((filter, unmatched))
}

/// The entries of `exclude`. One that matches nothing is a warning; one with a key that does not exist is an error, since
/// the runs that it was to drop would run.
pub(crate) fn exclude(cx: &mut Context<'_>, node: &Node, scope: Scope<'_>) -> Vec<Filter> {
    let filters = read(cx, node, "exclude", scope);
    for (filter, _) in &filters {
        let unknown = filter.pins.iter().map(|(key, _)| key).find(|key| catalogue_key(key).is_none());
        match unknown {
            Some(key) => {
                let problem = Problem::new(filter.place, &filter.path, format!("{key} is not a known key"));
                let known = catalogue().iter().map(|known| known.name.as_str());
                cx.error(match engine::config::nearest(key, known) {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None => problem,
                });
            }
            None => warn_if_idle(cx, filter, scope),
        }
    }
    filters.into_iter().map(|(filter, _)| filter).collect()
}

/// The axis of a key in an arm.
fn axis<'s>(scope: Scope<'s>, arm: usize, key: &str) -> Option<&'s Axis> {
    scope.block.iter().chain(&scope.arms[arm].axes).find(|axis| axis.key == key)
}

/// The grid is a full product, so an entry matches something exactly when one arm has each of its values.
fn warn_if_idle(cx: &mut Context<'_>, filter: &Filter, scope: Scope<'_>) {
    let arms = || (0..scope.arms.len()).filter(|arm| filter.arm.is_none_or(|only| only as usize == *arm));
    let has = |arm: usize, (key, value): &(String, Value)| {
        axis(scope, arm, key).is_some_and(|axis| axis.index_of(value).is_some())
    };
    let seed_fits = filter.seed.is_none_or(|seed| scope.seeds.contains(seed));
    if seed_fits && arms().any(|arm| filter.pins.iter().all(|pin| has(arm, pin))) {
        return;
    }
    let problem = Problem::new(filter.place, &filter.path, "matches nothing");
    let stray = filter.pins.iter().find(|pin| !arms().any(|arm| has(arm, pin)));
    cx.warn(match stray {
        None if !seed_fits => problem.help(format!("there is no seed {}", filter.seed.unwrap_or_default())),
        None => problem.help("no arm has all of its values"),
        Some((key, value)) => match arms().find_map(|arm| axis(scope, arm, key)) {
            Some(Axis { domain: Domain::Drawn(_), .. }) => {
                problem.help(format!("{key} is drawn, and a draw is never just {value}"))
            }
            Some(Axis { domain: Domain::Values { values, .. }, .. }) => {
                let shown: Vec<_> = values.iter().take(20).map(Value::to_string).collect();
                let more = if values.len() > 20 { ", …" } else { "" };
                problem.help(format!("{key} is never {value}")).allowed(format!("{}{more}", shown.join(", ")))
            }
            None => {
                let keys = scope.block.iter().chain(scope.arms.iter().flat_map(|arm| &arm.axes));
                let keys: Vec<_> = keys.map(|axis| axis.key.as_str()).chain(["arm", "seed"]).collect();
                match engine::config::nearest(key, keys.iter().copied()) {
                    Some(near) => problem.help(format!("{key} is no parameter of this sweep; did you mean `{near}`?")),
                    None => problem.help(format!("{key} is no parameter of this sweep")),
                }
            }
        },
    });
}

/// The entries of `include`. A key that no arm can have is an error.
pub(crate) fn include(cx: &mut Context<'_>, node: &Node, scope: Scope<'_>) -> Vec<Filter> {
    let filters = read(cx, node, "include", scope);
    for (filter, unmatched) in &filters {
        for Unmatched { key, place } in unmatched {
            let path = step(&filter.path, key);
            let config = scope.templates.iter().flat_map(Templates::configs).next();
            let refusal = config.and_then(|config| config.clone().set(key, &Value::Null).err());
            cx.error(match refusal {
                Some(error) => Problem::of_key(*place, path, KeyError { value: None, ..error }),
                None => Problem::new(*place, path, "is a key of no arm of this entry"),
            });
        }
        let fits = |arm: usize| {
            let configs = || scope.templates[arm].configs();
            filter.pins.iter().all(|(key, _)| configs().any(|config| config.get(key).is_some()))
        };
        let somewhere = match filter.arm {
            Some(arm) => fits(arm as usize),
            None => (0..scope.arms.len()).any(fits),
        };
        if unmatched.is_empty() && !somewhere {
            cx.error(Problem::new(filter.place, &filter.path, "names keys that no one arm has together"));
        }
    }
    filters.into_iter().map(|(filter, _)| filter).collect()
}
