//! The presets: complete configs under a name, as values over the defaults of each section.

use super::Value;
use super::declare::choices;

choices! {
    /// A named, complete [`RunConfig`](super::RunConfig) that a user's keys override.
    pub enum Preset {
        /// The experiment behind the tables of Enkhbayar 2024, to the letter: no option, z-scored P&L, a fresh batch of
        /// 32 paths an epoch.
        Paper = "paper",
    }
}

impl Preset {
    /// What the preset sets over the sections' defaults, tags included. A key applies where the kind that a user chose
    /// has it.
    pub(super) fn entries(self) -> &'static [(&'static str, Value)] {
        match self {
            // The sections' defaults are the paper's values.
            Preset::Paper => &[],
        }
    }
}
