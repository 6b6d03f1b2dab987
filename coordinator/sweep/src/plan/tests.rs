//! Plans: the order of runs, holes and additions, configs and ids.

use std::collections::{BTreeSet, HashSet};

use engine::config::Section;
use proptest::prelude::*;

use super::*;
use crate::Task;
use crate::spec::{NoWeights, parse};

fn plan_of(text: &str) -> Result<Plan, Diagnostics> {
    let (spec, _) = parse(text, "sweeps/test.yaml", &[], &mut NoWeights).unwrap_or_else(|errors| panic!("{errors}"));
    Plan::build(&spec)
}

/// The plan of the smallest file with more lines.
fn plan(lines: &str) -> Plan {
    plan_of(&format!("name: test\npreset: paper\n{lines}")).unwrap_or_else(|errors| panic!("{errors}"))
}

fn refusal(lines: &str) -> String {
    plan_of(&format!("name: test\npreset: paper\n{lines}")).expect_err("the plan is refused").to_string()
}

/// Every run with its labels.
fn rows(plan: &Plan) -> Vec<String> {
    (0..plan.len())
        .map(|index| {
            let run = plan.get(index);
            let arm = &plan.arms()[run.arm as usize];
            let (cell, variant) = (plan.cell_label(run.cell), plan.variant_label(run.arm, run.variant));
            format!("{cell} | {arm} | {variant} | {}", run.seed)
        })
        .collect()
}

/// What must hold of every run of every plan.
fn check_runs(plan: &Plan) {
    for index in 0..plan.len() {
        let config = plan.config(index);
        let run = plan.get(index);
        assert_eq!(config.seed, run.seed);
        assert_eq!(RunId::of(&config), plan.run_id(index), "run {index}: {config:?}");
        let overrides = plan.overrides(index);
        let all = plan.base().iter().chain(&overrides).map(|(key, value)| (key.as_str(), value));
        let resolved = RunConfig::resolve(plan.preset(), run.seed, all).expect("base and overrides are a config");
        assert_eq!(resolved, config);
        for (key, name) in plan.swept().iter().enumerate() {
            assert_eq!(plan.swept_value(index, key), config.get(name), "{name}");
        }
    }
}

#[test]
fn runs_are_in_the_order_cell_arm_variant_seed() {
    let plan = plan(
        "seeds: [5, 2]\nparameters: {market.xi: {values: [0.3, 0.5]}}\narms:\n  adam: {parameters: {optimizer.lr: {values: [1e-3, 1e-2]}}}\n  kfac: {parameters: {optimizer.kind: kfac}}\n",
    );
    assert_eq!(
        rows(&plan)[..7],
        [
            "market.xi=0.3 | adam | optimizer.lr=0.001 | 5",
            "market.xi=0.3 | adam | optimizer.lr=0.001 | 2",
            "market.xi=0.3 | adam | optimizer.lr=0.01 | 5",
            "market.xi=0.3 | adam | optimizer.lr=0.01 | 2",
            "market.xi=0.3 | kfac | default | 5",
            "market.xi=0.3 | kfac | default | 2",
            "market.xi=0.5 | adam | optimizer.lr=0.001 | 5",
        ]
    );
    assert_eq!((plan.len(), plan.cells(), plan.seeds(), plan.variants(0), plan.variants(1)), (12, 2, 2, 2, 1));
    assert_eq!(plan.swept(), ["market.xi", "optimizer.kind", "optimizer.lr"]);
    check_runs(&plan);
}

#[test]
fn constants_are_the_base() {
    let plan = plan("parameters: {market.rho: -0.5, market.xi: {values: [0.3, 0.5]}}\n");
    assert_eq!(plan.base(), [("market.rho".to_owned(), Value::Float(-0.5))]);
    assert_eq!(plan.overrides(1), [("market.xi".to_owned(), Value::Float(0.5))]);
    assert_eq!(plan.swept(), ["market.xi"]);
}

#[test]
fn a_kind_can_be_an_axis() {
    let plan = plan(
        "seeds: 2\nparameters:\n  optimizer.kind: {values: [adam, sgd, kfac]}\n  optimizer.lr: {values: [1e-3, 1e-2]}\n  market.xi: {values: [0.3, 0.5]}\n",
    );
    assert_eq!(plan.len(), 24);
    check_runs(&plan);
    let errors = parse(
        "name: t\npreset: paper\nparameters: {optimizer.kind: {values: [adam, kfac]}, optimizer.damping: {values: [1, 2]}}",
        "t.yaml",
        &[],
        &mut NoWeights,
    );
    assert!(errors.unwrap_err().to_string().contains("is no key of optimizer.kind adam"));
}

#[test]
fn excludes_drop_what_matches_all_their_keys() {
    let plan = plan(
        "seeds: 3\nparameters: {market.xi: {values: [0.3, 0.5]}}\narms:\n  adam: {parameters: {optimizer.lr: {values: [1e-3, 1e-2]}}}\n  sgd: {parameters: {optimizer.kind: sgd, optimizer.lr: {values: [1e-3, 1]}}}\nexclude:\n  - {optimizer.lr: 1e-3, market.xi: 0.5}\n  - {arm: sgd, market.xi: 0.3}\n  - {optimizer.lr: 1, seed: 1}\n",
    );
    assert_eq!(
        rows(&plan),
        [
            "market.xi=0.3 | adam | optimizer.lr=0.001 | 0",
            "market.xi=0.3 | adam | optimizer.lr=0.001 | 1",
            "market.xi=0.3 | adam | optimizer.lr=0.001 | 2",
            "market.xi=0.3 | adam | optimizer.lr=0.01 | 0",
            "market.xi=0.3 | adam | optimizer.lr=0.01 | 1",
            "market.xi=0.3 | adam | optimizer.lr=0.01 | 2",
            "market.xi=0.5 | adam | optimizer.lr=0.01 | 0",
            "market.xi=0.5 | adam | optimizer.lr=0.01 | 1",
            "market.xi=0.5 | adam | optimizer.lr=0.01 | 2",
            "market.xi=0.5 | sgd | optimizer.lr=1.0 | 0",
            "market.xi=0.5 | sgd | optimizer.lr=1.0 | 2",
        ]
    );
    check_runs(&plan);
}

#[test]
fn includes_pin_their_keys_and_keep_the_other_axes() {
    let lines = "seeds: 2\nparameters: {market.xi: {values: [0.3, 0.5]}}\narms:\n  adam: {parameters: {optimizer.lr: {values: [1e-3, 1e-2]}}}\n  kfac: {parameters: {optimizer.kind: kfac, optimizer.damping: {values: [1, 2]}}}\n";
    let with = |include: &str| plan(&format!("{lines}include: [{include}]\n"));
    let grid = plan(lines).len();

    // What is there already is not added.
    assert_eq!(with("{market.xi: 0.3}, {optimizer.damping: 1, seed: 1}, {training.epochs: 100}").len(), grid);
    // A new variant of the one arm that has the key, in both cells.
    let added = with("{optimizer.damping: 9}");
    assert_eq!(added.len(), grid + 4);
    assert!(rows(&added).contains(&"market.xi=0.5 | kfac | optimizer.damping=9.0 | 1".to_owned()));
    check_runs(&added);
    // A new cell with one arm's variants.
    let added = with("{market.xi: 0.9, arm: adam}");
    assert_eq!((added.len(), added.cells()), (grid + 4, 3));
    check_runs(&added);
    // One seed more, of one run.
    let added = with("{arm: adam, market.xi: 0.3, optimizer.lr: 1e-3, seed: 7}");
    assert_eq!(added.len(), grid + 1);
    assert_eq!(rows(&added)[2], "market.xi=0.3 | adam | optimizer.lr=0.001 | 7");
    // A key that is no axis is in the label of all variants.
    let added = with("{arm: kfac, training.epochs: 5, optimizer.damping: 1}");
    assert_eq!(added.len(), grid + 4);
    assert!(added.swept().contains(&"training.epochs".to_owned()));
    assert!(rows(&added).contains(&"market.xi=0.3 | kfac | optimizer.damping=1.0, training.epochs=5 | 0".to_owned()));
    assert!(rows(&added).contains(&"market.xi=0.3 | kfac | optimizer.damping=1.0, training.epochs=100 | 0".to_owned()));
    check_runs(&added);
    // Overlapping entries add a run once.
    let added = with("{optimizer.damping: 9}, {optimizer.damping: 9, market.xi: 0.3, seed: 0}");
    assert_eq!(added.len(), grid + 4);
    // What was excluded comes back.
    let back =
        plan(&format!("{lines}exclude: [{{arm: kfac}}]\ninclude: [{{arm: kfac, optimizer.damping: 2, seed: 1}}]\n"));
    assert_eq!(back.len(), 8 + 2);
    check_runs(&back);
}

#[test]
fn a_sweep_above_its_cap_is_refused_before_it_is_expanded() {
    let lines = "seeds: 1000000\nparameters: {market.xi: {min: 0, max: 1, count: 1000000}}\narms: {a: , b: {parameters: {optimizer.lr: {values: [1, 2, 3]}}}}\n";
    assert_eq!(
        refusal(lines),
        "error: the sweep's parameters come to 4,000,000,000,000 runs: 1,000,000 cells × 4 variants (a 1 + b 3) × 1,000,000 seeds
  --> sweeps/test.yaml:3:1
  |
3 | seeds: 1000000
  | ^^^^^
  allowed: at most 1,000,000, the run_cap
  help: take fewer values or seeds, or write `run_cap: 4000000000000`"
    );
    assert!(refusal("seeds: 3\nrun_cap: 2\n").contains("come to 3 runs"));
    assert!(refusal("seeds: 2\nrun_cap: 2\ninclude: [{market.xi: 3}]\n").contains("and up to 2 included ones"));
    assert_eq!(plan("seeds: 3\nrun_cap: 3\n").len(), 3);
    assert!(refusal("seeds: 2\nexclude: [{seed: 0}, {seed: 1}]\n").contains("exclude: leaves no runs"));
}

#[test]
fn values_that_do_not_fit_together_are_found() {
    let errors = refusal(
        "parameters:\n  market.generator: {values: [chacha, numpy_mt19937]}\n  market.xi: {values: [0.3, 0.5]}\n",
    );
    assert!(errors.contains("market.generator_seed: is missing") && errors.contains("(in 2 combinations)"), "{errors}");
    // A combination that cannot run may be excluded.
    plan(
        "parameters:\n  market.generator: {values: [chacha, numpy_mt19937]}\n  market.xi: {values: [0.3, 0.5]}\nexclude: [{market.generator: numpy_mt19937}]\n",
    );
}

#[test]
fn weights_must_have_the_networks_shapes() {
    let text = "name: t\npreset: paper\nparameters:\n  network.init: {values: [xavier_orthogonal, a.safetensors]}\n  network.hidden: {values: [32, 8]}\n";
    let mut files = crate::spec::tests::Files(vec![("a.safetensors", crate::spec::tests::lstm(32))]);
    let (spec, _) = parse(text, "t.yaml", &[], &mut files).unwrap();
    let errors = Plan::build(&spec).unwrap_err().to_string();
    assert!(
        errors.starts_with("error: parameters.network.init: a.safetensors does not fit the network: tensor "),
        "{errors}"
    );
    assert!(errors.contains("--> t.yaml:4:46"), "{errors}");

    let text = format!("{text}exclude: [{{network.init: a.safetensors, network.hidden: 8}}]\n");
    let (spec, warnings) = parse(&text, "t.yaml", &[], &mut files).unwrap();
    assert!(warnings.is_empty());
    let plan = Plan::build(&spec).unwrap();
    assert_eq!((plan.len(), plan.weights().count()), (3, 1));
    assert_eq!(plan.cell_label(2), "network.init=a.safetensors, network.hidden=32");
    let init = plan.swept().iter().position(|key| key == "network.init").unwrap();
    assert_eq!(plan.swept_value(2, init), Some(Value::from("a.safetensors")));
    let digest = spec.weights[0].weights.digest().to_string();
    assert_eq!(plan.overrides(2)[0], ("network.init".to_owned(), Value::Text(digest)));
    assert_eq!(RunId::of(&plan.config(2)), plan.run_id(2));
}

#[test]
fn a_baseline_is_one_variant_or_tuned() {
    let lines = "seeds: 9\narms:\n  adam: {parameters: {optimizer.lr: {values: [1e-3, 1e-2]}, optimizer.beta1: {values: [0.8, 0.9]}}}\n  sgd: {parameters: {optimizer.kind: sgd}}\n";
    let with = |compare: &str| format!("{lines}compare: {compare}\n");
    assert_eq!(plan(lines).baseline(), None);
    assert_eq!(plan(&with("{baseline: sgd}")).baseline(), Some((1, Some(0))));
    assert_eq!(plan(&with("{baseline: adam, tune: {seeds: 3}}")).baseline(), Some((0, None)));
    let named = "{baseline: {arm: adam, optimizer.lr: 1e-2, optimizer.beta1: 0.9}}";
    assert_eq!(plan(&with(named)).baseline(), Some((0, Some(3))));
    let errors = refusal(&with("{baseline: adam}"));
    assert!(errors.contains("compare.baseline: is one of 4 variants of arm adam"), "{errors}");
    assert!(errors.contains("help: name one, `baseline: {arm: adam, optimizer.lr: 0.001, optimizer.beta1: 0.8}`, or let seeds choose, `tune: {seeds: 3, by: validation.loss}`"), "{errors}");
    assert!(refusal(&with("{baseline: {arm: adam, optimizer.lr: 1e-2}}")).contains("one of 2 variants"));
    assert!(refusal(&with("{baseline: {arm: adam, optimizer.lr: 1}}")).contains("none has optimizer.lr 1.0"));
    // A variant that is excluded everywhere is no candidate.
    let excluded =
        format!("{}exclude: [{{optimizer.beta1: 0.8}}]\n", with("{baseline: {arm: adam, optimizer.lr: 1e-2}}"));
    assert_eq!(plan(&excluded).baseline(), Some((0, Some(3))));
}

const RANDOM: &str = "sweep_seed: 3\nmethod: random\nparameters: {market.xi: {values: [0.3, 0.5]}}\narms:\n  kfac:\n    parameters:\n      optimizer.kind: kfac\n      optimizer.lr: {min: 1e-4, max: 1e-1, distribution: log_uniform_values}\n      training.epochs: {min: 1, max: 50}\n      market.mu: {mu: 0, sigma: 0.1}\n      market.rho: {values: [0, -0.5, -0.7]}\n  control:\n";

#[test]
fn more_samples_extend_a_random_sweep() {
    let (few, many) = (plan(&format!("samples: 10\n{RANDOM}")), plan(&format!("samples: 25\n{RANDOM}")));
    assert_eq!((few.variants(0), few.variants(1), few.cells()), (10, 1, 2));
    assert_eq!(few.len(), 22);
    check_runs(&few);
    let ids = |plan: &Plan| (0..plan.len()).map(|index| plan.run_id(index)).collect::<HashSet<_>>();
    assert!(ids(&many).is_superset(&ids(&few)));
    for variant in 0..10 {
        assert_eq!(few.variant_label(0, variant), many.variant_label(0, variant));
    }
    let more = plan(&format!("samples: 10\n{}", RANDOM.replace("      market.mu: {mu: 0, sigma: 0.1}\n", "")));
    let draws = |plan: &Plan, key: &str| {
        let key = plan.swept().iter().position(|swept| swept == key).unwrap();
        (0..10).map(|index| plan.swept_value(index, key).unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(draws(&few, "optimizer.lr"), draws(&more, "optimizer.lr"), "a parameter changes no other's draws");
}

#[test]
fn random_without_arms_draws_its_parameters() {
    let plan = plan(
        "method: random\nsamples: 50\nparameters:\n  market.rho: {min: -1, max: 1}\n  market.xi: {values: [0.1, 0.2]}\n  market.s0: 2\n",
    );
    assert_eq!((plan.cells(), plan.variants(0), plan.len()), (1, 50, 50));
    assert_eq!(plan.base(), [("market.s0".to_owned(), Value::Float(2.0))]);
    let xi = plan.swept().iter().position(|key| key == "market.xi").unwrap();
    let values: BTreeSet<String> = (0..50).map(|i| plan.swept_value(i, xi).unwrap().to_string()).collect();
    assert_eq!(values.len(), 2);
    check_runs(&plan);
}

#[test]
fn includes_and_excludes_work_on_draws() {
    let lines = format!("samples: 30\n{RANDOM}");
    let grid = plan(&lines).len();
    let fewer = plan(&format!("{lines}exclude: [{{market.rho: 0}}]\n"));
    assert!(fewer.len() < grid && fewer.len() > grid / 3);
    check_runs(&fewer);
    let more = plan(&format!("{lines}include: [{{arm: kfac, optimizer.lr: 0.5, market.xi: 0.3}}]\n"));
    assert_eq!(more.len(), grid + 30);
    check_runs(&more);
}

#[test]
fn tasks_come_once_and_in_order() {
    let plan = Arc::new(plan(
        "seeds: 3\narms: {a: , b: {parameters: {optimizer.kind: adam}}, c: {parameters: {training.epochs: 5}}}\n",
    ));
    assert_eq!(plan.len(), 9);
    let mut order = PlanOrder::new(Arc::clone(&plan), |task: Task| task.index == 1);
    let indices = |tasks: Vec<Task>| tasks.iter().map(|task| task.index).collect::<Vec<_>>();
    assert_eq!(indices(Planner::next(&mut order, &[], 2)), [0, 2]);
    assert!(!order.is_exhausted());
    // b's configs are a's, so that c's come next.
    assert_eq!(indices(Planner::next(&mut order, &[], 100)), [6, 7, 8]);
    assert!(order.is_exhausted() && Planner::next(&mut order, &[], 1).is_empty());
}

#[test]
fn shards_partition_a_plan_evenly_and_an_extended_plan_keeps_its_runs_where_they_were() {
    let (few, many) = (plan("seeds: 700\n"), plan("seeds: 1400\n"));
    let shards: Vec<Shard> = (0..7).map(|index| Shard::new(index, 7).unwrap()).collect();
    let of = |plan: &Plan, index| {
        let holders: Vec<_> = shards.iter().filter(|shard| shard.contains(plan.run_id(index))).collect();
        assert_eq!(holders.len(), 1, "run {index}");
        holders[0].index() as usize
    };
    let mut sizes = [0_u32; 7];
    for index in 0..few.len() {
        sizes[of(&few, index)] += 1;
        assert_eq!(of(&few, index), of(&many, index), "run {index}");
    }
    // 100 each, with a standard deviation of 9.
    assert!(sizes.iter().all(|size| (55..=145).contains(size)), "{sizes:?}");
}

#[test]
fn ids_are_pinned_to_the_config_and_nothing_else() {
    let bare = plan("seeds: 1\n");
    let spelled = plan(
        "seeds: {start: 0, count: 2}\ndescription: other\nparameters: {market.xi: {values: [0.5, 0.6]}}\nrecord: {curves: false}\n",
    );
    assert_eq!(bare.run_id(0), spelled.run_id(0));
    assert_eq!(Section::COUNT, 9);
}

/// Axes of a few values each.
fn axis(key: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = Option<(String, Vec<String>)>> {
    prop::option::of(prop::sample::subsequence(values, 1..=values.len()))
        .prop_map(move |chosen| chosen.map(|values| (key.to_owned(), values.into_iter().map(String::from).collect())))
}

type Axes = Vec<(String, Vec<String>)>;

fn block() -> impl Strategy<Value = Axes> {
    (axis("market.xi", &["0.3", "0.5", "0.7"]), axis("costs.rate", &["0.0", "0.01"]))
        .prop_map(|(a, b)| [a, b].into_iter().flatten().collect())
}

fn own() -> impl Strategy<Value = Axes> {
    (axis("optimizer.lr", &["0.001", "0.01", "0.1"]), axis("market.rho", &["-0.5", "0.0"]))
        .prop_map(|(a, b)| [a, b].into_iter().flatten().collect())
}

fn yaml(axes: &Axes) -> String {
    let axes: Vec<_> = axes.iter().map(|(key, values)| format!("{key}: {{values: [{}]}}", values.join(", "))).collect();
    format!("{{{}}}", axes.join(", "))
}

/// Every combination of axes, the last one fastest.
fn product(axes: &Axes) -> Vec<Vec<(String, String)>> {
    axes.iter().fold(vec![Vec::new()], |rows, (key, values)| {
        let extend = |row: Vec<(String, String)>| {
            values.iter().map(move |value| [row.clone(), vec![(key.clone(), value.clone())]].concat())
        };
        rows.into_iter().flat_map(extend).collect()
    })
}

fn filter() -> impl Strategy<Value = Vec<(String, String)>> {
    let pin = |key: &'static str, values: &'static [&'static str]| {
        prop::option::weighted(0.4, prop::sample::select(values))
            .prop_map(move |value| value.map(|v| (key.to_owned(), v.to_owned())))
    };
    (
        pin("market.xi", &["0.3", "0.5", "0.9"]),
        pin("optimizer.lr", &["0.001", "0.1", "0.5"]),
        pin("market.rho", &["0.0", "-0.5"]),
        pin("arm", &["a", "b"]),
        pin("seed", &["0", "2", "9"]),
    )
        .prop_map(|(a, b, c, d, e)| [a, b, c, d, e].into_iter().flatten().collect::<Vec<_>>())
        .prop_filter("an entry has a key", |filter| !filter.is_empty())
}

fn flow(filters: &[Vec<(String, String)>]) -> String {
    let entry = |filter: &Vec<(String, String)>| {
        let pins: Vec<_> = filter.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        format!("{{{}}}", pins.join(", "))
    };
    format!("[{}]", filters.iter().map(entry).collect::<Vec<_>>().join(", "))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn index_and_run_are_one_to_one(block in block(), a in own(), b in own(), seeds in 1_u64..4) {
        let plan = plan(&format!(
            "seeds: {seeds}\nparameters: {}\narms: {{a: {{parameters: {}}}, b: {{parameters: {}}}}}\n",
            yaml(&block), yaml(&a), yaml(&b),
        ));
        let runs: Vec<Run> = (0..plan.len()).map(|index| plan.get(index)).collect();
        let expected = product(&block).len() * (product(&a).len() + product(&b).len()) * seeds as usize;
        prop_assert_eq!(runs.len(), expected);
        let key = |run: &Run| (run.cell, run.arm, run.variant, run.seed);
        prop_assert!(runs.is_sorted_by(|a, b| key(a) < key(b)), "distinct and in order");
        check_runs(&plan);
    }

    #[test]
    fn holes_and_additions_are_those_of_brute_force(
        block in block(), a in own(), b in own(),
        exclude in prop::collection::vec(filter(), 0..3), include in prop::collection::vec(filter(), 0..3),
    ) {
        // The definition, written down run by run: (arm, settings, seed).
        type Row = (String, BTreeSet<(String, String)>, u64);
        let arms = [("a", &a), ("b", &b)];
        let mut expected: BTreeSet<Row> = BTreeSet::new();
        let get = |filter: &Vec<(String, String)>, key: &str| filter.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
        for (arm, own) in arms {
            for settings in product(&[block.clone(), own.clone()].concat()) {
                for seed in 0..3_u64 {
                    let matches = |filter: &Vec<(String, String)>| filter.iter().all(|(key, value)| match key.as_str() {
                        "arm" => value == arm,
                        "seed" => *value == seed.to_string(),
                        _ => settings.contains(&(key.clone(), value.clone())),
                    });
                    if !exclude.iter().any(matches) {
                        expected.insert((arm.to_owned(), settings.iter().cloned().collect(), seed));
                    }
                }
            }
        }
        for filter in &include {
            for (arm, own) in arms {
                if get(filter, "arm").is_some_and(|only| only != arm) {
                    continue;
                }
                let axes = [block.clone(), own.clone()].concat();
                let rest: Axes = axes.iter().filter(|(key, _)| get(filter, key).is_none()).cloned().collect();
                let pins = filter.iter().filter(|(key, value)| {
                    // Pinning a key to what the preset says anyway pins nothing.
                    let preset = [("optimizer.lr", "0.001"), ("market.xi", "0.5")];
                    let idle = preset.contains(&(key.as_str(), value.as_str())) && !axes.iter().any(|(axis, _)| axis == key);
                    !["arm", "seed"].contains(&key.as_str()) && !idle
                });
                for row in product(&rest) {
                    let settings: BTreeSet<_> = row.into_iter().chain(pins.clone().cloned()).collect();
                    let seeds = get(filter, "seed").map_or(vec![0, 1, 2], |seed| vec![seed.parse().unwrap()]);
                    for seed in seeds {
                        expected.insert((arm.to_owned(), settings.clone(), seed));
                    }
                }
            }
        }
        let text = format!(
            "name: test\npreset: paper\nseeds: 3\nparameters: {}\narms: {{a: {{parameters: {}}}, b: {{parameters: {}}}}}\nexclude: {}\ninclude: {}\n",
            yaml(&block), yaml(&a), yaml(&b), flow(&exclude), flow(&include),
        );
        match plan_of(&text) {
            Err(errors) => prop_assert!(expected.is_empty(), "{errors}"),
            Ok(plan) => {
                let row = |index| {
                    let run = plan.get(index);
                    let settings = plan.base().iter().cloned().chain(plan.overrides(index));
                    let settings = settings.map(|(key, value)| (key, value.to_string())).collect();
                    (plan.arms()[run.arm as usize].clone(), settings, run.seed)
                };
                let rows: Vec<Row> = (0..plan.len()).map(row).collect();
                let distinct: BTreeSet<Row> = rows.iter().cloned().collect();
                prop_assert_eq!(distinct.len(), rows.len(), "no run stands twice");
                prop_assert_eq!(distinct, expected);
                check_runs(&plan);
            }
        }
    }
}
