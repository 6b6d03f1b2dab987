//! Evaluation: what the trained network and the classical hedges are scored on.

mod held_out;
mod score;
mod valuation;

pub(crate) use held_out::{HeldOut, Scenarios, kept_bytes};
pub(crate) use score::{BLOCK_PATHS, Score, ScoreRules};
pub(crate) use valuation::Valuation;

use crate::config::declare::section;
use crate::config::{Field, KeyError, Range};
use crate::contract::Contract;
use crate::hedges::Hedge;
use crate::loss::{Loss, Units};

section! {
    /// The held-out sets. They depend on the market alone, so every run in a market cell is scored on the same paths.
    pub struct Evaluation {
        /// Number of validation paths; 0 for no validation.
        validation_paths: u64 = 1000, Range::closed(0.0, 1e7);
        /// Number of test paths; 0 for no test.
        test_paths: u64 = 1000, Range::closed(0.0, 1e7);
        /// The classical hedges that are scored on the test paths beside the network.
        hedges: Vec<Hedge> = Vec::new(), Range::ANY;
    }
}

impl Evaluation {
    /// Appends what is wrong with keys that do not fit together.
    pub(crate) fn check(&self, contract: &Contract, loss: &Loss, errors: &mut Vec<KeyError>) {
        if self.hedges.is_empty() {
            return;
        }
        let mut refuse = |problem: String, allowed: &str| {
            errors.push(KeyError {
                allowed: Some(allowed.to_owned()),
                ..KeyError::conflict("evaluation.hedges", Some(self.hedges.value()), problem)
            });
        };
        let idle = self.hedges.iter().find(|hedge| hedge.strategy().needs_contract());
        if let (None, Some(hedge)) = (contract.claim(), idle) {
            refuse(format!("has {}, which has nothing to hedge with contract.kind none", hedge.word()), "[], [none]");
        }
        if loss.objective().units() == Units::Normalized {
            refuse("are in currency, and loss.units is normalized".to_owned(), "[], or loss.units: currency");
        }
        let chosen = self.hedges.iter().find(|hedge| !hedge.strategy().risk_aversions().is_empty());
        if let (0, Some(hedge)) = (self.validation_paths, chosen) {
            let problem = format!("has {}, whose risk aversion is chosen on the validation set", hedge.word());
            refuse(problem, "the others, or evaluation.validation_paths above 0");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Preset, RunConfig, Value};

    fn refusal(preset: Preset, keys: &[(&str, Value)]) -> String {
        let errors = RunConfig::resolve(preset, 0, keys.iter().map(|(key, value)| (*key, value))).unwrap_err();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn hedges_of_nothing_are_refused() {
        let text = refusal(
            Preset::Hedging,
            &[("contract.kind", "none".into()), ("features", Value::List(vec!["price".into()]))],
        );
        assert!(text.contains("has black_scholes_delta, which has nothing to hedge"), "{text}");
    }

    #[test]
    fn hedges_in_standard_deviations_are_refused() {
        let text = refusal(Preset::Hedging, &[("loss.units", "normalized".into())]);
        assert!(text.contains("are in currency, and loss.units is normalized"), "{text}");
    }

    #[test]
    fn a_choice_without_a_validation_set_is_refused() {
        let text = refusal(
            Preset::Hedging,
            &[("evaluation.validation_paths", Value::Int(0)), ("training.keep", "last".into())],
        );
        assert!(text.contains("has whalley_wilmott, whose risk aversion is chosen on the validation set"), "{text}");
    }
}
