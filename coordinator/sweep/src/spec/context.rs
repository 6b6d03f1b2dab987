//! What every part of the reader has at hand: the source, the problems found so far, and the readers of simple nodes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

pub(crate) use engine::config::catalogue;
use engine::config::{CatalogueKey, Field, KeyError, Kind, nearest};
use engine::network::InitialWeights;
use engine::{Preset, RunConfig, Value};

use super::diagnostic::{Diagnostic, Diagnostics, SETTING, Severity};
use super::yaml::{Data, Entry, Node, Place};
use super::{LoadedWeights, WeightsSource};

/// A key of the catalogue.
pub(crate) fn catalogue_key(name: &str) -> Option<&'static CatalogueKey> {
    static BY_NAME: OnceLock<HashMap<&'static str, &'static CatalogueKey>> = OnceLock::new();
    BY_NAME.get_or_init(|| catalogue().iter().map(|key| (key.name.as_str(), key)).collect()).get(name).copied()
}

/// The text that places refer to.
#[derive(Debug)]
pub(crate) struct Source {
    file: String,
    lines: Vec<String>,
    sets: Vec<String>,
}

impl Source {
    pub(crate) fn new(file: &str, text: &str, sets: &[(String, String)]) -> Source {
        // A file too large to be read is not worth keeping either.
        let text = if text.len() > super::yaml::MAX_BYTES { "" } else { text };
        Source {
            file: file.to_owned(),
            lines: text.lines().map(|line| line.trim_end().to_owned()).collect(),
            sets: sets.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        }
    }

    /// Puts a problem where it stands.
    pub(crate) fn diagnostic(&self, severity: Severity, problem: Problem) -> Diagnostic {
        let Place { source, line, column, width } = problem.place;
        let (file, snippet) = match source {
            0 => (self.file.clone(), self.lines.get((line as usize).wrapping_sub(1)).cloned()),
            set => (SETTING.to_owned(), self.sets.get(set as usize - 1).cloned()),
        };
        Diagnostic {
            severity,
            file,
            line,
            column,
            path: problem.path,
            value: problem.value,
            message: problem.message,
            allowed: problem.allowed,
            help: problem.help,
            snippet,
            width,
        }
    }
}

/// A [`Diagnostic`] before it is put into its file.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    place: Place,
    path: String,
    value: Option<String>,
    message: String,
    allowed: Option<String>,
    help: Option<String>,
}

impl Problem {
    pub(crate) fn new(place: Place, path: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { place, path: path.into(), value: None, message: message.into(), allowed: None, help: None }
    }

    pub(crate) fn value(self, value: impl Into<Option<String>>) -> Problem {
        Problem { value: value.into(), ..self }
    }

    pub(crate) fn allowed(self, allowed: impl Into<String>) -> Problem {
        Problem { allowed: Some(allowed.into()), ..self }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Problem {
        Problem { help: Some(help.into()), ..self }
    }

    /// Suggests the nearest of `known` to `word`, if there is one.
    pub(crate) fn suggest<'k>(self, word: &str, known: impl IntoIterator<Item = &'k str>) -> Problem {
        match nearest(word, known) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// What the engine says of a key, at this place.
    pub(crate) fn of_key(place: Place, path: impl Into<String>, error: KeyError) -> Problem {
        Problem {
            place,
            path: path.into(),
            value: error.value.map(|value| value.to_string()),
            message: error.problem,
            allowed: error.allowed,
            help: error.help,
        }
    }
}

/// A range of whole numbers, both ends included.
#[derive(Clone, Copy)]
pub(crate) struct Whole {
    pub(crate) low: u64,
    pub(crate) high: u64,
}

impl Whole {
    pub(crate) const fn new(low: u64, high: u64) -> Whole {
        Whole { low, high }
    }

    fn describe(self) -> String {
        format!("a whole number, {} to {}", self.low, self.high)
    }
}

/// Problems beyond these many are dropped: nobody reads them, and a file can have hundreds of thousands.
const MAX_PROBLEMS: usize = 200;

/// The state of reading one sweep file.
pub(crate) struct Context<'a> {
    source: Arc<Source>,
    problems: Vec<Diagnostic>,
    said: HashSet<(Place, String)>,
    weights: &'a mut dyn WeightsSource,
    tried: HashMap<String, Result<Arc<InitialWeights>, String>>,
    /// The weights that the file names, each content once, under the first path that leads to it.
    pub(crate) loaded: Vec<LoadedWeights>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(source: Arc<Source>, weights: &'a mut dyn WeightsSource) -> Context<'a> {
        Context {
            source,
            problems: Vec::new(),
            said: HashSet::new(),
            weights,
            tried: HashMap::new(),
            loaded: Vec::new(),
        }
    }

    pub(crate) fn error(&mut self, problem: Problem) {
        self.report(Severity::Error, problem);
    }

    pub(crate) fn warn(&mut self, problem: Problem) {
        self.report(Severity::Warning, problem);
    }

    fn report(&mut self, severity: Severity, problem: Problem) {
        // What several arms share is wrong once.
        if !self.is_full() && self.said.insert((problem.place, problem.message.clone())) {
            self.problems.push(self.source.diagnostic(severity, problem));
        }
    }

    /// Whether further problems would be dropped, so that there is no point in looking for the nearest word.
    fn is_full(&self) -> bool {
        self.problems.len() >= MAX_PROBLEMS
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// The warnings if there is no error, everything if there is one, in the order of the file.
    pub(crate) fn finish(mut self) -> Result<Vec<Diagnostic>, Diagnostics> {
        self.problems.sort_by_key(|problem| (problem.file == SETTING, problem.line, problem.column));
        if self.has_errors() { Err(Diagnostics(self.problems)) } else { Ok(self.problems) }
    }

    /// The entries of a map that has no other keys than `allowed`; `None`, and an error, if it is no map.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, path: &str, allowed: &[&'static str]) -> Option<Fields<'n>> {
        let Data::Map(entries) = &node.data else {
            let problem = Problem::new(node.place, path, format!("is {}, not a map", node.describe()));
            self.error(problem.value(node.shown()).allowed(format!("a map with the keys {}", allowed.join(", "))));
            return None;
        };
        for entry in entries.iter().filter(|entry| !allowed.contains(&entry.key.as_str())) {
            if self.is_full() {
                break;
            }
            let problem = Problem::new(entry.place, step(path, &entry.key), "is not a known key");
            self.error(problem.allowed(allowed.join(", ")).suggest(&entry.key, allowed.iter().copied()));
        }
        Some(Fields { path: path.to_owned(), place: node.place, entries })
    }

    /// A whole number; `1e3` is one.
    pub(crate) fn whole(&mut self, node: &Node, path: &str, range: Whole) -> Option<u64> {
        let parsed = match node.to_value() {
            Some(value) => u64::parse(&value).map_err(|misfit| misfit.problem),
            None => Err(format!("is {}", node.describe())),
        };
        let problem = match parsed {
            Ok(number) if (range.low..=range.high).contains(&number) => return Some(number),
            Ok(_) => "is out of range".to_owned(),
            Err(problem) => problem,
        };
        self.error(Problem::new(node.place, path, problem).value(node.shown()).allowed(range.describe()));
        None
    }

    /// A finite number or a fraction.
    pub(crate) fn number(&mut self, node: &Node, path: &str) -> Option<f64> {
        let misfit = match node.to_value().as_ref().map(f64::parse) {
            Some(Ok(number)) => return Some(number),
            Some(Err(misfit)) => misfit,
            None => engine::config::Misfit { problem: format!("is {}", node.describe()), help: None },
        };
        let problem = Problem::new(node.place, path, misfit.problem).value(node.shown());
        let problem = problem.allowed(Kind::Number.describe());
        self.error(match misfit.help {
            Some(help) => problem.help(help),
            None => problem,
        });
        None
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, node: &Node, path: &str) -> Option<bool> {
        if let Some(Value::Bool(flag)) = node.to_value() {
            return Some(flag);
        }
        let problem = Problem::new(node.place, path, format!("is {}", node.describe()));
        self.error(problem.value(node.shown()).allowed("true or false"));
        None
    }

    /// One of a few words, by its place among them.
    pub(crate) fn word(&mut self, node: &Node, path: &str, words: &[&str]) -> Option<usize> {
        let problem = match &node.data {
            Data::Scalar { text, .. } => match words.iter().position(|word| word == text) {
                Some(place) => return Some(place),
                None => Problem::new(node.place, path, "is not known").suggest(text, words.iter().copied()),
            },
            _ => Problem::new(node.place, path, format!("is {}", node.describe())),
        };
        self.error(problem.value(node.shown()).allowed(words.join(", ")));
        None
    }

    /// The text of a scalar, as written.
    pub(crate) fn text<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n str> {
        match &node.data {
            Data::Scalar { text, value } if *value != Value::Null => Some(text),
            _ => {
                let problem = Problem::new(node.place, path, format!("is {}", node.describe()));
                self.error(problem.allowed("text"));
                None
            }
        }
    }

    /// The items of a list.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [Node]> {
        if let Data::List(items) = &node.data {
            return Some(items);
        }
        let problem = Problem::new(node.place, path, format!("is {}, not a list", node.describe()));
        self.error(problem.value(node.shown()).allowed("a list"));
        None
    }

    /// The name of a metric of the catalogue.
    pub(crate) fn metric(&mut self, node: &Node, path: &str) -> Option<String> {
        let name = self.text(node, path)?;
        if engine::metrics::index_of(name).is_some() {
            return Some(name.to_owned());
        }
        let provenance = ["time.", "host.", "engine."].iter().any(|prefix| name.starts_with(prefix));
        let message = if provenance {
            "is provenance: it is recorded and never compared"
        } else {
            "is no metric of the catalogue"
        };
        let names = || engine::metrics::catalogue().iter().map(|metric| metric.name.as_str());
        let problem = Problem::new(node.place, path, message).value(name.to_owned());
        let problem = problem.allowed(names().collect::<Vec<_>>().join(", "));
        self.error(problem.suggest(name, names()));
        None
    }

    /// A value for a config key. The path of a weights file becomes the digest of its content.
    pub(crate) fn config_value(&mut self, node: &Node, path: &str, key: &str) -> Option<Value> {
        let Some(value) = node.to_value() else {
            let problem = Problem::new(node.place, path, format!("is {}, not a value", node.describe()));
            let problem = problem.allowed(catalogue_key(key).map_or_else(|| "a value".into(), allowed));
            self.error(problem);
            return None;
        };
        let Some(CatalogueKey { kind: Kind::ChoiceOrWeights(words), .. }) = catalogue_key(key) else {
            return Some(value);
        };
        let Value::Text(text) = &value else { return Some(value) };
        if words.contains(&text.as_str()) || text.starts_with("blake3:") {
            return Some(value);
        }
        match self.load(text) {
            Ok(weights) => Some(Value::Text(weights.digest().to_string())),
            Err(reason) => {
                let problem = Problem::new(node.place, path, format!("cannot be used: {reason}"));
                let problem = problem.value(text.clone()).allowed(allowed(catalogue_key(key)?));
                self.error(problem.suggest(text, words.iter().copied()));
                None
            }
        }
    }

    fn load(&mut self, path: &str) -> Result<Arc<InitialWeights>, String> {
        if let Some(tried) = self.tried.get(path) {
            return tried.clone();
        }
        let outcome = self.weights.load(path);
        self.tried.insert(path.to_owned(), outcome.clone());
        if let Ok(weights) = &outcome
            && !self.loaded.iter().any(|loaded| loaded.weights.digest() == weights.digest())
        {
            self.loaded.push(LoadedWeights { path: path.to_owned(), weights: Arc::clone(weights) });
        }
        outcome
    }

    /// The error for a key that no config has, in the engine's words.
    pub(crate) fn unknown_config_key(&mut self, place: Place, path: &str, key: &str, preset: Preset) {
        if self.is_full() {
            return;
        }
        match RunConfig::preset(preset, 0).set(key, &Value::Null) {
            Err(error) => self.error(Problem::of_key(place, path, KeyError { value: None, ..error })),
            Ok(()) => unreachable!("only called for keys that are not in the catalogue"),
        }
    }
}

/// What a key of the catalogue accepts, in the words of an error message.
pub(crate) fn allowed(key: &CatalogueKey) -> String {
    match key.range.describe() {
        None => key.kind.describe(),
        Some(range) => format!("{}, {range}", key.kind.describe()),
    }
}

/// The path of `key` below `path`.
pub(crate) fn step(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A map whose keys are known.
pub(crate) struct Fields<'n> {
    path: String,
    /// Where the map begins.
    pub(crate) place: Place,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    /// The entry of a key.
    pub(crate) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The node of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The path of the map itself.
    pub(crate) fn here(&self) -> &str {
        &self.path
    }

    /// The path of a key.
    pub(crate) fn path(&self, key: &str) -> String {
        step(&self.path, key)
    }

    /// Every entry.
    pub(crate) fn entries(&self) -> &'n [Entry] {
        self.entries
    }
}
