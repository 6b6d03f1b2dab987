//! The sections of a config and the catalogue of their keys.

use std::sync::OnceLock;

use super::keys::{Keys, Tagged};
use super::{KeySpec, Kind, Range};
use crate::contract::Contract;
use crate::costs::Costs;
use crate::evaluation::Evaluation;
use crate::features::Features;
use crate::loss::Loss;
use crate::market::Market;
use crate::network::Network;
use crate::optimizer::Optimizer;
use crate::training::Training;

/// The sections of a [`RunConfig`](super::RunConfig), in the order in which they are written and enter the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// `market.*`
    Market,
    /// `contract.*`
    Contract,
    /// `costs.*`
    Costs,
    /// `features` and `normalization`
    Features,
    /// `network.*`
    Network,
    /// `loss.*`
    Loss,
    /// `optimizer.*`
    Optimizer,
    /// `training.*`
    Training,
    /// `evaluation.*`
    Evaluation,
}

impl Section {
    /// How many sections there are.
    pub const COUNT: usize = 9;

    /// All sections, in order.
    pub const ALL: [Section; Section::COUNT] = [
        Section::Market,
        Section::Contract,
        Section::Costs,
        Section::Features,
        Section::Network,
        Section::Loss,
        Section::Optimizer,
        Section::Training,
        Section::Evaluation,
    ];

    /// What a key of this section starts with, without the dot; empty for [`Section::Features`], whose keys stand at
    /// the top.
    pub fn prefix(self) -> &'static str {
        match self {
            Section::Market => "market",
            Section::Contract => "contract",
            Section::Costs => "costs",
            Section::Features => "",
            Section::Network => "network",
            Section::Loss => "loss",
            Section::Optimizer => "optimizer",
            Section::Training => "training",
            Section::Evaluation => "evaluation",
        }
    }

    /// Splits a dotted key into its section and its name within the section. Says nothing of whether the key exists.
    pub fn of_key(key: &str) -> Option<(Section, &str)> {
        match key.split_once('.') {
            Some((prefix, name)) => {
                Section::ALL.into_iter().find(|section| section.prefix() == prefix).map(|section| (section, name))
            }
            None => Features::SPECS.iter().any(|spec| spec.name == key).then_some((Section::Features, key)),
        }
    }

    /// The dotted name of a key of this section.
    pub fn dotted(self, name: &str) -> String {
        match self.prefix() {
            "" => name.to_owned(),
            prefix => format!("{prefix}.{name}"),
        }
    }

    /// The tag of the section and its kinds with their keys; sections without a tag have one kind without a word.
    pub(super) fn catalogue(self) -> (Option<&'static str>, &'static [(&'static str, &'static [KeySpec])]) {
        fn tagged<T: Tagged>() -> (Option<&'static str>, &'static [(&'static str, &'static [KeySpec])]) {
            (Some(T::TAG), T::KINDS)
        }
        match self {
            Section::Market => tagged::<Market>(),
            Section::Contract => tagged::<Contract>(),
            Section::Costs => tagged::<Costs>(),
            Section::Features => (None, &[("", Features::SPECS)]),
            Section::Network => tagged::<Network>(),
            Section::Loss => tagged::<Loss>(),
            Section::Optimizer => tagged::<Optimizer>(),
            Section::Training => (None, &[("", Training::SPECS)]),
            Section::Evaluation => (None, &[("", Evaluation::SPECS)]),
        }
    }
}

/// A key of the catalogue: what the schema, the documentation and the error messages know of it.
#[derive(Clone, Debug)]
pub struct CatalogueKey {
    /// The dotted name, e.g. `optimizer.damping`.
    pub name: String,
    /// Its section.
    pub section: Section,
    /// What it means.
    pub doc: &'static str,
    /// What it accepts.
    pub kind: Kind,
    /// The numbers it accepts.
    pub range: Range,
    /// The section's tag and the kinds that have the key, e.g. `("optimizer.kind", ["kfac"])`; `None` where every
    /// config has it.
    pub only_for: Option<(String, Vec<&'static str>)>,
    /// Whether it is a tag itself.
    pub is_tag: bool,
}

/// Every key there is, tags first in each section. Made once.
pub fn catalogue() -> &'static [CatalogueKey] {
    static CATALOGUE: OnceLock<Vec<CatalogueKey>> = OnceLock::new();
    CATALOGUE.get_or_init(every_key)
}

fn every_key() -> Vec<CatalogueKey> {
    let mut keys: Vec<CatalogueKey> = Vec::new();
    for section in Section::ALL {
        let (tag, kinds) = section.catalogue();
        if let Some(tag) = tag {
            let words: &'static [&'static str] = Vec::leak(kinds.iter().map(|(word, _)| *word).collect::<Vec<_>>());
            keys.push(CatalogueKey {
                name: section.dotted(tag),
                section,
                doc: "Selects the section's type, and with it the section's other keys.",
                kind: Kind::Choice(words),
                range: Range::ANY,
                only_for: None,
                is_tag: true,
            });
        }
        for (word, specs) in kinds {
            for spec in *specs {
                let name = section.dotted(spec.name);
                match keys.iter_mut().find(|key| key.name == name) {
                    Some(key) => key.only_for.as_mut().expect("only tagged sections repeat a key").1.push(word),
                    None => keys.push(CatalogueKey {
                        name,
                        section,
                        doc: spec.doc,
                        kind: spec.kind,
                        range: spec.range,
                        only_for: tag.map(|tag| (section.dotted(tag), vec![*word])),
                        is_tag: false,
                    }),
                }
            }
        }
        // A key that every kind of its section has is no conditional key.
        for key in keys.iter_mut().filter(|key| key.section == section) {
            if key.only_for.as_ref().is_some_and(|(_, words)| words.len() == kinds.len()) {
                key.only_for = None;
            }
        }
    }
    keys
}
