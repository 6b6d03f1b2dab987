//! The sweep file: what a user asks for, read and checked before anything starts.
//!
//! [`parse`] takes the text and gives the [`Spec`], or everything that is wrong with it at once, each with its line.
//! YAML is read by one parser, `saphyr-parser`, into a tree of our own that keeps positions (`yaml`); serde has no
//! part in it, since its data model has no place for them.
//!
//! One file a noun: `yaml` and `scalar` make the tree, `context` reads simple nodes, `parameter`, `range` and `axis` the
//! parameters, `templates` and `validate` hold them against the engine's configs, `seeds`, `compare`, `record` and
//! `filter` read their sections, `overrides` is `--set`, `diagnostic` is what the user sees, `schema` is the JSON Schema.

mod axis;
mod compare;
mod context;
mod decimal;
mod diagnostic;
mod filter;
mod overrides;
mod parameter;
mod range;
mod record;
mod scalar;
mod schema;
mod seeds;
mod templates;
mod validate;
mod yaml;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use engine::network::InitialWeights;
use engine::record::Record;
use engine::{Preset, Value};

pub use compare::{Baseline, Compare, Endpoint, Tune};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use schema::schema;
pub use seeds::Seeds;

pub(crate) use axis::{Axis, Distribution, Domain, equal, fingerprint};
pub(crate) use context::{Problem, Source, catalogue};
pub(crate) use filter::Filter;
pub(crate) use templates::{AxisRef, Templates};
pub(crate) use yaml::Place;

use context::{Context, Fields, Whole};
use parameter::{MAX_RUN_CAP, Named, Rules};
use yaml::{Data, Node};

/// More runs than these are refused unless the file says otherwise.
pub const DEFAULT_RUN_CAP: u64 = 1_000_000;

/// The name of the arm of a sweep without arms.
pub const ONLY_ARM: &str = "all";

/// The keys of a sweep file.
const TOP_KEYS: &[&str] = &[
    "name",
    "description",
    "method",
    "samples",
    "sweep_seed",
    "preset",
    "seeds",
    "metric",
    "parameters",
    "arms",
    "exclude",
    "include",
    "run_cap",
    "compare",
    "record",
];

/// Where weights files come from: reading them is the caller's, so that this crate touches no files.
pub trait WeightsSource {
    /// The weights at a path, which is relative to the sweep file.
    ///
    /// # Errors
    /// Why there are none, in the words of an error message.
    fn load(&mut self, path: &str) -> Result<Arc<InitialWeights>, String>;
}

/// Has no weights files.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWeights;

impl WeightsSource for NoWeights {
    fn load(&mut self, _path: &str) -> Result<Arc<InitialWeights>, String> {
        Err("there are no files here".into())
    }
}

/// A weights file that the sweep names.
#[derive(Clone, Debug)]
pub struct LoadedWeights {
    /// Its path, as the file has it.
    pub path: String,
    /// Its content.
    pub weights: Arc<InitialWeights>,
}

/// How variants come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Every combination of an arm's values.
    Grid,
    /// `samples` draws for each arm that has anything to draw.
    Random {
        /// How many variants an arm has.
        samples: u64,
        /// What the draws depend on, beside arm, key and number.
        sweep_seed: u64,
    },
}

/// One arm: a treatment with a grid of its own.
#[derive(Clone, Debug)]
pub(crate) struct Arm {
    pub(crate) name: String,
    pub(crate) axes: Vec<Axis>,
    pub(crate) path: String,
    pub(crate) place: Place,
}

/// A sweep file that is free of errors, as far as single values go; [`Plan`](crate::plan::Plan) checks their
/// combinations.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The sweep's name.
    pub name: String,
    /// The question, in the user's words.
    pub description: Option<String>,
    /// How variants come about.
    pub method: Method,
    /// What every run's config is built on.
    pub preset: Preset,
    /// The replicates of every cell.
    pub seeds: Seeds,
    /// The primary endpoint.
    pub metric: Endpoint,
    /// More runs are refused.
    pub run_cap: u64,
    /// The comparison, if there is one.
    pub compare: Option<Compare>,
    /// What to keep of each run.
    pub record: Record,
    /// The weights files that the sweep names, each content once.
    pub weights: Vec<LoadedWeights>,
    pub(crate) block: Vec<Axis>,
    pub(crate) arms: Vec<Arm>,
    pub(crate) exclude: Vec<Filter>,
    pub(crate) include: Vec<Filter>,
    pub(crate) seeds_place: Place,
    pub(crate) source: Arc<Source>,
}

impl Spec {
    /// A value as the user wrote it: the path of weights that a config names by digest.
    pub(crate) fn shown(&self, value: &Value) -> Value {
        if let Value::Text(text) = value
            && text.starts_with("blake3:")
            && let Some(loaded) = self.weights.iter().find(|loaded| loaded.weights.digest().to_string() == *text)
        {
            return Value::Text(loaded.path.clone());
        }
        value.clone()
    }
}

/// Reads a sweep file. `sets` are the command line's `--set KEY=VALUE`.
///
/// # Errors
/// Everything that is wrong with the file, each with its place.
pub fn parse(
    text: &str,
    file_name: &str,
    sets: &[(String, String)],
    weights: &mut dyn WeightsSource,
) -> Result<(Spec, Vec<Diagnostic>), Diagnostics> {
    let source = Arc::new(Source::new(file_name, text, sets));
    let mut cx = Context::new(Arc::clone(&source), weights);
    let (root, faults) = yaml::load(text, 0);
    for fault in faults {
        let problem = Problem::new(fault.place, fault.path, fault.message);
        cx.error(match fault.help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }
    let spec = root.and_then(|mut root| {
        if !matches!(root.data, Data::Map(_)) {
            let _ = cx.fields(&root, "", TOP_KEYS);
            return None;
        }
        let fixed = overrides::apply(&mut cx, &mut root, sets);
        read(&mut cx, &root, fixed, source)
    });
    let loaded = std::mem::take(&mut cx.loaded);
    let warnings = cx.finish()?;
    let spec = spec.expect("a file without a spec has an error");
    Ok((Spec { weights: loaded, ..spec }, warnings))
}

/// Reads the whole file; `None`, and errors, where something is missing that all else depends on.
fn read(cx: &mut Context<'_>, root: &Node, fixed: Vec<overrides::Fixed>, source: Arc<Source>) -> Option<Spec> {
    let fields = cx.fields(root, "", TOP_KEYS)?;
    let name = read_name(cx, &fields);
    let description = match fields.get("description") {
        Some(node) => cx.text(node, "description").map(|text| text.trim().to_owned()),
        None => None,
    };
    let method = read_method(cx, &fields);
    let preset = read_preset(cx, &fields);
    let seeds = match fields.get("seeds") {
        Some(node) => seeds::read(cx, node),
        None => Some(Seeds::Range { start: 0, count: 1 }),
    };
    let metric = match fields.get("metric") {
        Some(node) => compare::endpoint(cx, node),
        None => Some(Endpoint::default()),
    };
    let run_cap = match fields.get("run_cap") {
        Some(node) => cx.whole(node, "run_cap", Whole::new(1, MAX_RUN_CAP)),
        None => Some(DEFAULT_RUN_CAP),
    };
    let record = match fields.get("record") {
        Some(node) => record::read(cx, node),
        None => Some(Record::default()),
    };
    let drawn = !matches!(method, Some(Method::Grid));
    let rules = Rules { drawn, cap: run_cap.unwrap_or(DEFAULT_RUN_CAP) };
    let preset = preset?;
    let Parameters { block, arms, templates } = read_parameters(cx, &fields, fixed, preset, rules)?;
    let scope_seeds = seeds.clone().unwrap_or(Seeds::Range { start: 0, count: 1 });
    let scope = filter::Scope { seeds: &scope_seeds, block: &block, arms: &arms, templates: &templates };
    let exclude = fields.get("exclude").map_or_else(Vec::new, |node| filter::exclude(cx, node, scope));
    let include = fields.get("include").map_or_else(Vec::new, |node| filter::include(cx, node, scope));
    let endpoint = metric.clone().unwrap_or_default();
    let compare = fields
        .get("compare")
        .filter(|node| !is_null(node))
        .map(|node| compare::read(cx, node, &endpoint, seeds.as_ref(), &block, &arms, &templates));
    let seeds_place = fields.entry("seeds").map_or(fields.place, |entry| entry.place);
    Some(Spec {
        name: name?,
        description,
        method: method?,
        preset,
        seeds: seeds?,
        metric: metric?,
        run_cap: run_cap?,
        compare: match compare {
            Some(compare) => Some(compare?),
            None => None,
        },
        record: record?,
        weights: Vec::new(),
        block,
        arms,
        exclude,
        include,
        seeds_place,
        source,
    })
}

fn is_null(node: &Node) -> bool {
    matches!(&node.data, Data::Scalar { value: Value::Null, .. })
}

fn read_name(cx: &mut Context<'_>, fields: &Fields<'_>) -> Option<String> {
    const ALLOWED: &str = "1 to 64 of a-z, 0-9, _ and -";
    let Some(node) = fields.get("name") else {
        cx.error(Problem::new(fields.place, "name", "is missing").allowed(ALLOWED));
        return None;
    };
    let name = cx.text(node, "name")?;
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
        let problem = Problem::new(node.place, "name", "is no name for a sweep").value(name.to_owned());
        cx.error(problem.allowed(ALLOWED));
        return None;
    }
    Some(name.to_owned())
}

fn read_preset(cx: &mut Context<'_>, fields: &Fields<'_>) -> Option<Preset> {
    let Some(node) = fields.get("preset") else {
        cx.error(Problem::new(fields.place, "preset", "is missing").allowed(Preset::WORDS.join(", ")));
        return None;
    };
    cx.word(node, "preset", Preset::WORDS).and_then(|place| Preset::from_word(Preset::WORDS[place]))
}

fn read_method(cx: &mut Context<'_>, fields: &Fields<'_>) -> Option<Method> {
    let random = match fields.get("method") {
        Some(node) => cx.word(node, "method", &["grid", "random"])? == 1,
        None => false,
    };
    if !random {
        for key in ["samples", "sweep_seed"] {
            if let Some(entry) = fields.entry(key) {
                cx.error(Problem::new(entry.place, key, "is only for method random").help("write `method: random`"));
            }
        }
        return Some(Method::Grid);
    }
    let sweep_seed = match fields.get("sweep_seed") {
        Some(node) => cx.whole(node, "sweep_seed", Whole::new(0, i64::MAX as u64)),
        None => Some(0),
    };
    let Some(node) = fields.get("samples") else {
        let problem =
            Problem::new(fields.place, "samples", "is missing: method random draws that many variants an arm");
        cx.error(problem.allowed("a whole number ≥ 1"));
        return None;
    };
    let samples = cx.whole(node, "samples", Whole::new(1, MAX_RUN_CAP))?;
    Some(Method::Random { samples, sweep_seed: sweep_seed? })
}

/// The parameters of block and arms.
struct Parameters {
    block: Vec<Axis>,
    arms: Vec<Arm>,
    templates: Vec<Templates>,
}

/// Reads `parameters` and `arms`, and holds every value against the configs that it is for.
fn read_parameters(
    cx: &mut Context<'_>,
    fields: &Fields<'_>,
    fixed: Vec<overrides::Fixed>,
    preset: Preset,
    rules: Rules,
) -> Option<Parameters> {
    let fixed_keys: Vec<&str> = fixed.iter().map(|fixed| fixed.key.name.as_str()).collect();
    let is_fixed = |key: &str| fixed_keys.contains(&key);
    let block_named = match fields.get("parameters").filter(|node| !is_null(node)) {
        Some(node) => parameter::named(cx, node, "parameters", preset),
        None => Vec::new(),
    };
    let arms_node = fields.get("arms").filter(|node| !is_null(node));
    let block_rules = Rules { drawn: rules.drawn && arms_node.is_none(), ..rules };
    let mut block = define_all(cx, &block_named, block_rules, is_fixed);
    let mut arms = match arms_node {
        Some(node) => read_arms(cx, node, &block_named, preset, rules, is_fixed)?,
        None => {
            // Without arms the block is the one arm's own where values are drawn, since only an arm's own are.
            let axes = if rules.drawn { std::mem::take(&mut block) } else { Vec::new() };
            let place = fields.entry("parameters").map_or(fields.place, |entry| entry.place);
            vec![Arm { name: ONLY_ARM.to_owned(), axes, path: "parameters".into(), place }]
        }
    };
    // Kinds first: they decide which keys there are.
    let (kinds, others): (Vec<_>, Vec<_>) = fixed.into_iter().partition(|fixed| fixed.key.is_tag);
    for overrides::Fixed { key, node, place, path } in kinds {
        block.extend(parameter::define(cx, &Named { key, path, place, node: &node }, Rules { drawn: false, ..rules }));
    }
    let templates = validate::templates(cx, preset, &block, &arms)?;
    validate::place_fixed(cx, others, rules, &templates, &mut block, &mut arms);
    validate::check(cx, &templates, &mut block, &mut arms);
    Some(Parameters { block, arms, templates })
}

fn define_all(cx: &mut Context<'_>, named: &[Named<'_>], rules: Rules, is_fixed: impl Fn(&str) -> bool) -> Vec<Axis> {
    let kept = named.iter().filter(|named| !is_fixed(&named.key.name));
    kept.filter_map(|named| parameter::define(cx, named, rules)).collect()
}

/// `arms: {adam: {parameters: {…}}, kfac: …, control: }`.
fn read_arms(
    cx: &mut Context<'_>,
    node: &Node,
    block: &[Named<'_>],
    preset: Preset,
    rules: Rules,
    is_fixed: impl Fn(&str) -> bool,
) -> Option<Vec<Arm>> {
    /// More arms are no comparison.
    const MAX_ARMS: usize = 1000;
    let Data::Map(entries) = &node.data else {
        let problem = Problem::new(node.place, "arms", format!("is {}, not a map", node.describe()));
        cx.error(problem.allowed("a map such as {adam: {parameters: {optimizer.kind: {value: adam}}}}"));
        return None;
    };
    if entries.is_empty() || entries.len() > MAX_ARMS {
        let problem = Problem::new(node.place, "arms", format!("has {} arms", entries.len()));
        cx.error(problem.allowed(format!("1 to {MAX_ARMS}")).help("leave `arms` out for a sweep without treatments"));
        return None;
    }
    let mut arms = Vec::with_capacity(entries.len());
    for entry in entries {
        let path = format!("arms.{}", entry.key);
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if entry.key.is_empty() || entry.key.len() > 64 || !entry.key.bytes().all(fits) {
            let problem = Problem::new(entry.place, &path, "is no name for an arm");
            cx.error(problem.allowed("1 to 64 of a-z, A-Z, 0-9, _, - and ."));
        }
        let mut axes = Vec::new();
        if !is_null(&entry.node)
            && let Some(fields) = cx.fields(&entry.node, &path, &["parameters"])
            && let Some(node) = fields.get("parameters").filter(|node| !is_null(node))
        {
            let named = parameter::named(cx, node, &fields.path("parameters"), preset);
            for own in &named {
                if let Some(shared) = block.iter().find(|shared| shared.key.name == own.key.name) {
                    parameter::twice(cx, own.place, &own.path, &shared.path, shared.place);
                }
            }
            axes = define_all(cx, &named, rules, &is_fixed);
        }
        arms.push(Arm { name: entry.key.clone(), axes, path, place: entry.place });
    }
    Some(arms)
}
