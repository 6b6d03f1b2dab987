//! The contours against adaptive quadrature on the real line, against each other and against closed forms.

use super::*;
use crate::market::Heston;
use crate::pricing::published::{TABLE, pricer};
use proptest::prelude::*;

const STRIKE: f64 = 100.0;

/// The default market's model.
fn default_model() -> HestonPricer {
    let Heston { theta, kappa, xi, rho, v0, .. } = Heston::default();
    HestonPricer { spot: 100.0, variance: v0, theta, kappa, xi, rho, rate: 0.0, dividend: 0.0 }
}

/// How far a call of the slice is from the real line's: price, delta, and gamma and vega by their order of magnitude at
/// the money; `None` where the quadrature on the real line does not come to an end.
fn differences(slice: &HestonSlice, spot: f64, variance: f64) -> Option<[f64; 4]> {
    let model = HestonPricer { spot, variance, ..slice.model };
    let expected = model.call_on_the_real_line(STRIKE, slice.maturity).ok()?;
    let ours = slice.call(spot, variance);
    let total = slice.reversion.integral(variance);
    let gamma = 0.4 / (spot * total.sqrt());
    let vega = gamma * spot * spot * 0.5 * slice.reversion.memory;
    Some([
        (ours.price - expected.price).abs(),
        (ours.delta - expected.delta).abs(),
        (ours.gamma - expected.gamma).abs() / gamma,
        (ours.vega - expected.vega).abs() / vega,
    ])
}

/// The trapezoidal rule's error and what the sum leaves out are e^{−30}, 1e-13, times a moderate factor, and the
/// quadrature on the real line is asked for 1e-14 · √(SK)/π a piece.
fn assert_near(differences: [f64; 4], place: &str) {
    let within = differences.into_iter().zip([1e-10, 1e-10, 1e-9, 1e-9]).all(|(difference, limit)| difference <= limit);
    assert!(within, "{place}: price, delta, gamma, vega differ by {differences:?}");
}

/// Compares at spots and variances, and returns how many could be compared.
fn compare(model: &HestonPricer, maturity: f64, spots: &[f64], variances: &[f64]) -> usize {
    let slice = HestonSlice::new(model, STRIKE, maturity).unwrap();
    let mut compared = 0;
    for &spot in spots {
        for &variance in variances {
            if let Some(differences) = differences(&slice, spot, variance) {
                compared += 1;
                assert_near(differences, &format!("{model:?}, {maturity} years, spot {spot}, variance {variance}"));
            }
        }
    }
    compared
}

#[test]
fn the_default_markets_calls_are_the_real_lines() {
    let mut compared = 0;
    for steps in [1.0, 2.0, 5.0, 20.0, 50.0] {
        let spots = [60.0, 90.0, 99.0, 100.0, 101.0, 110.0, 160.0];
        compared += compare(&default_model(), steps / 250.0, &spots, &[0.0, 1e-3, 0.01, 0.04, 0.1, 0.4]);
    }
    assert!(compared >= 150, "next to zero variance there is nothing to compare with, but {compared} of 210 are few");
}

#[test]
fn the_tables_calls_are_the_real_lines() {
    for (parameters, _) in TABLE {
        for share in [1.0, 0.1] {
            let spots = [40.0, 80.0, 100.0, 125.0, 250.0];
            let compared = compare(&pricer(*parameters), share * parameters[5], &spots, &[0.0, 0.01, 0.04, 0.25, 1.0]);
            assert!(compared >= 15, "{parameters:?}: {compared} of 25");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn calls_are_the_real_lines(
        kappa in 0.0..6.0_f64, theta in 0.0..0.3_f64, xi in 0.02..1.5_f64, rho in -0.95..0.95_f64,
        log_maturity in -5.5..2.3_f64, variance in 0.01..0.5_f64, deviations in -6.0..6.0_f64,
        rate in -0.02..0.08_f64, dividend in 0.0..0.05_f64,
    ) {
        let maturity = libm::exp(log_maturity);
        let model = HestonPricer { spot: 100.0, variance, theta, kappa, xi, rho, rate, dividend };
        let slice = HestonSlice::new(&model, STRIKE, maturity).unwrap();
        let spot = STRIKE * libm::exp(deviations * slice.reversion.integral(variance).sqrt());
        if let Some(differences) = differences(&slice, spot, variance) {
            // Far in the money, prices are large, and their rounding is.
            let scale = (spot / STRIKE).max(1.0);
            assert_near(differences.map(|difference| difference / scale), &format!("spot {spot}"));
        }
    }

    /// Two sets of nodes that have none in common, each for its half-plane of x: at x = 0, both hold, whatever the
    /// parameters. Zero variance included, where the real line gives up.
    #[test]
    fn the_contours_agree_where_they_meet(
        kappa in 0.0..6.0_f64, theta in 0.001..0.3_f64, xi in 0.01..3.0_f64, rho in -0.98..0.98_f64,
        log_maturity in -5.5..2.7_f64, variance in prop_oneof![Just(0.0), 0.0..1e-3_f64, 0.0..1.0_f64],
    ) {
        let maturity = libm::exp(log_maturity);
        let model = HestonPricer { spot: 100.0, variance, theta, kappa, xi, rho, rate: 0.0, dividend: 0.0 };
        let slice = HestonSlice::new(&model, STRIKE, maturity).unwrap();
        let [rising, falling] = slice.contours.as_ref().unwrap();
        let total = slice.reversion.integral(variance);
        prop_assume!(total > 0.0);
        let (above, below) = (rising.sums(0.0, variance), falling.sums(0.0, variance));
        // The price's integral and its derivative by x are of order 1; e^{−30} is 1e-13.
        prop_assert!((above[0] - below[0]).abs() <= 1e-11, "price {above:?} {below:?}");
        prop_assert!((above[1] - below[1]).abs() <= 1e-11, "slope {above:?} {below:?}");
        // The others are as large as 1/√total, or more where most of the mass is next to x = 0.
        prop_assert!((above[2] - below[2]).abs() <= 1e-9 * above[2].abs(), "density {above:?} {below:?}");
        prop_assert!((above[3] - below[3]).abs() <= 1e-9 * above[3].abs().max(1.0), "vega {above:?} {below:?}");
    }
}

#[test]
fn greeks_at_zero_variance_are_difference_quotients() {
    // Many of a path's variances are exactly zero where ξ is large: Buehler et al.'s market.
    let model = HestonPricer { theta: 0.04, kappa: 1.0, xi: 2.0, rho: -0.7, ..default_model() };
    let slice = HestonSlice::new(&model, STRIKE, 15.0 / 365.0).unwrap();
    for spot in [90.0, 99.0, 103.0] {
        let (h, greeks) = (1e-4 * spot, slice.call(spot, 0.0));
        let (up, down) = (slice.call(spot + h, 0.0), slice.call(spot - h, 0.0));
        // Rounding is 1e-14 · 100 / h; the second-order term h² ∂³C/6 is below 1e-4 · 0.1.
        assert!((greeks.delta - (up.price - down.price) / (2.0 * h)).abs() <= 1e-5, "delta at {spot}");
        assert!((greeks.gamma - (up.delta - down.delta) / (2.0 * h)).abs() <= 1e-3 * greeks.gamma, "gamma at {spot}");
        let k = 1e-7;
        let slope = (slice.call(spot, k).price - greeks.price) / k;
        assert!((greeks.vega - slope).abs() <= 1e-3 * greeks.vega, "vega at {spot}: {} {slope}", greeks.vega);
    }
}

#[test]
fn at_maturity_and_after_it_calls_pay() {
    for maturity in [0.0, -1.0] {
        let slice = HestonSlice::new(&default_model(), STRIKE, maturity).unwrap();
        assert_eq!(slice.call(110.0, 0.04), Greeks { price: 10.0, delta: 1.0, gamma: 0.0, vega: 0.0 });
        assert_eq!(slice.call(90.0, 0.04), Greeks { price: 0.0, delta: 0.0, gamma: 0.0, vega: 0.0 });
    }
}

#[test]
fn what_absorption_stores_has_a_price() {
    let slice = HestonSlice::new(&default_model(), STRIKE, 0.1).unwrap();
    assert_eq!(slice.call(101.0, -0.01), slice.call(101.0, 0.0), "negative variance counts as zero");
    let nothing = Greeks { price: 0.0, delta: 0.0, gamma: 0.0, vega: 0.0 };
    assert_eq!((slice.call(0.0, 0.04), slice.call(-1.0, 0.04)), (nothing, nothing));
    assert!(slice.call(f64::NAN, 0.04).price.is_nan() && slice.call(100.0, f64::NAN).price.is_nan());
}

#[test]
fn a_variance_that_stays_zero_leaves_the_forwards_payoff() {
    let model = HestonPricer { theta: 0.0, rate: 0.05, ..default_model() };
    let call = HestonSlice::new(&model, STRIKE, 1.0).unwrap().call(100.0, 0.0);
    assert_eq!((call.price, call.delta), (100.0 - 100.0 * libm::exp(-0.05), 1.0));
}

#[test]
fn what_cannot_be_priced_is_an_error() {
    let refused = |model| HestonSlice::new(&model, STRIKE, 1.0).is_err();
    assert!(refused(HestonPricer { theta: f64::NAN, ..default_model() }));
    assert!(refused(HestonPricer { rho: -1.0, ..default_model() }));
    assert!(!refused(HestonPricer { rho: -0.999, ..default_model() }));
    assert!(HestonSlice::new(&default_model(), STRIKE, f64::NAN).is_err());
}

#[test]
fn there_are_slices_up_to_the_largest_correlation() {
    for rho in [-LARGEST_CORRELATION, LARGEST_CORRELATION] {
        for (kappa, xi, maturity) in [(2.0, 0.5, 0.2), (0.0, 3.0, 10.0), (10.0, 1e-3, 1e-3), (0.3, 0.9, 15.0)] {
            let model =
                HestonPricer { spot: 100.0, variance: 0.04, theta: 0.04, kappa, xi, rho, rate: 0.0, dividend: 0.0 };
            let slice = HestonSlice::new(&model, 100.0, maturity);
            assert!(slice.is_ok(), "rho {rho}, kappa {kappa}, xi {xi}, maturity {maturity}");
        }
    }
}
