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
                // K-FAC as it is defined, on the whole network, and not the notebook's.
                ("optimizer.layers", "all".into()),
                ("optimizer.bias", "homogeneous".into()),
                ("optimizer.gradient_scale", "per_example".into()),
                ("optimizer.recurrent_factors", "per_gate".into()),
                ("optimizer.damping", 0.1.into()),
                ("optimizer.damping_split", "pi".into()),
                ("optimizer.ema", 0.95.into()),
                ("optimizer.inverse_interval", 5.into()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunConfig;
    use crate::optimizer::{Bias, GradientScale, KfacLayers, Optimizer};

    fn optimizer(preset: Preset, kind: &str) -> Optimizer {
        RunConfig::resolve(preset, 0, [("optimizer.kind", &Value::from(kind))]).unwrap().optimizer
    }

    #[test]
    fn kfac_is_the_notebooks_in_paper_and_as_it_is_defined_in_hedging() {
        let Optimizer::Kfac(paper) = optimizer(Preset::Paper, "kfac") else { panic!("kfac was asked for") };
        assert_eq!((paper.layers, paper.bias, paper.ema), (KfacLayers::Head, Bias::Separate, 0.0));
        let Optimizer::Kfac(hedging) = optimizer(Preset::Hedging, "kfac") else { panic!("kfac was asked for") };
        assert_eq!((hedging.layers, hedging.bias), (KfacLayers::All, Bias::Homogeneous));
        assert_eq!((hedging.gradient_scale, hedging.inverse_interval), (GradientScale::PerExample, 5));
    }

    #[test]
    fn what_a_preset_sets_for_kfac_leaves_the_others_alone() {
        for kind in ["adam", "sgd"] {
            let without_decay = |optimizer| match optimizer {
                Optimizer::Adam(adam) => Optimizer::Adam(crate::optimizer::Adam { weight_decay: 0.0, ..adam }),
                Optimizer::Sgd(sgd) => Optimizer::Sgd(crate::optimizer::Sgd { weight_decay: 0.0, ..sgd }),
                other => other,
            };
            assert_eq!(optimizer(Preset::Hedging, kind), without_decay(optimizer(Preset::Paper, kind)));
        }
    }
}
