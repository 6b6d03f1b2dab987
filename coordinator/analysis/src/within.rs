//! Tests over the paths of the test set, seed by seed: the rows of `within.parquet`.
//!
//! Both sides of a pair are held against each other path by path, so they must have been scored on the same paths: runs of one
//! market were, and seeds at which an arm ran in another market than the baseline are left out. Training paths are not paired.
//!
//! Paths are no replicates of training: they describe two networks, and are never pooled over seeds. What is asked over seeds
//! here is expected shortfall, with the crossed bootstrap, which draws seeds and paths.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use engine::RunId;
use rayon::prelude::*;
use results::{SampleBatch, Within};

use crate::battery::{high, low};
use crate::error::AnswerError;
use crate::markets::Markets;
use crate::question::{Pair, Question, pairs};
use crate::runs::Runs;
use crate::source::source;
use crate::sources::Sources;
use crate::stats::{Losses, crossed_cvar, grambsch, memmel, pitman_morgan, sd, sharpe, studentised_sharpe};

/// Levels of the expected shortfall, and their metrics.
const TAILS: [(f64, &str); 2] = [(0.95, "test.cvar95"), (0.99, "test.cvar99")];

/// The rows of `within.parquet`: pairs in the question's order, seeds rising, and behind a pair's seeds the crossed bootstrap;
/// none without test samples. Seeds that chose the variants are left out, and those of which a side has none, or has them of
/// another market's paths.
///
/// Samples are read in one pass, and those of a run are kept until the last pair that needs them is done: in plan order, a
/// cell's.
pub fn within<'a>(
    sources: impl Into<Sources<'a>>,
    runs: &Runs,
    question: &Question,
) -> Result<Vec<Within>, AnswerError> {
    let sources = sources.into();
    if !sources.has_samples()? {
        return Ok(Vec::new());
    }
    let ids: Vec<Option<RunId>> = sources.ids()?;
    let tuning: HashSet<u64> = question.tune.iter().flat_map(|tune| tune.seeds.iter().copied()).collect();
    let mut shelf = Shelf::default();
    for (row, id) in ids.iter().enumerate() {
        if let Some(id) = id {
            shelf.places.entry(*id).or_insert(row);
        }
    }
    let markets = Markets::of(&sources)?;
    let stage = if question.tune.is_some() { "confirm" } else { "all" };
    let pairs = pairs(runs, question)?;
    let bouts: Vec<Bout> = pairs
        .iter()
        .map(|pair| {
            let labels = labels(pair, question, stage);
            Bout::of(pair, (&ids, &markets), &tuning, labels, &mut shelf)
        })
        .collect();
    let mut order: Vec<usize> = (0..bouts.len()).collect();
    order.sort_by_key(|bout| bouts[*bout].ready);
    let mut rows: Vec<Vec<Within>> = bouts.iter().map(|_| Vec::new()).collect();
    let mut waiting = order.into_iter().peekable();
    sources.each_sample(|run, batch, piece| {
        // Samples come in the order of the runs: all before this one are complete.
        let place = shelf.places.get(&run).copied().unwrap_or(0);
        while let Some(bout) = waiting.next_if(|bout| bouts[*bout].ready < place) {
            rows[bout] = bouts[bout].rows(&mut shelf);
        }
        shelf.put(run, batch, piece);
    })?;
    for bout in waiting {
        rows[bout] = bouts[bout].rows(&mut shelf);
    }
    Ok(rows.into_iter().flatten().collect())
}

fn labels(pair: &Pair, question: &Question, stage: &str) -> Within {
    Within {
        cell: pair.cell.clone(),
        arm: pair.arm.clone(),
        variant: pair.variant.clone(),
        baseline: question.baseline_arm.clone(),
        baseline_variant: pair.baseline_variant.clone(),
        stage: stage.to_owned(),
        ..Within::default()
    }
}

/// The test samples that some pair still needs.
#[derive(Default)]
struct Shelf {
    /// The row of each run.
    places: HashMap<RunId, usize>,
    /// How many pairs need a run.
    needed: HashMap<RunId, usize>,
    kept: HashMap<RunId, Sample>,
}

impl Shelf {
    fn put(&mut self, run: RunId, batch: &SampleBatch, piece: Range<usize>) {
        let Some(test) = batch.set.code_of("test").filter(|_| self.needed.contains_key(&run)) else { return };
        let sample = self.kept.entry(run).or_default();
        for row in piece.filter(|row| batch.set.codes[*row] == Some(test)) {
            sample.push(batch.epoch[row], batch.pnl[row], batch.cost[row]);
        }
    }

    /// Both sides' samples, if they are whole and of equally many paths, which are the same ones in one market.
    fn both(&self, arm: RunId, baseline: RunId) -> Option<(&Sample, &Sample)> {
        let (arm, baseline) = (self.kept.get(&arm)?, self.kept.get(&baseline)?);
        let usable = arm.is_whole() && baseline.is_whole() && arm.pnl.len() == baseline.pnl.len();
        usable.then_some((arm, baseline))
    }

    fn done_with(&mut self, run: RunId) {
        if let Some(needed) = self.needed.get_mut(&run) {
            *needed -= 1;
            if *needed == 0 {
                self.needed.remove(&run);
                self.kept.remove(&run);
            }
        }
    }
}

/// A run's test paths, as its last epoch trades them.
#[derive(Clone, Debug, Default)]
struct Sample {
    epoch: u32,
    pnl: Vec<f32>,
    cost: Vec<f32>,
}

impl Sample {
    fn push(&mut self, epoch: u32, pnl: f32, cost: f32) {
        if epoch > self.epoch {
            *self = Sample { epoch, ..Sample::default() };
        }
        if epoch == self.epoch {
            self.pnl.push(pnl);
            self.cost.push(cost);
        }
    }

    /// Whether every value is a number: of a diverged run's some are null.
    fn is_whole(&self) -> bool {
        !self.pnl.is_empty() && self.pnl.iter().chain(&self.cost).all(|value| value.is_finite())
    }

    fn gross(&self) -> Vec<f64> {
        self.pnl.iter().map(|pnl| f64::from(*pnl)).collect()
    }

    fn net(&self) -> Vec<f64> {
        self.pnl.iter().zip(&self.cost).map(|(pnl, cost)| f64::from(*pnl) - f64::from(*cost)).collect()
    }

    fn losses(&self) -> Losses {
        Losses::new(self.net().into_iter().map(|net| -net))
    }
}

/// A pair's seeds, and who ran them.
struct Bout {
    labels: Within,
    /// Seed, the arm's run, the baseline's.
    seeds: Vec<(u64, RunId, RunId)>,
    /// The row of the last of its runs.
    ready: usize,
}

impl Bout {
    fn of(
        pair: &Pair,
        (ids, markets): (&[Option<RunId>], &Markets),
        tuning: &HashSet<u64>,
        labels: Within,
        shelf: &mut Shelf,
    ) -> Bout {
        let mut bout = Bout { labels, seeds: Vec::new(), ready: 0 };
        for (seed, row) in pair.rows.iter().filter(|(seed, _)| !tuning.contains(seed)) {
            let Some(baseline_row) = pair.baseline_rows.get(seed) else { continue };
            if !markets.are_same(*row, *baseline_row) {
                continue;
            }
            let (Some(arm), Some(baseline)) = (ids[*row], ids[*baseline_row]) else { continue };
            for run in [arm, baseline] {
                *shelf.needed.entry(run).or_default() += 1;
                bout.ready = bout.ready.max(shelf.places[&run]);
            }
            bout.seeds.push((*seed, arm, baseline));
        }
        bout
    }

    /// The pair's rows. Its runs' samples are given up.
    fn rows(&self, shelf: &mut Shelf) -> Vec<Within> {
        let of_seed = |(seed, arm, baseline): &(u64, RunId, RunId)| {
            let (arm, baseline) = shelf.both(*arm, *baseline)?;
            Some(self.seed(*seed, arm, baseline))
        };
        let mut rows: Vec<Within> = self.seeds.par_iter().filter_map(of_seed).flatten().collect();
        rows.extend(self.tails(shelf));
        for (_, arm, baseline) in &self.seeds {
            shelf.done_with(*arm);
            shelf.done_with(*baseline);
        }
        rows
    }

    /// The tests of one seed: two of the variance, gross as the metric is, and two of the Sharpe ratio, net as the metric is.
    fn seed(&self, seed: u64, arm: &Sample, baseline: &Sample) -> [Within; 4] {
        let row = |test: &str, metric: &str, value: Option<f64>, baseline_value: Option<f64>| Within {
            seed: Some(seed),
            test: test.to_owned(),
            metric: metric.to_owned(),
            n: arm.pnl.len() as u64,
            seeds: 1,
            value,
            baseline_value,
            diff: value.zip(baseline_value).map(|(value, baseline)| value - baseline),
            ..self.labels.clone()
        };
        let (x, y) = (arm.gross(), baseline.gross());
        let variance = |values: &[f64]| sd(values).map(|sd| sd * sd);
        let of_variance = |test: &str| row(test, "test.pnl_variance", variance(&x), variance(&y));
        let (robust, normal) = (grambsch(&x, &y), pitman_morgan(&x, &y));
        let (x, y) = (arm.net(), baseline.net());
        let of_sharpe = |test: &str| row(test, "test.sharpe", sharpe(&x), sharpe(&y));
        let z = memmel(&x, &y);
        let mut random = self.source("sharpe", &seed.to_string());
        let resampled = studentised_sharpe(&mut random, &x, &y);
        let interval = resampled.map(|found| found.interval);
        [
            Within { statistic: robust.t, p: robust.p, ..of_variance("grambsch") },
            Within { statistic: normal.t, p: normal.p, ..of_variance("pitman_morgan") },
            Within { statistic: z.z, p: z.p, ..of_sharpe("memmel") },
            Within {
                statistic: resampled.map(|found| found.statistic),
                p: resampled.map(|found| found.p),
                diff_low: low(interval),
                diff_high: high(interval),
                ..of_sharpe("studentised_bootstrap")
            },
        ]
    }

    /// The expected shortfalls over all seeds.
    fn tails(&self, shelf: &Shelf) -> Vec<Within> {
        let of_seed = |(_, arm, baseline): &(u64, RunId, RunId)| {
            let (arm, baseline) = shelf.both(*arm, *baseline)?;
            Some((arm.losses(), baseline.losses()))
        };
        let pairs: Vec<(Losses, Losses)> = self.seeds.par_iter().filter_map(of_seed).collect();
        let row = |(level, metric): &(f64, &str)| {
            let found = crossed_cvar(&mut self.source("crossed", metric), &pairs, *level)?;
            Some(Within {
                test: "crossed_bootstrap".to_owned(),
                metric: (*metric).to_owned(),
                n: pairs[0].0.len() as u64,
                seeds: pairs.len() as u64,
                value: Some(found.arm),
                baseline_value: Some(found.baseline),
                diff: Some(found.arm - found.baseline),
                diff_low: low(found.interval),
                diff_high: high(found.interval),
                ..self.labels.clone()
            })
        };
        TAILS.par_iter().filter_map(row).collect()
    }

    fn source(&self, what: &str, of: &str) -> rand::rngs::Xoshiro256PlusPlus {
        let Within { cell, arm, variant, baseline, baseline_variant, .. } = &self.labels;
        source(&[what, of, cell, arm, variant, baseline, baseline_variant])
    }
}
