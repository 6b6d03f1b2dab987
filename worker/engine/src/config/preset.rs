//! The presets: complete configs under a name, as values over the defaults of each section.

use super::Value;
use super::declare::choices;
use crate::hedges::Hedge;

choices! {
    /// A named, complete [`RunConfig`](super::RunConfig) that a user's keys override.
    pub enum Preset {
        /// The experiment behind the tables of Enkhbayar 2024, to the letter: no option, z-scored P&L, a fresh batch of
        /// 32 paths an epoch.
        Paper = "paper",
        /// Deep hedging as the field means it: a short call is hedged in currency, with proportional costs at entry, at
        /// each trade and at exit, separate training, validation and test sets, next to the classical hedges.
        Hedging = "hedging",
    }
}

impl Preset {
    /// What the preset sets over the sections' defaults, tags included. A key applies where the kind that a user chose
    /// has it.
    pub(super) fn entries(self) -> Vec<(&'static str, Value)> {
        match self {
            // The sections' defaults are the paper's values.
            Preset::Paper => Vec::new(),
            Preset::Hedging => vec![
                ("market.s0", 100.0.into()),
                ("market.scheme", "qe".into()),
                ("contract.kind", "european_call".into()),
                ("costs.rate", 1e-3.into()),
                ("costs.base", "notional".into()),
                ("costs.entry", true.into()),
                ("costs.exit", true.into()),
                ("features", words(&["log_moneyness", "volatility", "time_to_maturity", "previous_position"])),
                ("normalization", "fixed".into()),
                // An L2 penalty would keep a hedge from its optimum.
                ("optimizer.weight_decay", 0.0.into()),
                ("loss.units", "currency".into()),
                ("training.paths", 10_000.into()),
                ("training.keep", "best".into()),
                ("evaluation.validation_paths", 2_000.into()),
                ("evaluation.test_paths", 10_000.into()),
                ("evaluation.hedges", words(Hedge::WORDS)),
            ],
        }
    }
}

fn words(words: &[&str]) -> Value {
    Value::List(words.iter().map(|word| Value::from(*word)).collect())
}
