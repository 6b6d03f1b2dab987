//! `--set KEY=VALUE`.

use super::files::EXAMPLE;
use super::*;

fn with(sets: &[(&str, &str)]) -> Result<Spec, String> {
    let sets: Vec<_> = sets.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let (spec, _) = parse(EXAMPLE, "sweeps/test.yaml", &sets, &mut NoWeights).map_err(|errors| errors.to_string())?;
    Ok(spec)
}

#[test]
fn keys_of_the_file_are_replaced() {
    let spec = with(&[("seeds", "12"), ("run_cap", "1e6"), ("compare.tune.seeds", "4"), ("record.curves", "false")]);
    let spec = spec.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((spec.seeds.len(), spec.run_cap), (12, 1_000_000));
    assert_eq!(spec.compare.unwrap().tune.unwrap().seeds, 4);
    assert!(!spec.record.curves);
    assert_eq!(with(&[("seeds", "{start: 5, count: 20}")]).unwrap().seeds.get(0), 5);
    assert_eq!(with(&[("seeds.count", "20")]).unwrap().seeds.len(), 20);
}

#[test]
fn config_keys_are_fixed_in_every_arm_that_has_them() {
    let spec = with(&[("training.epochs", "5"), ("optimizer.lr", "1e-2"), ("market.xi", "0.4")]).unwrap();
    let keys = |axes: &[Axis]| axes.iter().map(|axis| axis.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&spec.block), ["market.rho", "training.epochs", "optimizer.lr", "market.xi"]);
    assert_eq!(keys(&spec.arms[0].axes), ["optimizer.kind"]);
    assert_eq!(values(&spec, "optimizer.lr"), "0.01");
    assert_eq!(values(&spec, "market.xi"), "0.4");

    let spec = with(&[("optimizer.damping", "1")]).unwrap();
    assert_eq!(keys(&spec.arms[0].axes), ["optimizer.kind", "optimizer.lr"]);
    assert_eq!(values(&spec, "optimizer.damping"), "1.0");
}

#[test]
fn errors_name_the_setting() {
    assert_eq!(
        with(&[("market.rho", "2")]).unwrap_err(),
        "error: market.rho: 2 is out of range
  --> --set market.rho=2
                       ^
  allowed: a finite number, ≥ -1 and ≤ 1"
    );
    for (key, value, expected) in [
        ("seed", "3", "did you mean `seeds`?"),
        ("seeds", "many", "seeds: many is text"),
        ("seeds", "[1, 1]", "is given twice"),
        ("optimizer.dampng", "1", "did you mean `optimizer.damping`?"),
        ("loss.alpha", "0.5", "is no key of loss.kind variance_plus_cost"),
        ("market.rho", "[", "--set has a value that is no YAML"),
        ("market.rho", "", "null is null"),
        ("arms.kfac.parameters.optimizer.lr", "1", "--set optimizer.lr=1e-3"),
        ("compare.tune.seeds.x", "1", "is no key that --set can set"),
        ("", "1", "is no key that --set can set"),
    ] {
        let errors = with(&[(key, value)]).expect_err(key);
        assert!(errors.contains(expected) && errors.contains("--> --set "), "{key}={value}:\n{errors}");
    }
    assert!(with(&[("seeds", "3"), ("seeds", "4")]).unwrap_err().contains("is set twice on the command line"));
}
