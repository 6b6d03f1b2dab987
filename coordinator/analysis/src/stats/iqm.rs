//! The interquartile mean over cells and seeds. Agarwal et al. (2021), *Deep reinforcement learning at the edge of the
//! statistical precipice*.

use rand::Rng;

use super::Interval;
use super::resample::{count, percentiles};

/// Resamples of the interval of a difference of interquartile means.
pub const IQM_RESAMPLES: usize = 1_999;

/// The mean without the lowest and the highest quarter of the values, each rounded down to whole values: SciPy's
/// `trim_mean(values, 0.25)`. `None` for no values.
pub fn interquartile_mean(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    super::mean(&sorted[cut..sorted.len() - cut])
}

/// What an arm and the baseline came to with a seed in one cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeedPair {
    /// The seed's place among all seeds.
    pub seed: usize,
    /// The arm's value.
    pub arm: f64,
    /// The baseline's value.
    pub baseline: f64,
}

/// Interquartile means of an arm and of the baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IqmDifference {
    /// The arm's.
    pub arm: f64,
    /// The baseline's.
    pub baseline: f64,
    /// The interval of arm − baseline; `None` for fewer than three seeds.
    pub interval: Option<Interval>,
}

/// The interquartile means of pairs from several cells, and the percentile interval of their difference; `None` for no
/// pairs.
///
/// A resample draws seeds, each with both arms' values in all its cells: cells share the weights and the random numbers of a
/// seed, so that their values are no independent ones.
pub fn iqm_difference(random: &mut impl Rng, pairs: &[SeedPair]) -> Option<IqmDifference> {
    let side = |of: fn(&SeedPair) -> f64| pairs.iter().map(of).collect::<Vec<f64>>();
    let arm = interquartile_mean(&side(|pair| pair.arm))?;
    let baseline = interquartile_mean(&side(|pair| pair.baseline))?;
    let seeds = pairs.iter().map(|pair| pair.seed + 1).max().unwrap_or(0);
    if seeds < 3 {
        return Some(IqmDifference { arm, baseline, interval: None });
    }
    let [arms, baselines] = [Sorted::of(pairs, |pair| pair.arm), Sorted::of(pairs, |pair| pair.baseline)];
    let mut per_seed = vec![0_u64; seeds];
    pairs.iter().for_each(|pair| per_seed[pair.seed] += 1);
    let mut counts = vec![0_u32; seeds];
    let mut differences = Vec::with_capacity(IQM_RESAMPLES);
    while differences.len() < IQM_RESAMPLES {
        count(random, &mut counts);
        let drawn: u64 = counts.iter().zip(&per_seed).map(|(count, size)| u64::from(*count) * size).sum();
        differences.push(arms.interquartile_mean(&counts, drawn) - baselines.interquartile_mean(&counts, drawn));
    }
    Some(IqmDifference { arm, baseline, interval: percentiles(&mut differences) })
}

/// One side's values, from the lowest, with their seeds.
struct Sorted(Vec<(f64, usize)>);

impl Sorted {
    fn of(pairs: &[SeedPair], value: fn(&SeedPair) -> f64) -> Sorted {
        let mut sorted: Vec<(f64, usize)> = pairs.iter().map(|pair| (value(pair), pair.seed)).collect();
        sorted.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
        Sorted(sorted)
    }

    /// The interquartile mean of a resample in which each seed counts so often, `drawn` values in all.
    fn interquartile_mean(&self, counts: &[u32], drawn: u64) -> f64 {
        let cut = drawn / 4;
        let (from, to) = (cut, drawn - cut);
        let (mut rank, mut sum) = (0, 0.0);
        for (value, seed) in &self.0 {
            let next = rank + u64::from(counts[*seed]);
            let within = next.min(to).saturating_sub(rank.max(from));
            sum += within as f64 * value;
            rank = next;
            if rank >= to {
                break;
            }
        }
        sum / (to - from) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;

    #[test]
    fn quarters_are_cut_off() {
        assert_eq!(interquartile_mean(&[]), None);
        assert_eq!(interquartile_mean(&[1.0, 5.0]), Some(3.0));
        assert_eq!(interquartile_mean(&[100.0, 2.0, 4.0, -50.0]), Some(3.0));
    }

    #[test]
    fn a_resample_of_each_seed_once_is_the_sample() {
        let values = [3.0, 9.0, 1.0, 7.0, 4.0, 8.0, 2.0];
        let pairs: Vec<SeedPair> =
            (0..7).map(|seed| SeedPair { seed, arm: values[seed], baseline: -values[seed] }).collect();
        let sorted = Sorted::of(&pairs, |pair| pair.arm);
        assert_eq!(Some(sorted.interquartile_mean(&[1; 7], 7)), interquartile_mean(&values));
        let twice: Vec<f64> = [&values[..], &values[..2]].concat();
        assert_eq!(Some(sorted.interquartile_mean(&[2, 2, 1, 1, 1, 1, 1], 9)), interquartile_mean(&twice));
        assert_eq!(sorted.interquartile_mean(&[0, 0, 0, 7, 0, 0, 0], 7), 7.0);
    }

    #[test]
    fn a_constant_difference_is_certain() {
        let pairs: Vec<SeedPair> = (0..24)
            .map(|place| SeedPair { seed: place % 8, arm: place as f64 + 1.0, baseline: place as f64 })
            .collect();
        let found = iqm_difference(&mut Xoshiro256PlusPlus::seed_from_u64(5), &pairs).unwrap();
        assert_eq!((found.arm, found.baseline), (12.5, 11.5));
        let interval = found.interval.unwrap();
        assert!((interval.low - 1.0).abs() < 1e-12 && (interval.high - 1.0).abs() < 1e-12, "{interval:?}");
    }
}
