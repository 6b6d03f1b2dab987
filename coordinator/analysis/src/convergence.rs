//! How soon an arm comes to where the baseline ends: the rows of `convergence.parquet`.
//!
//! The target is a seed's own: the lowest validation loss of the baseline's run. A run arrives with its first epoch that
//! is as low; one that never is, and one that diverged or failed, arrives after infinitely many epochs and seconds. All
//! statistics are therefore of order: medians, their distribution-free intervals, signs. They are about the run as it was
//! configured, and nothing is assumed about when it would have arrived had it gone on: an arm with fewer epochs or less
//! patience has less time to arrive. One that trains by another loss is held to a number in other units.

use std::collections::{HashMap, HashSet};

use engine::RunId;
use results::{Convergence, CurveBatch, StoreError};

use crate::error::AnswerError;
use crate::median::{median, median_interval, sign_test};
use crate::question::{Pair, Question, pairs};
use crate::runs::Runs;
use crate::sources::Sources;
use crate::stats::mean;

/// When a run came to a validation loss.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Arrival {
    epoch: u32,
    /// Since the run began, in seconds; above zero.
    seconds: Option<f64>,
}

/// One seed.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Race {
    /// A validation loss.
    target: f64,
    baseline: Arrival,
    /// `None` if it never arrives.
    arm: Option<Arrival>,
}

/// The rows of `convergence.parquet`: pairs in the question's order, those without any seed left out; none unless the
/// baseline's runs have validation losses in more than one epoch.
///
/// Curves are read twice, since targets must be known before arrivals, and in pieces; what is kept of a run is a few
/// numbers.
pub fn convergence<'a>(
    sources: impl Into<Sources<'a>>,
    runs: &Runs,
    question: &Question,
) -> Result<Vec<Convergence>, AnswerError> {
    let sources = sources.into();
    // A million runs without curves should not pay for their ids.
    if !sources.has_curves()? {
        return Ok(Vec::new());
    }
    let ended = Ended::load(&sources)?;
    let tuning: HashSet<u64> = question.tune.iter().flat_map(|tune| tune.seeds.iter().copied()).collect();
    let pairs = pairs(runs, question)?;
    let starts: Vec<Vec<Start>> = pairs.iter().map(|pair| starts(pair, &tuning, &ended)).collect();
    let lows = lows(&sources, starts.iter().flatten())?;
    if lows.is_empty() {
        return Ok(Vec::new());
    }
    let courses = courses(&sources, starts.iter().flatten(), &lows)?;
    let rows = pairs.into_iter().zip(starts).map(|(pair, starts)| {
        let races: Vec<Race> = starts.iter().filter_map(|start| start.race(&lows, &courses)).collect();
        Convergence {
            cell: pair.cell,
            arm: pair.arm,
            variant: pair.variant,
            baseline: question.baseline_arm.clone(),
            baseline_variant: pair.baseline_variant,
            stage: if question.tune.is_some() { "confirm" } else { "all" }.to_owned(),
            ..row(&races)
        }
    });
    Ok(rows.filter(|row| row.n > 0).collect())
}

/// The statistics of a pair, without its names.
fn row(races: &[Race]) -> Convergence {
    let epochs = |race: &Race| (race.arm.map_or(f64::INFINITY, |arm| arm.epoch.into()), race.baseline.epoch.into());
    let epochs: Vec<(f64, f64)> = races.iter().map(epochs).collect();
    // All or none: seconds of some seeds are no match for epochs of all.
    let seconds =
        |race: &Race| Some((race.arm.map_or(Some(f64::INFINITY), |arm| arm.seconds)?, race.baseline.seconds?));
    let seconds: Option<Vec<(f64, f64)>> = races.iter().map(seconds).collect();
    let (in_epochs, in_seconds) = (Ratios::of(&epochs), Ratios::of(&seconds.unwrap_or_default()));
    let count = |wanted: fn(&(f64, f64)) -> bool| epochs.iter().filter(|pair| wanted(pair)).count();
    let p_sign = sign_test(count(|(arm, baseline)| arm < baseline), count(|(arm, baseline)| arm > baseline));
    Convergence {
        n: races.len() as u64,
        reached: races.iter().filter(|race| race.arm.is_some()).count() as u64,
        target_mean: mean(&races.iter().map(|race| race.target).collect::<Vec<_>>()),
        epochs_median: in_epochs.median,
        baseline_epochs_median: in_epochs.baseline_median,
        epochs_ratio: in_epochs.ratio,
        epochs_ratio_low: in_epochs.low,
        epochs_ratio_high: in_epochs.high,
        seconds_median: in_seconds.median,
        baseline_seconds_median: in_seconds.baseline_median,
        seconds_ratio: in_seconds.ratio,
        seconds_ratio_low: in_seconds.low,
        seconds_ratio_high: in_seconds.high,
        p_sign: (!races.is_empty()).then_some(p_sign),
        ..Convergence::default()
    }
}

/// Medians over pairs of an arm's and the baseline's value, and over the ratios; `None` for infinite ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ratios {
    median: Option<f64>,
    baseline_median: Option<f64>,
    ratio: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
}

impl Ratios {
    fn of(pairs: &[(f64, f64)]) -> Ratios {
        let finite = |value: f64| value.is_finite().then_some(value);
        let (arm, baseline): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        let ratios: Vec<f64> = pairs.iter().map(|(arm, baseline)| arm / baseline).collect();
        let interval = median_interval(&ratios);
        Ratios {
            median: median(&arm).and_then(finite),
            baseline_median: median(&baseline).and_then(finite),
            ratio: median(&ratios).and_then(finite),
            low: interval.and_then(|(low, _)| finite(low)),
            high: interval.and_then(|(_, high)| finite(high)),
        }
    }
}

/// A seed at which both sides were run and the baseline's run ended well.
struct Start {
    baseline: RunId,
    /// `None` if the arm's run did not end well.
    arm: Option<RunId>,
}

impl Start {
    /// The race, if the curves say how it went.
    fn race(&self, lows: &HashMap<RunId, Low>, courses: &HashMap<RunId, Course>) -> Option<Race> {
        let Low { target, arrival: baseline } = *lows.get(&self.baseline)?;
        let arm = match self.arm {
            Some(arm) => courses.get(&arm).filter(|course| course.scored.is_followed())?.arrival(target),
            None => None,
        };
        Some(Race { target, baseline, arm })
    }
}

/// A pair's seeds, without those that chose the variants.
fn starts(pair: &Pair, tuning: &HashSet<u64>, ended: &Ended) -> Vec<Start> {
    let seeds = pair.baseline_rows.iter().filter(|(seed, _)| !tuning.contains(seed));
    let both = seeds.filter_map(|(seed, row)| {
        let arm = *pair.rows.get(seed)?;
        Some(Start { baseline: ended.well(*row)?, arm: ended.well(arm) })
    });
    both.collect()
}

/// How each run ended.
struct Ended {
    /// The ids of those that ended well.
    well: Vec<Option<RunId>>,
}

impl Ended {
    fn load(sources: &Sources<'_>) -> Result<Ended, StoreError> {
        let (ids, statuses) = (sources.ids()?, sources.column("status")?);
        let well = |row: usize| ids[row].filter(|_| statuses.get(row) == Some("ok"));
        Ok(Ended { well: (0..ids.len()).map(well).collect() })
    }

    fn well(&self, row: usize) -> Option<RunId> {
        self.well[row]
    }
}

/// How many of a run's epochs have a validation loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Scored {
    epochs: u64,
    losses: u64,
}

impl Scored {
    fn push(&mut self, loss: Option<f64>) {
        self.epochs += 1;
        self.losses += u64::from(loss.is_some());
    }

    /// Whether a run was scored as it went on, and not after its last epoch alone.
    fn is_followed(self) -> bool {
        self.losses > 1 || self.losses == 1 && self.epochs == 1
    }
}

/// A baseline's lowest validation loss, and when the run came to it.
#[derive(Clone, Copy, Debug)]
struct Low {
    target: f64,
    arrival: Arrival,
}

/// The lows of the baseline's runs that have validation losses in more than one epoch.
fn lows<'a>(sources: &Sources<'_>, starts: impl Iterator<Item = &'a Start>) -> Result<HashMap<RunId, Low>, StoreError> {
    let mut all: HashMap<RunId, (Scored, Option<Low>)> =
        starts.map(|start| (start.baseline, (Scored::default(), None))).collect();
    sources.each_curve(|run, batch, rows| {
        let Some((scored, low)) = all.get_mut(&run) else { return };
        for row in rows {
            let loss = finite(batch.validation_loss[row]);
            scored.push(loss);
            if let Some(loss) = loss.filter(|loss| low.is_none_or(|low| *loss < low.target)) {
                *low = Some(Low { target: loss, arrival: arrival(batch, row) });
            }
        }
    })?;
    let of_several = all.into_iter().filter_map(|(run, (scored, low))| Some((run, low?)).filter(|_| scored.losses > 1));
    Ok(of_several.collect())
}

/// A run on its way to some targets.
#[derive(Clone, Debug, Default)]
struct Course {
    scored: Scored,
    targets: Vec<(f64, Option<Arrival>)>,
}

impl Course {
    fn aim(&mut self, target: f64) {
        if self.targets.iter().all(|(known, _)| *known != target) {
            self.targets.push((target, None));
        }
    }

    fn arrival(&self, target: f64) -> Option<Arrival> {
        self.targets.iter().find(|(known, _)| *known == target)?.1
    }
}

/// The courses of the arms' runs to the baselines' lows.
fn courses<'a>(
    sources: &Sources<'_>,
    starts: impl Iterator<Item = &'a Start>,
    lows: &HashMap<RunId, Low>,
) -> Result<HashMap<RunId, Course>, StoreError> {
    let mut all: HashMap<RunId, Course> = HashMap::new();
    for start in starts {
        if let (Some(arm), Some(low)) = (start.arm, lows.get(&start.baseline)) {
            all.entry(arm).or_default().aim(low.target);
        }
    }
    sources.each_curve(|run, batch, rows| {
        let Some(course) = all.get_mut(&run) else { return };
        for row in rows {
            let loss = finite(batch.validation_loss[row]);
            course.scored.push(loss);
            let Some(loss) = loss else { continue };
            for (target, first) in &mut course.targets {
                if loss <= *target {
                    first.get_or_insert(arrival(batch, row));
                }
            }
        }
    })?;
    Ok(all)
}

fn arrival(batch: &CurveBatch, row: usize) -> Arrival {
    let seconds = finite(batch.seconds[row]).filter(|seconds| *seconds > 0.0);
    Arrival { epoch: batch.epoch[row], seconds }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second an epoch for the baseline, two for the arm.
    fn race(baseline: u32, arm: Option<u32>) -> Race {
        let arrival = |epoch: u32, pace: f64| Arrival { epoch, seconds: Some(f64::from(epoch) * pace) };
        Race { target: f64::from(baseline), baseline: arrival(baseline, 1.0), arm: arm.map(|arm| arrival(arm, 2.0)) }
    }

    fn races<const N: usize>(all: [(u32, Option<u32>); N]) -> Vec<Race> {
        all.map(|(baseline, arm)| race(baseline, arm)).to_vec()
    }

    #[test]
    fn medians_and_bounds_are_those_of_the_seeds_own_ratios() {
        // Ratios ½, ¼, 1, 2, ¾, ½.
        let all = [(4, Some(2)), (8, Some(2)), (4, Some(4)), (4, Some(8)), (8, Some(6)), (8, Some(4))];
        let row = row(&races(all));
        assert_eq!((row.n, row.reached, row.target_mean), (6, 6, Some(6.0)));
        assert_eq!((row.epochs_median, row.baseline_epochs_median), (Some(4.0), Some(6.0)));
        assert_eq!(
            (row.epochs_ratio, row.epochs_ratio_low, row.epochs_ratio_high),
            (Some(0.625), Some(0.25), Some(2.0))
        );
        assert_eq!((row.seconds_median, row.baseline_seconds_median), (Some(8.0), Some(6.0)));
        assert_eq!(
            (row.seconds_ratio, row.seconds_ratio_low, row.seconds_ratio_high),
            (Some(1.25), Some(0.5), Some(4.0))
        );
        // One above, four below, one tie dropped: 2 (1 + 5)/32.
        assert_eq!(row.p_sign, Some(0.375));
    }

    #[test]
    fn who_never_arrives_is_slower_than_all_who_do() {
        // Four of seven: the median is the slowest of those who arrive, the lower bound the fastest.
        let four =
            row(&races([(2, Some(1)), (2, Some(2)), (2, Some(3)), (2, Some(4)), (2, None), (2, None), (2, None)]));
        assert_eq!((four.n, four.reached), (7, 4));
        assert_eq!((four.epochs_median, four.epochs_ratio), (Some(4.0), Some(2.0)));
        assert_eq!((four.epochs_ratio_low, four.epochs_ratio_high), (Some(0.5), None));
        assert_eq!(
            (four.seconds_median, four.seconds_ratio_low, four.seconds_ratio_high),
            (Some(8.0), Some(1.0), None)
        );
        // One below, five above, one tie: 2 (1 + 6)/64.
        assert_eq!(four.p_sign, Some(0.21875));
        // Of an even number one of the middle two suffices.
        let half = row(&races([(2, Some(1)), (2, None), (2, Some(1)), (2, None)]));
        assert_eq!((half.epochs_median, half.epochs_ratio, half.baseline_epochs_median), (None, None, Some(2.0)));
        let none = row(&races([(2, None); 6]));
        assert_eq!(
            (none.reached, none.epochs_median, none.epochs_ratio_low, none.p_sign),
            (0, None, None, Some(0.03125))
        );
        assert_eq!((none.baseline_seconds_median, none.seconds_median), (Some(2.0), None));
    }

    #[test]
    fn ties_say_nothing() {
        let row = row(&races([(3, Some(3)); 8]));
        assert_eq!((row.epochs_ratio, row.epochs_ratio_low, row.epochs_ratio_high), (Some(1.0), Some(1.0), Some(1.0)));
        assert_eq!(row.p_sign, Some(1.0));
    }

    #[test]
    fn five_seeds_have_medians_but_no_bounds() {
        let row = row(&races([(2, Some(1)); 5]));
        assert_eq!((row.epochs_ratio, row.epochs_ratio_low, row.epochs_ratio_high), (Some(0.5), None, None));
        assert_eq!(row.p_sign, Some(0.0625));
    }

    #[test]
    fn seconds_are_of_all_seeds_or_of_none() {
        let mut all = races([(4, Some(2)), (4, Some(2)), (4, None)]);
        assert_eq!(row(&all).seconds_median, Some(4.0));
        all[0].baseline.seconds = None;
        let untimed = row(&all);
        assert_eq!(
            (untimed.seconds_median, untimed.baseline_seconds_median, untimed.seconds_ratio),
            (None, None, None)
        );
        assert_eq!(untimed.epochs_median, Some(2.0));
    }

    #[test]
    fn no_seed_says_nothing() {
        assert_eq!(row(&[]), Convergence::default());
    }
}
