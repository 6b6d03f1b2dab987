//! The complete description of one run, and how it is put together from a preset and a user's overrides.
//!
//! Every key is declared once, in the section that owns it (`section!` and `kinds!` in `declare.rs`); reading, ranges,
//! error messages, the JSON Schema, a run's identity and the `config` cell of the results all come from that
//! declaration.

pub(crate) mod declare;
mod error;
pub(crate) mod field;
mod keys;
mod preset;
mod section;
mod value;

pub use error::KeyError;
pub use field::{Field, KeySpec, Kind, Misfit, Range, nearest};
pub use keys::{Keys, KeysDyn, Tagged};
pub use preset::Preset;
pub use section::{CatalogueKey, Section, catalogue};
pub use value::Value;

use error::unknown_key;

use crate::contract::Contract;
use crate::costs::Costs;
use crate::evaluation::Evaluation;
use crate::features::Features;
use crate::loss::Loss;
use crate::market::Market;
use crate::network::{InitialWeights, Network};
use crate::optimizer::Optimizer;
use crate::training::Training;

/// The complete description of one run: the same config gives the same numbers, bit for bit, on every machine.
#[derive(Clone, Debug, PartialEq)]
pub struct RunConfig {
    /// The replicate: seeds the weights, the training paths and the batch order, and nothing else.
    pub seed: u64,
    /// How prices and variances move.
    pub market: Market,
    /// What is hedged.
    pub contract: Contract,
    /// What trading costs.
    pub costs: Costs,
    /// What the network sees.
    pub features: Features,
    /// What decides the positions.
    pub network: Network,
    /// What is minimised.
    pub loss: Loss,
    /// How it is minimised.
    pub optimizer: Optimizer,
    /// For how long and on what.
    pub training: Training,
    /// What the trained network is scored on.
    pub evaluation: Evaluation,
}

/// What a section of a given config offers, with or without a tag.
macro_rules! in_section {
    ($config:expr, $section:expr, $borrow:ident, $tagged:ident => $with_tag:expr, $plain:ident => $without_tag:expr) => {
        match $section {
            Section::Market => { let $tagged = in_section!(@ $borrow $config.market); $with_tag }
            Section::Contract => { let $tagged = in_section!(@ $borrow $config.contract); $with_tag }
            Section::Costs => { let $tagged = in_section!(@ $borrow $config.costs); $with_tag }
            Section::Network => { let $tagged = in_section!(@ $borrow $config.network); $with_tag }
            Section::Loss => { let $tagged = in_section!(@ $borrow $config.loss); $with_tag }
            Section::Optimizer => { let $tagged = in_section!(@ $borrow $config.optimizer); $with_tag }
            Section::Features => { let $plain = in_section!(@ $borrow $config.features); $without_tag }
            Section::Training => { let $plain = in_section!(@ $borrow $config.training); $without_tag }
            Section::Evaluation => { let $plain = in_section!(@ $borrow $config.evaluation); $without_tag }
        }
    };
    (@ shared $place:expr) => { &$place };
    (@ mutable $place:expr) => { &mut $place };
}

impl RunConfig {
    /// Puts a config together: the kinds that the overrides name, or else the preset's; those kinds' defaults; the
    /// preset's values for the keys that those kinds have; then the overrides.
    ///
    /// # Errors
    /// Every override that names no key, or a key that the chosen kind does not have, or a value that does not fit; and
    /// whatever [`RunConfig::check`] finds.
    pub fn resolve<'a>(
        preset: Preset,
        seed: u64,
        overrides: impl IntoIterator<Item = (&'a str, &'a Value)> + Clone,
    ) -> Result<RunConfig, Vec<KeyError>> {
        let mut errors = Vec::new();
        let mut config = RunConfig::from_preset(preset, seed, overrides.clone(), &mut errors);
        for (key, value) in overrides {
            let said = errors.iter().any(|error| error.key == key);
            if !said && let Err(error) = config.set(key, value) {
                errors.push(error);
            }
        }
        if errors.is_empty() {
            errors = config.check();
        }
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// A preset as it stands.
    pub fn preset(preset: Preset, seed: u64) -> RunConfig {
        RunConfig::resolve(preset, seed, []).expect("a preset is a valid config")
    }

    /// The preset with the kinds that `overrides` name, before their other keys are set.
    fn from_preset<'a>(
        preset: Preset,
        seed: u64,
        overrides: impl IntoIterator<Item = (&'a str, &'a Value)>,
        errors: &mut Vec<KeyError>,
    ) -> RunConfig {
        let mut config = RunConfig {
            seed,
            market: Market::Heston(Default::default()),
            contract: Contract::None(Default::default()),
            costs: Costs::Proportional(Default::default()),
            features: Features::default(),
            network: Network::Lstm(Default::default()),
            loss: Loss::VariancePlusCost(Default::default()),
            optimizer: Optimizer::Adam(Default::default()),
            training: Training::default(),
            evaluation: Evaluation::default(),
        };
        let entries = preset.entries();
        let own_kinds = entries.iter().map(|(key, value)| (*key, value));
        let mut select = |key: &str, value: &Value| {
            if let Some(Err(error)) = config.select_kind(key, value) {
                errors.push(error);
            }
        };
        own_kinds.for_each(|(key, value)| select(key, value));
        overrides.into_iter().for_each(|(key, value)| select(key, value));
        for (key, value) in &entries {
            let is_tag = Section::of_key(key).is_some_and(|(section, name)| section.catalogue().0 == Some(name));
            if !is_tag && config.get(key).is_some() {
                config.set(key, value).expect("a preset's values fit");
            }
        }
        config
    }

    /// Makes a section the kind that its tag names; `None` if `key` is no tag.
    fn select_kind(&mut self, key: &str, value: &Value) -> Option<Result<(), KeyError>> {
        fn select<T: Tagged>(section: &mut T, key: &str, name: &str, value: &Value) -> Option<Result<(), KeyError>> {
            (name == T::TAG).then(|| {
                let word = if let Value::Text(text) = value { text.as_str() } else { "" };
                if word != section.kind() {
                    *section = T::with_kind(word).ok_or_else(|| {
                        let words = || T::KINDS.iter().map(|(word, _)| *word);
                        KeyError {
                            key: key.to_owned(),
                            value: Some(value.clone()),
                            problem: "is not known".into(),
                            allowed: Some(words().collect::<Vec<_>>().join(", ")),
                            help: nearest(word, words()).map(|near| format!("did you mean `{near}`?")),
                        }
                    })?;
                }
                Ok(())
            })
        }
        let (section, name) = Section::of_key(key)?;
        in_section!(self, section, mutable, tagged => select(tagged, key, name, value), _plain => None)
    }

    /// Sets a key of the kinds that the config has. A tag can be set to what it is; to change a kind, resolve anew.
    ///
    /// # Errors
    /// If there is no such key, if the config's kinds do not have it, or if the value does not fit.
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), KeyError> {
        let Some((section, name)) = Section::of_key(key) else { return Err(unknown_key(key)) };
        let outcome = in_section!(self, section, mutable, tagged => {
            if is_tag(tagged, name) {
                let same = matches!(value, Value::Text(word) if word == tagged.kind());
                return if same { Ok(()) } else { Err(KeyError::conflict(key, Some(value.clone()), "changes the kind")) };
            }
            tagged.keys_mut().set(name, value)
        }, plain => Keys::set(plain, name, value));
        match outcome {
            Some(Ok(())) => Ok(()),
            Some(Err(misfit)) => {
                let spec = self.spec(section, name).expect("a key that can be set has a spec");
                Err(KeyError {
                    key: key.to_owned(),
                    value: Some(value.clone()),
                    problem: misfit.problem,
                    allowed: Some(spec.allowed()),
                    help: misfit.help,
                })
            }
            None => Err(self.missing_key(key, section)),
        }
    }

    /// The value of a key, `None` if the config does not have it.
    pub fn get(&self, key: &str) -> Option<Value> {
        let (section, name) = Section::of_key(key)?;
        in_section!(self, section, shared, tagged => {
            if is_tag(tagged, name) { Some(Value::from(tagged.kind())) } else { tagged.keys().get(name) }
        }, plain => Keys::get(plain, name))
    }

    /// What a key of this config accepts; `None` for tags and for keys that it does not have.
    fn spec(&self, section: Section, name: &str) -> Option<&'static KeySpec> {
        self.specs(section).iter().find(|spec| spec.name == name)
    }

    fn specs(&self, section: Section) -> &'static [KeySpec] {
        in_section!(self, section, shared, tagged => tagged.keys().specs(), plain => KeysDyn::specs(plain))
    }

    /// The error for a key that exists for another kind of its section, or not at all.
    fn missing_key(&self, key: &str, section: Section) -> KeyError {
        let Some(known) = catalogue().iter().find(|known| known.name == key) else { return unknown_key(key) };
        let (tag, kinds) = known.only_for.clone().expect("a key that a config lacks is conditional");
        let here = self.get(&tag).expect("a tag is always there");
        KeyError {
            key: key.to_owned(),
            value: None,
            problem: format!("is no key of {tag} {here}"),
            allowed: Some(
                self.specs(section).iter().map(|spec| section.dotted(spec.name)).collect::<Vec<_>>().join(", "),
            ),
            help: Some(format!("move it to an arm whose {tag} is {}", kinds.join(" or "))),
        }
    }

    /// Every key with its value: section by section, the tag first, each in order of declaration.
    pub fn entries(&self) -> Vec<(String, Value)> {
        let mut entries = Vec::new();
        for section in Section::ALL {
            if let (Some(tag), _) = section.catalogue() {
                let key = section.dotted(tag);
                let kind = self.get(&key).expect("a tag is always there");
                entries.push((key, kind));
            }
            for spec in self.specs(section) {
                let key = section.dotted(spec.name);
                let value = self.get(&key).expect("a spec is a key");
                entries.push((key, value));
            }
        }
        entries
    }

    /// The config as nested JSON, seed first: what the `config` column holds and `worker run` reads.
    pub fn to_json(&self) -> serde_json::Value {
        let mut root = serde_json::Map::new();
        root.insert("seed".into(), self.seed.into());
        for (key, value) in self.entries() {
            match key.split_once('.') {
                None => {
                    root.insert(key, value.to_json());
                }
                Some((section, name)) => {
                    let section = root.entry(section).or_insert_with(|| serde_json::Map::new().into());
                    section.as_object_mut().expect("sections are objects").insert(name.to_owned(), value.to_json());
                }
            }
        }
        root.into()
    }

    /// Appends the bytes that stand for one section in the run's identity: every key and value, defaults included.
    pub fn write_canonical(&self, section: Section, out: &mut Vec<u8>) {
        in_section!(self, section, shared, tagged => {
            field::write_bytes(tagged.kind().as_bytes(), out);
            tagged.keys().write_canonical(out);
        }, plain => Keys::write_canonical(plain, out));
    }

    /// What is wrong with keys that fit each on its own but not together; empty if the config can run.
    pub fn check(&self) -> Vec<KeyError> {
        let mut errors = Vec::new();
        self.market.check(&mut errors);
        self.features.check(&self.contract, &mut errors);
        self.optimizer.check(&self.loss, &mut errors);
        self.training.check(&self.evaluation, &mut errors);
        self.costs.check(&self.loss, &mut errors);
        self.evaluation.check(&self.contract, &self.loss, &mut errors);
        self.market.check_contract(&self.contract, &mut errors);
        errors
    }

    /// Gives the run its initial weights, for a config whose `network.init` is a digest.
    pub fn attach_weights(&mut self, weights: &std::sync::Arc<InitialWeights>) {
        self.network.attach_weights(weights);
    }
}

/// Whether `name` is the tag of a section.
fn is_tag<T: Tagged>(_: &T, name: &str) -> bool {
    name == T::TAG
}

/// Turns nested JSON (or a mix of nested and dotted keys) into dotted overrides; a list or scalar is a value.
///
/// # Errors
/// The dotted path of a key that is set twice.
pub fn flatten(json: &serde_json::Map<String, serde_json::Value>) -> Result<Vec<(String, Value)>, String> {
    fn walk(
        prefix: &str,
        map: &serde_json::Map<String, serde_json::Value>,
        out: &mut Vec<(String, Value)>,
    ) -> Result<(), String> {
        for (name, json) in map {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            match json {
                serde_json::Value::Object(map) => walk(&key, map, out)?,
                scalar => {
                    if out.iter().any(|(known, _)| *known == key) {
                        return Err(key);
                    }
                    // A list that holds an object is no value; as null it is refused by whatever key it stands for.
                    out.push((key, Value::from_json(scalar).unwrap_or(Value::Null)));
                }
            }
        }
        Ok(())
    }
    let mut out = Vec::new();
    walk("", json, &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(overrides: &[(&str, Value)]) -> Result<RunConfig, Vec<KeyError>> {
        RunConfig::resolve(Preset::Paper, 0, overrides.iter().map(|(key, value)| (*key, value)))
    }

    #[test]
    fn a_kind_brings_its_own_keys() {
        let config = resolve(&[("optimizer.damping", Value::from(0.1)), ("optimizer.kind", "kfac".into())]).unwrap();
        assert_eq!(config.get("optimizer.damping"), Some(Value::Float(0.1)));
        assert_eq!(resolve(&[]).unwrap().get("optimizer.damping"), None);
    }

    #[test]
    fn a_key_of_another_kind_says_where_it_belongs() {
        let errors = resolve(&[("optimizer.damping", Value::from(0.1))]).unwrap_err();
        assert_eq!(errors[0].problem, "is no key of optimizer.kind adam");
        assert_eq!(errors[0].help.as_deref(), Some("move it to an arm whose optimizer.kind is kfac"));
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let errors = resolve(&[("market.xl", Value::from(0.1))]).unwrap_err();
        assert_eq!(errors[0].help.as_deref(), Some("did you mean `market.xi`?"));
        assert!(errors[0].allowed.as_ref().unwrap().contains("market.rho"));
    }

    #[test]
    fn values_out_of_range_say_what_is_allowed() {
        let errors = resolve(&[("market.rho", Value::from(1.5)), ("market.v0", Value::from(-0.1))]).unwrap_err();
        assert_eq!(errors[0].to_string(), "market.rho: 1.5 is out of range; allowed: a finite number, ≥ -1 and ≤ 1");
        assert_eq!(errors.len(), 2, "every error is reported");
    }

    #[test]
    fn the_config_cell_pastes_back_in() {
        let config = resolve(&[("optimizer.kind", "kfac".into()), ("market.dt", "1/365".into())]).unwrap();
        let mut json = config.to_json().as_object().unwrap().clone();
        json.remove("seed");
        let overrides = flatten(&json).unwrap();
        let again =
            RunConfig::resolve(Preset::Paper, 0, overrides.iter().map(|(key, value)| (key.as_str(), value))).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn defaults_fit_their_own_ranges() {
        for section in Section::ALL {
            for (word, specs) in section.catalogue().1 {
                for spec in *specs {
                    let default = (spec.default)();
                    let in_range = match default {
                        Value::Int(int) => spec.range.contains(int as f64),
                        Value::Float(float) => spec.range.contains(float),
                        _ => true,
                    };
                    assert!(in_range, "{word} {}", section.dotted(spec.name));
                }
            }
        }
    }

    #[test]
    fn every_key_reaches_the_identity() {
        let base = resolve(&[]).unwrap();
        for section in Section::ALL {
            let bytes = |config: &RunConfig| {
                let mut out = Vec::new();
                config.write_canonical(section, &mut out);
                out
            };
            for spec in base.specs(section) {
                let key = section.dotted(spec.name);
                let mut other = base.clone();
                let candidates = [Value::Float(0.37), Value::Int(7), Value::Bool(true), Value::Bool(false)];
                let words = match spec.kind {
                    Kind::Choice(words) | Kind::ChoiceOrWeights(words) => words,
                    _ => &[],
                };
                let candidates = candidates.into_iter().chain(words.iter().map(|word| Value::from(*word)));
                let changed = candidates
                    .into_iter()
                    .any(|value| other.set(&key, &value).is_ok() && other.get(&key) != base.get(&key));
                if changed {
                    assert_ne!(bytes(&base), bytes(&other), "{key}");
                }
            }
        }
    }
}
