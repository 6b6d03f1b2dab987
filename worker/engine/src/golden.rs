//! Golden values for the tests, made by the scripts in `tests/golden`, and how they are compared.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;

/// Named lists of numbers.
pub(crate) struct Golden(BTreeMap<String, Value>);

/// The golden values of the engine's parts.
pub(crate) fn engine() -> &'static Golden {
    static GOLDEN: OnceLock<Golden> = OnceLock::new();
    GOLDEN.get_or_init(|| Golden::parse(include_str!("../tests/golden/engine.json")))
}

/// The golden steps of K-FAC, made by `tests/golden/kfac.py`.
pub(crate) fn kfac() -> &'static Golden {
    static GOLDEN: OnceLock<Golden> = OnceLock::new();
    GOLDEN.get_or_init(|| Golden::parse(include_str!("../tests/golden/kfac.json")))
}

impl Golden {
    fn parse(content: &str) -> Golden {
        Golden(serde_json::from_str(content).expect("golden values are JSON"))
    }

    /// The numbers of a name.
    pub(crate) fn numbers(&self, name: &str) -> Vec<f64> {
        let list = self.0.get(name).unwrap_or_else(|| panic!("no golden values {name}"));
        list.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
    }
}

/// The largest deviation, relative to the largest of the expected numbers.
pub(crate) fn deviation(ours: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(ours.len(), expected.len(), "as many numbers");
    let scale = expected.iter().fold(f64::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let deviations = || ours.iter().zip(expected).map(|(x, y)| (x - y).abs() / scale);
    // `f64::max` passes over NaN, which must not pass a test.
    if deviations().any(f64::is_nan) { f64::NAN } else { deviations().fold(0.0, f64::max) }
}

/// Asserts that all numbers agree to `bound`, relative to the largest of the expected ones.
#[track_caller]
pub(crate) fn assert_close(ours: &[f64], expected: &[f64], bound: f64) {
    let deviation = deviation(ours, expected);
    assert!(deviation <= bound, "deviation {deviation:e} exceeds {bound:e}");
}

/// Asserts that `gradient` is what central differences of `function` at `at` with step `step` give, to `bound` relative
/// to its largest entry.
#[track_caller]
pub(crate) fn assert_gradient(
    mut function: impl FnMut(&[f64]) -> f64,
    at: &[f64],
    gradient: &[f64],
    step: f64,
    bound: f64,
) {
    let mut point = at.to_vec();
    let quotients: Vec<f64> = (0..at.len())
        .map(|place| {
            point[place] = at[place] + step;
            let above = function(&point);
            point[place] = at[place] - step;
            let below = function(&point);
            point[place] = at[place];
            (above - below) / (2.0 * step)
        })
        .collect();
    assert_close(gradient, &quotients, bound);
}
