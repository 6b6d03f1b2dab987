//! The sign-flip permutation test of differences of pairs. Fisher (1935), *The Design of Experiments*, section 21.

use rand::Rng;

/// Up to so many differences all signs are tried.
pub const EXACT_FLIPS: usize = 20;

/// Of more, so many are drawn.
pub const FLIPS: usize = 100_000;

/// Differences whose signed sums are looked up at once.
const BYTE: usize = 8;

/// The two-sided p of the mean difference, if each difference were as probable with the other sign: exact up to
/// [`EXACT_FLIPS`] differences, else from [`FLIPS`] draws, the signs that were found counted as one of them (Phipson and
/// Smyth 2010). 1 if all are zero; `None` for no differences.
pub fn sign_flip(random: &mut impl Rng, differences: &[f64]) -> Option<f64> {
    if differences.is_empty() {
        return None;
    }
    let total: f64 = differences.iter().sum();
    let scale: f64 = differences.iter().map(|difference| difference.abs()).sum();
    // Sums that are equal in decimals may differ by rounding.
    let threshold = total.abs() - 1e-12 * scale;
    if threshold <= 0.0 {
        return Some(1.0);
    }
    Some(if differences.len() <= EXACT_FLIPS {
        let (left, right) = differences.split_at(differences.len() / 2);
        let as_far = as_far(&mut sums(left), &mut sums(right), threshold);
        as_far as f64 / (1_u64 << differences.len()) as f64
    } else {
        (1 + drawn(random, differences, threshold)) as f64 / (1 + FLIPS) as f64
    })
}

/// The sums with all signs; place i adds where bit k of i is set, and subtracts elsewhere.
fn sums(differences: &[f64]) -> Vec<f64> {
    let mut sums = Vec::with_capacity(1 << differences.len());
    sums.push(-differences.iter().sum::<f64>());
    for difference in differences {
        for place in 0..sums.len() {
            sums.push(sums[place] + 2.0 * difference);
        }
    }
    sums
}

/// How many sums of one from each side are at least as far from zero as a threshold above zero. Sorts both.
///
/// Two halves of ten have a thousand sums each, not a million.
fn as_far(left: &mut [f64], right: &mut [f64], threshold: f64) -> usize {
    left.sort_unstable_by(f64::total_cmp);
    right.sort_unstable_by(f64::total_cmp);
    // As the left sum rises, more of the right ones reach the threshold above and fewer the one below.
    let (mut above, mut below) = (0, right.len());
    let mut count = 0;
    for left in left {
        while above < right.len() && *left + right[right.len() - 1 - above] >= threshold {
            above += 1;
        }
        while below > 0 && *left + right[below - 1] > -threshold {
            below -= 1;
        }
        count += above + below;
    }
    count
}

/// How many of [`FLIPS`] sums with random signs are as far from zero.
fn drawn(random: &mut impl Rng, differences: &[f64], threshold: f64) -> usize {
    // Eight signs are a byte, which finds their sum in a table.
    let tables: Vec<[f64; 1 << BYTE]> = differences
        .chunks(BYTE)
        .map(|some| {
            let sums = sums(some);
            std::array::from_fn(|signs| sums[signs % sums.len()])
        })
        .collect();
    let sum = |random: &mut _| {
        let mut total = 0.0;
        for some in tables.chunks(size_of::<u64>()) {
            let word = Rng::next_u64(random).to_le_bytes();
            total += some.iter().zip(word).map(|(table, signs)| table[usize::from(signs)]).sum::<f64>();
        }
        total
    };
    (0..FLIPS).filter(|_| sum(random).abs() >= threshold).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;

    fn p(differences: &[f64]) -> Option<f64> {
        sign_flip(&mut Xoshiro256PlusPlus::seed_from_u64(3), differences)
    }

    #[test]
    fn few_differences_are_flipped_in_all_ways() {
        assert_eq!(p(&[]), None);
        assert_eq!(p(&[2.0]), Some(1.0));
        assert_eq!(p(&[1.0, 2.0]), Some(0.5));
        // ±(1 + 2 + 4), and of the others none is as far.
        assert_eq!(p(&[1.0, 2.0, 4.0]), Some(0.25));
        // |−1 + 2 + 4| = 5 or more: ±7, ±5.
        assert_eq!(p(&[-1.0, 2.0, 4.0]), Some(0.5));
        assert_eq!(p(&[1.0; 20]), Some(2.0 / f64::from(1 << 20)));
        assert_eq!(p(&[0.0; 30]), Some(1.0));
        // Zeros change nothing.
        assert_eq!(p(&[0.0, 1.0, 0.0, 2.0, 4.0]), Some(0.25));
    }

    #[test]
    fn sums_that_are_equal_in_decimals_are_equal() {
        // 0.1 + 0.2 is not 0.3 in binary: all four ways to 0.4 or −0.4 count, and ±0.6.
        assert_eq!(p(&[0.1, 0.2, 0.3, -0.2]), p(&[1.0, 2.0, 3.0, -2.0]));
    }

    #[test]
    fn drawn_flips_come_near_the_exact_p() {
        let differences: Vec<f64> = (0..20).map(|i| f64::from(i * 7 % 11) - 3.5).collect();
        let exact = p(&differences).unwrap();
        let threshold = differences.iter().sum::<f64>() - 1e-9;
        let found = drawn(&mut Xoshiro256PlusPlus::seed_from_u64(3), &differences, threshold) as f64 / FLIPS as f64;
        let error = (exact * (1.0 - exact) / FLIPS as f64).sqrt();
        assert!((found - exact).abs() < 4.0 * error, "{found} is not {exact}");
    }
}
