//! The scheme against semi-analytic prices and against its own moments; and that the tests tell it from wrong ones.

use super::*;
use crate::market::{Model, Scheme};
use crate::pricing::integrate;
use crate::pricing::published::{Row, TABLE};
use crate::random::{Normals, Purpose, StreamPerPath, inverse_normal_cdf};
use crate::statistics::Moments;
use proptest::prelude::*;

const PATHS: u64 = 400_000;

/// The market of a row of published prices.
fn market([v0, theta, kappa, xi, rho, maturity, rate, dividend]: [f64; 8], steps_a_year: f64) -> Heston {
    let (steps, dt) = ((maturity * steps_a_year).round() as u64, 1.0 / steps_a_year);
    let mu = rate - dividend;
    Heston { s0: 100.0, v0, theta, kappa, xi, rho, mu, steps, dt, scheme: Scheme::Qe, ..Heston::default() }
}

/// The prices at the end of a set of paths, drawn by `path`.
fn last_prices(heston: &Heston, path: impl Fn(&[f64], &mut [f64], &mut [f64])) -> Vec<f64> {
    let mut stream = StreamPerPath { purpose: Purpose::Test, seed: 0 };
    let mut normals = vec![0.0; heston.normals_per_path()];
    let mut points = [vec![0.0; heston.steps() + 1], vec![0.0; heston.steps() + 1]];
    let draw = |k| {
        stream.fill(k, &mut normals);
        let [price, variance] = &mut points;
        path(&normals, price, variance);
        price[heston.steps()]
    };
    (0..PATHS).map(draw).collect()
}

/// How far, in standard errors, the sample's mean is from `expected`.
fn deviation(sample: &[f64], expected: f64) -> f64 {
    let moments = Moments::of(sample);
    (moments.mean() - expected) / (moments.variance() / sample.len() as f64).sqrt()
}

/// How far, in standard errors, the discounted payoffs of calls are from the row's prices, strike by strike.
fn deviations((parameters, prices): &Row, last: &[f64]) -> Vec<f64> {
    let [.., maturity, rate, _] = *parameters;
    let discount = libm::exp(-rate * maturity);
    let payoffs = |strike: f64| last.iter().map(|price| discount * (price - strike).max(0.0)).collect::<Vec<f64>>();
    prices.iter().map(|&(strike, expected)| deviation(&payoffs(strike), expected)).collect()
}

/// The deviations of the scheme that a market names.
fn deviations_of(row: &Row, heston: &Heston) -> Vec<f64> {
    deviations(row, &last_prices(heston, |normals, price, variance| heston.path(normals, price, variance)))
}

/// The table's rows with their steps a year: few, but ten steps in any case.
fn rows() -> impl Iterator<Item = (&'static Row, f64)> {
    TABLE.iter().map(|row| (row, if row.0[5] < 1.0 { 50.0 } else { 8.0 }))
}

/// All with the same normals: 20 deviations, of which one in 370 would exceed 3 by chance if they were independent.
#[test]
fn calls_are_priced_semi_analytically_at_eight_steps_a_year() {
    for (row, steps_a_year) in rows() {
        let deviations = deviations_of(row, &market(row.0, steps_a_year));
        assert!(deviations.iter().all(|deviation| deviation.abs() < 3.0), "{:?}: {deviations:?}", row.0);
    }
}

#[test]
fn absorption_fails_the_same_test_in_every_row() {
    for (row, steps_a_year) in rows() {
        let heston = Heston { scheme: Scheme::Absorption, ..market(row.0, steps_a_year) };
        let deviations = deviations_of(row, &heston);
        assert!(deviations.iter().any(|deviation| deviation.abs() > 3.0), "{:?}: {deviations:?}", row.0);
    }
}

#[test]
fn without_the_martingale_correction_the_same_test_fails_where_it_can_tell() {
    for row in [&TABLE[0], &TABLE[4]] {
        let heston = market(row.0, 8.0);
        let plain = Qe { drift: Drift::Plain, ..Qe::new(&heston) };
        let last = last_prices(&heston, |normals, price, variance| {
            heston.in_logs(normals, price, variance, |v, z| plain.step(v, z));
        });
        let deviations = deviations(row, &last);
        assert!(deviations.iter().all(|deviation| deviation.abs() > 3.0), "{:?}: {deviations:?}", row.0);
    }
}

/// ∫ g(z)φ(z)dz for a function that may jump where the atom at zero ends, at `jump`.
fn expectation(jump: f64, g: impl Fn(f64) -> f64) -> f64 {
    let weighted = |z: f64| [g(z) * libm::exp(-0.5 * z * z) / (2.0 * std::f64::consts::PI).sqrt()];
    let jump = jump.clamp(-30.0, 30.0);
    let parts = [(-30.0, jump), (jump, 30.0)].map(|(low, high)| integrate(low, high, 1e-13, weighted).unwrap()[0]);
    parts[0] + parts[1]
}

/// The textbook's m, s² and atom, and where the atom ends.
fn textbook(heston: &Heston, v: f64) -> (f64, f64, f64) {
    let Heston { theta, kappa, xi, dt, .. } = *heston;
    let e = libm::exp(-kappa * dt);
    let m = theta + (v - theta) * e;
    let s2 = v * xi * xi * e * (1.0 - e) / kappa + theta * xi * xi * (1.0 - e) * (1.0 - e) / (2.0 * kappa);
    let psi = s2 / (m * m);
    let jump = if psi > 1.5 { inverse_normal_cdf((psi - 1.0) / (psi + 1.0)) } else { f64::NEG_INFINITY };
    (m, s2, jump)
}

prop_compose! {
    fn any_market()(
        theta in 0.001..0.3_f64, kappa in 0.05..8.0_f64, xi in 0.05..2.0_f64, rho in -1.0..=1.0_f64, mu in -0.1..0.1_f64,
        dt in prop_oneof![Just(1.0 / 250.0), Just(1.0 / 8.0)],
    ) -> Heston {
        Heston { theta, kappa, xi, rho, mu, dt, scheme: Scheme::Qe, ..Heston::default() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_variance_has_its_exact_mean_and_variance(heston in any_market(), v in prop_oneof![Just(0.0), 0.0..0.5_f64]) {
        let (qe, (m, s2, jump)) = (Qe::new(&heston), textbook(&heston, v));
        let mean = expectation(jump, |z| qe.variance(v, z).0);
        let square = expectation(jump, |z| { let next = qe.variance(v, z).0; next * next });
        // The textbook's differences 1 − e^{−κΔ} have an error of 1e-16/(κΔ), at most 1e-12.
        prop_assert!((mean - m).abs() <= 1e-11 * (1.0 + m), "{mean} for {m}");
        prop_assert!((square - mean * mean - s2).abs() <= 1e-11 * (1.0 + s2), "{} for {s2}", square - mean * mean);
    }

    /// The mean over the price's normal is closed: E[e^{√s Z}] = e^{s/2}.
    #[test]
    fn the_price_of_a_step_is_a_martingale_but_for_the_drift(heston in any_market(), v in prop_oneof![Just(0.0), 0.0..0.5_f64]) {
        let (qe, (.., jump)) = (Qe::new(&heston), textbook(&heston, v));
        let ratio = expectation(jump, |z| {
            let (log_return, next) = qe.step(v, [0.0, z]);
            libm::exp(log_return + 0.5 * qe.to_noise * (v + next))
        });
        let expected = libm::exp(heston.mu * heston.dt);
        prop_assert!((ratio - expected).abs() <= 1e-10, "{ratio} for {expected}");
    }

    /// Neither too few nor too many configs are refused.
    #[test]
    fn what_check_says_is_so_from_every_variance(
        kappa_dt in 0.05..12.0_f64, xi_dt in 1.0..12.0_f64, rho in 0.3..=1.0_f64, dt in 0.01..2.0_f64,
        feller in prop_oneof![Just(0.0), 0.02..2.0_f64],
    ) {
        // Around where the correction ceases to exist, and with κθ/ξ² on either side of what decides where it does.
        let (kappa, xi) = (kappa_dt / dt, xi_dt / dt);
        let theta = feller * xi * xi / kappa;
        let heston = Heston { theta, kappa, xi, rho, dt, scheme: Scheme::Qe, ..Heston::default() };
        // Andersen's conditions, as he writes them, at variances from next to nothing to practically infinite.
        let tilt = rho / xi + 0.5 * dt * (kappa * rho / xi - 0.5) + 0.25 * dt * (1.0 - rho * rho);
        let fails = |v: f64| {
            let (m, s2, _) = textbook(&heston, v);
            let psi = s2 / (m * m);
            if psi <= 1.5 {
                let b2 = 2.0 / psi - 1.0 + (2.0 / psi).sqrt() * (2.0 / psi - 1.0).sqrt();
                2.0 * tilt * m / (1.0 + b2) >= 1.0
            } else {
                tilt >= 2.0 / (m * (psi + 1.0))
            }
        };
        // What is left of them after the step decides: e^{−κΔ} may be next to nothing.
        let left = |k: i32| 1e-9 * libm::exp(0.0125 * f64::from(k) + kappa * dt);
        let failing = (0..4000).map(left).find(|v| fails(*v));
        let mut errors = Vec::new();
        // As if A were larger or smaller by what lies between two of these variances.
        let exists = |factor: f64| {
            let qe = Qe::new(&heston);
            Qe { tilt: qe.tilt * factor, ..qe }.correction_exists()
        };
        heston.check(&mut errors);
        prop_assert_eq!(errors.is_empty(), exists(1.0));
        match failing {
            Some(v) => prop_assert!(!exists(1.0 + 1e-9), "accepted, but fails at {v}"),
            None => prop_assert!(exists(1.0 - 0.02), "refused, but fails nowhere"),
        }
    }
}

#[test]
fn a_step_that_is_too_long_is_refused_with_what_to_do() {
    let heston = Heston { kappa: 8.0, xi: 8.0, rho: 0.9, dt: 0.4, scheme: Scheme::Qe, ..Heston::default() };
    let errors_of = |heston: Heston| {
        let mut errors = Vec::new();
        heston.check(&mut errors);
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let expected = "market.dt: 0.4 is too long a step for scheme qe at market.rho 0.9 and market.xi 8: its martingale \
                    correction is infinite; take a smaller market.dt, or market.scheme full_truncation";
    assert_eq!(errors_of(heston.clone()), [expected]);
    assert!(errors_of(Heston { dt: 0.04, ..heston.clone() }).is_empty());
    assert!(errors_of(Heston { rho: -0.9, ..heston.clone() }).is_empty());
    assert!(errors_of(Heston { scheme: Scheme::FullTruncation, ..heston }).is_empty());
}

/// One path of a market.
fn path(heston: &Heston, normals: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (mut price, mut variance) = (vec![0.0; heston.steps() + 1], vec![0.0; heston.steps() + 1]);
    heston.path(normals, &mut price, &mut variance);
    (price, variance)
}

#[test]
fn where_there_is_no_variance_there_never_is_any() {
    for (kappa, xi) in [(2.0, 0.5), (0.0, 0.5), (2.0, 0.0), (0.0, 0.0)] {
        let heston =
            Heston { v0: 0.0, theta: 0.0, kappa, xi, mu: 0.1, steps: 4, scheme: Scheme::Qe, ..Heston::default() };
        let (price, variance) = path(&heston, &[1.0, -2.0, 0.5, 3.0, -1.0, 0.0, 2.0, 1.0]);
        assert_eq!(variance, [0.0; 5]);
        for (k, price) in price.into_iter().enumerate() {
            assert!((price - libm::exp(0.1 * heston.dt * k as f64)).abs() <= 1e-15, "κ {kappa}, ξ {xi}: {price}");
        }
    }
}

#[test]
fn without_mean_reversion_the_variance_is_a_martingale() {
    let heston = Heston { kappa: 0.0, dt: 0.125, scheme: Scheme::Qe, ..Heston::default() };
    let qe = Qe::new(&heston);
    for v in [0.01, 0.04, 1.0] {
        // s² = vξ²Δ.
        let psi = 0.25 * 0.125 / v;
        let jump = if psi > 1.5 { inverse_normal_cdf((psi - 1.0) / (psi + 1.0)) } else { f64::NEG_INFINITY };
        assert!((expectation(jump, |z| qe.variance(v, z).0) - v).abs() <= 1e-12);
        let square = expectation(jump, |z| qe.variance(v, z).0 * qe.variance(v, z).0);
        assert!((square - v * v - 0.25 * 0.125 * v).abs() <= 1e-12);
    }
}

#[test]
fn below_the_least_volatility_of_variance_prices_are_lognormal_with_the_variances_integral() {
    let (v0, theta, kappa, dt) = (0.09, 0.04, 2.0, 0.5);
    let heston = Heston {
        v0,
        theta,
        kappa,
        xi: 0.9e-3,
        mu: 0.1,
        rho: 0.6,
        dt,
        steps: 1,
        scheme: Scheme::Qe,
        ..Heston::default()
    };
    let (price, variance) = path(&heston, &[1.5, -1.0]);
    let e = libm::exp(-1.0);
    let total = theta * dt + (v0 - theta) * (1.0 - e) / kappa;
    assert!((variance[1] - (theta + (v0 - theta) * e)).abs() <= 1e-16);
    assert!((price[1] - libm::exp(0.05 - 0.5 * total + (0.8 * 1.5 - 0.6) * total.sqrt())).abs() <= 1e-15);
}

#[test]
fn paths_go_on_where_the_variance_begins_to_count_as_deterministic() {
    let normals: Vec<f64> = (0..100).map(|k| libm::sin(f64::from(k) * 2.0)).collect();
    for rho in [-0.7, 0.0, 1.0] {
        let at = |xi: f64| path(&Heston { v0: 0.09, xi, rho, scheme: Scheme::Qe, ..Heston::default() }, &normals);
        let (below, above) = (at(0.999_999e-3), at(1e-3));
        for k in 0..51 {
            // 50 shocks of ξ√(V/250) < 2e-5, in volatility 1/(2√V) < 2.5 of that, which 50 shocks of √(1/250) see.
            assert!((below.1[k] - above.1[k]).abs() <= 1e-3, "variance at {k}");
            assert!((below.0[k] / above.0[k] - 1.0).abs() <= 1e-3 * 2.5 * 50.0 / 15.0, "price at {k}");
        }
    }
}

#[test]
fn the_second_normal_alone_drives_the_variance() {
    let heston = Heston { steps: 2, scheme: Scheme::Qe, ..Heston::default() };
    let base = path(&heston, &[0.5, -0.5, 1.0, 2.0]);
    let (price, variance) = path(&heston, &[-0.5, -0.5, 1.0, 2.0]);
    assert_eq!(variance, base.1);
    assert_ne!(price[1], base.0[1]);
    assert!(path(&heston, &[0.5, 0.5, 1.0, 2.0]).1[1] > base.1[1], "it grows with it");
}
