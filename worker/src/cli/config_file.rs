//! A config as people write it: `{preset, seed, …overrides}` in YAML or JSON, nested or dotted.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::config::{KeyError, flatten, nearest};
use engine::network::{InitialWeights, WeightsDigest};
use engine::{Preset, RunConfig, Value};
use serde_json::{Map, Value as Json};
use serde_yaml::Value as Yaml;

/// Larger files are no hedger's weights.
const MAX_WEIGHTS_BYTES: u64 = proto::limits::MAX_BLOB_BYTES as u64;

const INIT: &str = "network.init";

/// Everything that is wrong with a config file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    /// It is no YAML.
    #[error("{0}")]
    Syntax(#[from] serde_yaml::Error),
    /// It is YAML of something else.
    #[error("{0}")]
    Shape(String),
    /// Its keys or values are wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Keys(Vec<KeyError>),
}

/// Reads a config, with its weights attached. Paths of weights are relative to the file, or to the current folder if it
/// comes from stdin.
pub(crate) fn read(file: &Path, blobs: Option<&Path>) -> Result<RunConfig, ConfigError> {
    let (text, folder) = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        (text, PathBuf::new())
    } else {
        (std::fs::read_to_string(file)?, file.parent().map(Path::to_path_buf).unwrap_or_default())
    };
    parse(&text, &folder, blobs)
}

fn parse(text: &str, folder: &Path, blobs: Option<&Path>) -> Result<RunConfig, ConfigError> {
    let mut yaml: Yaml = serde_yaml::from_str(text)?;
    yaml.apply_merge()?;
    let Json::Object(mut root) = to_json("", &yaml)? else {
        return Err(ConfigError::Shape(
            "a mapping of keys to values is needed, such as {preset: paper, seed: 7}".into(),
        ));
    };
    let mut errors = Vec::new();
    let preset = take_preset(&mut root, &mut errors);
    let seed = take_seed(&mut root, &mut errors);
    let mut overrides = flatten(&root).map_err(|key| ConfigError::Shape(format!("{key} is set twice")))?;
    let weights = match overrides.iter_mut().find(|(key, _)| key == INIT) {
        Some((_, value)) => match take_weights(value, folder, blobs) {
            Ok(weights) => weights,
            Err(error) => {
                errors.push(*error);
                // What is wrong with the weights is said; the other keys are to be checked nevertheless.
                *value = Value::from("xavier_orthogonal");
                None
            }
        },
        None => None,
    };
    let config = RunConfig::resolve(preset, seed, overrides.iter().map(|(key, value)| (key.as_str(), value)));
    let mut config = match config {
        Ok(config) if errors.is_empty() => config,
        Ok(_) => return Err(ConfigError::Keys(errors)),
        Err(more) => {
            errors.extend(more);
            return Err(ConfigError::Keys(errors));
        }
    };
    if let Some(weights) = weights {
        let misfit = |error: engine::network::WeightsError| wrong(INIT, None, format!("does not fit: {error}"));
        config.check_weights(&weights).map_err(|error| ConfigError::Keys(vec![misfit(error)]))?;
        config.attach_weights(&weights);
    }
    Ok(config)
}

fn wrong(key: &str, value: Option<Value>, problem: String) -> KeyError {
    KeyError { key: key.to_owned(), value, problem, allowed: None, help: None }
}

/// YAML as JSON. A number that JSON does not have becomes text, which no key of a number accepts.
fn to_json(path: &str, yaml: &Yaml) -> Result<Json, ConfigError> {
    Ok(match yaml {
        Yaml::Null => Json::Null,
        Yaml::Bool(flag) => (*flag).into(),
        Yaml::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(int), _, _) => int.into(),
            (_, Some(int), _) => int.into(),
            (_, _, Some(float)) if float.is_finite() => float.into(),
            _ => number.to_string().into(),
        },
        Yaml::String(text) => text.as_str().into(),
        Yaml::Sequence(items) => Json::Array(items.iter().map(|item| to_json(path, item)).collect::<Result<_, _>>()?),
        Yaml::Mapping(mapping) => {
            let mut map = Map::new();
            for (key, value) in mapping {
                let Yaml::String(key) = key else {
                    let place = if path.is_empty() { "the top" } else { path };
                    return Err(ConfigError::Shape(format!("a key at {place} is no text")));
                };
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let value = to_json(&path, value)?;
                map.insert(key.clone(), value);
            }
            Json::Object(map)
        }
        Yaml::Tagged(tagged) => {
            return Err(ConfigError::Shape(format!("{path} has the tag {}; tags mean nothing here", tagged.tag)));
        }
    })
}

/// The preset; `paper` if there is none, as in a complete config, where it makes no difference.
fn take_preset(root: &mut Map<String, Json>, errors: &mut Vec<KeyError>) -> Preset {
    let Some(json) = root.remove("preset") else { return Preset::Paper };
    let word = json.as_str().unwrap_or_default();
    Preset::from_word(word).unwrap_or_else(|| {
        errors.push(KeyError {
            allowed: Some(Preset::WORDS.join(", ")),
            help: nearest(word, Preset::WORDS.iter().copied()).map(|near| format!("did you mean `{near}`?")),
            ..wrong("preset", Value::from_json(&json), "is not known".into())
        });
        Preset::Paper
    })
}

/// The seed; 0 if there is none.
fn take_seed(root: &mut Map<String, Json>, errors: &mut Vec<KeyError>) -> u64 {
    let Some(json) = root.remove("seed") else { return 0 };
    json.as_u64().unwrap_or_else(|| {
        errors.push(KeyError {
            allowed: Some(format!("a whole number, ≥ 0 and ≤ {}", u64::MAX)),
            ..wrong("seed", Value::from_json(&json), "is no seed".into())
        });
        0
    })
}

/// The weights that `network.init` names; a path is replaced by the digest of what is there.
fn take_weights(
    value: &mut Value,
    folder: &Path,
    blobs: Option<&Path>,
) -> Result<Option<Arc<InitialWeights>>, Box<KeyError>> {
    let Value::Text(text) = &*value else { return Ok(None) };
    let refuse = |problem: String, help: Option<String>| {
        Box::new(KeyError { help, ..wrong(INIT, Some(value.clone()), problem) })
    };
    let digest: Option<WeightsDigest> = text.parse().ok();
    let file = match digest {
        Some(_) => {
            let Some(blobs) = blobs else {
                let help = "give the blobs folder of the sweep's output with --blobs DIR";
                return Err(refuse("is a digest, and there is no folder to look it up in".into(), Some(help.into())));
            };
            blobs.join(text.trim_start_matches("blake3:"))
        }
        None if text.ends_with(".safetensors") => folder.join(text),
        None => return Ok(None),
    };
    let content = read_bounded(&file).map_err(|problem| refuse(problem, None))?;
    let weights = InitialWeights::parse(&content)
        .map_err(|error| refuse(format!("cannot be used: {}: {error}", file.display()), None))?;
    if digest.is_some_and(|digest| digest != weights.digest()) {
        return Err(refuse(format!("is not what {} holds: that is {}", file.display(), weights.digest()), None));
    }
    *value = Value::Text(weights.digest().to_string());
    Ok(Some(Arc::new(weights)))
}

fn read_bounded(file: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {}: {error}", file.display());
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    if size > MAX_WEIGHTS_BYTES {
        return Err(format!("has {size} bytes, in {}; allowed: at most {MAX_WEIGHTS_BYTES}", file.display()));
    }
    std::fs::read(file).map_err(unreadable)
}
