use super::*;
use crate::summary::Block;
use crate::summary::Line;
use crate::tuning::Choice;

fn metric(name: &str, direction: Direction) -> Metric {
    Metric { name: name.into(), direction, unit: String::new(), definition: String::new() }
}

fn loss() -> Metric {
    metric("test.loss", Direction::Minimize)
}

/// Choices by ten seeds, each of so many variants: cell, arm, variants.
fn tuned(budgets: &[(&str, &str, u64)]) -> Tuning {
    let choice = |(cell, arm, variants): &(&str, &str, u64)| Choice {
        cell: (*cell).into(),
        arm: (*arm).into(),
        variant: "v".into(),
        variants: *variants,
        score: None,
    };
    Tuning {
        by: "validation.loss".into(),
        direction: Direction::Minimize,
        seeds: (0..10).collect(),
        choices: budgets.iter().map(choice).collect(),
    }
}

fn row(arm: &str, verdict: &str) -> Comparison {
    let sign = if verdict == "worse" { 1.0 } else { -1.0 };
    Comparison {
        cell: "default".into(),
        metric: "test.loss".into(),
        arm: arm.into(),
        variant: "default".into(),
        baseline: "adam".into(),
        baseline_variant: "default".into(),
        stage: "all".into(),
        n: 20,
        mean: Some(0.004 + 0.001 * sign),
        baseline_mean: Some(0.004),
        diff: Some(0.001 * sign),
        t_low: Some(0.001 * sign - 0.0005),
        t_high: Some(0.001 * sign + 0.0005),
        p_t: Some(0.0004),
        p_holm: Some(0.0008),
        verdict: verdict.into(),
        ..Comparison::default()
    }
}

fn said(rows: &[Comparison]) -> Answer {
    answer(&Asked { metric: &loss(), tuning: None }, rows)
}

#[test]
fn each_verdict_has_its_words() {
    let few = Comparison { n: 3, ..row("kfac", "too_few_seeds") };
    let equal = Comparison { p_holm: Some(0.4), seeds_for_power80: Some(198.2), ..row("kfac", "no_difference") };
    let none = Comparison { n: 0, mean: None, baseline_mean: None, diff: None, ..row("kfac", "undefined") };
    let lost = Comparison { n: 12, ..row("kfac", "undefined") };
    let all = [row("kfac", "better"), row("kfac", "worse"), equal, few, none, lost];
    let words: Vec<String> = all.into_iter().map(|row| said(&[row]).sentence).collect();
    insta::assert_snapshot!(words.join("\n"), @"
    kfac beats adam on test.loss (smaller is better): 0.003000 against 0.004000, a difference of -0.001000, -25.0% (95% interval -0.001500 to -0.0005000, 20 seeds, p < 0.001 by paired t and Holm).
    kfac does worse than adam on test.loss (smaller is better): 0.005000 against 0.004000, a difference of +0.001000, +25.0% (95% interval +0.0005000 to +0.001500, 20 seeds, p < 0.001 by paired t and Holm).
    No difference between kfac and adam was found on test.loss: 0.003000 against 0.004000, a difference of -0.001000, -25.0% (95% interval -0.001500 to -0.0005000, 20 seeds, p = 0.400 by paired t and Holm); to find one of this size four times in five takes 199 seeds.
    3 seeds, whose smallest possible p is 0.2500, cannot tell kfac from adam on test.loss: 0.003000 against 0.004000, a difference of -0.001000.
    kfac and adam cannot be compared on test.loss: there is no seed at which both have a value.
    kfac and adam cannot be judged on test.loss: 0.003000 against 0.004000 where both have a value (12 seeds), but not every seed has one, or none differs from another.
    ");
}

#[test]
fn several_arms_are_told_apart_by_their_verdicts() {
    let rows =
        [row("kfac", "better"), row("sgd", "worse"), row("adam_head", "worse"), row("kfac_all", "no_difference")];
    insta::assert_snapshot!(said(&rows).sentence, @"Of 4 arms held against adam on test.loss (smaller is better), kfac beats adam; sgd and adam_head do worse; no difference was found for kfac_all; the most favourable is kfac with a difference of -0.001000, -25.0% (95% interval -0.001500 to -0.0005000, 20 seeds, p < 0.001 by paired t and Holm).");
}

#[test]
fn cells_are_counted_and_what_holds_across_them_is_said() {
    let in_cell = |cell: &str, verdict: &str| Comparison { cell: cell.into(), ..row("kfac", verdict) };
    let star = in_cell("*", "better");
    let all = ["better", "better", "better"];
    let mixed = ["better", "worse", "no_difference"];
    let rows = |verdicts: [&str; 3]| -> Vec<Comparison> {
        verdicts.iter().zip(["xi=0.3", "xi=0.5", "xi=0.7"]).map(|(verdict, cell)| in_cell(cell, verdict)).collect()
    };
    let with_star = [rows(all), vec![star]].concat();
    let words = [said(&rows(all)), said(&with_star), said(&rows(mixed))].map(|answer| answer.sentence);
    insta::assert_snapshot!(words.join("\n"), @"
    kfac beats adam on test.loss (smaller is better) in all 3 cells: differences of -0.001000 to -0.001000 (20 seeds each, 95% intervals within -0.001500 to -0.0005000, the largest p < 0.001 by paired t and Holm).
    kfac beats adam on test.loss (smaller is better) in all 3 cells: as a mean over the cells a difference of -0.001000, -25.0% (95% interval -0.001500 to -0.0005000, 20 seeds, p < 0.001 by paired t and Holm).
    Against adam on test.loss (smaller is better), kfac is better in 1, worse in 1 and no different in 1 of 3 cells: differences of -0.001000 to +0.001000 (20 seeds each, 95% intervals within -0.001500 to +0.001500, the largest p < 0.001 by paired t and Holm).
    ");
}

#[test]
fn of_few_seeds_the_interval_of_the_t_test_is_quoted_and_of_many_the_bootstraps() {
    let both = Comparison { diff_low: Some(-0.0014), diff_high: Some(-0.0006), ..row("kfac", "better") };
    assert!(said(std::slice::from_ref(&both)).sentence.contains("-0.001500 to -0.0005000"));
    let many = Comparison { n: 30, ..both };
    assert!(said(&[many]).sentence.contains("-0.001400 to -0.0006000"));
}

#[test]
fn the_classical_hedges_stand_apart_from_the_arms() {
    let hedge = |name: &str, verdict: &str, diff: f64| Comparison {
        diff: Some(diff),
        ..row(&format!("hedge.{name}"), verdict)
    };
    let arm = row("sgd", "worse");
    let beaten = [arm.clone(), hedge("none", "worse", 9.0), hedge("heston_delta", "worse", 0.2)];
    let not = [arm, hedge("none", "worse", 9.0), hedge("heston_delta", "better", -0.2)];
    let words = [said(&beaten), said(&not)].map(|answer| answer.hedges.unwrap());
    insta::assert_snapshot!(words.join("\n"), @"
    adam beats both classical hedges; the nearest, heston_delta, has a difference of +0.2000 (95% interval +0.0005000 to +0.001500, 20 seeds, p < 0.001 by paired t and Holm).
    The classical hedge heston_delta beats adam, with a difference of -0.2000 (95% interval -0.001500 to -0.0005000, 20 seeds, p < 0.001 by paired t and Holm).
    ");
    assert!(said(&beaten).sentence.starts_with("sgd does worse"), "hedges are no arms");
}

#[test]
fn conditions_name_tuning_budgets_and_the_shared_paths() {
    let tuning = tuned(&[("c", "adam", 3), ("c", "kfac", 7)]);
    let rows = [row("kfac", "worse")];
    let unequal = answer(&Asked { metric: &loss(), tuning: Some(&tuning) }, &rows);
    let equal = tuned(&[("c", "adam", 3), ("c", "kfac", 3)]);
    let equal = answer(&Asked { metric: &loss(), tuning: Some(&equal) }, &rows);
    let train = metric("train.sharpe", Direction::Maximize);
    let row = Comparison { metric: "train.sharpe".into(), ..row("kfac", "worse") };
    let train = answer(&Asked { metric: &train, tuning: None }, &[row]);
    insta::assert_snapshot!([unequal, equal, train].map(|answer| answer.conditions).join("\n"), @"
    Each arm's variant was chosen by validation.loss on 10 seeds and confirmed on the others, which are the ones counted here. Budgets are unequal, in favour of the larger: of variants to choose from, adam had 3 and kfac had 7. Replicates are seeds, and all seeds of a cell are scored on one test set: intervals and p-values hold given these paths.
    Each arm's variant was chosen by validation.loss on 10 seeds and confirmed on the others, which are the ones counted here. Every arm had 3 variants to choose from. Replicates are seeds, and all seeds of a cell are scored on one test set: intervals and p-values hold given these paths.
    Nothing was tuned: each arm runs as it is configured. Replicates are seeds, each with its own paths and initial weights; train.sharpe is measured on training paths, so it says how training went and not how well the result hedges.
    ");
}

#[test]
fn budgets_are_held_against_each_other_cell_by_cell() {
    let said = |budgets: [(&str, &str, u64); 4]| {
        let tuning = tuned(&budgets);
        let answer = answer(&Asked { metric: &loss(), tuning: Some(&tuning) }, &[row("kfac", "worse")]);
        let words = answer.conditions.split_once("counted here. ").unwrap().1.to_owned();
        words.split_once(" Replicates").unwrap().0.to_owned()
    };
    let equal = said([("c", "adam", 2), ("c", "kfac", 2), ("d", "adam", 3), ("d", "kfac", 3)]);
    assert_eq!(equal, "Every arm had 2 to 3 variants to choose from, in each cell as many as the others.");
    // The largest budgets are equal, but they are of different cells.
    let unequal = said([("c", "adam", 3), ("c", "kfac", 2), ("d", "adam", 2), ("d", "kfac", 3)]);
    assert_eq!(
        unequal,
        "Budgets are unequal, in favour of the larger: of variants to choose from, adam had 2 to 3 and kfac had 2 to 3."
    );
}

#[test]
fn while_runs_are_missing_the_sentence_says_that_it_is_no_test_yet() {
    let answer = said(&[row("kfac", "better")]).so_far(190, 900);
    assert!(answer.sentence.starts_with("So far, with 190 of 900 runs: kfac beats adam"), "{}", answer.sentence);
    assert!(answer.conditions.starts_with("With runs missing,"), "{}", answer.conditions);
}

#[test]
fn before_anything_is_known_the_sentence_says_so() {
    assert_eq!(
        said(&[]).sentence,
        "Nothing can be said about test.loss yet: no arm and no seed has a value beside the baseline's."
    );
    assert!(ranking_answer(&loss(), &[]).sentence.starts_with("Nothing can be said about test.loss yet"));
}

#[test]
fn without_a_comparison_the_best_and_the_worst_are_named() {
    let line = |arm: &str, mean: f64| Line {
        arm: arm.into(),
        variant: "default".into(),
        n: 3,
        mean: Some(mean),
        sd: Some(0.1),
        ..Line::default()
    };
    let block = |cell: &str, mean: f64| Block {
        cell: cell.into(),
        metric: "test.loss".into(),
        lines: vec![line("all", mean), line("hedge.none", 0.001)],
    };
    let cells = ranking_answer(&loss(), &[block("xi=0.3", 2.0), block("xi=0.7", 3.0)]);
    let one = ranking_answer(&loss(), &[block("default", 2.0)]);
    insta::assert_snapshot!([cells, one].map(|answer| answer.sentence).join("\n"), @"
    test.loss is smallest for xi=0.3: 2.000 ± 0.1000 over 3 seeds (mean ± SD), and largest for xi=0.7: 3.000 ± 0.1000 over 3 seeds.
    test.loss is 2.000 ± 0.1000 over 3 seeds (mean ± SD).
    ");
}
