//! Drawing with replacement, fast enough that nobody has to think about whether to.

use rand::Rng;

use super::Interval;

/// Draws `draws` places below `n` and shows them to `visit`, two from each word of the source.
///
/// A place is the high half of 32 bits times n. Of two places one may be more probable than the other by n/2³², which is
/// far below what any number of resamples could see.
pub(super) fn each_place(random: &mut impl Rng, n: usize, draws: usize, mut visit: impl FnMut(usize, usize)) {
    let n = n as u64;
    let place = |bits: u32| ((u64::from(bits) * n) >> 32) as usize;
    for _ in 0..draws / 2 {
        let word = random.next_u64();
        visit(0, place(word as u32));
        visit(1, place((word >> 32) as u32));
    }
    if draws % 2 == 1 {
        visit(0, place(random.next_u32()));
    }
}

/// One resample as multiplicities: how often each of `counts` was drawn in as many draws.
pub(super) fn count(random: &mut impl Rng, counts: &mut [u32]) {
    counts.fill(0);
    each_place(random, counts.len(), counts.len(), |_, place| counts[place] += 1);
}

/// The value at a fraction of the way from the smallest to the largest of B values, B + 1 parts apart: the quantile that
/// leaves αB of 9,999 resamples below for α = 0.025. Between two values it is linear; beyond the outermost, these.
///
/// Reorders the values.
pub(super) fn quantile(values: &mut [f64], fraction: f64) -> Option<f64> {
    Some(partition(values, fraction)?.0)
}

/// The quantiles of a lower and a higher fraction. Reorders the values.
pub(super) fn quantiles(values: &mut [f64], [low, high]: [f64; 2]) -> Option<Interval> {
    let (low_value, below) = partition(values, low)?;
    // The higher one is among what lies above the lower one.
    let (size, above) = (values.len(), &mut values[below..]);
    let place = rank(size, high) - below as f64;
    Some(Interval { low: low_value, high: if place < 0.0 { low_value } else { at(above, place)? } })
}

/// Both ends of the middle 95% of the values. Reorders them.
pub(super) fn percentiles(values: &mut [f64]) -> Option<Interval> {
    // Written out: half of 1 − 0.95 is 2e-17 more than 0.025 in floats, and a rank would lie between two values.
    quantiles(values, [0.025, 0.975])
}

/// The place of a fraction among so many sorted values, from 0; of none, 0.
fn rank(size: usize, fraction: f64) -> f64 {
    (fraction * (size + 1) as f64 - 1.0).min(size as f64 - 1.0).max(0.0)
}

/// The quantile, and the place from which on no value is smaller than the value at or below it.
fn partition(values: &mut [f64], fraction: f64) -> Option<(f64, usize)> {
    if values.is_empty() {
        return None;
    }
    let place = rank(values.len(), fraction);
    Some((at(values, place)?, place as usize))
}

/// The value at a place of the sorted values, between two of them linear.
fn at(values: &mut [f64], place: f64) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let below = place as usize;
    let (_, low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let low = *low;
    let part = place - below as f64;
    if part == 0.0 {
        return Some(low);
    }
    let high = above.iter().copied().fold(f64::INFINITY, f64::min);
    Some(low + part * (high - low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;

    #[test]
    fn every_place_is_as_probable() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut seen = [0_u32; 7];
        each_place(&mut random, 7, 70_001, |_, place| seen[place] += 1);
        assert_eq!(seen.iter().sum::<u32>(), 70_001);
        // Five standard deviations of a count.
        assert!(seen.iter().all(|count| (f64::from(*count) - 10_000.0).abs() < 5.0 * 92.6), "{seen:?}");
    }

    #[test]
    fn quantiles_are_ranks() {
        let mut values: Vec<f64> = (1..=9999).rev().map(f64::from).collect();
        assert_eq!(quantile(&mut values, 0.025), Some(250.0));
        assert_eq!(quantile(&mut values, 0.975), Some(9750.0));
        assert_eq!(quantile(&mut values, 0.5), Some(5000.0));
        assert_eq!(quantile(&mut values, 0.0), Some(1.0));
        assert_eq!(quantile(&mut values, 1.0), Some(9999.0));
        assert_eq!(quantile(&mut [1.0, 3.0], 0.5), Some(2.0));
        assert_eq!(quantile(&mut [], 0.5), None);
        assert_eq!(percentiles(&mut values), Some(Interval { low: 250.0, high: 9750.0 }));
        assert_eq!(quantiles(&mut values, [0.5, 0.5]), Some(Interval { low: 5000.0, high: 5000.0 }));
        assert_eq!(quantiles(&mut [3.0, 1.0], [0.5, 2.0 / 3.0]), Some(Interval { low: 2.0, high: 3.0 }));
        assert_eq!(percentiles(&mut []), None);
    }
}
