//! The median of values of which some may be infinite, and what can be said of it from order and signs alone.

/// The least coverage of [`median_interval`].
pub const COVERAGE: f64 = 0.95;

/// The median: of an even number of values the mean of the middle two, infinite if one of them is. `None` for no values.
pub fn median(values: &[f64]) -> Option<f64> {
    let sorted = ascending(values);
    let last = sorted.len().checked_sub(1)?;
    // Halved first: two large ones would add up to infinity.
    Some(sorted[last / 2] / 2.0 + sorted[sorted.len() / 2] / 2.0)
}

/// A distribution-free 95% interval for the median: the narrowest pair of order statistics x₍ₖ₎ and x₍ₙ₊₁₋ₖ₎ with at
/// least this coverage. `None` where even the smallest and the largest value have less: below six values.
///
/// The number of values below the median is Binomial(n, ½) whatever their distribution, and smaller still if values may
/// be equal to it, so that the coverage is 1 − 2 P(B < k) or more. An infinite value is but the largest, for which no
/// number is needed: this is why the interval suits times to an event that some never have. Conover (1999), *Practical
/// Nonparametric Statistics*, 3.2; Hahn and Meeker (1991), *Statistical Intervals*, 5.2.
pub fn median_interval(values: &[f64]) -> Option<(f64, f64)> {
    let rank = interval_rank(values.len())?;
    let sorted = ascending(values);
    Some((sorted[rank - 1], sorted[values.len() - rank]))
}

/// The rank k of [`median_interval`], from 1.
pub fn interval_rank(n: usize) -> Option<usize> {
    // The coverage falls as the rank rises: the last rank that has enough.
    let enough = |rank: usize| 1.0 - 2.0 * lower_tail(rank - 1, n) >= COVERAGE;
    let (mut rank, mut too_large) = (0, n / 2 + 1);
    while too_large - rank > 1 {
        let middle = rank.midpoint(too_large);
        if enough(middle) { rank = middle } else { too_large = middle }
    }
    (rank > 0).then_some(rank)
}

/// The two-sided p of the exact sign test, with so many differences below and above zero; those that are zero are dropped
/// before. 1 without any. Conover (1999), 3.4.
pub fn sign_test(below: usize, above: usize) -> f64 {
    (2.0 * lower_tail(below.min(above), below + above)).min(1.0)
}

/// P(B ≤ k) for B from Binomial(n, ½) and k up to n/2, to twelve digits for thousands of trials.
fn lower_tail(k: usize, n: usize) -> f64 {
    // The largest term, C(n, k)/2ⁿ: each halving as soon as there is something to halve, lest it overflow or vanish.
    let (mut term, mut halvings) = (1.0, n as i32);
    for i in 1..=k {
        term *= (n - k + i) as f64 / i as f64;
        while term > 1.0 && halvings > 0 {
            term *= 0.5;
            halvings -= 1;
        }
    }
    term *= 0.5_f64.powi(halvings);
    let mut sum = term;
    for i in (1..=k).rev() {
        term *= i as f64 / (n - i + 1) as f64;
        sum += term;
    }
    sum
}

fn ascending(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: f64 = f64::INFINITY;

    #[test]
    fn infinite_values_are_the_largest() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[NEVER, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, NEVER]), Some(3.0));
        assert_eq!(median(&[NEVER, 1.0, 2.0, NEVER]), Some(NEVER), "one of the middle two");
        assert_eq!(median(&[f64::MAX, f64::MAX]), Some(f64::MAX));
    }

    #[test]
    fn six_values_are_the_first_to_have_an_interval() {
        let values = [5.0, NEVER, 1.0, 4.0, 2.0, 3.0];
        // 1 − 2/32 is less than 95%, 1 − 2/64 is not.
        assert_eq!(median_interval(&values[..5]), None);
        assert_eq!(median_interval(&values), Some((1.0, NEVER)));
        assert_eq!(median_interval(&[]), None);
        // 1 − 2 (1 + 8)/256 is less, 1 − 2 (1 + 9)/512 is not.
        assert_eq!((interval_rank(8), interval_rank(9)), (Some(1), Some(2)));
        let nine = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0];
        assert_eq!(median_interval(&nine), Some((2.0, 8.0)));
    }

    #[test]
    fn signs_are_counted_on_both_sides() {
        assert_eq!(sign_test(0, 0), 1.0);
        assert_eq!(sign_test(4, 4), 1.0);
        assert_eq!(sign_test(0, 6), 2.0 / 64.0);
        assert_eq!(sign_test(7, 1), 2.0 * 9.0 / 256.0);
    }

    #[test]
    fn thousands_of_trials_neither_overflow_nor_vanish() {
        let all = |n: usize| lower_tail((n - 1) / 2, n);
        assert!([1001, 99_999].into_iter().all(|n| (all(n) - 0.5).abs() < 1e-10));
        assert_eq!(sign_test(0, 5000), 0.0);
    }
}
