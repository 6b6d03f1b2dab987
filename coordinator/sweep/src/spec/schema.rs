//! The JSON Schema (draft-07) of the sweep file, made from the engine's catalogue, for editors.
//!
//! It knows names, types and ranges; what needs the whole file (which arm has which key, what stands twice) is
//! [`parse`](super::parse)'s.

use engine::config::{CatalogueKey, Kind, Range, Section};
use engine::record::SampleSet;
use serde_json::{Map, Value as Json, json};

use super::context::catalogue;
use super::parameter::{DISTRIBUTIONS, MAX_RUN_CAP};
use super::{DEFAULT_RUN_CAP, TOP_KEYS, record};

/// The schema of the sweep file.
pub fn schema() -> Json {
    let mut definitions = Map::new();
    for key in catalogue() {
        definitions.insert(key.name.clone(), parameter(key));
        definitions.insert(format!("value:{}", key.name), value(key));
    }
    for (name, schema) in shared() {
        definitions.insert(name.into(), schema);
    }
    definitions.insert("parameters".into(), parameters());
    definitions.insert("metric".into(), metric());
    definitions.insert("filter".into(), filter());
    let properties = properties();
    debug_assert!(properties.keys().eq(TOP_KEYS), "the schema has the keys of the file, in their order");
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "hedgesweep sweep file",
        "type": "object",
        "required": ["name", "preset"],
        "additionalProperties": false,
        "properties": properties,
        "definitions": definitions,
    })
}

/// A schema of the definitions.
fn reference(name: &str) -> Json {
    json!({"$ref": format!("#/definitions/{name}")})
}

/// An object with these keys and no others.
fn object(description: &str, properties: Json, required: &[&str]) -> Json {
    let mut object = json!({
        "description": description,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn properties() -> Map<String, Json> {
    let whole = |minimum: u64| json!({"type": "integer", "minimum": minimum});
    let seed = || whole(0);
    let properties = json!({
        "name": {
            "description": "The sweep's name; the default output folder is results/<name>.",
            "type": "string",
            "pattern": "^[a-z0-9_-]{1,64}$",
        },
        "description": {"description": "The question, in your words.", "type": "string"},
        "method": {
            "description": "grid: every combination. random: `samples` draws of each arm's own parameters.",
            "enum": ["grid", "random"],
            "default": "grid",
        },
        "samples": {
            "description": "With method random: variants an arm. More samples extend a sweep.",
            "type": "integer", "minimum": 1, "maximum": MAX_RUN_CAP,
        },
        "sweep_seed": {"description": "With method random: seeds the draws.", "type": "integer", "minimum": 0, "default": 0},
        "preset": {
            "description": "The complete config that everything else overrides.",
            "enum": engine::Preset::WORDS,
        },
        "seeds": {
            "description": "Replicates of every cell: a number N for 0…N−1, a range, or a list.",
            "anyOf": [
                whole(1),
                object("`count` seeds from `start` on.", json!({"start": seed(), "count": whole(1)}), &["count"]),
                {"type": "array", "items": seed(), "minItems": 1, "uniqueItems": true},
            ],
            "default": 1,
        },
        "metric": {
            "description": "The primary endpoint.",
            "anyOf": [
                reference("metric"),
                object(
                    "The primary endpoint.",
                    json!({"name": reference("metric"), "goal": {"enum": ["minimize", "maximize"]}}),
                    &["name"],
                ),
            ],
            "default": {"name": "test.loss", "goal": "minimize"},
        },
        "parameters": {
            "description": "The block: crossed with every arm and every seed. Its combinations are the cells.",
            "anyOf": [reference("parameters"), {"type": "null"}],
        },
        "arms": {
            "description": "The treatments, each with parameters of its own. Without parameters: a control with the preset's values.",
            "type": ["object", "null"],
            "minProperties": 1,
            "propertyNames": {"pattern": "^[A-Za-z0-9_.-]{1,64}$"},
            "additionalProperties": {
                "anyOf": [
                    {"type": "null"},
                    object("A treatment.", json!({"parameters": {"anyOf": [reference("parameters"), {"type": "null"}]}}), &[]),
                ],
            },
        },
        "exclude": {
            "description": "Drop what matches all keys of an entry: axis keys, `arm`, `seed`.",
            "type": ["array", "null"], "items": reference("filter"),
        },
        "include": {
            "description": "Runs to add: an entry pins its keys and keeps all values of the axes that it does not mention.",
            "type": ["array", "null"], "items": reference("filter"),
        },
        "run_cap": {
            "description": "Refuse a larger sweep.",
            "type": "integer", "minimum": 1, "maximum": MAX_RUN_CAP, "default": DEFAULT_RUN_CAP,
        },
        "compare": compare(),
        "record": record_schema(),
    });
    match properties {
        Json::Object(properties) => properties,
        _ => unreachable!("an object was written above"),
    }
}

fn compare() -> Json {
    let mut compare = object(
        "What is compared with what.",
        json!({
            "baseline": {
                "description": "The arm that the others are compared with; or {arm: …, key: value} to name one of its variants.",
                "anyOf": [
                    {"type": "string"},
                    {"type": "object", "required": ["arm"], "properties": {"arm": {"type": "string"}}},
                ],
            },
            "metrics": {
                "description": "Metrics that are compared; by default the primary endpoint.",
                "type": "array", "items": reference("metric"), "minItems": 1, "uniqueItems": true,
            },
            "tune": object(
                "The first seeds choose each arm's variant, the others confirm it.",
                json!({
                    "seeds": {"description": "How many seeds choose.", "type": "integer", "minimum": 1},
                    "by": {"description": "The metric by which they choose.", "allOf": [reference("metric")], "default": "validation.loss"},
                }),
                &["seeds"],
            ),
        }),
        &["baseline"],
    );
    compare["type"] = json!(["object", "null"]);
    compare
}

fn record_schema() -> Json {
    object(
        "What to keep of each run beside its metrics.",
        json!({
            "curves": {"description": "One row an epoch.", "type": "boolean", "default": true},
            "samples": {
                "description": "Per-path P&L and cost.",
                "anyOf": [
                    {"enum": ["none", false, null]},
                    object(
                        "Which samples to keep.",
                        json!({
                            "sets": {
                                "type": "array", "minItems": 1, "uniqueItems": true,
                                "items": {"enum": SampleSet::ALL.map(SampleSet::word)},
                            },
                            "epochs": {"enum": ["all", "last"], "default": "last"},
                            "max_paths": {
                                "description": "At most this many paths of a set and epoch, the first ones.",
                                "type": "integer", "minimum": 1, "maximum": 10_000_000,
                                "default": record::DEFAULT_MAX_PATHS,
                            },
                        }),
                        &["sets"],
                    ),
                ],
                "default": "none",
            },
        }),
        &[],
    )
}

/// The names of the metric catalogue.
fn metric() -> Json {
    let names: Vec<&str> = engine::metrics::catalogue().iter().map(|metric| metric.name.as_str()).collect();
    json!({"description": "A metric of the catalogue.", "enum": names})
}

/// An entry of `exclude` or `include`.
fn filter() -> Json {
    let mut properties = Map::new();
    properties.insert("arm".into(), json!({"description": "Only this arm.", "type": "string"}));
    properties.insert("seed".into(), json!({"description": "Only this seed.", "type": "integer", "minimum": 0}));
    for key in catalogue() {
        properties.insert(key.name.clone(), reference(&format!("value:{}", key.name)));
    }
    let mut filter = object("Config keys with one value each, `arm` and `seed`.", Json::Object(properties), &[]);
    filter["minProperties"] = json!(1);
    filter
}

/// A `parameters` map: every key by its dotted name, and nested below its section.
fn parameters() -> Json {
    let mut properties = Map::new();
    for key in catalogue() {
        properties.insert(key.name.clone(), reference(&key.name));
    }
    for section in Section::ALL.into_iter().filter(|section| !section.prefix().is_empty()) {
        let mut inner = Map::new();
        for key in catalogue().iter().filter(|key| key.section == section) {
            let name = key.name.split_once('.').map_or(key.name.as_str(), |(_, name)| name);
            inner.insert(name.to_owned(), reference(&key.name));
        }
        let inner = object("Keys of the section.", Json::Object(inner), &[]);
        let nested = object("The section's keys, nested.", json!({"parameters": inner}), &["parameters"]);
        properties.insert(section.prefix().to_owned(), nested);
    }
    object("Parameters by their dotted names, or nested.", Json::Object(properties), &[])
}

/// What a key's doc comment says, on one line, and which kinds have the key.
fn description(key: &CatalogueKey) -> String {
    let doc = key.doc.split_whitespace().collect::<Vec<_>>().join(" ").replace("\\[", "[").replace("\\]", "]");
    match &key.only_for {
        None => doc,
        Some((tag, kinds)) => format!("{doc} Only for {tag} {}.", kinds.join(", ")),
    }
}

/// The schemas that every numeric parameter uses.
fn shared() -> [(&'static str, Json); 7] {
    let described = |doc: &str, schema: Json| json!({"description": doc, "allOf": [schema]});
    let doc = "Spacing of a count's values in a grid; what an arm's own values are drawn from with method random.";
    [
        ("count", json!({"description": "How many values from min to max.", "type": "integer", "minimum": 1})),
        ("step", described("Distance of the values, exact in decimal.", number(Range::POSITIVE))),
        ("mu", described("Mean of the normal distribution.", number(Range::ANY))),
        ("sigma", described("Standard deviation of the normal distribution.", number(Range::POSITIVE))),
        ("distribution", json!({"description": doc, "enum": DISTRIBUTIONS})),
        ("choice", json!({"description": "May be left out.", "enum": ["categorical", "constant"]})),
        ("written", written()),
    ]
}

/// The definition of a parameter: a value, or how its values come about.
fn parameter(key: &CatalogueKey) -> Json {
    let one = || reference(&format!("value:{}", key.name));
    let mut properties = Map::new();
    properties.insert("value".into(), one());
    properties.insert("values".into(), json!({"type": "array", "items": one(), "minItems": 1}));
    if key.kind.has_range() {
        for (name, schema) in [
            ("min", one()),
            ("max", one()),
            ("count", reference("count")),
            ("step", reference("step")),
            ("q", reference("step")),
            ("mu", reference("mu")),
            ("sigma", reference("sigma")),
            ("distribution", reference("distribution")),
        ] {
            properties.insert(name.into(), schema);
        }
    } else {
        properties.insert("distribution".into(), reference("choice"));
    }
    let defined =
        json!({"type": "object", "additionalProperties": false, "minProperties": 1, "properties": properties});
    json!({"description": description(key), "anyOf": [one(), defined]})
}

/// A value of a key.
fn value(key: &CatalogueKey) -> Json {
    let whole = || {
        let mut schema = bounds(key.range);
        schema.insert("type".into(), json!("integer"));
        Json::Object(schema)
    };
    match key.kind {
        Kind::Number => number(key.range),
        Kind::OptionalNumber => json!({"anyOf": [number(key.range), {"type": "null"}]}),
        Kind::Integer => whole(),
        Kind::OptionalInteger => json!({"anyOf": [whole(), {"type": "null"}]}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Choice(words) => json!({"enum": words}),
        Kind::Choices(words) => json!({"type": "array", "items": {"enum": words}, "uniqueItems": true}),
        Kind::ChoiceOrNumber(words) => json!({"anyOf": [{"enum": words}, number(key.range)]}),
        Kind::ChoiceOrInteger(words) => json!({"anyOf": [{"enum": words}, whole()]}),
        Kind::ChoiceOrWeights(words) => json!({
            "anyOf": [
                {"enum": words},
                {"type": "string", "pattern": "\\.safetensors$", "description": "A path relative to the sweep file."},
                {"type": "string", "pattern": "^blake3:[0-9a-f]{64}$"},
            ],
        }),
    }
}

/// A number or a fraction.
fn number(range: Range) -> Json {
    let mut schema = bounds(range);
    schema.insert("type".into(), json!("number"));
    json!({"anyOf": [schema, reference("written")]})
}

/// A number as text: a fraction, or `1e-5`, which is text in the YAML 1.1 that many editors speak.
fn written() -> Json {
    let number = r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?";
    json!({
        "description": "A fraction such as 1/250.",
        "type": "string",
        "pattern": format!("^{number}( */ *{number})?$"),
    })
}

fn bounds(range: Range) -> Map<String, Json> {
    let mut schema = Map::new();
    if let Some((low, open)) = range.low() {
        schema.insert(if open { "exclusiveMinimum" } else { "minimum" }.into(), json!(low));
    }
    if let Some((high, open)) = range.high() {
        schema.insert(if open { "exclusiveMaximum" } else { "maximum" }.into(), json!(high));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the committed file is what the test is about")]
    fn the_committed_schema_is_current() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sweeps/sweep.schema.json");
        let current = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(file, &current).unwrap();
        }
        let committed = std::fs::read_to_string(file).unwrap_or_default();
        assert!(committed == current, "the schema has changed: coordinator schema > sweeps/sweep.schema.json");
    }

    #[test]
    fn every_key_can_be_completed() {
        let schema = schema();
        for key in catalogue() {
            let parameters = &schema["definitions"]["parameters"]["properties"];
            assert!(parameters[&key.name].is_object(), "{}", key.name);
            let doc = schema["definitions"][&key.name]["description"].as_str().unwrap();
            assert!(!doc.is_empty(), "{}", key.name);
        }
        assert!(schema["properties"].as_object().unwrap().keys().eq(TOP_KEYS));
    }
}
