//! Against SciPy and mpmath: `tests/golden/analysis.py` writes the values.

use analysis::median::{interval_rank, median_interval, sign_test};
use analysis::stats::{Moments, holm, mean, paired_t, sd, two_sided_p, welch_t};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/stats.json")).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
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

#[test]
fn tests_agree_with_scipy() {
    for case in golden()["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let (x, y) = (floats(&case["x"]), floats(&case["y"]));
        // Cancellation: the inputs of these two have lost digits before any statistic sees them.
        let tolerance = if name == "nearly equal" || name == "large offsets" { 1e-6 } else { 1e-10 };
        let differences: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x - y).collect();
        let paired = paired_t(&differences);
        close(mean(&x), &case["mean"], 1e-12, name);
        close(sd(&x), &case["sd"], tolerance, name);
        close(paired.test.t, &case["t"], tolerance, name);
        close(paired.test.p, &case["p"], tolerance, name);
        close(paired.d_z, &case["d_z"], tolerance, name);
        let welch = welch_t(&x.iter().copied().collect::<Moments>(), &y.iter().copied().collect::<Moments>());
        close(welch.t, &case["welch_t"], tolerance, name);
        close(welch.p, &case["welch_p"], tolerance, name);
    }
}

#[test]
fn the_tails_of_student_t_are_exact() {
    for case in golden()["tails"].as_array().unwrap() {
        let (t, freedom) = (case["t"].as_f64().unwrap(), case["freedom"].as_f64().unwrap());
        close(Some(two_sided_p(t, freedom)), &case["p"], 1e-10, &format!("t {t}, freedom {freedom}"));
        assert_eq!(two_sided_p(t, freedom), two_sided_p(-t, freedom));
    }
}

#[test]
fn holm_adjusts_in_the_order_given() {
    for case in golden()["holm"].as_array().unwrap() {
        for (found, wanted) in holm(&floats(&case["p"])).into_iter().zip(floats(&case["holm"])) {
            assert!((found - wanted).abs() < 1e-12, "{found} is not {wanted}");
        }
    }
    assert!(holm(&[]).is_empty());
}

#[test]
fn intervals_of_the_median_are_those_of_scipy() {
    for case in golden()["medians"].as_array().unwrap() {
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
    for case in golden()["signs"].as_array().unwrap() {
        let [below, above] = ["below", "above"].map(|side| case[side].as_u64().unwrap() as usize);
        close(Some(sign_test(below, above)), &case["p"], 1e-10, &format!("{below} below, {above} above"));
        assert_eq!(sign_test(below, above), sign_test(above, below));
    }
}

#[test]
fn equal_values_have_their_own_mean_and_no_deviation() {
    let values = [2.380_104_7; 10];
    assert_eq!((analysis::stats::mean(&values), analysis::stats::sd(&values)), (Some(2.380_104_7), Some(0.0)));
}
