//! The power of the paired t test.

use super::normal::{normal_cdf, normal_quantile};
use super::student::two_sided_quantile;

/// Twice the points of a Gauss–Legendre rule of eight, and their weights.
const POINTS: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
    (0.960_289_856_497_536_3, 0.101_228_536_290_376_26),
];

/// Pieces of the integral over the deviation. The fewer degrees of freedom, the sharper what is integrated.
fn panels(freedom: f64) -> usize {
    if freedom < 3.0 { 48 } else { 20 }
}

/// The probability that the two-sided paired t test of n pairs rejects at `level`, if the differences are normal with a mean
/// of `d_z` of their deviations. Zero for fewer than two pairs.
///
/// By the definition of the noncentral t: with s the samples's deviation over the true one, s²ν is χ² with ν = n − 1 degrees
/// of freedom, and given s the test rejects where a normal value around d_z·√n is farther than t·s from zero.
pub fn power(d_z: f64, n: u64, level: f64) -> f64 {
    if n < 2 {
        return 0.0;
    }
    let freedom = (n - 1) as f64;
    let (bound, centre) = (two_sided_quantile(level, freedom), d_z * (n as f64).sqrt());
    let rejects = |s: f64| normal_cdf(centre - bound * s) + normal_cdf(-centre - bound * s);
    // The density of s up to its constant, which the weights' sum takes out again; from its peak at √(1 − 1/ν) it falls
    // faster than a normal one with a deviation of √(1/2ν).
    let density = |s: f64| {
        let away = s - 1.0;
        ((freedom - 1.0) * away.ln_1p() - freedom * (away + 0.5 * away * away)).exp()
    };
    let reach = 10.0 / (2.0 * freedom).sqrt();
    let (low, high) = ((1.0 - reach).max(0.0), 1.0 + reach);
    let panels = panels(freedom);
    let half = (high - low) / (2 * panels) as f64;
    let (mut total, mut rejected) = (0.0, 0.0);
    for panel in 0..panels {
        let middle = low + half * (2 * panel + 1) as f64;
        for (point, weight) in POINTS {
            for s in [middle - half * point, middle + half * point] {
                let mass = weight * density(s);
                total += mass;
                rejected += mass * rejects(s);
            }
        }
    }
    (rejected / total).min(1.0)
}

/// More pairs than these nobody runs: an effect that takes more is none in practice.
pub const MOST_PAIRS: u64 = 1_000_000;

/// The fewest pairs for which the paired t test at `level` sees a mean of `d_z` deviations with a probability of `wanted`.
/// `None` if there is nothing to see, or it would take more than [`MOST_PAIRS`].
pub fn seeds_for_power(d_z: f64, wanted: f64, level: f64) -> Option<u64> {
    // From the normal approximation, which is a pair or two short.
    let needed = (normal_quantile(1.0 - level / 2.0) + normal_quantile(wanted)) / d_z;
    let guess = needed * needed;
    if guess.is_nan() || guess > MOST_PAIRS as f64 {
        return None;
    }
    let enough = |n: u64| power(d_z, n, level) >= wanted;
    let mut n = (guess as u64).max(2);
    while n > 2 && enough(n - 1) {
        n -= 1;
    }
    while !enough(n) && n <= MOST_PAIRS {
        n += 1;
    }
    (n <= MOST_PAIRS).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_literature_says() {
        let needed = [0.2, 0.5, 0.8, 1.0, 1.5].map(|d_z| seeds_for_power(d_z, 0.8, 0.05));
        assert_eq!(needed, [199, 34, 15, 10, 6].map(Some));
        assert_eq!(seeds_for_power(-0.8, 0.8, 0.05), Some(15));
    }

    #[test]
    fn what_cannot_be_seen_needs_no_number() {
        assert_eq!(seeds_for_power(0.0, 0.8, 0.05), None);
        assert_eq!(seeds_for_power(f64::NAN, 0.8, 0.05), None);
        assert_eq!(seeds_for_power(1e-9, 0.8, 0.05), None);
        assert_eq!(seeds_for_power(0.0028, 0.8, 0.05), None, "1,001,133 or so");
        assert_eq!(seeds_for_power(0.003, 0.8, 0.05), Some(872_098));
        assert_eq!(seeds_for_power(1e3, 0.8, 0.05), Some(2));
        assert_eq!(power(1.0, 1, 0.05), 0.0);
    }
}
