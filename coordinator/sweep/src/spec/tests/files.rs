//! Files that are right.

#![expect(clippy::disallowed_methods, reason = "tests read the files that ship")]

use proptest::prelude::*;

use super::*;

pub(super) const EXAMPLE: &str = r"# yaml-language-server: $schema=./sweep.schema.json
name: damping
description: Does output-layer K-FAC beat Adam, and at which damping?
method: grid
preset: paper
seeds: 30
metric: {name: test.loss, goal: minimize}
parameters:
  market.xi: {values: [0.3, 0.5, 0.7]}
  market: {parameters: {rho: {value: -0.7}}}
arms:
  adam:
    parameters:
      optimizer.kind: {value: adam}
      optimizer.lr: {values: [3e-4, 1e-3, 3e-3]}
  kfac:
    parameters:
      optimizer.kind: {value: kfac}
      optimizer.lr: {values: [1e-3]}
      optimizer.damping: {min: 1e-4, max: 1e-1, distribution: log_uniform_values, count: 7}
exclude: [{optimizer.lr: 3e-3, market.xi: 0.7}]
include: []
run_cap: 100000
compare:
  baseline: adam
  metrics: [test.loss, test.pnl_variance, test.mean_cost, test.cvar95]
  tune: {seeds: 10, by: validation.loss}
record: {curves: true, samples: none}
";

#[test]
fn the_example_of_the_design_is_read() {
    let (spec, warnings) = read(EXAMPLE).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(warnings.is_empty(), "{}", Diagnostics(warnings));
    assert_eq!((spec.name.as_str(), spec.seeds.len(), spec.run_cap), ("damping", 30, 100_000));
    assert_eq!(values(&spec, "market.xi"), "0.3 0.5 0.7");
    assert_eq!(values(&spec, "market.rho"), "-0.7");
    assert_eq!(values(&spec, "optimizer.lr"), "0.0003 0.001 0.003");
    assert!(values(&spec, "optimizer.damping").starts_with("0.0001 0.00031622776601"));
    let compare = spec.compare.expect("there is a comparison");
    assert_eq!((compare.metrics.len(), compare.baseline.arm), (4, 0));
    assert_eq!(compare.tune, Some(Tune { seeds: 10, by: "validation.loss".into() }));
    assert_eq!(spec.record, Record::default());
}

#[test]
fn what_is_left_out_has_defaults() {
    let spec = good("");
    assert_eq!(spec.method, Method::Grid);
    assert_eq!(spec.seeds, Seeds::Range { start: 0, count: 1 });
    assert_eq!(spec.metric, Endpoint::default());
    assert_eq!(spec.run_cap, DEFAULT_RUN_CAP);
    assert_eq!((spec.arms.len(), spec.arms[0].name.as_str()), (1, ONLY_ARM));
    assert!(spec.compare.is_none());
}

#[test]
fn nested_and_dotted_parameters_are_the_same() {
    let nested = good("parameters:\n  market: {parameters: {rho: {values: [0, -0.5]}, xi: {value: 0.3}}}\n");
    let dotted = good("parameters:\n  market.rho: {values: [0, -0.5]}\n  market.xi: 0.3\n");
    for key in ["market.rho", "market.xi"] {
        assert_eq!(values(&nested, key), values(&dotted, key));
    }
}

#[test]
fn values_are_what_the_config_makes_of_them() {
    let spec = good(
        "parameters:\n  market.dt: {values: [1/250, 1/365]}\n  market.s0: {values: [1, 2.0]}\n  training.epochs: {values: [1e1, 20]}\n  features: {values: [[price], [price, variance]]}\n",
    );
    assert_eq!(values(&spec, "market.dt"), "0.004 0.0027397260273972603");
    assert_eq!(values(&spec, "market.s0"), "1.0 2.0");
    assert_eq!(values(&spec, "training.epochs"), "10 20");
    assert_eq!(values(&spec, "features"), "[price] [price, variance]");
}

#[test]
fn one_e_minus_five_is_a_number() {
    let spec = good("parameters:\n  market.xi: {values: [1e-5, 1E-4]}\n");
    assert_eq!(values(&spec, "market.xi"), "1e-5 0.0001");
}

#[test]
fn a_scalar_is_short_for_a_value_and_a_list_too_where_the_key_is_a_list() {
    let spec = good("parameters:\n  market.rho: -0.5\n  features: [price]\n");
    assert_eq!(values(&spec, "market.rho"), "-0.5");
    assert_eq!(values(&spec, "features"), "[price]");
}

#[test]
fn ranges_give_their_values() {
    for (definition, expected) in [
        ("{min: 0.1, max: 0.3, step: 0.1}", "0.1 0.2 0.3"),
        ("{min: 0.1, max: 0.3, q: 0.1, distribution: q_uniform}", "0.1 0.2 0.3"),
        ("{min: 0, max: 1, count: 3}", "0.0 0.5 1.0"),
        ("{min: 0.2, max: 0.2, count: 1}", "0.2"),
        ("{min: 0.01, max: 1, count: 3, distribution: log_uniform_values}", "0.01 0.1 1.0"),
        ("{values: [0.1], distribution: categorical}", "0.1"),
        ("{value: 0.1, distribution: constant}", "0.1"),
    ] {
        assert_eq!(values(&good(&format!("parameters:\n  market.xi: {definition}\n")), "market.xi"), expected);
    }
    for (definition, expected) in [
        ("{min: 1, max: 9, step: 4}", "1 5 9"),
        ("{min: 10, max: 1000, count: 3, distribution: log_uniform_values}", "10 100 1000"),
        ("{min: 1, max: 4, count: 3, distribution: int_uniform}", "1 3 4"),
    ] {
        let spec = good(&format!("parameters:\n  training.epochs: {definition}\n"));
        assert_eq!(values(&spec, "training.epochs"), expected);
    }
}

#[test]
fn merge_keys_share_definitions() {
    let spec = good(
        "arms:\n  adam:\n    parameters: &shared\n      optimizer.kind: adam\n      optimizer.lr: {values: [1e-3, 1e-2]}\n  sgd:\n    parameters:\n      <<: *shared\n      optimizer.kind: sgd\n",
    );
    let keys: Vec<_> = spec.arms[1].axes.iter().map(|axis| axis.key.as_str()).collect();
    assert_eq!(keys, ["optimizer.lr", "optimizer.kind"]);
}

#[test]
fn seeds_are_a_number_a_range_or_a_list() {
    assert_eq!(good("seeds: 1e2\n").seeds.len(), 100);
    assert_eq!(good("seeds: {start: 100, count: 3}\n").seeds.iter().collect::<Vec<_>>(), [100, 101, 102]);
    assert_eq!(good("seeds: [3, 1, 9223372036854775807]\n").seeds.get(2), i64::MAX as u64);
}

#[test]
fn random_draws_an_arms_own_parameters() {
    let spec = good(
        "method: random\nsamples: 10\nsweep_seed: 4\nparameters:\n  market.xi: {values: [0.3, 0.5]}\narms:\n  a:\n    parameters:\n      optimizer.lr: {min: 1e-4, max: 1e-1, distribution: log_uniform_values}\n      training.epochs: {min: 1, max: 9}\n      market.mu: {mu: 0, sigma: 0.1, distribution: normal}\n  b:\n",
    );
    assert_eq!(spec.method, Method::Random { samples: 10, sweep_seed: 4 });
    assert_eq!(values(&spec, "optimizer.lr"), "LogUniform { min: 0.0001, max: 0.1, whole: false }");
    assert_eq!(values(&spec, "training.epochs"), "Integer { min: 1, max: 9 }");
    assert_eq!(values(&spec, "market.mu"), "Normal { mu: 0.0, sigma: 0.1, whole: false }");
}

#[test]
fn samples_are_recorded_as_asked() {
    let spec = good("record: {curves: false, samples: {sets: [train, test], epochs: all, max_paths: 50}}\n");
    let samples = spec.record.samples.expect("samples are recorded");
    assert!(!spec.record.curves && samples.all_epochs);
    assert_eq!((samples.sets.len(), samples.max_paths), (2, 50));
}

#[test]
fn weights_are_named_by_their_content() {
    let mut files = Files(vec![("a.safetensors", lstm(32)), ("sub/b.safetensors", lstm(8))]);
    let text = file(
        "parameters:\n  network.init: {values: [xavier_orthogonal, a.safetensors]}\n  network.hidden: {values: [32]}\n",
    );
    let (spec, _) = parse(&text, "x.yaml", &[], &mut files).unwrap();
    assert_eq!(spec.weights.len(), 1);
    let digest = spec.weights[0].weights.digest().to_string();
    assert_eq!(values(&spec, "network.init"), format!("xavier_orthogonal {digest}"));
    assert_eq!(spec.shown(&Value::Text(digest)), Value::from("a.safetensors"));
}

/// The weights files beside the sweeps that ship.
struct Beside(std::path::PathBuf);

impl WeightsSource for Beside {
    fn load(&mut self, path: &str) -> Result<Arc<InitialWeights>, String> {
        let content = std::fs::read(self.0.join(path)).map_err(|error| error.to_string())?;
        InitialWeights::parse(&content).map(Arc::new).map_err(|error| error.to_string())
    }
}

#[test]
fn every_sweep_that_ships_is_planned() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sweeps");
    let mut planned = 0;
    for file in std::fs::read_dir(&folder).expect("sweeps/ is there") {
        let file = file.expect("sweeps/ can be listed").path();
        if file.extension().is_some_and(|extension| extension == "yaml") {
            let (text, name) = (std::fs::read_to_string(&file).unwrap(), file.display().to_string());
            let outcome = parse(&text, &name, &[], &mut Beside(folder.clone()));
            let (spec, warnings) = outcome.unwrap_or_else(|errors| panic!("{errors}"));
            assert!(warnings.is_empty(), "{}", Diagnostics(warnings));
            let plan = crate::plan::Plan::build(&spec).unwrap_or_else(|errors| panic!("{errors}"));
            assert!(plan.len() > 0);
            planned += 1;
        }
    }
    assert!(planned >= 6, "{planned}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = read(&text).map_err(|errors| errors.to_string());
    }

    #[test]
    fn no_value_makes_the_reader_panic(key in prop::sample::select(TOP_KEYS), value in "[-\\[\\]{}:, a-z0-9.&*'\"<\n]{0,40}") {
        let _ = read(&file(&format!("{key}: {value}\n"))).map_err(|errors| errors.to_string());
    }

    #[test]
    fn no_change_of_the_example_makes_reader_or_planner_panic(
        at in 0..EXAMPLE.len(),
        cut in 0_usize..12,
        patch in prop::sample::select(&["", " ", "\n", "{", "]", ": ", "- ", "&a ", "*a", "1e999", ".nan", "-1", "0", "null", "'", "<<", "values", "é"][..]),
    ) {
        let end = (at + cut).min(EXAMPLE.len());
        let text = format!("{}{patch}{}", &EXAMPLE[..at], &EXAMPLE[end..]);
        if let Ok((spec, warnings)) = read(&text) {
            let _ = Diagnostics(warnings).to_string();
            let _ = crate::plan::Plan::build(&spec).map_err(|errors| errors.to_string());
        }
    }

    #[test]
    fn every_diagnostic_can_be_shown(at in 0..EXAMPLE.len(), cut in 1_usize..30) {
        let text = format!("{}{}", &EXAMPLE[..at], &EXAMPLE[(at + cut).min(EXAMPLE.len())..]);
        if let Err(errors) = read(&text) {
            prop_assert!(!errors.0.is_empty());
            prop_assert!(errors.to_string().contains("--> sweeps/test.yaml"));
        }
    }
}
