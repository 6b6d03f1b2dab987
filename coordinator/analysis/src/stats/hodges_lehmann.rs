//! The Hodges–Lehmann estimate of a shift.

/// The median of the means of all pairs of differences, each with itself included: what Wilcoxon's test estimates. `None` for
/// none. Hodges and Lehmann (1963).
///
/// Of n sorted differences the means rise along rows and columns of a triangle, so that those up to a bound are counted in
/// one walk along its edge, and the median is found by halving: n log n instead of n² steps, and no memory for n² means.
pub fn hodges_lehmann(differences: &[f64]) -> Option<f64> {
    let n = differences.len();
    if n == 0 {
        return None;
    }
    let mut sorted = differences.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let pairs = n * (n + 1) / 2;
    let (low, high) = (ranked(&sorted, pairs.div_ceil(2)), ranked(&sorted, pairs / 2 + 1));
    Some(0.5 * low + 0.5 * high)
}

/// The mean of a pair. It rises with both, rounding included.
fn middle(left: f64, right: f64) -> f64 {
    0.5 * left + 0.5 * right
}

/// The mean of this rank, from 1: the smallest number that so many means do not exceed. Sought among all floats, so that
/// it is one of the means to the last bit.
fn ranked(sorted: &[f64], rank: usize) -> f64 {
    let (mut below, mut enough) = (order(sorted[0]) - 1, order(sorted[sorted.len() - 1]));
    while enough - below > 1 {
        let half = below + (enough - below) / 2;
        if count_up_to(sorted, unorder(half)) >= rank { enough = half } else { below = half }
    }
    unorder(enough)
}

/// How many pairs i ≤ j have a mean of at most `bound`.
fn count_up_to(sorted: &[f64], bound: f64) -> usize {
    let (mut count, mut end) = (0, sorted.len());
    for (place, left) in sorted.iter().enumerate() {
        while end > place && middle(*left, sorted[end - 1]) > bound {
            end -= 1;
        }
        if end <= place {
            break;
        }
        count += end - place;
    }
    count
}

/// Floats in their order as whole numbers. Wide, so that differences of two do not overflow.
fn order(value: f64) -> i128 {
    // −0 is 0.
    let bits = i128::from((value + 0.0).to_bits() & !(1 << 63));
    if value < 0.0 { -bits } else { bits }
}

fn unorder(order: i128) -> f64 {
    let magnitude = f64::from_bits(order.unsigned_abs() as u64);
    if order < 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(differences: &[f64]) -> f64 {
        let mut means = Vec::new();
        for (place, left) in differences.iter().enumerate() {
            means.extend(differences[place..].iter().map(|right| middle(*left, *right)));
        }
        means.sort_unstable_by(f64::total_cmp);
        middle(means[(means.len() - 1) / 2], means[means.len() / 2])
    }

    #[test]
    fn it_is_the_median_of_all_means() {
        assert_eq!(hodges_lehmann(&[]), None);
        assert_eq!(hodges_lehmann(&[3.0]), Some(3.0));
        assert_eq!(hodges_lehmann(&[1.0, 2.0]), Some(1.5));
        let mut state = 1_u64;
        for n in 1..60 {
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                ((state >> 40) as f64 - 8_388_608.0) / 1e5
            };
            let values: Vec<f64> = (0..n).map(|_| if n % 3 == 0 { next().round() } else { next() }).collect();
            assert_eq!(hodges_lehmann(&values), Some(slow(&values)), "{values:?}");
        }
    }

    #[test]
    fn signs_and_zeros_are_in_order() {
        for values in [&[-0.0, 0.0][..], &[-1.0, 1.0], &[-5e-324, 0.0, 5e-324], &[-3.0; 4], &[-1e308, 1e308, 1e308]] {
            assert_eq!(hodges_lehmann(values), Some(slow(values)), "{values:?}");
        }
    }
}
