//! The metric catalogue: one table of every number that a run is judged by.

use std::sync::OnceLock;

use crate::hedges::Hedge;

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
    /// Neither: it describes.
    Neutral,
}

/// One metric of the catalogue.
#[derive(Clone, Debug)]
pub struct Metric {
    /// The dotted name, which is the column's name.
    pub name: String,
    /// What it is, in a sentence.
    pub definition: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Which way it is better.
    pub direction: Direction,
    /// When it is null beside a failed or diverged run.
    pub null_when: &'static str,
}

const NO_EPOCH: &str = "there is no epoch";
const NO_PATHS: &str = "the set has no paths";
const NO_TARGET: &str = "there is no target, or it is not reached";
const NO_HEDGE: &str = "the hedge is not among `evaluation.hedges`, or the test set has no paths";
const NO_CONTRACT: &str = "there is no contract";
const PNL_UNIT: &str = "the loss's units";

/// Metrics over the training paths.
const TRAIN: &[(&str, &str, &str, Direction, &str)] = &[
    (
        "train.pnl_variance",
        "Population variance of the P&L, gross of costs, over the training paths of all epochs (paper, Table 2).",
        "the loss's units squared",
        Direction::Minimize,
        NO_EPOCH,
    ),
    (
        "train.mean_cost",
        "Mean cost over the training paths of all epochs (paper, Table 2).",
        PNL_UNIT,
        Direction::Minimize,
        NO_EPOCH,
    ),
    (
        "train.sharpe",
        "Mean over (population SD + 1e-6) of the P&L, gross of costs, over the training paths of all epochs (paper, Table 2).",
        "1",
        Direction::Maximize,
        NO_EPOCH,
    ),
    ("train.loss_final", "Training loss of the last epoch.", "the loss's units", Direction::Minimize, NO_EPOCH),
    (
        "train.loss_last10",
        "Mean training loss of the last ten epochs, or of all if there are fewer.",
        "the loss's units",
        Direction::Minimize,
        NO_EPOCH,
    ),
    (
        "train.epochs_to_target",
        "First epoch whose training loss is at most `training.target_loss`.",
        "epochs",
        Direction::Minimize,
        NO_TARGET,
    ),
    (
        "train.epochs",
        "Number of epochs that training took; fewer than asked for if its patience ended.",
        "epochs",
        Direction::Neutral,
        NO_EPOCH,
    ),
    (
        "train.kept_epoch",
        "The epoch whose weights are the result and are scored: the last, or with `training.keep: best` the one with the lowest validation loss.",
        "epochs",
        Direction::Neutral,
        NO_EPOCH,
    ),
    (
        "train.feature_correlation",
        "Mean absolute correlation between pairs of the head's inputs (the hidden units), over the path-steps of the last epoch's batch.",
        "1",
        Direction::Neutral,
        "there is no epoch, or fewer than two hidden units vary",
    ),
];

/// Metrics over a held-out set, by their name behind `validation.` or `test.`.
const HELD_OUT: &[(&str, &str, &str, Direction)] = &[
    ("loss", "The training loss's formula over the set.", "the loss's units", Direction::Minimize),
    (
        "loss_se",
        "Standard error of `loss` over the set's paths, by the delta method.",
        "the loss's units",
        Direction::Neutral,
    ),
    ("pnl_mean", "Mean P&L, gross of costs.", PNL_UNIT, Direction::Maximize),
    ("pnl_sd", "Standard deviation (n − 1) of the P&L, gross of costs.", PNL_UNIT, Direction::Minimize),
    ("pnl_variance", "Variance (n − 1) of the P&L, gross of costs.", "the loss's units squared", Direction::Minimize),
    ("mean_cost", "Mean cost.", PNL_UNIT, Direction::Minimize),
    (
        "turnover",
        "Mean over paths of the sum of position changes Σ|Δδ| that the cost model charges.",
        "units of the underlying",
        Direction::Minimize,
    ),
    ("sharpe", "Mean over (n − 1) standard deviation of the P&L net of costs.", "1", Direction::Maximize),
    ("var95", "Value at risk at 95% of the P&L net of costs; positive is loss.", PNL_UNIT, Direction::Minimize),
    (
        "cvar95",
        "Expected shortfall at 95% of the P&L net of costs, with the exact fractional tail; positive is loss.",
        PNL_UNIT,
        Direction::Minimize,
    ),
    ("var99", "Value at risk at 99% of the P&L net of costs; positive is loss.", PNL_UNIT, Direction::Minimize),
    (
        "cvar99",
        "Expected shortfall at 99% of the P&L net of costs, with the exact fractional tail; positive is loss.",
        PNL_UNIT,
        Direction::Minimize,
    ),
    (
        "max_drawdown",
        "Mean over paths of the largest fall of the cumulative P&L net of costs, with the contract at its Heston price, from its running maximum; both begin at 0.",
        PNL_UNIT,
        Direction::Minimize,
    ),
];

/// Every metric, in the order of the columns.
pub fn catalogue() -> &'static [Metric] {
    static CATALOGUE: OnceLock<Vec<Metric>> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        let train = TRAIN.iter().map(|&(name, definition, unit, direction, null_when)| Metric {
            name: name.to_owned(),
            definition,
            unit,
            direction,
            null_when,
        });
        let held_out = ["validation", "test"].into_iter().flat_map(|set| {
            HELD_OUT.iter().map(move |&(name, definition, unit, direction)| Metric {
                name: format!("{set}.{name}"),
                definition,
                unit,
                direction,
                null_when: NO_PATHS,
            })
        });
        let hedges = Hedge::WORDS.iter().filter_map(|word| Hedge::from_word(word)).flat_map(of_hedge);
        let contract = Metric {
            name: "contract.premium".to_owned(),
            definition: "What is charged for the contract, which the seller receives and the buyer pays.",
            unit: "currency",
            direction: Direction::Neutral,
            null_when: NO_CONTRACT,
        };
        train.chain(held_out).chain([contract]).chain(hedges).collect()
    })
}

/// The metrics of a classical hedge on the test set.
fn of_hedge(hedge: Hedge) -> impl Iterator<Item = Metric> {
    let scores = HELD_OUT.iter().map(move |&(name, definition, unit, direction)| Metric {
        name: format!("hedge.{}.{name}", hedge.word()),
        definition,
        unit,
        direction,
        null_when: NO_HEDGE,
    });
    let chosen = (!hedge.strategy().risk_aversions().is_empty()).then(|| Metric {
        name: format!("hedge.{}.risk_aversion", hedge.word()),
        definition: "The risk aversion that the validation set chose, by CVaR at 95%.",
        unit: "1/currency",
        direction: Direction::Neutral,
        null_when: NO_HEDGE,
    });
    let distance = Metric {
        name: format!("hedge.{}.distance", hedge.word()),
        definition: "Mean distance |δ − δ'| of the network's positions from this hedge's, over the test paths and decisions.",
        unit: "units of the underlying",
        direction: Direction::Neutral,
        null_when: "the hedge is not among `evaluation.hedges`, or the test set has no paths, or too many to keep",
    };
    scores.chain([distance]).chain(chosen)
}

/// The place of a metric in the catalogue.
pub fn index_of(name: &str) -> Option<usize> {
    catalogue().iter().position(|metric| metric.name == name)
}

/// The values of the whole catalogue, in its order. Finite or absent, never NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics(Vec<Option<f64>>);

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics(vec![None; catalogue().len()])
    }
}

impl Metrics {
    /// Values in the order of the catalogue; what is not finite becomes absent.
    ///
    /// Returns `None` if there are not as many values as metrics.
    pub fn from_values(values: Vec<Option<f64>>) -> Option<Metrics> {
        let finite = values.into_iter().map(|value| value.filter(|number| number.is_finite()));
        let metrics = Metrics(finite.collect());
        (metrics.0.len() == catalogue().len()).then_some(metrics)
    }

    /// Sets a metric; a value that is not finite leaves it absent.
    ///
    /// # Panics
    /// If the catalogue has no such metric.
    pub fn set(&mut self, name: &str, value: f64) {
        let index = index_of(name).unwrap_or_else(|| panic!("no metric {name} in the catalogue"));
        self.0[index] = value.is_finite().then_some(value);
    }

    /// A metric's value; `None` if it is absent or the catalogue has no such metric.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0[index_of(name)?]
    }

    /// The values in the order of the catalogue.
    pub fn values(&self) -> &[Option<f64>] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (place, metric) in catalogue().iter().enumerate() {
            assert_eq!(index_of(&metric.name), Some(place));
        }
    }

    #[test]
    fn a_number_that_is_not_finite_is_absent() {
        let mut metrics = Metrics::default();
        metrics.set("test.loss", f64::NAN);
        assert_eq!(metrics.get("test.loss"), None);
        metrics.set("test.loss", 1.5);
        assert_eq!(metrics.get("test.loss"), Some(1.5));
    }
}
