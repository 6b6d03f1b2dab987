//! Wilcoxon's signed-rank test of differences of pairs. Wilcoxon (1945); SciPy's `wilcoxon(correction=False)` is the same.

use super::normal::two_sided;

/// Up to so many differences, without ties and zeros, the distribution of the rank sum is known exactly.
const EXACT: usize = 50;

/// Up to so many differences with ties or zeros, all signs are tried.
const ENUMERATED: usize = 13;

/// The two-sided p. Zeros are dropped. Without ties and zeros it is exact up to 50 differences; with them all signs of up
/// to 13 are tried; else it is normal, its variance corrected for ties, without a correction for continuity. 1 if all are
/// zero; `None` for no differences.
pub fn wilcoxon(differences: &[f64]) -> Option<f64> {
    if differences.is_empty() {
        return None;
    }
    let ranks = Ranks::of(differences);
    if ranks.doubled.is_empty() {
        return Some(1.0);
    }
    let has_zeros = ranks.doubled.len() < differences.len();
    Some(if ranks.ties == 0.0 && !has_zeros && differences.len() <= EXACT {
        let counts = rank_sums(differences.len());
        both_tails(&counts, ranks.positive / 2)
    } else if differences.len() <= ENUMERATED {
        both_tails(&ranks.sums(), ranks.positive)
    } else {
        ranks.normal_p()
    })
}

/// Ranks of the differences that are not zero, by size. Doubled, so that those of ties are whole.
struct Ranks {
    doubled: Vec<u64>,
    /// The sum of those of the positive differences.
    positive: u64,
    /// Σ t³ − t over groups of t ties.
    ties: f64,
}

impl Ranks {
    fn of(differences: &[f64]) -> Ranks {
        let mut sorted: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
        sorted.sort_unstable_by(|left, right| left.abs().total_cmp(&right.abs()));
        let mut ranks = Ranks { doubled: Vec::with_capacity(sorted.len()), positive: 0, ties: 0.0 };
        for group in sorted.chunk_by(|left, right| left.abs() == right.abs()) {
            let (before, size) = (ranks.doubled.len() as u64, group.len() as u64);
            let rank = 2 * before + size + 1;
            ranks.doubled.extend(group.iter().map(|_| rank));
            ranks.positive += rank * group.iter().filter(|difference| **difference > 0.0).count() as u64;
            let size = size as f64;
            ranks.ties += size * (size * size - 1.0);
        }
        ranks
    }

    /// How many choices of signs lead to each (doubled) sum of positive ranks.
    fn sums(&self) -> Vec<f64> {
        distribution(self.doubled.iter().map(|rank| *rank as usize))
    }

    fn normal_p(&self) -> f64 {
        let n = self.doubled.len() as f64;
        let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - self.ties / 48.0;
        two_sided((self.positive as f64 / 2.0 - n * (n + 1.0) / 4.0) / variance.sqrt())
    }
}

/// How many choices of signs lead to each sum of positive ranks 1 … n.
fn rank_sums(n: usize) -> Vec<f64> {
    distribution(1..=n)
}

/// How many of the 2ⁿ subsets of some sizes have each sum. Whole numbers, exact in floats up to 53 sizes.
fn distribution(sizes: impl Iterator<Item = usize>) -> Vec<f64> {
    let mut counts = vec![1.0];
    for size in sizes {
        let before = counts.len();
        counts.resize(before + size, 0.0);
        for sum in (0..before).rev() {
            counts[sum + size] += counts[sum];
        }
    }
    counts
}

/// Twice the smaller tail at an observed sum, which is in both.
fn both_tails(counts: &[f64], observed: u64) -> f64 {
    let observed = observed as usize;
    let (below, above): (f64, f64) = (counts[..=observed].iter().sum(), counts[observed..].iter().sum());
    (2.0 * below.min(above) / counts.iter().sum::<f64>()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_samples_are_counted_by_hand() {
        assert_eq!(wilcoxon(&[]), None);
        assert_eq!(wilcoxon(&[0.0, 0.0]), Some(1.0));
        assert_eq!(wilcoxon(&[-3.0]), Some(1.0));
        assert_eq!(wilcoxon(&[1.0, 2.0]), Some(0.5));
        // Of 32 subsets of 1 … 5 one has the sum 15, one 14.
        assert_eq!(wilcoxon(&[5.0, 1.0, 3.0, 2.0, 4.0]), Some(2.0 / 32.0));
        assert_eq!(wilcoxon(&[5.0, -1.0, 3.0, 2.0, 4.0]), Some(4.0 / 32.0));
        // Ranks 1½, 1½, 3: of eight sums one is 6, none more.
        assert_eq!(wilcoxon(&[1.0, 1.0, 2.0, 0.0]), Some(2.0 / 8.0));
    }

    #[test]
    fn all_subsets_are_counted() {
        assert_eq!(rank_sums(50).iter().sum::<f64>(), 50.0_f64.exp2());
        assert_eq!(rank_sums(3), [1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 1.0]);
    }
}
