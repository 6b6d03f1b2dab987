//! Files that are wrong: what is said, and where.

use super::files::EXAMPLE;
use super::*;

#[test]
fn an_unknown_key_is_shown_where_it_stands() {
    let text = EXAMPLE.replace("optimizer.damping:", "optimizer.dampng:");
    let errors = read(&text).unwrap_err().to_string();
    let (head, allowed) = errors.split_once("\n  allowed: ").unwrap();
    assert_eq!(
        head,
        "error: arms.kfac.parameters.optimizer.dampng: is not a known key
  --> sweeps/test.yaml:20:7
   |
20 |       optimizer.dampng: {min: 1e-4, max: 1e-1, distribution: log_uniform_values, count: 7}
   |       ^^^^^^^^^^^^^^^^"
    );
    assert!(allowed.starts_with("optimizer.kind, optimizer.lr, "), "{allowed}");
    assert!(allowed.ends_with("\n  help: did you mean `optimizer.damping`?"), "{allowed}");
}

#[test]
fn a_value_out_of_range_is_shown_with_what_is_allowed() {
    assert_eq!(
        bad("parameters:\n  market.rho:\n    values: [0, -0.7, 1.5]\n"),
        "error: parameters.market.rho: 1.5 is out of range
  --> sweeps/test.yaml:5:23
  |
5 |     values: [0, -0.7, 1.5]
  |                       ^^^
  allowed: a finite number, ≥ -1 and ≤ 1"
    );
}

#[test]
fn a_parameter_that_is_set_twice_names_both_places() {
    assert_eq!(
        bad("parameters:\n  market.rho: {value: -0.7}\n  market: {parameters: {rho: {value: 0}}}\n"),
        "error: parameters.market.parameters.rho: is set twice: first on line 4, as parameters.market.rho
  --> sweeps/test.yaml:5:25
  |
5 |   market: {parameters: {rho: {value: 0}}}
  |                         ^^^
  help: keep one of the two"
    );
    let errors = bad("parameters:\n  optimizer.lr: 1e-3\narms:\n  a:\n    parameters: {optimizer.lr: 1e-2}\n");
    assert!(errors.starts_with("error: arms.a.parameters.optimizer.lr: is set twice: first on line 4, as parameters.optimizer.lr\n  --> sweeps/test.yaml:7:18"), "{errors}");
}

#[test]
fn all_errors_come_at_once() {
    let text = "name: Test!\nsedes: 3\nparameters:\n  market.rho: 2\nmetric: test.los\nrun_cap: 0\n";
    let errors = read(text).unwrap_err();
    let paths: Vec<_> = errors.0.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["preset", "name", "sedes", "metric", "run_cap"]);
    assert!(errors.to_string().contains("did you mean `seeds`?"));
}

/// Lines, and what must be said of them.
const CASES: &[(&str, &[&str])] = &[
    // Values.
    ("parameters: {market.xi: {value: high}}", &["parameters.market.xi: high is text", "allowed: a finite number"]),
    ("parameters: {market.xi: {value: '1e-5'}}", &["1e-5 is text", "help: write 1e-5 without quotes"]),
    ("parameters: {market.xi: {values: []}}", &["parameters.market.xi.values: is empty"]),
    ("parameters: {market.xi: {value: .nan}}", &["is not finite"]),
    ("parameters: {market.xi: {values: [1, .inf]}}", &["inf is not finite"]),
    ("parameters: {market.xi: {value: 1e999}}", &["inf is not finite"]),
    ("parameters: {market.v0: {value: -0.1}}", &["market.v0: -0.1 is out of range", "≥ 0"]),
    ("parameters: {market.rho: {value: -1.5}}", &["-1.5 is out of range", "≥ -1 and ≤ 1"]),
    ("parameters: {market.steps: {value: 0}}", &["0 is out of range", "a whole number"]),
    ("parameters: {market.steps: {value: 1.5}}", &["1.5 is not a whole number"]),
    ("parameters: {training.epochs: {value: -1}}", &["-1 is negative"]),
    ("parameters: {costs.entry: {value: yes}}", &["yes is text", "true or false"]),
    ("parameters: {market.xi: {values: [0.3, 0.5, 0.3]}}", &["values[2]: 0.3 is given twice"]),
    ("parameters: {market.xi: {values: [1, 1.0]}}", &["values[1]: 1.0 is given twice"]),
    ("parameters: {market.xi: {values: [{a: 1}]}}", &["values[0]: is a map, not a value"]),
    ("parameters: {market.xi: [0.3, 0.5]}", &["is a list", "help: write `market.xi: {values: [0.3, 0.5]}`"]),
    ("parameters: {market.xi: {value: null}}", &["null is null"]),
    ("parameters: {market.xi: }", &["null is null"]),
    ("parameters: {market.scheme: {value: absorbtion}}", &["absorbtion is not known", "did you mean `absorption`?"]),
    ("parameters: {optimizer.kind: {value: kfca}}", &["kfca is not known", "adam, sgd, kfac"]),
    ("parameters: {optimizer.kind: {values: [adam, adam]}}", &["adam is given twice"]),
    // Definitions.
    ("parameters: {market.xi: {}}", &["says nothing of its values"]),
    ("parameters: {market.xi: {vlaue: 3}}", &["vlaue: is not a known key", "did you mean `value`?"]),
    ("parameters: {market.xi: {value: 1, values: [1]}}", &["xi.values: does not go with `value`"]),
    ("parameters: {market.xi: {min: 1, max: 0, count: 3}}", &["xi.min: 1 is above max, 0", "exchange"]),
    ("parameters: {market.xi: {min: 1, count: 3}}", &["xi.max: is missing"]),
    ("parameters: {market.xi: {min: 0, max: 1}}", &["no countable values", "add a `count` or a `step`"]),
    ("parameters: {market.xi: {min: 0, max: 1, count: 0}}", &["count: 0 is out of range"]),
    ("parameters: {market.xi: {min: 0, max: 1, count: -3}}", &["count: -3 is negative"]),
    ("parameters: {market.xi: {min: 0, max: 1, count: 1}}", &["count: 1 is one value, and min and max are two"]),
    ("parameters: {market.xi: {min: 0, max: 1, count: 3, step: 0.5}}", &["count: does not go with `step`"]),
    ("parameters: {market.xi: {min: 0, max: 1, step: 0}}", &["step: 0 is not positive"]),
    ("parameters: {market.xi: {min: 0, max: 1, step: -0.5}}", &["-0.5 is not positive"]),
    ("parameters: {market.xi: {min: 0, max: 1, step: 1/3}}", &["steps are exact in decimal, and 1/3 is no decimal"]),
    ("parameters: {market.xi: {min: 0, max: .inf, count: 3}}", &["max: .inf is not finite"]),
    (
        "parameters: {market.xi: {min: 0, max: 1, count: 3, distribution: log_uniform_values}}",
        &["min: 0 has no logarithm"],
    ),
    (
        "parameters: {market.xi: {min: 0, max: 1, count: 3, distribution: lognormal}}",
        &["lognormal is not known", "int_uniform"],
    ),
    ("parameters: {market.xi: {min: 0, max: 1, count: 3, distribution: normal}}", &["normal does not go with `min`"]),
    ("parameters: {market.xi: {mu: 0, sigma: 1}}", &["no countable values", "method: random"]),
    ("parameters: {market.xi: {min: 0, max: 1, count: 3000000}}", &["gives 3000000 values; the run_cap is 1000000"]),
    ("parameters: {market.xi: {min: 0, max: 1, step: 1e-9}}", &["gives 1000000001 values"]),
    ("parameters: {market.xi: {min: -1, max: 1, count: 3}}", &["-1 is out of range"]),
    ("parameters: {training.epochs: {min: 1, max: 3, count: 9}}", &["only 3 different whole numbers"]),
    ("parameters: {training.epochs: {min: 0.5, max: 3, count: 2}}", &["min: 0.5 is not a whole number"]),
    ("parameters: {market.scheme: {min: 0, max: 1, count: 2}}", &["has no range", "list its `values`"]),
    // Names.
    ("parameters: {market: {xi: {value: 1}}}", &["is a section", "market: {parameters: {…}}"]),
    ("parameters: {nonsense: {value: 1}}", &["nonsense: is not a known key", "market.*"]),
    ("parameters: [1]", &["parameters: [1] is a list, not a map"]),
    ("parameters: {market.xi: 1, market.xi: 2}", &["parameters.market.xi: is given twice", "first on line 3"]),
    (
        "arms: {a: {parameters: {optimizer.damping: 1}}}",
        &["optimizer.damping: is no key of optimizer.kind adam", "move it to an arm whose optimizer.kind is kfac"],
    ),
    ("parameters: {optimizer.damping: 1}", &["is no key of optimizer.kind adam", "kfac"]),
    (
        "parameters: {optimizer.damping: 1}\narms: {adam: , kfac: {parameters: {optimizer.kind: kfac}}}",
        &[
            "parameters.optimizer.damping: is no key of optimizer.kind adam, which is arm adam's",
            "move it to the arms that have it: kfac",
        ],
    ),
    ("arms: {}", &["arms: has 0 arms"]),
    ("arms: {'a b': }", &["is no name for an arm"]),
    ("arms: {a: {params: {}}}", &["arms.a.params: is not a known key", "did you mean `parameters`?"]),
    ("arms: [adam]", &["is a list, not a map"]),
    ("name: again", &["name: is given twice"]),
    ("description: [1]", &["description: is a list"]),
    ("method: bayes", &["method: bayes is not known", "grid, random"]),
    ("method: random", &["samples: is missing"]),
    ("samples: 3", &["samples: is only for method random"]),
    ("method: random\nsamples: 0", &["samples: 0 is out of range"]),
    ("method: random\nsamples: 3\nparameters: {market.xi: {mu: 1, sigma: 0}}", &["sigma: 0 is not positive"]),
    ("method: random\nsamples: 3\nparameters: {market.xi: {min: -1, max: 1}}", &["min: -1.0 is out of range"]),
    ("method: random\nsamples: 3\nparameters: {market.xi: {min: 0, max: 1}}\narms: {a: }", &["no countable values"]),
    // Seeds.
    ("seeds: 0", &["seeds: 0 is out of range"]),
    ("seeds: -3", &["seeds: -3 is negative"]),
    ("seeds: many", &["seeds: many is text"]),
    ("seeds: []", &["seeds: is empty"]),
    ("seeds: [1, 2, 1]", &["seeds[2]: 1 is given twice: it is seeds[0] too"]),
    ("seeds: [9223372036854775808]", &["seeds[0]: 9223372036854775808 is not a whole number"]),
    ("seeds: {start: 3}", &["seeds.count: is missing"]),
    ("seeds: {start: 9223372036854775807, count: 1}", &["leads to seeds of 2^63"]),
    // Metrics and comparisons.
    ("metric: {name: test.los}", &["metric.name: test.los is no metric", "did you mean `test.loss`?"]),
    ("metric: {name: time.train_s}", &["is provenance: it is recorded and never compared"]),
    ("metric: {goal: minimize}", &["metric.name: is missing"]),
    ("metric: {name: test.loss_se}", &["metric.goal: is missing"]),
    (
        "compare: {baseline: kfca}\narms: {adam: , kfac: }",
        &["compare.baseline: kfca is no arm", "adam, kfac", "did you mean `kfac`?"],
    ),
    ("compare: {metrics: [test.loss]}", &["compare.baseline: is missing"]),
    ("compare: {baseline: {optimizer.lr: 1}}", &["compare.baseline.arm: is missing"]),
    ("compare: {baseline: all, metrics: []}", &["compare.metrics: is empty"]),
    ("compare: {baseline: all, metrics: [test.loss, test.loss]}", &["compare.metrics[1]: test.loss is given twice"]),
    ("compare: {baseline: all, metrics: [test.var]}", &["compare.metrics[0]: test.var is no metric"]),
    ("seeds: 5\ncompare: {baseline: all, tune: {seeds: 5}}", &["5 leaves none of the 5 seeds to confirm", "1 to 3"]),
    ("seeds: 5\ncompare: {baseline: all, tune: {seeds: 0}}", &["compare.tune.seeds: 0 is out of range"]),
    ("seeds: 5\ncompare: {baseline: all, tune: {seeds: 2, by: loss}}", &["compare.tune.by: loss is no metric"]),
    (
        "parameters: {market.xi: {values: [1, 2]}}\ncompare: {baseline: {arm: all, market.xi: 1}}",
        &["is a parameter of the block"],
    ),
    (
        "arms: {a: {parameters: {optimizer.lr: 1}}}\ncompare: {baseline: {arm: a, optimizer.lrr: 1}}",
        &["is no parameter of arm a", "did you mean `optimizer.lr`?"],
    ),
    // Records.
    ("record: {samples: some}", &["record.samples: some is not known", "none"]),
    ("record: {samples: {epochs: all}}", &["record.samples.sets: is missing"]),
    ("record: {samples: {sets: [test, test]}}", &["sets[1]: test is given twice"]),
    ("record: {samples: {sets: []}}", &["record.samples.sets: is empty"]),
    ("record: {samples: {sets: [tset]}}", &["tset is not known", "did you mean `test`?"]),
    ("record: {samples: {sets: [test], max_paths: 0}}", &["max_paths: 0 is out of range"]),
    ("record: {curves: 1}", &["record.curves: 1 is an integer"]),
    // Filters.
    ("exclude: {market.xi: 1}", &["exclude: is a map, not a list"]),
    ("exclude: [{}]", &["exclude[0]: is empty"]),
    ("exclude: [{arm: b}]", &["exclude[0].arm: b is no arm"]),
    ("exclude: [{market.xi: high}]", &["exclude[0].market.xi: high is text"]),
    ("exclude: [{market.xl: 1}]", &["exclude[0]: market.xl is not a known key", "did you mean `market.xi`?"]),
    ("include: [{market.xl: 1}]", &["include[0].market.xl: is not a known key", "did you mean `market.xi`?"]),
    ("include: [{optimizer.damping: 1}]", &["include[0].optimizer.damping: is no key of optimizer.kind adam"]),
    ("include: [{market.rho: 2}]", &["include[0].market.rho: 2 is out of range"]),
    ("run_cap: 0", &["run_cap: 0 is out of range"]),
    ("run_cap: 1e12", &["run_cap: 1e12 is out of range"]),
    // YAML.
    ("parameters: {market.xi: [}", &["error: "]),
    ("? [a]\n: 1", &["keys are text"]),
];

#[test]
fn every_error_says_what_is_wrong_and_what_is_allowed() {
    for (lines, expected) in CASES {
        let errors = bad(lines);
        for part in *expected {
            assert!(errors.contains(part), "{lines}\nshould say: {part}\nand says:\n{errors}");
        }
        assert!(errors.contains("--> sweeps/test.yaml:"), "{lines}\nnames no line:\n{errors}");
    }
}

/// Lines that are accepted with a warning.
const WARNINGS: &[(&str, &[&str])] = &[
    (
        "parameters: {market.xi: {values: [1, 2]}}\nexclude: [{market.xi: 3}]",
        &["exclude[0]: matches nothing", "market.xi is never 3", "1.0, 2.0"],
    ),
    (
        "parameters: {market.xi: {values: [1, 2]}}\nexclude: [{market.rho: 0}]",
        &["market.rho is no parameter of this sweep"],
    ),
    ("seeds: 3\nexclude: [{seed: 3}]", &["there is no seed 3"]),
    (
        "arms: {a: {parameters: {optimizer.lr: {values: [1, 2]}}}, b: {parameters: {training.epochs: {values: [1, 2]}}}}\nexclude: [{optimizer.lr: 1, training.epochs: 1}]",
        &["no arm has all of its values"],
    ),
    ("metric: {name: test.sharpe, goal: minimize}", &["metric.goal: says that a smaller test.sharpe is better"]),
    ("seeds: 5\ncompare: {baseline: all, tune: {seeds: 4}}", &["leaves a single seed"]),
    ("seeds: 5\ncompare: {baseline: all, tune: {seeds: 2, by: test.loss}}", &["tunes on the test set"]),
];

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    for (lines, expected) in WARNINGS {
        let (_, warnings) = read(&file(lines)).unwrap_or_else(|errors| panic!("{lines}\n{errors}"));
        let warnings = Diagnostics(warnings).to_string();
        for part in *expected {
            assert!(warnings.contains(part), "{lines}\nshould warn: {part}\nand says:\n{warnings}");
        }
        assert!(warnings.starts_with("warning: "), "{warnings}");
    }
}

#[test]
fn weights_that_cannot_be_used_say_why() {
    let whole = lstm(32);
    let mut files = Files(vec![("cut.safetensors", whole[..whole.len() - 100].to_vec()), ("a.safetensors", whole)]);
    let mut say = |init: &str| {
        let text = file(&format!("parameters: {{network.init: {init}}}"));
        parse(&text, "x.yaml", &[], &mut files).map(|_| ()).unwrap_err().to_string()
    };
    assert!(
        say("gone.safetensors")
            .contains("parameters.network.init: gone.safetensors cannot be used: cannot read gone.safetensors")
    );
    assert!(say("cut.safetensors").contains("cut.safetensors cannot be used: not a complete safetensors file"));
    let typo = say("xavier_ortogonal");
    assert!(
        typo.contains("did you mean `xavier_orthogonal`?") && typo.contains("allowed: xavier_orthogonal, or the path")
    );
    assert!(say("{values: [a.safetensors, a.safetensors]}").contains("has the same content as the value on line 3"));
}

#[test]
fn a_file_that_is_no_map_says_so() {
    assert!(read("[1, 2]").unwrap_err().to_string().contains("is a list, not a map"));
    assert!(read("").unwrap_err().to_string().contains("the file is empty"));
    assert!(read("\t- a").is_err());
}

#[test]
fn lists_of_filters_are_bounded() {
    let many = vec!["{seed: 0}"; 1001].join(", ");
    assert!(bad(&format!("exclude: [{many}]\n")).contains("exclude: has 1001 entries"));
}

#[test]
fn thousands_of_errors_are_not_all_shown() {
    let many: String = (0..50_000).map(|n| format!("  k{n}: 1\n")).collect();
    let errors = bad(&format!("parameters:\n{many}"));
    assert!(errors.lines().count() < 200 && errors.contains("and 180 more"), "{}", errors.lines().count());
}
