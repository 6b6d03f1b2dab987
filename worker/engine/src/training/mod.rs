//! Training: for how long, and on what.

mod average;
mod selection;
mod set;
mod summary;

pub(crate) use average::RunningWeights;
pub(crate) use selection::Selection;
pub(crate) use set::{TrainingSet, bytes};
pub(crate) use summary::TrainingSummary;

use crate::config::declare::{choices, section};
use crate::config::field::{parse_word, write_bytes};
use crate::config::{Field, KeyError, Kind, Misfit, Range, Value};
use crate::evaluation::Evaluation;

/// Which paths an epoch trains on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainingPaths {
    /// New paths for every batch, as in the paper's code.
    Fresh,
    /// This many paths, simulated once; each epoch visits them in an order of its own.
    Fixed(u64),
}

impl TrainingPaths {
    const FRESH: &'static str = "fresh";
}

impl Field for TrainingPaths {
    const KIND: Kind = Kind::ChoiceOrInteger(&[TrainingPaths::FRESH]);

    fn parse(value: &Value) -> Result<TrainingPaths, Misfit> {
        match value {
            Value::Text(_) => parse_word(value, &[TrainingPaths::FRESH], |word| {
                (word == TrainingPaths::FRESH).then_some(TrainingPaths::Fresh)
            }),
            number => u64::parse(number).map(TrainingPaths::Fixed),
        }
    }

    fn value(&self) -> Value {
        match self {
            TrainingPaths::Fresh => TrainingPaths::FRESH.into(),
            TrainingPaths::Fixed(count) => count.value(),
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            TrainingPaths::Fresh => None,
            TrainingPaths::Fixed(count) => count.number(),
        }
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        match self {
            TrainingPaths::Fresh => write_bytes(TrainingPaths::FRESH.as_bytes(), out),
            TrainingPaths::Fixed(count) => write_bytes(&count.to_le_bytes(), out),
        }
    }
}

choices! {
    /// Which epoch's weights are the result.
    pub enum Keep {
        /// The last epoch's; only they are scored on the validation set.
        Last = "last",
        /// Those of the epoch with the lowest validation loss, the first of equals; every epoch is scored on the
        /// validation set.
        Best = "best",
    }
}

section! {
    /// The training loop.
    pub struct Training {
        /// Number of epochs; 0 leaves the weights as they began.
        epochs: u64 = 100, Range::closed(0.0, 1e6);
        /// Number of paths of a gradient step.
        batch_size: u64 = 32, Range::closed(2.0, 1e6);
        /// Which paths an epoch trains on: new ones for every batch, or a fixed number of paths in shuffled batches. Paths that do not fill a last batch wait for another epoch.
        paths: TrainingPaths = TrainingPaths::Fresh, Range::closed(2.0, 1e7);
        /// Number of batches of an epoch, for fresh paths; a fixed set has as many as it fills.
        batches_per_epoch: u64 = 1, Range::closed(1.0, 1e6);
        /// Largest norm of the gradient of what is trained; a larger one is scaled down to it.
        grad_clip: f64 = 10.0, Range::POSITIVE;
        /// Which epoch's weights are the result.
        keep: Keep = Keep::Last, Range::ANY;
        /// Number of epochs without a lower validation loss after which training ends, with keep best; null for none.
        patience: Option<u64> = None, Range::closed(1.0, 1e6);
        /// Decay a step of the running mean of the weights, corrected for its start, which is scored and kept in place of the last step's weights (Polyak & Juditsky 1992); 0 for the weights as they are. The curves and `train.*` are of the weights that are trained.
        average: f64 = 0.0, Range::half_open(0.0, 1.0);
        /// The training loss that counts as converged, for `train.epochs_to_target`; null for none.
        target_loss: Option<f64> = None, Range::ANY;
    }
}

impl Training {
    /// Number of gradient steps of an epoch.
    pub fn batches(&self) -> u64 {
        match self.paths {
            TrainingPaths::Fresh => self.batches_per_epoch,
            TrainingPaths::Fixed(count) => count / self.batch_size,
        }
    }

    /// Appends what is wrong with keys that do not fit together.
    pub(crate) fn check(&self, evaluation: &Evaluation, errors: &mut Vec<KeyError>) {
        if let TrainingPaths::Fixed(count) = self.paths {
            if self.batch_size > count {
                let problem = format!("is larger than the training set, training.paths {count}");
                let value = Some(self.batch_size.value());
                errors.push(KeyError {
                    allowed: Some(format!("at most {count}, or training.paths: fresh")),
                    ..KeyError::conflict("training.batch_size", value, problem)
                });
            }
            if self.batches_per_epoch != 1 {
                let problem = "is only for training.paths fresh: a fixed set has as many batches as it fills";
                let value = Some(self.batches_per_epoch.value());
                errors.push(KeyError::conflict("training.batches_per_epoch", value, problem));
            }
        }
        if self.keep == Keep::Best && evaluation.validation_paths == 0 {
            let problem = "needs a validation set to tell the best epoch by: evaluation.validation_paths is 0";
            errors.push(KeyError::conflict("training.keep", Some(self.keep.value()), problem));
        }
        if self.keep == Keep::Last && self.patience.is_some() {
            let problem = "is only for training.keep best, which looks at the validation loss of every epoch";
            errors.push(KeyError::conflict("training.patience", Some(self.patience.value()), problem));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Preset, RunConfig, Value};

    fn refusal(keys: &[(&str, Value)]) -> String {
        let errors = RunConfig::resolve(Preset::Hedging, 0, keys.iter().map(|(key, value)| (*key, value))).unwrap_err();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_batch_larger_than_the_training_set_is_refused() {
        assert_eq!(
            refusal(&[("training.paths", Value::Int(100)), ("training.batch_size", Value::Int(101))]),
            "training.batch_size: 101 is larger than the training set, training.paths 100; allowed: at most 100, or training.paths: fresh"
        );
    }

    #[test]
    fn keys_of_the_other_way_to_train_are_refused() {
        let text = refusal(&[("training.batches_per_epoch", Value::Int(5))]);
        assert!(text.starts_with("training.batches_per_epoch: 5 is only for training.paths fresh"), "{text}");
        let text = refusal(&[("training.keep", "last".into()), ("training.patience", Value::Int(5))]);
        assert!(text.starts_with("training.patience: 5 is only for training.keep best"), "{text}");
        let text =
            refusal(&[("evaluation.validation_paths", Value::Int(0)), ("evaluation.hedges", Value::List(vec![]))]);
        assert!(text.starts_with("training.keep: best needs a validation set"), "{text}");
    }

    #[test]
    fn paths_are_a_number_or_fresh() {
        let paths = |value: Value| {
            RunConfig::resolve(Preset::Hedging, 0, [("training.paths", &value)]).map(|config| config.training.batches())
        };
        assert_eq!(paths(Value::Int(100)), Ok(3), "what does not fill a batch waits");
        assert_eq!(paths("fresh".into()), Ok(1));
        for wrong in [Value::Int(1), Value::Float(2.5), "frsh".into(), Value::Null] {
            assert!(paths(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
