//! Against SciPy, statsmodels and mpmath: `tests/golden/analysis.py` writes the values.

use analysis::median::{interval_rank, median_interval, sign_test};
use analysis::stats::{
    EXACT_FLIPS, Interval, Losses, Moments, PairBootstrap, SeedPair, crossed_cvar, grambsch, hodges_lehmann, holm,
    interquartile_mean, iqm_difference, mean, memmel, normal_cdf, normal_quantile, paired_t, pitman_morgan, power, sd,
    seeds_for_power, sign_flip, studentised_sharpe, superiority, two_sided_p, two_sided_quantile, welch_t, wilcoxon,
};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use serde_json::Value;

fn golden(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("golden/stats.json")).unwrap();
    all[name].clone()
}

fn entries(name: &str) -> Vec<Value> {
    golden(name).as_array().unwrap().clone()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn table(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(floats).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn random() -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(20)
}

fn close(found: Option<f64>, wanted: &Value, tolerance: f64, what: &str) {
    match (found, wanted.as_f64()) {
        (None, None) => {}
        (Some(found), Some(wanted)) => {
            let error = (found - wanted).abs() / wanted.abs().max(f64::MIN_POSITIVE);
            assert!(found == wanted || error <= tolerance, "{what}: {found} is not {wanted} ({error:e})");
        }
        (found, wanted) => panic!("{what}: {found:?} is not {wanted:?}"),
    }
}

/// Bounds of the resamples against those of ten or more times as many: a bound's standard error is below a hundredth of the
/// interval for 9,999 resamples and below 0.022 of it for 1,999.
fn close_bounds(found: Option<Interval>, low: &Value, high: &Value, errors: f64, what: &str) {
    let (Some(found), (Some(low), Some(high))) = (found, (low.as_f64(), high.as_f64())) else {
        assert_eq!((found, low.as_f64(), high.as_f64()), (None, None, None), "{what}");
        return;
    };
    let allowed = errors * (high - low);
    assert!((found.low - low).abs() <= allowed, "{what}: {found:?} does not begin at {low}");
    assert!((found.high - high).abs() <= allowed, "{what}: {found:?} does not end at {high}");
}

#[test]
fn tests_of_pairs_agree_with_scipy() {
    for case in entries("pairs") {
        let name = case["name"].as_str().unwrap();
        let (x, y) = (floats(&case["x"]), floats(&case["y"]));
        // Cancellation: the inputs of these two have lost digits before any statistic sees them.
        let tolerance = if name == "nearly equal" || name == "large offsets" { 1e-6 } else { 1e-10 };
        let differences: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x - y).collect();
        let close =
            |found: Option<f64>, column: &str| close(found, &case[column], tolerance, &format!("{name}, {column}"));
        close(mean(&x), "mean");
        close(sd(&x), "sd");
        close(interquartile_mean(&x), "iqm");
        let paired = paired_t(&differences);
        close(paired.test.t, "t");
        close(paired.test.p, "p");
        close(paired.d_z, "d_z");
        close(paired.interval.map(|interval| interval.low), "low");
        close(paired.interval.map(|interval| interval.high), "high");
        close(wilcoxon(&differences), "wilcoxon");
        if differences.len() <= 16 {
            close(sign_flip(&mut random(), &differences), "flips");
        }
        let welch = welch_t(&x.iter().copied().collect::<Moments>(), &y.iter().copied().collect::<Moments>());
        close(welch.t, "welch_t");
        close(welch.p, "welch_p");
        // Estimates may be zero but for rounding.
        let scale = differences.iter().fold(0.0_f64, |scale, difference| scale.max(difference.abs()));
        let error = hodges_lehmann(&differences).unwrap() - number(&case["hl"]);
        assert!(error.abs() <= 1e-15 * scale, "{name}: Hodges–Lehmann is off by {error}");
    }
}

#[test]
fn tests_over_paths_agree_with_scipy() {
    let mut compared = 0;
    for case in entries("pairs") {
        if case["grambsch_t"].is_null() {
            continue;
        }
        compared += 1;
        let name = case["name"].as_str().unwrap();
        let (x, y) = (floats(&case["x"]), floats(&case["y"]));
        let tolerance = if name == "nearly equal" || name == "large offsets" { 1e-5 } else { 1e-10 };
        let close =
            |found: Option<f64>, column: &str| close(found, &case[column], tolerance, &format!("{name}, {column}"));
        let (grambsch, morgan, memmel) = (grambsch(&x, &y), pitman_morgan(&x, &y), memmel(&x, &y));
        close(grambsch.t, "grambsch_t");
        close(grambsch.p, "grambsch_p");
        close(morgan.t, "morgan_t");
        close(morgan.p, "morgan_p");
        close(memmel.z, "memmel_z");
        close(memmel.p, "memmel_p");
    }
    assert!(compared > 20);
}

#[test]
fn samples_that_say_nothing_have_no_test_over_paths() {
    let varied = [1.0, 2.0, 4.0, 3.0];
    // The same twice: no difference at all.
    assert_eq!((grambsch(&varied, &varied).t, grambsch(&varied, &varied).p), (None, Some(1.0)));
    assert_eq!((pitman_morgan(&varied, &varied).t, pitman_morgan(&varied, &varied).p), (None, Some(1.0)));
    assert_eq!((memmel(&varied, &varied).z, memmel(&varied, &varied).p), (None, Some(1.0)));
    assert_eq!(studentised_sharpe(&mut random(), &varied, &varied), None);
    // No deviation, or nothing at all.
    assert_eq!(memmel(&varied, &[1.0; 4]).p, None);
    assert_eq!(studentised_sharpe(&mut random(), &varied, &[1.0; 4]), None);
    assert_eq!(
        (grambsch(&[], &[]).p, pitman_morgan(&[1.0, 2.0], &[2.0, 5.0]).p, memmel(&[], &[]).p),
        (None, None, None)
    );
    assert_eq!(crossed_cvar(&mut random(), &[], 0.95), None);
    let of = |losses: &[f64]| Losses::new(losses.iter().copied());
    assert_eq!(crossed_cvar(&mut random(), &[(of(&[1.0]), of(&[1.0, 2.0]))], 0.95), None, "other paths");
}

#[test]
fn bootstrap_intervals_are_those_of_scipy() {
    let mut bootstrap = PairBootstrap::default();
    for case in entries("bootstraps") {
        let name = case["name"].as_str().unwrap();
        let found = bootstrap.intervals(&mut random(), &floats(&case["x"]), &floats(&case["y"]));
        close_bounds(found.difference, &case["low"], &case["high"], 0.045, name);
        close_bounds(found.ratio, &case["ratio_low"], &case["ratio_high"], 0.045, &format!("{name}, ratio"));
    }
}

#[test]
fn pairs_without_noise_have_no_bootstrap_interval() {
    let mut bootstrap = PairBootstrap::default();
    let mut of = |arm: &[f64], baseline: &[f64]| bootstrap.intervals(&mut random(), arm, baseline);
    let constant = of(&[1.5, 2.5, 3.5, 8.5], &[1.0, 2.0, 3.0, 8.0]);
    assert!(constant.difference.is_none() && constant.ratio.is_some());
    let proportional = of(&[0.3, 0.6, 0.9], &[0.1, 0.2, 0.3]);
    assert!(proportional.difference.is_some() && proportional.ratio.is_none());
    assert_eq!(of(&[1.0, 2.0], &[2.0, 4.0]), Default::default(), "two pairs");
    assert!(of(&[1.0, 2.0, 3.0], &[1.0, 0.0, 2.0]).ratio.is_none(), "a value that is not positive");
    assert_eq!(of(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), Default::default(), "equal");
}

#[test]
fn the_sharpe_bootstrap_is_that_of_ledoit_and_wolf() {
    let case = golden("sharpe");
    let (x, y) = (floats(&case["x"]), floats(&case["y"]));
    let found = studentised_sharpe(&mut random(), &x, &y).unwrap();
    close(Some(found.statistic), &case["statistic"], 1e-10, "statistic");
    let middle = 0.5 * (found.interval.low + found.interval.high);
    close(Some(middle), &case["difference"], 1e-10, "difference");
    // 999 resamples have a quantile of |t| to within 0.035 of the interval.
    close_bounds(Some(found.interval), &case["low"], &case["high"], 0.1, "interval");
    let p = number(&case["p"]);
    assert!((found.p - p).abs() < 4.0 * (p * (1.0 - p) / 999.0).sqrt(), "{} is not {p}", found.p);
}

#[test]
fn the_crossed_bootstrap_is_that_of_its_definition() {
    let case = golden("crossed");
    let side = |side: &str| -> Vec<Losses> { table(&case[side]).into_iter().map(Losses::new).collect() };
    let pairs: Vec<(Losses, Losses)> = side("x").into_iter().zip(side("y")).collect();
    let found = crossed_cvar(&mut random(), &pairs, number(&case["level"])).unwrap();
    close(Some(found.arm), &case["arm"], 1e-12, "arm");
    close(Some(found.baseline), &case["baseline"], 1e-12, "baseline");
    close_bounds(found.interval, &case["low"], &case["high"], 0.1, "interval");
    let fractional = crossed_cvar(&mut random(), &pairs, 0.95).unwrap();
    close(Some(fractional.arm), &case["arm95"], 1e-12, "with a fractional tail");
}

#[test]
fn interquartile_means_are_resampled_by_seeds() {
    let case = golden("iqm");
    let (x, y) = (table(&case["x"]), table(&case["y"]));
    let cells = x.iter().zip(&y);
    let pairs: Vec<SeedPair> = cells
        .flat_map(|(x, y)| x.iter().zip(y).enumerate())
        .map(|(seed, (arm, baseline))| SeedPair { seed, arm: *arm, baseline: *baseline })
        .collect();
    let found = iqm_difference(&mut random(), &pairs).unwrap();
    close(Some(found.arm), &case["arm"], 1e-12, "arm");
    close(Some(found.baseline), &case["baseline"], 1e-12, "baseline");
    close_bounds(found.interval, &case["low"], &case["high"], 0.1, "interval");
}

#[test]
fn the_tails_of_student_t_are_exact() {
    for case in entries("tails") {
        let (t, freedom) = (number(&case["t"]), number(&case["freedom"]));
        close(Some(two_sided_p(t, freedom)), &case["p"], 1e-10, &format!("t {t}, freedom {freedom}"));
        assert_eq!(two_sided_p(t, freedom), two_sided_p(-t, freedom));
    }
    for case in entries("quantiles") {
        let (p, freedom) = (number(&case["p"]), number(&case["freedom"]));
        let found = two_sided_quantile(p, freedom);
        close(Some(found), &case["t"], 1e-10, &format!("p {p}, freedom {freedom}"));
    }
}

#[test]
fn the_normal_distribution_is_exact_in_both_tails() {
    for case in entries("normals") {
        let x = number(&case["x"]);
        close(Some(normal_cdf(x)), &case["p"], if x == -38.0 { 1e-8 } else { 1e-13 }, &format!("x {x}"));
        if x.abs() <= 5.0 {
            assert!((normal_quantile(number(&case["p"])) - x).abs() < 1e-9, "{x}");
        }
    }
}

#[test]
fn power_is_that_of_the_noncentral_t() {
    for case in entries("power") {
        let (d_z, n) = (number(&case["d_z"]), case["n"].as_u64().unwrap());
        close(Some(power(d_z, n, 0.05)), &case["power"], 1e-10, &format!("d_z {d_z}, n {n}"));
    }
    for case in entries("seeds") {
        let d_z = number(&case["d_z"]);
        assert_eq!(seeds_for_power(d_z, 0.8, 0.05), case["seeds"].as_u64(), "d_z {d_z}");
    }
}

#[test]
fn shares_have_wilsons_interval() {
    for case in entries("shares") {
        let [wins, ties, n] = ["wins", "ties", "n"].map(|key| case[key].as_u64().unwrap() as usize);
        let found = superiority(wins, ties, n).unwrap();
        assert!((found.interval.low - number(&case["low"])).abs() < 1e-12, "{found:?}");
        assert!((found.interval.high - number(&case["high"])).abs() < 1e-12, "{found:?}");
    }
    assert_eq!(superiority(0, 0, 0), None);
}

#[test]
fn holm_adjusts_in_the_order_given() {
    for case in entries("holm") {
        for (found, wanted) in holm(&floats(&case["p"])).into_iter().zip(floats(&case["holm"])) {
            assert!((found - wanted).abs() < 1e-12, "{found} is not {wanted}");
        }
    }
    assert!(holm(&[]).is_empty());
}

#[test]
fn intervals_of_the_median_are_those_of_scipy() {
    for case in entries("medians") {
        let n = case["n"].as_u64().unwrap() as usize;
        // Values that are their own ranks.
        let interval = median_interval(&(1..=n).map(|rank| rank as f64).collect::<Vec<_>>());
        assert_eq!(interval.map(|(low, _)| low), case["low"].as_f64(), "{n} values");
        assert_eq!(interval.map(|(_, high)| high), case["high"].as_f64(), "{n} values");
        assert_eq!(interval_rank(n).map(|rank| rank as f64), case["low"].as_f64());
    }
}

#[test]
fn the_sign_test_agrees_with_scipy() {
    for case in entries("signs") {
        let [below, above] = ["below", "above"].map(|side| case[side].as_u64().unwrap() as usize);
        close(Some(sign_test(below, above)), &case["p"], 1e-10, &format!("{below} below, {above} above"));
        assert_eq!(sign_test(below, above), sign_test(above, below));
    }
}

#[test]
fn equal_values_have_their_own_mean_and_no_deviation() {
    let values = [2.380_104_7; 10];
    assert_eq!((mean(&values), sd(&values)), (Some(2.380_104_7), Some(0.0)));
}

#[test]
fn the_smallest_exact_p_is_two_in_all_signs() {
    for n in 2..=EXACT_FLIPS {
        let differences: Vec<f64> = (1..=n).map(|rank| rank as f64).collect();
        let smallest = 2.0_f64.powi(1 - n as i32);
        assert_eq!(sign_flip(&mut random(), &differences), Some(smallest));
        assert_eq!(wilcoxon(&differences), Some(smallest));
    }
}
