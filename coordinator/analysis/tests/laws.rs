//! What must hold of the statistics whatever the sample.

use analysis::stats::{
    PairBootstrap, hodges_lehmann, holm, interquartile_mean, paired_t, sign_flip, superiority, two_sided_p,
    two_sided_quantile, wilcoxon,
};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

fn random() -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(7)
}

/// Differences in steps of a quarter, so that there are ties and zeros, and sums are exact.
fn differences() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-40_i32..40).prop_map(|quarters| f64::from(quarters) / 4.0), 1..40)
}

proptest! {
    #[test]
    fn exact_tests_do_not_know_which_arm_is_which(differences in differences()) {
        let negated: Vec<f64> = differences.iter().map(|difference| -difference).collect();
        prop_assert_eq!(wilcoxon(&differences), wilcoxon(&negated));
        prop_assert_eq!(hodges_lehmann(&differences), hodges_lehmann(&negated).map(|shift| -shift));
        if differences.len() <= 20 {
            prop_assert_eq!(sign_flip(&mut random(), &differences), sign_flip(&mut random(), &negated));
        }
        let (one, other) = (paired_t(&differences), paired_t(&negated));
        prop_assert_eq!(one.test.p, other.test.p);
        prop_assert_eq!(one.test.t, other.test.t.map(|t| -t));
    }

    #[test]
    fn neither_order_nor_scale_matters_to_a_p(differences in differences()) {
        let mut other: Vec<f64> = differences.iter().map(|difference| 8.0 * difference).collect();
        other.reverse();
        prop_assert_eq!(wilcoxon(&differences), wilcoxon(&other));
        prop_assert_eq!(hodges_lehmann(&differences).map(|shift| 8.0 * shift), hodges_lehmann(&other));
        if differences.len() <= 20 {
            prop_assert_eq!(sign_flip(&mut random(), &differences), sign_flip(&mut random(), &other));
        }
    }

    #[test]
    fn every_p_is_a_probability(differences in differences()) {
        for p in [wilcoxon(&differences), sign_flip(&mut random(), &differences), paired_t(&differences).test.p] {
            prop_assert!(p.is_none_or(|p| (0.0..=1.0).contains(&p)), "{p:?}");
        }
    }

    #[test]
    fn the_t_interval_holds_zero_exactly_if_the_test_does_not_reject(differences in differences()) {
        let paired = paired_t(&differences);
        if let (Some(p), Some(interval)) = (paired.test.p, paired.interval)
            && (p - 0.05).abs() > 1e-9
        {
            prop_assert_eq!(interval.contains(0.0), p > 0.05);
        }
    }

    #[test]
    fn estimates_lie_among_the_values(differences in differences()) {
        let (low, high) = differences.iter().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
        for estimate in [hodges_lehmann(&differences), interquartile_mean(&differences)] {
            prop_assert!((low..=high).contains(&estimate.unwrap()));
        }
        let zeros = vec![0.0; differences.len()];
        if let Some(interval) = PairBootstrap::default().intervals(&mut random(), &differences, &zeros).difference {
            prop_assert!(low <= interval.low && interval.low <= interval.high && interval.high <= high);
        }
    }

    #[test]
    fn holm_raises_and_keeps_the_order(p in prop::collection::vec(0.0..1.0_f64, 0..30)) {
        let adjusted = holm(&p);
        for (left, own) in p.iter().zip(&adjusted) {
            prop_assert!(own >= left && *own <= 1.0);
            prop_assert!(p.iter().zip(&adjusted).all(|(right, other)| left > right || own <= other));
        }
    }

    #[test]
    fn wilsons_interval_holds_the_share(wins in 0_usize..50, ties in 0_usize..50, losses in 0_usize..50) {
        if let Some(found) = superiority(wins, ties, wins + ties + losses) {
            prop_assert!(0.0 <= found.interval.low && found.interval.high <= 1.0);
            prop_assert!(found.interval.contains(found.share));
        }
    }

    #[test]
    fn quantiles_of_student_t_are_inverse_to_its_tails(p in 1e-12..0.999_f64, freedom in 1.0..1e5_f64) {
        let back = two_sided_p(two_sided_quantile(p, freedom), freedom);
        prop_assert!((back - p).abs() <= 1e-11 * p, "{back} is not {p}");
    }
}

/// Where a continued fraction that knows x alone, and not 1 − x, has ten digits and no more.
#[test]
fn tails_of_student_t_are_smooth_for_many_degrees_of_freedom() {
    for (p, freedom) in
        [(0.054_559_519_201_888_46, 97_845.777_807_644_18), (0.026_283_164_978_238_266, 98_425.237_638_81)]
    {
        let back = two_sided_p(two_sided_quantile(p, freedom), freedom);
        assert!((back - p).abs() <= 1e-12 * p, "{back} is not {p}");
    }
}
