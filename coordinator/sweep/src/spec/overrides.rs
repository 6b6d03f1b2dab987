//! `--set KEY=VALUE`: what the command line says over the file.
//!
//! A key of the sweep file (`seeds`, `run_cap`, `compare.tune.seeds`) replaces what the file says there. A config key
//! (`training.epochs`) fixes that parameter: it leaves the block and every arm, and takes the given value in each arm
//! whose config has it. The value is YAML, so `seeds={start: 5, count: 2}` works too.

use engine::Preset;
use engine::config::{CatalogueKey, KeyError};

use super::TOP_KEYS;
use super::context::{Context, Problem, catalogue, catalogue_key};
use super::yaml::{self, Data, Entry, Node, Place};

/// A config key that `--set` fixes.
pub(crate) struct Fixed {
    pub(crate) key: &'static CatalogueKey,
    pub(crate) node: Node,
    pub(crate) place: Place,
    pub(crate) path: String,
}

/// Replaces what the sweep's own keys say, and hands back the config keys.
pub(crate) fn apply(cx: &mut Context<'_>, root: &mut Node, sets: &[(String, String)]) -> Vec<Fixed> {
    let mut fixed: Vec<Fixed> = Vec::new();
    for (index, (key, value)) in sets.iter().enumerate() {
        let source = index as u32 + 1;
        let offset = key.chars().count() as u32 + 1;
        let place = Place { source, line: 1, column: 1, width: offset.max(2) - 1 };
        if sets[..index].iter().any(|(earlier, _)| earlier == key) {
            cx.error(Problem::new(place, key, "is set twice on the command line").help("keep one --set of the two"));
            continue;
        }
        let Some(node) = value_node(cx, key, value, source, offset) else { continue };
        if let Some(known) = catalogue_key(key) {
            fixed.push(Fixed { key: known, node, place, path: key.clone() });
            continue;
        }
        let steps: Vec<&str> = key.split('.').collect();
        match steps[0] {
            "parameters" | "arms" => {
                let problem = Problem::new(place, key, "cannot be set with --set");
                cx.error(
                    problem.help("name the config key itself, e.g. --set optimizer.lr=1e-3: it is fixed in every arm"),
                );
            }
            first if TOP_KEYS.contains(&first) => {
                let depth = if matches!(first, "metric" | "compare" | "record" | "seeds") { 3 } else { 1 };
                if steps.len() > depth || steps.iter().any(|step| step.is_empty()) {
                    unknown(cx, place, key);
                } else {
                    replace(cx, root, &steps, key, node, place);
                }
            }
            _ => unknown(cx, place, key),
        }
    }
    fixed
}

/// The value of a `--set`, with columns counted in `KEY=VALUE`.
fn value_node(cx: &mut Context<'_>, key: &str, value: &str, source: u32, offset: u32) -> Option<Node> {
    let (node, faults) = yaml::load(if value.trim().is_empty() { "~" } else { value }, source);
    for fault in &faults {
        let place = Place { column: fault.place.column + offset, ..fault.place };
        cx.error(Problem::new(place, key, format!("--set has a value that is no YAML: {}", fault.message)));
    }
    let mut node = node.filter(|_| faults.is_empty())?;
    shift(&mut node, offset);
    Some(node)
}

fn shift(node: &mut Node, offset: u32) {
    node.place.column += offset;
    match &mut node.data {
        Data::Scalar { .. } => {}
        Data::List(items) => items.iter_mut().for_each(|item| shift(item, offset)),
        Data::Map(entries) => entries.iter_mut().for_each(|entry| {
            entry.place.column += offset;
            shift(&mut entry.node, offset);
        }),
    }
}

/// Puts a node where `steps` lead, making maps on the way.
fn replace(cx: &mut Context<'_>, root: &mut Node, steps: &[&str], key: &str, node: Node, place: Place) {
    let mut here = root;
    for (depth, step) in steps.iter().enumerate() {
        if !matches!(here.data, Data::Map(_)) {
            // `seeds: 30` has no `seeds.start` to replace, but can become a map that has.
            here.data = Data::Map(Vec::new());
            here.place = place;
        }
        let Data::Map(entries) = &mut here.data else { unreachable!("made a map above") };
        let index = match entries.iter().position(|entry| entry.key == *step) {
            Some(index) => index,
            None => {
                let node = Node { place, data: Data::Map(Vec::new()) };
                entries.push(Entry { key: (*step).to_owned(), place, node });
                entries.len() - 1
            }
        };
        if depth + 1 == steps.len() {
            entries[index].node = node;
            entries[index].place = place;
            return;
        }
        here = &mut entries[index].node;
    }
    unknown(cx, place, key);
}

fn unknown(cx: &mut Context<'_>, place: Place, key: &str) {
    let preset = Preset::Paper;
    let keys = || TOP_KEYS.iter().copied().filter(|key| !matches!(*key, "parameters" | "arms"));
    if key.contains('.') && !TOP_KEYS.contains(&key.split('.').next().unwrap_or_default()) {
        let config = engine::RunConfig::preset(preset, 0);
        if let Err(error) = config.clone().set(key, &engine::Value::Null) {
            cx.error(Problem::of_key(place, key, KeyError { value: None, ..error }));
            return;
        }
    }
    let problem = Problem::new(place, key, "is no key that --set can set");
    let known = keys().chain(catalogue().iter().map(|key| key.name.as_str()));
    cx.error(
        problem
            .allowed(format!("{}, or a config key such as optimizer.lr", keys().collect::<Vec<_>>().join(", ")))
            .suggest(key, known),
    );
}
