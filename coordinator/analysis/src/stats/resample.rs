//! Drawing with replacement, fast enough that nobody has to think about whether to.

use rand::Rng;

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
    let last = values.len().checked_sub(1)?;
    let place = (fraction * (values.len() + 1) as f64 - 1.0).clamp(0.0, last as f64);
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

/// Both ends of the middle 95% of the values. Reorders them.
pub(super) fn percentiles(values: &mut [f64]) -> Option<super::Interval> {
    let tail = (1.0 - super::COVERAGE) / 2.0;
    Some(super::Interval { low: quantile(values, tail)?, high: quantile(values, 1.0 - tail)? })
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
    }
}
