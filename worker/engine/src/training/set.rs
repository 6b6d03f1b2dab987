//! Where training paths come from.

use super::TrainingPaths;
use crate::RunConfig;
use crate::features::{Inputs, Scales, ScalesFit};
use crate::market::{Model, Paths};
use crate::random::{Normals, Purpose, Stream};

/// How many of the fresh paths a fixed normalisation is fitted on.
const FITTED_FRESH_PATHS: usize = 4096;

/// The paths that a run is trained on. Path k of the seed's stream is the same however many there are and whatever the
/// size of a batch.
pub(crate) struct TrainingSet<'a> {
    model: &'a dyn Model,
    batch: Paths,
    source: Source,
}

enum Source {
    /// The stream goes on from batch to batch.
    Fresh { normals: Box<dyn Normals>, next: u64 },
    /// All paths, and the order in which this epoch visits them.
    Fixed { all: Paths, order: Vec<usize>, seed: u64 },
}

impl<'a> TrainingSet<'a> {
    /// The set before its first epoch; a fixed one is simulated now.
    pub(crate) fn new(config: &'a RunConfig) -> TrainingSet<'a> {
        let model = config.market.model();
        let points = model.steps() + 1;
        let mut normals = model.training_normals(config.seed);
        let source = match config.training.paths {
            TrainingPaths::Fresh => Source::Fresh { normals, next: 0 },
            TrainingPaths::Fixed(count) => {
                let mut all = Paths::zeros(count as usize, points);
                all.simulate(model, &mut *normals, 0);
                Source::Fixed { all, order: (0..count as usize).collect(), seed: config.seed }
            }
        };
        TrainingSet { model, batch: Paths::zeros(config.training.batch_size as usize, points), source }
    }

    /// Begins an epoch, counted from 1: a fixed set is shuffled, the same way whatever happened before.
    pub(crate) fn begin_epoch(&mut self, epoch: u64) {
        if let Source::Fixed { order, seed, .. } = &mut self.source {
            let mut stream = Stream::new(Purpose::BatchOrder, *seed, epoch);
            order.iter_mut().enumerate().for_each(|(place, path)| *path = place);
            shuffle(order, &mut stream);
        }
    }

    /// The epoch's batch of this number, from 0; batches are asked for in order.
    pub(crate) fn batch(&mut self, number: u64) -> &Paths {
        let count = self.batch.count();
        match &mut self.source {
            Source::Fresh { normals, next } => {
                self.batch.simulate(self.model, &mut **normals, *next);
                *next += count as u64;
            }
            Source::Fixed { all, order, .. } => {
                let first = number as usize * count;
                for (row, path) in order[first..first + count].iter().enumerate() {
                    self.batch.price.row_mut(row).assign(&all.price.row(*path));
                    self.batch.variance.row_mut(row).assign(&all.variance.row(*path));
                }
            }
        }
        &self.batch
    }

    /// The scales of the set: of all paths of a fixed one, of the first of the fresh ones, which are drawn once more.
    pub(crate) fn scales(&self, config: &RunConfig) -> Scales {
        let mut fit = ScalesFit::new(Inputs::of(config));
        match &self.source {
            Source::Fixed { all, .. } => fit.push(all),
            Source::Fresh { .. } => {
                let mut first = Paths::zeros(FITTED_FRESH_PATHS, self.model.steps() + 1);
                first.simulate(self.model, &mut *self.model.training_normals(config.seed), 0);
                fit.push(&first);
            }
        }
        fit.scales()
    }
}

/// Bytes that the set keeps.
pub(crate) fn bytes(config: &RunConfig) -> u64 {
    let paths = match config.training.paths {
        TrainingPaths::Fresh => FITTED_FRESH_PATHS as u64,
        TrainingPaths::Fixed(count) => count,
    };
    let points = config.market.model().steps() as u64 + 1;
    (paths + config.training.batch_size) * points * 2 * size_of::<f64>() as u64
}

/// Fisher and Yates' shuffle: every order is equally likely.
fn shuffle(items: &mut [usize], stream: &mut Stream) {
    for last in (1..items.len()).rev() {
        // Below 2⁵² items the product's rounding cannot reach last + 1.
        let pick = (stream.uniform() * (last + 1) as f64) as usize;
        items.swap(last, pick.min(last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Preset, Value};

    fn config(keys: &[(&str, Value)]) -> RunConfig {
        let small = [("training.paths", Value::Int(11)), ("training.batch_size", Value::Int(4))];
        let keys: Vec<(&str, Value)> = small.iter().chain(keys).cloned().collect();
        RunConfig::resolve(Preset::Hedging, 3, keys.iter().map(|(key, value)| (*key, value))).unwrap()
    }

    fn last_prices(set: &mut TrainingSet<'_>, epoch: u64, batches: u64) -> Vec<u64> {
        set.begin_epoch(epoch);
        (0..batches)
            .flat_map(|number| {
                let paths = set.batch(number);
                paths.price.column(paths.points() - 1).iter().map(|price| price.to_bits()).collect::<Vec<u64>>()
            })
            .collect()
    }

    #[test]
    fn an_epoch_visits_different_paths_in_an_order_of_its_own() {
        let config = config(&[]);
        let mut set = TrainingSet::new(&config);
        let first = last_prices(&mut set, 1, 2);
        let mut distinct = first.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 8, "no path twice");
        let second = last_prices(&mut set, 2, 2);
        assert_ne!(first, second);
        // An epoch's order does not depend on the epochs before.
        assert_eq!(second, last_prices(&mut TrainingSet::new(&config), 2, 2));
    }

    #[test]
    fn a_fixed_set_is_the_beginning_of_the_fresh_stream() {
        let (fixed, fresh) = (config(&[]), config(&[("training.paths", "fresh".into())]));
        let mut set = TrainingSet::new(&fixed);
        let mut all: Vec<u64> = (1..=20).flat_map(|epoch| last_prices(&mut set, epoch, 2)).collect();
        all.sort_unstable();
        all.dedup();
        let mut stream = last_prices(&mut TrainingSet::new(&fresh), 1, 3);
        stream.truncate(11);
        stream.sort_unstable();
        assert_eq!(all, stream, "over twenty epochs every path has its turn, and no other");
    }

    #[test]
    fn every_order_is_equally_likely() {
        let mut counts = std::collections::BTreeMap::<Vec<usize>, u64>::new();
        let draws = 24_000;
        for index in 0..draws {
            let mut items: Vec<usize> = (0..4).collect();
            shuffle(&mut items, &mut Stream::new(Purpose::BatchOrder, 5, index));
            *counts.entry(items).or_default() += 1;
        }
        assert_eq!(counts.len(), 24);
        // χ² with 23 degrees of freedom: mean 23, SD √46; five of them.
        let expected = draws as f64 / 24.0;
        let chi2: f64 = counts.values().map(|count| (*count as f64 - expected).powi_2() / expected).sum();
        assert!(chi2 < 23.0 + 5.0 * 46.0_f64.sqrt(), "{chi2}");
    }

    trait Square {
        fn powi_2(self) -> f64;
    }

    impl Square for f64 {
        fn powi_2(self) -> f64 {
            self * self
        }
    }

    #[test]
    fn scales_come_from_the_training_set_alone() {
        let base = config(&[]);
        let scales = |config: &RunConfig| TrainingSet::new(config).scales(config);
        let other_test =
            config(&[("evaluation.test_paths", Value::Int(17)), ("evaluation.validation_paths", Value::Int(3))]);
        assert_eq!(scales(&base), scales(&other_test));
        let more = config(&[("training.paths", Value::Int(12))]);
        assert_ne!(scales(&base), scales(&more));
    }
}
