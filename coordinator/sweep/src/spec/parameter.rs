//! Parameters: their names, nested or dotted, and what defines their values.

use engine::config::{CatalogueKey, Kind};
use engine::{Preset, Value};

use super::axis::{Axis, Distribution, Domain};
use super::context::{Context, Fields, Problem, Whole, allowed, catalogue_key, step};
use super::range::{self, RangeError};
use super::yaml::{Data, Entry, Node, Place};

/// The keys of a parameter's definition.
pub(crate) const KEYS: &[&str] =
    &["value", "values", "min", "max", "count", "step", "q", "distribution", "mu", "sigma"];

/// The words of `distribution`.
pub(crate) const DISTRIBUTIONS: &[&str] =
    &["uniform", "log_uniform_values", "int_uniform", "q_uniform", "normal", "categorical", "constant"];

/// Nobody needs more runs than this, and 32 bits count them.
pub(crate) const MAX_RUN_CAP: u64 = 1_000_000_000;

/// A parameter by name, before its definition is read.
pub(crate) struct Named<'n> {
    pub(crate) key: &'static CatalogueKey,
    pub(crate) path: String,
    pub(crate) place: Place,
    pub(crate) node: &'n Node,
}

/// What the definitions of a list of parameters may be.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// Whether the values are drawn rather than crossed.
    pub(crate) drawn: bool,
    /// No parameter has more values.
    pub(crate) cap: u64,
}

/// The parameters of a `parameters` map, nested and dotted alike, each key once.
pub(crate) fn named<'n>(cx: &mut Context<'_>, node: &'n Node, path: &str, preset: Preset) -> Vec<Named<'n>> {
    let mut found = Vec::new();
    collect(cx, node, "", path, preset, &mut found);
    found
}

fn collect<'n>(
    cx: &mut Context<'_>,
    node: &'n Node,
    prefix: &str,
    path: &str,
    preset: Preset,
    found: &mut Vec<Named<'n>>,
) {
    let Data::Map(entries) = &node.data else {
        let problem = Problem::new(node.place, path, format!("is {}, not a map", node.describe()));
        cx.error(problem.value(node.shown()).allowed("a map of parameters, e.g. {market.xi: {values: [0.3, 0.5]}}"));
        return;
    };
    for Entry { key, place, node } in entries {
        let (name, path) = (step(prefix, key), step(path, key));
        if let Some(inner) = nested(node) {
            let _ = cx.fields(node, &path, &["parameters"]);
            collect(cx, inner, &name, &step(&path, "parameters"), preset, found);
            continue;
        }
        let Some(known) = catalogue_key(&name) else {
            if engine::config::Section::ALL.iter().any(|section| section.prefix() == name) && !name.is_empty() {
                let problem = Problem::new(*place, &path, "is a section, not a parameter");
                cx.error(problem.help(format!(
                    "write `{name}: {{parameters: {{…}}}}`, or each key with its dotted name, e.g. `{name}.…`"
                )));
            } else {
                cx.unknown_config_key(*place, &path, &name, preset);
            }
            continue;
        };
        if let Some(first) = found.iter().find(|first| first.key.name == name) {
            twice(cx, *place, &path, &first.path, first.place);
            continue;
        }
        found.push(Named { key: known, path, place: *place, node });
    }
}

/// The `parameters` of a nested group.
fn nested(node: &Node) -> Option<&Node> {
    let Data::Map(entries) = &node.data else { return None };
    entries.iter().find(|entry| entry.key == "parameters").map(|entry| &entry.node)
}

/// Says that a parameter was set before.
pub(crate) fn twice(cx: &mut Context<'_>, place: Place, path: &str, first_path: &str, first: Place) {
    let problem = Problem::new(place, path, format!("is set twice: first on line {}, as {first_path}", first.line));
    cx.error(problem.help("keep one of the two"));
}

/// Reads a parameter's definition; `None` if it has errors.
pub(crate) fn define(cx: &mut Context<'_>, named: &Named<'_>, rules: Rules) -> Option<Axis> {
    let Named { key, path, place, node } = named;
    let domain = match &node.data {
        // A list is one value of a key that is a list, and otherwise a forgotten `values`.
        Data::List(_) if !matches!(key.kind, Kind::Choices(_)) => {
            let problem = Problem::new(node.place, path, "is a list");
            let list = node.to_value().map_or_else(|| "[…]".to_owned(), |value| value.to_string());
            cx.error(problem.value(node.shown()).help(format!("write `{}: {{values: {list}}}`", key.name)));
            return None;
        }
        Data::Scalar { .. } | Data::List(_) => {
            let value = cx.config_value(node, path, &key.name)?;
            Domain::Values { values: vec![value], places: vec![node.place] }
        }
        Data::Map(_) => {
            let fields = cx.fields(node, path, KEYS)?;
            define_map(cx, &fields, key, rules)?
        }
    };
    Some(Axis { key: key.name.clone(), path: path.clone(), place: *place, domain })
}

/// Which way a parameter's values are given.
const FORMS: &[(&str, &[&str])] = &[
    ("value", &["value", "distribution"]),
    ("values", &["values", "distribution"]),
    ("min", &["min", "max", "count", "step", "q", "distribution"]),
    ("max", &["min", "max", "count", "step", "q", "distribution"]),
    ("mu", &["mu", "sigma", "distribution"]),
    ("sigma", &["mu", "sigma", "distribution"]),
];

fn define_map(cx: &mut Context<'_>, fields: &Fields<'_>, key: &CatalogueKey, rules: Rules) -> Option<Domain> {
    let Some((form, goes_with)) = FORMS.iter().find(|(form, _)| fields.entry(form).is_some()) else {
        let problem = Problem::new(fields.place, fields.here(), "says nothing of its values");
        cx.error(problem.allowed("value, values, min and max with count or step, mu and sigma"));
        return None;
    };
    let stray = fields.entries().iter().find(|entry| !goes_with.contains(&entry.key.as_str()));
    if let Some(stray) = stray.filter(|entry| KEYS.contains(&entry.key.as_str())) {
        let problem = Problem::new(stray.place, fields.path(&stray.key), format!("does not go with `{form}`"));
        cx.error(problem.allowed(goes_with.join(", ")));
        return None;
    }
    let distribution = match fields.get("distribution") {
        None => None,
        Some(node) => Some(DISTRIBUTIONS[cx.word(node, &fields.path("distribution"), DISTRIBUTIONS)?]),
    };
    let fits: &[&str] = match *form {
        "value" => &["constant"],
        "values" => &["categorical"],
        "mu" | "sigma" => &["normal"],
        _ => &["uniform", "log_uniform_values", "int_uniform", "q_uniform"],
    };
    if let (Some(word), Some(node)) = (distribution, fields.get("distribution"))
        && !fits.contains(&word)
    {
        let problem = Problem::new(node.place, fields.path("distribution"), format!("does not go with `{form}`"));
        cx.error(problem.value(word.to_owned()).allowed(fits.join(", ")));
        return None;
    }
    match *form {
        "value" => {
            let node = fields.get("value")?;
            let value = cx.config_value(node, &fields.path("value"), &key.name)?;
            Some(Domain::Values { values: vec![value], places: vec![node.place] })
        }
        "values" => define_values(cx, fields, key),
        "mu" | "sigma" => define_normal(cx, fields, key, rules),
        _ => define_range(cx, fields, key, distribution, rules),
    }
}

fn define_values(cx: &mut Context<'_>, fields: &Fields<'_>, key: &CatalogueKey) -> Option<Domain> {
    let (node, path) = (fields.get("values")?, fields.path("values"));
    let items = cx.list(node, &path)?;
    if items.is_empty() {
        cx.error(Problem::new(node.place, path, "is empty: there would be no runs"));
        return None;
    }
    let values: Vec<_> = items
        .iter()
        .enumerate()
        .map(|(place, item)| cx.config_value(item, &format!("{path}[{place}]"), &key.name))
        .collect();
    let values = values.into_iter().collect::<Option<Vec<Value>>>()?;
    Some(Domain::Values { values, places: items.iter().map(|item| item.place).collect() })
}

/// A number that must be there.
fn required(cx: &mut Context<'_>, fields: &Fields<'_>, name: &str) -> Option<f64> {
    match fields.get(name) {
        Some(node) => cx.number(node, &fields.path(name)),
        None => {
            cx.error(Problem::new(fields.place, fields.path(name), "is missing").allowed(Kind::Number.describe()));
            None
        }
    }
}

/// Whether a key is a number, and whether only whole ones.
fn numeric(cx: &mut Context<'_>, fields: &Fields<'_>, key: &CatalogueKey) -> Option<bool> {
    match key.kind {
        Kind::Number | Kind::OptionalNumber | Kind::ChoiceOrNumber(_) => Some(false),
        Kind::Integer | Kind::OptionalInteger | Kind::ChoiceOrInteger(_) => Some(true),
        _ => {
            let problem = Problem::new(fields.place, fields.here(), "has no range");
            cx.error(problem.allowed(allowed(key)).help("list its `values`"));
            None
        }
    }
}

fn define_normal(cx: &mut Context<'_>, fields: &Fields<'_>, key: &CatalogueKey, rules: Rules) -> Option<Domain> {
    let whole = numeric(cx, fields, key)?;
    let (mu, sigma) = (required(cx, fields, "mu"), required(cx, fields, "sigma"));
    let (mu, sigma) = (mu?, sigma?);
    if sigma <= 0.0 {
        let problem = Problem::new(fields.get("sigma")?.place, fields.path("sigma"), "is not positive");
        cx.error(problem.value(sigma.to_string()).allowed("a number > 0"));
        return None;
    }
    if !rules.drawn {
        needs_draws(cx, fields, "list `values`, or give `min`, `max` and a `count`");
        return None;
    }
    Some(Domain::Drawn(Distribution::Normal { mu, sigma, whole }))
}

fn needs_draws(cx: &mut Context<'_>, fields: &Fields<'_>, help: &str) {
    let problem = Problem::new(fields.place, fields.here(), "has no countable values to cross");
    cx.error(problem.help(format!("{help}; only an arm's own parameters are drawn, with `method: random`")));
}

fn define_range(
    cx: &mut Context<'_>,
    fields: &Fields<'_>,
    key: &CatalogueKey,
    distribution: Option<&str>,
    rules: Rules,
) -> Option<Domain> {
    let whole = numeric(cx, fields, key)? || distribution == Some("int_uniform");
    let log = distribution == Some("log_uniform_values");
    let (min, max) = (required(cx, fields, "min"), required(cx, fields, "max"));
    let (min, max) = (min?, max?);
    let (min_node, max_node) = (fields.get("min")?, fields.get("max")?);
    if min > max {
        let problem = Problem::new(min_node.place, fields.path("min"), format!("is above max, {max}"));
        cx.error(problem.value(min.to_string()).help("exchange them"));
        return None;
    }
    if log && min <= 0.0 {
        let problem = Problem::new(min_node.place, fields.path("min"), "has no logarithm");
        cx.error(problem.value(min.to_string()).allowed("a number > 0"));
        return None;
    }
    for (name, node, end) in [("min", min_node, min), ("max", max_node, max)] {
        if whole && (end.fract() != 0.0 || end.abs() > 9e15) {
            let problem = Problem::new(node.place, fields.path(name), "is not a whole number");
            cx.error(problem.value(node.shown()).allowed("a whole number"));
            return None;
        }
    }
    let step = fields.entry("step").or_else(|| fields.entry("q"));
    let count = fields.entry("count");
    match (step, count) {
        (Some(step), Some(count)) => {
            let problem = Problem::new(count.place, fields.path("count"), format!("does not go with `{}`", step.key));
            cx.error(problem.help("keep one of the two"));
            None
        }
        (Some(entry), None) => define_steps(cx, fields, entry, whole, log, rules),
        (None, Some(entry)) => {
            let path = fields.path("count");
            let count = cx.whole(&entry.node, &path, Whole::new(1, MAX_RUN_CAP))?;
            if count > rules.cap {
                too_many(cx, entry.node.place, &path, i128::from(count), rules.cap);
                return None;
            }
            if count == 1 && min != max {
                let problem = Problem::new(entry.node.place, path, "is one value, and min and max are two");
                cx.error(problem.value("1".to_owned()).allowed("a whole number, at least 2"));
                return None;
            }
            let texts = (written(min_node), written(max_node));
            let values = match (count, log) {
                (1, _) => vec![Value::Float(min)],
                (_, true) => range::logarithmic(min, max, count),
                (_, false) => range::linear((min, &texts.0), (max, &texts.1), count),
            };
            let values = if whole { range::rounded(values, count) } else { Ok(values) };
            generated(cx, values, entry.node.place, &path, rules)
        }
        (None, None) if !rules.drawn => {
            needs_draws(cx, fields, "add a `count` or a `step`");
            None
        }
        (None, None) if distribution == Some("q_uniform") => {
            cx.error(Problem::new(fields.place, fields.path("q"), "is missing").allowed("a decimal number > 0"));
            None
        }
        (None, None) => Some(Domain::Drawn(match (log, whole) {
            (true, whole) => Distribution::LogUniform { min, max, whole },
            (false, true) => Distribution::Integer { min: min as i64, max: max as i64 },
            (false, false) => Distribution::Uniform { min, max },
        })),
    }
}

fn define_steps(
    cx: &mut Context<'_>,
    fields: &Fields<'_>,
    entry: &Entry,
    whole: bool,
    log: bool,
    rules: Rules,
) -> Option<Domain> {
    let path = fields.path(&entry.key);
    let step = cx.number(&entry.node, &path)?;
    let problem = |message: &str| Problem::new(entry.node.place, &path, message).value(entry.node.shown());
    if step <= 0.0 {
        cx.error(problem("is not positive").allowed("a decimal number > 0"));
        return None;
    }
    if whole && step.fract() != 0.0 {
        cx.error(problem("is not a whole number").allowed("a whole number ≥ 1"));
        return None;
    }
    if log {
        cx.error(problem("does not go with log_uniform_values").help("give a `count`"));
        return None;
    }
    let values =
        range::steps(&written(fields.get("min")?), &written(fields.get("max")?), &written(&entry.node), rules.cap);
    generated(cx, values, entry.node.place, &path, rules)
}

fn generated(
    cx: &mut Context<'_>,
    values: Result<Vec<Value>, RangeError>,
    place: Place,
    path: &str,
    rules: Rules,
) -> Option<Domain> {
    match values {
        // With min equal to max there is one value, however often it is counted.
        Ok(mut values) => {
            values.dedup_by(|a, b| super::axis::equal(a, b));
            Some(Domain::Values { values, places: Vec::new() })
        }
        Err(RangeError::TooMany { count, .. }) => {
            too_many(cx, place, path, count, rules.cap);
            None
        }
        Err(error @ RangeError::Repeats { .. }) => {
            cx.error(Problem::new(place, path, error.to_string()).help("take a smaller count, or list the `values`"));
            None
        }
        Err(error) => {
            cx.error(Problem::new(place, path, error.to_string()).help("give a `count` instead"));
            None
        }
    }
}

fn too_many(cx: &mut Context<'_>, place: Place, path: &str, count: i128, cap: u64) {
    let problem = Problem::new(place, path, format!("gives {count} values; the run_cap is {cap}"));
    cx.error(problem.help("take fewer, or raise `run_cap`"));
}

/// A scalar as it is written.
fn written(node: &Node) -> String {
    match &node.data {
        Data::Scalar { text, .. } => text.clone(),
        _ => String::new(),
    }
}
