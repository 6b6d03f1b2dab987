//! `coordinator compare`: the comparison again, from the Parquet files alone.

use std::collections::HashMap;
use std::fs;

use hedgesweep_tests::{Sandbox, numbers, repository, table, texts};

const SWEEP: &str = "\
name: again
preset: paper
seeds: 6
parameters:
  training.epochs: {value: 3}
  evaluation.validation_paths: {value: 50}
  evaluation.test_paths: {value: 60}
  market.xi: {values: [0.3, 0.5]}
arms:
  adam:
    parameters: {optimizer.kind: {value: adam}}
  kfac:
    parameters: {optimizer.kind: {value: kfac}}
compare:
  baseline: adam
  metrics: [test.loss, test.sharpe, test.cvar95]
record: {samples: {sets: [train, test], epochs: last}}
";

const ANSWERS: [&str; 3] = ["comparisons.parquet", "pooled.parquet", "within.parquet"];

fn run(sandbox: &Sandbox, name: &str, text: &str, more: &[&str]) -> String {
    let file = format!("{name}.yaml");
    sandbox.write(&file, text);
    sandbox.coordinator(["--sweep", &file].iter().chain(more)).expect_code(0).stdout
}

/// The lines of the answer itself, without what was run and written.
fn answer(stdout: &str) -> Vec<&str> {
    stdout.lines().take_while(|line| !line.contains(" ok · ") && !line.starts_with("  ")).collect()
}

#[test]
fn the_same_answer_comes_from_the_tables_alone() {
    let sandbox = Sandbox::new();
    let stdout = run(&sandbox, "again", SWEEP, &[]);
    let folder = sandbox.path("results/again");
    let written: Vec<Vec<u8>> = ANSWERS.iter().map(|name| fs::read(folder.join(name)).unwrap()).collect();
    for name in ANSWERS {
        fs::remove_file(folder.join(name)).unwrap();
    }
    // Neither the parts nor the file that the sweep was started with.
    fs::remove_dir_all(folder.join("parts")).unwrap();
    fs::remove_file(sandbox.path("again.yaml")).unwrap();
    let compared = sandbox.coordinator(["compare", "results/again"]).expect_code(0);
    assert_eq!(answer(&compared.stdout), answer(&stdout));
    for (name, before) in ANSWERS.iter().zip(written) {
        assert_eq!(fs::read(folder.join(name)).unwrap(), before, "{name} is another one");
    }
}

#[test]
fn the_tests_over_paths_are_about_the_metrics_of_the_runs() {
    let sandbox = Sandbox::new();
    run(&sandbox, "again", SWEEP, &[]);
    let runs = table(sandbox.path("results/again/runs.parquet"));
    let within = table(sandbox.path("results/again/within.parquet"));
    let metric = |name: &str| -> HashMap<(String, u64), f64> {
        let seeds = numbers(&runs, "seed").into_iter().map(|seed| seed.unwrap() as u64);
        let labels = texts(&runs, "cell").into_iter().zip(texts(&runs, "arm")).zip(seeds).zip(numbers(&runs, name));
        let of_arm = labels.filter(|(((_, arm), _), _)| arm == "kfac");
        of_arm.map(|(((cell, _), seed), value)| ((cell, seed), value.unwrap())).collect()
    };
    let (variances, sharpes) = (metric("test.pnl_variance"), metric("test.sharpe"));
    let tests = texts(&within, "test").into_iter().zip(texts(&within, "cell"));
    let rows = tests.zip(numbers(&within, "seed")).zip(numbers(&within, "value"));
    let mut seen = 0;
    for (((test, cell), seed), value) in rows {
        let Some(seed) = seed else { continue };
        let of = if test == "grambsch" || test == "pitman_morgan" { &variances } else { &sharpes };
        let wanted = of[&(cell, seed as u64)];
        // Samples are stored in f32: its rounding is what tells them from the run's own numbers.
        assert!((value.unwrap() - wanted).abs() <= 1e-4 * wanted.abs().max(0.01), "{test}: {value:?} is not {wanted}");
        seen += 1;
    }
    assert_eq!(seen, 2 * 6 * 4);
    // Over seeds: the mean of the runs' own expected shortfalls.
    let shortfalls = metric("test.cvar95");
    let mean =
        |cell: &str| shortfalls.iter().filter(|((of, _), _)| of == cell).map(|(_, value)| value).sum::<f64>() / 6.0;
    let metrics = texts(&within, "metric").into_iter().zip(texts(&within, "cell"));
    for ((name, cell), value) in metrics.zip(numbers(&within, "value")) {
        if name == "test.cvar95" {
            let wanted = mean(&cell);
            assert!((value.unwrap() - wanted).abs() <= 1e-5 * wanted.abs(), "{value:?} is not {wanted}");
        }
    }
}

#[test]
fn what_was_set_on_the_command_line_is_set_again() {
    let sandbox = Sandbox::new();
    let stdout = run(&sandbox, "again", SWEEP, &["--set", "seeds=8", "--set", "compare.metrics=[test.mean_cost]"]);
    assert!(stdout.contains("test.mean_cost"), "{stdout}");
    let compared = sandbox.coordinator(["compare", "results/again"]).expect_code(0);
    assert_eq!(answer(&compared.stdout), answer(&stdout));
}

#[test]
fn initial_weights_are_read_from_beside_the_results() {
    let sandbox = Sandbox::new();
    let weights = fs::read(repository().join("sweeps/paper/seed42_adam_init.safetensors")).unwrap();
    sandbox.write("init.safetensors", weights);
    let text = SWEEP.replace("  market.xi", "  network.init: {value: init.safetensors}\n  market.xi");
    let stdout = run(&sandbox, "again", &text, &[]);
    fs::remove_file(sandbox.path("init.safetensors")).unwrap();
    let compared = sandbox.coordinator(["compare", "results/again"]).expect_code(0);
    assert_eq!(answer(&compared.stdout), answer(&stdout));
}

#[test]
fn several_sweeps_stand_side_by_side() {
    let sandbox = Sandbox::new();
    run(&sandbox, "again", SWEEP, &[]);
    let other = SWEEP.replace("name: again", "name: other").replace("value: kfac", "value: sgd");
    let other = other.replace("  kfac:", "  sgd:").replace("seeds: 6", "seeds: {start: 2, count: 6}");
    run(&sandbox, "other", &other, &[]);
    let before = fs::read(sandbox.path("results/again/comparisons.parquet")).unwrap();
    let compared = sandbox.coordinator(["compare", "results/again", "results/other"]).expect_code(0);
    for arm in ["again/adam", "again/kfac", "other/adam", "other/sgd"] {
        assert!(compared.stdout.contains(arm), "no {arm} in\n{}", compared.stdout);
    }
    assert!(!compared.stdout.contains("comparisons.parquet"), "{}", compared.stdout);
    assert_eq!(fs::read(sandbox.path("results/again/comparisons.parquet")).unwrap(), before, "nothing is written");

    sandbox.coordinator(["compare", "results/again", "results/other", "--out", "joint"]).expect_code(0);
    // The page is of both sweeps, and says what the terminal says.
    let page = fs::read_to_string(sandbox.path("joint/report.html")).unwrap();
    let markdown = fs::read_to_string(sandbox.path("joint/report.md")).unwrap();
    for part in ["again/kfac", "other/sgd", "The sweep file of other", "<figure id=\"forest\"", "<figure id=\"loss\""] {
        assert!(page.contains(part), "no {part}");
    }
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = markdown.split("**").nth(1).unwrap();
    assert!(sentence.contains("again/adam") && flat(&compared.stdout).contains(&flat(sentence)), "{sentence}");
    let rows = table(sandbox.path("joint/comparisons.parquet"));
    let counts = texts(&rows, "arm").into_iter().zip(texts(&rows, "cell")).zip(numbers(&rows, "n"));
    let n: HashMap<(String, String), f64> = counts.map(|(key, n)| (key, n.unwrap())).collect();
    let of = |arm: &str| n[&(arm.to_owned(), "market.xi=0.3".to_owned())];
    // Seeds 0 to 5 against 2 to 7: four are common.
    assert_eq!((of("again/kfac"), of("other/sgd"), of("other/adam")), (6.0, 4.0, 4.0));
    assert!(texts(&rows, "baseline").iter().all(|baseline| baseline == "again/adam"));
    // The same runs by another name differ by nothing.
    let same = texts(&rows, "arm").into_iter().zip(numbers(&rows, "diff")).filter(|(arm, _)| arm == "other/adam");
    assert!(same.into_iter().all(|(_, diff)| diff == Some(0.0)));
    for name in ["pooled.parquet", "within.parquet"] {
        assert!(texts(&table(sandbox.path("joint").join(name)), "arm").contains(&"other/sgd".to_owned()));
    }
    // And the pooled samples of a run that both sweeps have are counted once.
    let pooled = table(sandbox.path("joint/pooled.parquet"));
    assert!(numbers(&pooled, "baseline_n").iter().all(|n| *n == Some(32.0)));
}

#[test]
fn sweeps_that_ask_different_questions_say_what_differs() {
    let sandbox = Sandbox::new();
    run(&sandbox, "again", SWEEP, &[]);
    let other =
        SWEEP.replace("name: again", "name: other").replace("[test.loss, test.sharpe, test.cvar95]", "[test.loss]");
    run(&sandbox, "other", &other, &[]);
    let refused = sandbox.coordinator(["compare", "results/again", "results/other"]).expect_code(2);
    let differs = "compare.metrics: test.loss, test.sharpe, test.cvar95 in again, test.loss in other";
    assert!(refused.stderr.contains(differs), "{}", refused.stderr);
    assert!(!refused.stderr.contains("compare.baseline"), "{}", refused.stderr);
    // Nor does a joint answer go where a sweep's own lies.
    let refused = sandbox.coordinator(["compare", "results/again", "--out", "results/other"]).expect_code(2);
    assert!(refused.stderr.contains("results/other: holds a sweep's own results"), "{}", refused.stderr);
    let refused = sandbox.coordinator(["compare", "results/again", "results/../results/again"]).expect_code(2);
    assert!(refused.stderr.contains("given twice"), "{}", refused.stderr);
}

#[test]
fn missing_foreign_and_unfinished_folders_are_told_apart() {
    let sandbox = Sandbox::new();
    let missing = sandbox.coordinator(["compare", "results/nowhere"]).expect_code(4);
    assert!(missing.stderr.contains("nowhere: there is no such folder"), "{}", missing.stderr);
    sandbox.write("foreign/runs.parquet", "PAR1");
    let foreign = sandbox.coordinator(["compare", "foreign"]).expect_code(2);
    assert!(foreign.stderr.contains("holds no sweep's results"), "{}", foreign.stderr);
    sandbox.coordinator(["compare", "gs://bucket/sweep"]).expect_code(2);
    sandbox.coordinator(["compare"]).expect_code(2);

    run(&sandbox, "again", SWEEP, &[]);
    fs::remove_file(sandbox.path("results/again/runs.parquet")).unwrap();
    let unfinished = sandbox.coordinator(["compare", "results/again"]).expect_code(2);
    assert!(unfinished.stderr.contains("has no runs.parquet yet"), "{}", unfinished.stderr);
    sandbox.write("results/again/runs.parquet", "PAR1");
    sandbox.coordinator(["compare", "results/again"]).expect_code(4);
}
