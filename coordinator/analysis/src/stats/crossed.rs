//! The crossed bootstrap of expected shortfall over seeds that share one test set.

use rand::Rng;

use super::Interval;
use super::resample::{count, percentiles};

/// Resamples of the crossed bootstrap.
pub const CROSSED_RESAMPLES: usize = 1_999;

/// The losses of one network on the paths of the test set, sorted once for all resamples.
#[derive(Clone, Debug)]
pub struct Losses {
    /// Losses from the largest, with their paths.
    descending: Vec<(f64, u32)>,
}

impl Losses {
    /// Takes the loss on each path.
    pub fn new(by_path: impl IntoIterator<Item = f64>) -> Losses {
        let mut descending: Vec<(f64, u32)> = by_path.into_iter().zip(0..).collect();
        descending.sort_unstable_by(|left, right| right.0.total_cmp(&left.0).then(left.1.cmp(&right.1)));
        Losses { descending }
    }

    /// Number of paths.
    pub fn len(&self) -> usize {
        self.descending.len()
    }

    /// Whether there is no path.
    pub fn is_empty(&self) -> bool {
        self.descending.is_empty()
    }

    /// The mean of the `size` largest losses, the last counted by its fraction.
    fn cvar(&self, size: f64) -> f64 {
        let (mut left, mut sum) = (size, 0.0);
        for (loss, _) in &self.descending {
            let taken = left.min(1.0);
            sum += taken * loss;
            left -= taken;
            if left <= 0.0 {
                break;
            }
        }
        sum / size
    }

    /// The same of a resample in which each path counts so often.
    fn resampled_cvar(&self, size: f64, counts: &[u32]) -> f64 {
        let (mut left, mut sum) = (size, 0.0);
        for (loss, path) in &self.descending {
            let taken = left.min(f64::from(counts[*path as usize]));
            sum += taken * loss;
            left -= taken;
            if left <= 0.0 {
                break;
            }
        }
        sum / size
    }
}

/// Mean expected shortfalls over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crossed {
    /// The arm's.
    pub arm: f64,
    /// The baseline's.
    pub baseline: f64,
    /// The interval of arm − baseline; `None` for fewer than three seeds.
    pub interval: Option<Interval>,
}

/// The mean expected shortfall at `level` of an arm's and the baseline's networks over seeds, and the percentile interval of
/// their difference. `None` without seeds, without paths, and where the networks have not seen equally many paths.
///
/// A resample draws seeds, and once for all of them and both arms paths: the seeds share the test set, so that its tail is
/// one more thing that another experiment would draw anew. Paths drawn for each seed apart would average it away.
pub fn crossed_cvar(random: &mut impl Rng, pairs: &[(Losses, Losses)], level: f64) -> Option<Crossed> {
    let paths = pairs.first()?.0.len();
    if paths == 0 || pairs.iter().any(|(arm, baseline)| arm.len() != paths || baseline.len() != paths) {
        return None;
    }
    let size = engine::statistics::tail_count(paths, level);
    let seeds = pairs.len();
    let mean = |side: fn(&(Losses, Losses)) -> &Losses| {
        pairs.iter().map(|pair| side(pair).cvar(size)).sum::<f64>() / seeds as f64
    };
    let (arm, baseline) = (mean(|pair| &pair.0), mean(|pair| &pair.1));
    if seeds < 3 {
        return Some(Crossed { arm, baseline, interval: None });
    }
    let (mut of_seeds, mut of_paths) = (vec![0_u32; seeds], vec![0_u32; paths]);
    let mut differences = Vec::with_capacity(CROSSED_RESAMPLES);
    while differences.len() < CROSSED_RESAMPLES {
        count(random, &mut of_seeds);
        count(random, &mut of_paths);
        let drawn = pairs.iter().zip(&of_seeds).filter(|(_, times)| **times > 0);
        let sum: f64 = drawn
            .map(|((arm, baseline), times)| {
                let difference = arm.resampled_cvar(size, &of_paths) - baseline.resampled_cvar(size, &of_paths);
                f64::from(*times) * difference
            })
            .sum();
        differences.push(sum / seeds as f64);
    }
    Some(Crossed { arm, baseline, interval: percentiles(&mut differences) })
}
