//! The comparison, on tables small enough to check by hand.

use std::collections::BTreeMap;

use analysis::{ALL_CELLS, Budget, Choice, Question, QuestionError, Runs, Tune, Tuning, compare, ranking, summarise};
use engine::metrics::Direction;
use results::{Comparison, Words};

/// (cell, arm, variant, seed, loss, validation loss)
type Row<'a> = (&'a str, &'a str, &'a str, u64, Option<f64>, Option<f64>);

fn words<'a>(all: impl Iterator<Item = &'a str>) -> Words {
    let mut words = Words::default();
    for word in all {
        let code = words.code_of(word).unwrap_or_else(|| {
            words.distinct.push(word.to_owned());
            words.distinct.len() as u32 - 1
        });
        words.codes.push(Some(code));
    }
    words
}

fn runs(rows: &[Row<'_>]) -> Runs {
    Runs {
        cell: words(rows.iter().map(|row| row.0)),
        arm: words(rows.iter().map(|row| row.1)),
        variant: words(rows.iter().map(|row| row.2)),
        seed: rows.iter().map(|row| row.3).collect(),
        metrics: BTreeMap::from([
            ("test.loss".to_owned(), rows.iter().map(|row| row.4).collect()),
            ("validation.loss".to_owned(), rows.iter().map(|row| row.5).collect()),
        ]),
    }
}

fn question(tune: Option<Tune>) -> Question {
    Question {
        baseline_arm: "adam".into(),
        baseline_variant: None,
        metrics: vec![("test.loss".into(), Direction::Minimize)],
        tune,
        arms: vec!["adam".into(), "kfac".into()],
    }
}

fn noise(seed: u64) -> f64 {
    (seed * 7 % 5) as f64 / 100.0
}

fn two_arms(seeds: u64, gain: f64) -> Vec<Row<'static>> {
    let of = move |arm, gain: f64| {
        (0..seeds).map(move |seed| ("c", arm, "v", seed, Some(1.0 + seed as f64 - gain + noise(seed) * gain), None))
    };
    of("adam", 0.0).chain(of("kfac", gain)).collect()
}

#[test]
fn a_clear_gain_is_better_and_its_mirror_worse() {
    let rows = compare(&runs(&two_arms(8, 0.5)), &question(None)).unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!((row.arm.as_str(), row.baseline.as_str(), row.stage.as_str(), row.n), ("kfac", "adam", "all", 8));
    assert_eq!(row.verdict, "better");
    assert!(row.diff.unwrap() < 0.0 && row.t.unwrap() < 0.0 && row.d_z.unwrap() < 0.0);
    assert_eq!(row.p_holm, row.p_t);
    assert_eq!(compare(&runs(&two_arms(8, -0.5)), &question(None)).unwrap()[0].verdict, "worse");
    let mut neutral = question(None);
    neutral.metrics[0].1 = Direction::Neutral;
    assert_eq!(compare(&runs(&two_arms(8, 0.5)), &neutral).unwrap()[0].verdict, "undefined");
}

#[test]
fn an_arm_that_lost_seeds_is_not_better_on_the_rest() {
    let mut rows = two_arms(10, 0.5);
    assert_eq!(compare(&runs(&rows), &question(None)).unwrap()[0].verdict, "better");
    let diverged = rows.iter_mut().find(|row| row.1 == "kfac" && row.3 == 9).unwrap();
    diverged.4 = None;
    let lost = &compare(&runs(&rows), &question(None)).unwrap()[0];
    assert_eq!((lost.n, lost.verdict.as_str()), (9, "undefined"));
    // A seed that was never run for the arm says nothing about it.
    rows.retain(|row| row.4.is_some());
    assert_eq!(compare(&runs(&rows), &question(None)).unwrap()[0].verdict, "better");
}

#[test]
fn an_arm_is_not_worse_than_a_baseline_that_lost_seeds() {
    let mut rows = two_arms(10, -0.5);
    rows.extend(two_arms(10, -0.5).into_iter().map(|row| Row::from(("d", row.1, row.2, row.3, row.4, row.5))));
    let verdicts = |rows: &[Row<'_>]| -> Vec<String> {
        compare(&runs(rows), &question(None)).unwrap().into_iter().map(|row| row.verdict).collect()
    };
    assert_eq!(verdicts(&rows), ["worse", "worse", "worse"]);
    let lost = |rows: &mut Vec<Row<'_>>, arm: &str| {
        rows.iter_mut().find(|row| (row.0, row.1, row.3) == ("c", arm, 9)).unwrap().4 = None;
    };
    let mut of_baseline = rows.clone();
    lost(&mut of_baseline, "adam");
    assert_eq!(verdicts(&of_baseline), ["undefined", "worse", "undefined"], "in its cell, and across them");
    // An arm that loses some and is worse on the rest is worse; a seed that both have lost speaks for neither.
    let mut of_arm = rows.clone();
    lost(&mut of_arm, "kfac");
    assert_eq!(verdicts(&of_arm), ["worse", "worse", "worse"]);
    lost(&mut of_arm, "adam");
    assert_eq!(verdicts(&of_arm), ["worse", "worse", "worse"]);
    // And of two that have both lost some neither is the better one.
    of_baseline.iter_mut().find(|row| (row.0, row.1, row.3) == ("c", "kfac", 8)).unwrap().4 = None;
    assert_eq!(verdicts(&of_baseline)[0], "undefined");
    for row in of_baseline.iter_mut().filter(|row| row.1 == "kfac") {
        row.4 = row.4.map(|loss| loss - 1.0);
    }
    assert_eq!(verdicts(&of_baseline)[0], "undefined");
}

#[test]
fn five_pairs_are_too_few() {
    assert_eq!(compare(&runs(&two_arms(5, 0.5)), &question(None)).unwrap()[0].verdict, "too_few_seeds");
    assert_eq!(compare(&runs(&two_arms(6, 0.5)), &question(None)).unwrap()[0].verdict, "better");
}

#[test]
fn only_seeds_that_both_have_count() {
    let mut rows = two_arms(8, 0.5);
    rows[2].4 = None;
    rows[8 + 5].4 = None;
    rows.remove(8 + 7);
    let row = &compare(&runs(&rows), &question(None)).unwrap()[0];
    assert_eq!(row.n, 5);
    rows.iter_mut().for_each(|row| row.4 = None);
    let row = &compare(&runs(&rows), &question(None)).unwrap()[0];
    assert_eq!((row.n, row.verdict.as_str(), row.mean), (0, "undefined", None));
}

#[test]
fn equal_arms_show_no_difference_and_constant_differences_are_not_judged() {
    let mut rows = two_arms(8, 0.5);
    for place in 8..16 {
        rows[place].4 = rows[place - 8].4;
    }
    let row = &compare(&runs(&rows), &question(None)).unwrap()[0];
    assert_eq!((row.p_t, row.t, row.verdict.as_str()), (Some(1.0), None, "no_difference"));
    for place in 8..16 {
        rows[place].4 = rows[place - 8].4.map(|loss| loss + 0.5);
    }
    for row in &mut rows {
        row.4 = row.4.map(|loss| (loss * 8.0).round() / 8.0);
    }
    let row = &compare(&runs(&rows), &question(None)).unwrap()[0];
    assert_eq!((row.p_t, row.d_z, row.verdict.as_str(), row.diff), (None, None, "undefined", Some(0.5)));
}

#[test]
fn holm_adjusts_over_cells_and_arms_of_a_metric() {
    let mut rows = two_arms(8, 0.5);
    rows.extend(two_arms(8, 0.5).into_iter().map(|row| Row::from(("d", row.1, row.2, row.3, row.4, row.5))));
    let rows = compare(&runs(&rows), &question(None)).unwrap();
    assert_eq!(rows.iter().map(|row| row.cell.as_str()).collect::<Vec<_>>(), ["c", "d", ALL_CELLS]);
    assert_eq!(rows[0].p_holm, rows[0].p_t.map(|p| 2.0 * p));
}

#[test]
fn tuning_chooses_by_the_tuning_seeds_and_confirms_on_the_others() {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (arm, variant, validation) in
        [("adam", "lr=1", 0.3), ("adam", "lr=2", 0.2), ("kfac", "a", 0.5), ("kfac", "b", 0.1), ("kfac", "c", 0.1)]
    {
        for seed in 0..10 {
            let loss = if arm == "adam" { 2.0 } else { 1.0 } + noise(seed) * validation;
            rows.push(("c", arm, variant, seed, Some(loss), Some(validation)));
        }
    }
    let tune = Tune { seeds: vec![0, 1], by: "validation.loss".into(), direction: Direction::Minimize };
    let answer = compare(&runs(&rows), &question(Some(tune.clone()))).unwrap();
    assert_eq!(answer.len(), 1);
    let row = &answer[0];
    assert_eq!((row.variant.as_str(), row.baseline_variant.as_str()), ("b", "lr=2"), "ties go to the first");
    assert_eq!((row.n, row.stage.as_str(), row.verdict.as_str()), (8, "confirm", "better"));
    // What happens on tuning seeds does not matter to the confirmation.
    let mut other = rows.clone();
    other.iter_mut().filter(|row| row.3 < 2).for_each(|row| row.4 = Some(1e9));
    assert_eq!(compare(&runs(&other), &question(Some(tune.clone()))).unwrap(), answer);
    // Nor do other seeds matter to the choice; a diverged tuning run is the worst.
    let mut other = rows.clone();
    other.iter_mut().filter(|row| row.3 >= 2).for_each(|row| row.5 = Some(0.0));
    other.iter_mut().filter(|row| row.2 == "b" && row.3 == 1).for_each(|row| row.5 = None);
    assert_eq!(compare(&runs(&other), &question(Some(tune))).unwrap()[0].variant, "c");
}

#[test]
fn a_baseline_of_several_variants_must_be_named_or_tuned() {
    let mut rows = two_arms(6, 0.5);
    rows.push(("c", "adam", "w", 0, Some(1.0), None));
    let error = compare(&runs(&rows), &question(None)).unwrap_err();
    assert_eq!(error, QuestionError::AmbiguousBaseline { cell: "c".into(), arm: "adam".into(), count: 2 });
    let named = Question { baseline_variant: Some("v".into()), ..question(None) };
    let answer = compare(&runs(&rows), &named).unwrap();
    assert_eq!(answer.iter().map(|row| row.arm.as_str()).collect::<Vec<_>>(), ["adam", "kfac"]);
}

#[test]
fn the_summary_begins_with_the_baseline_and_a_ranking_with_the_best() {
    let rows = runs(&two_arms(8, 0.5));
    let question = question(None);
    let blocks = summarise(&compare(&rows, &question).unwrap(), &question.metrics);
    assert_eq!(blocks.len(), 1);
    let arms: Vec<&str> = blocks[0].lines.iter().map(|line| line.arm.as_str()).collect();
    assert_eq!(arms, ["adam", "kfac"]);
    assert_eq!(blocks[0].lines[0].verdict, None);
    assert_eq!(blocks[0].lines[1].verdict.as_deref(), Some("better"));
    let blocks = ranking(&rows, "test.loss", Direction::Minimize);
    assert_eq!(blocks[0].lines[0].arm, "kfac");
    assert_eq!(ranking(&rows, "test.loss", Direction::Maximize)[0].lines[0].arm, "adam");
    assert_eq!(ranking(&rows, "validation.loss", Direction::Minimize)[0].lines[0].n, 0);
}

/// Two cells with two arms, and a hedge that loses 9 in the first and 0 in the second on every seed.
fn with_hedges() -> Runs {
    let mut rows = two_arms(8, 0.5);
    rows.extend(two_arms(8, 0.5).into_iter().map(|row| ("d", row.1, row.2, row.3, row.4, row.5)));
    let mut runs = runs(&rows);
    let hedge = rows.iter().map(|row| Some(if row.0 == "c" { 9.0 } else { 0.0 })).collect();
    runs.metrics.insert("hedge.heston_delta.loss".to_owned(), hedge);
    runs
}

#[test]
fn classical_hedges_stand_behind_each_cells_arms_as_a_family_of_their_own() {
    let rows = compare(&with_hedges(), &question(None)).unwrap();
    let order: Vec<(&str, &str)> = rows.iter().map(|row| (row.cell.as_str(), row.arm.as_str())).collect();
    let pairs = [("c", "kfac"), ("c", "hedge.heston_delta"), ("d", "kfac"), ("d", "hedge.heston_delta")];
    assert_eq!(order[..4], pairs);
    assert_eq!(order[4..], [(ALL_CELLS, "kfac"), (ALL_CELLS, "hedge.heston_delta")]);
    let [worse, better] = [&rows[1], &rows[3]];
    assert_eq!((worse.n, worse.mean, worse.sd, worse.verdict.as_str()), (8, Some(9.0), Some(0.0), "worse"));
    // The baseline's losses are 1, 2, … 8.
    assert_eq!((worse.diff, better.diff), (Some(4.5), Some(-4.5)));
    assert_eq!(better.verdict, "better");
    // Without the hedges the arms are judged the same.
    let alone = compare(&runs(&two_arms(8, 0.5)), &question(None)).unwrap();
    assert_eq!(rows[0].p_t, alone[0].p_t);
    assert_eq!(rows[0].p_holm, rows[0].p_t.map(|p| 2.0 * p), "two cells, and no hedge among them");
}

#[test]
fn hedges_stand_in_the_ranking_too() {
    let blocks = ranking(&with_hedges(), "test.loss", Direction::Minimize);
    let arms = |block: usize| blocks[block].lines.iter().map(|line| line.arm.clone()).collect::<Vec<_>>();
    assert_eq!(arms(0), ["kfac", "adam", "hedge.heston_delta"]);
    assert_eq!(arms(1), ["hedge.heston_delta", "kfac", "adam"]);
}

#[test]
fn a_hedge_is_not_worse_than_a_baseline_that_lost_seeds() {
    let mut runs = with_hedges();
    let diverged = (0..runs.seed.len()).find(|row| runs.cell.get(*row) == Some("c") && runs.seed[*row] == 3).unwrap();
    assert_eq!(runs.arm.get(diverged), Some("adam"));
    for column in runs.metrics.values_mut() {
        column[diverged] = None;
    }
    let rows = compare(&runs, &question(None)).unwrap();
    let hedge = rows.iter().find(|row| row.cell == "c" && row.arm.starts_with("hedge.")).unwrap();
    assert_eq!((hedge.n, hedge.verdict.as_str()), (7, "undefined"));
}

#[test]
fn a_cell_whose_first_variant_diverged_still_ranks_the_hedges() {
    let mut runs = with_hedges();
    let lost: Vec<usize> = (0..runs.seed.len())
        .filter(|row| runs.cell.get(*row) == Some("c") && runs.arm.get(*row) == Some("adam"))
        .collect();
    for column in runs.metrics.values_mut() {
        lost.iter().for_each(|row| column[*row] = None);
    }
    let blocks = ranking(&runs, "test.loss", Direction::Minimize);
    let hedge = blocks[0].lines.iter().find(|line| line.arm == "hedge.heston_delta").unwrap();
    assert_eq!((hedge.n, hedge.mean), (8, Some(9.0)));
}

#[test]
fn the_battery_fills_every_column_of_a_row() {
    let row = &compare(&runs(&two_arms(12, 0.5)), &question(None)).unwrap()[0];
    let (diff, ratio) = (row.diff.unwrap(), row.ratio.unwrap());
    for (low, value, high) in [
        (row.diff_low, diff, row.diff_high),
        (row.t_low, diff, row.t_high),
        (row.ratio_low, ratio, row.ratio_high),
        (row.p_better_low, row.p_better.unwrap(), row.p_better_high),
    ] {
        assert!(low.unwrap() <= value && value <= high.unwrap(), "{low:?} {value} {high:?}");
    }
    assert_eq!(ratio, row.mean.unwrap() / row.baseline_mean.unwrap());
    assert_eq!(row.p_better, Some(1.0), "the loss is smaller with every seed");
    // All twelve signs agree.
    let smallest = 2.0_f64.powi(-11);
    assert_eq!((row.p_wilcoxon, row.p_signflip), (Some(smallest), Some(smallest)));
    assert!(row.hl_diff.unwrap() < 0.0 && row.iqm_diff == Some(row.iqm.unwrap() - row.baseline_iqm.unwrap()));
    assert!(row.seeds_for_power80.unwrap() >= 2.0);
    assert_eq!((row.iqm_diff_low, row.iqm_diff_high), (None, None), "bounds are across cells");
}

#[test]
fn the_better_side_is_the_goals() {
    let mut goal = question(None);
    let share = |goal: &Question| compare(&runs(&two_arms(8, 0.5)), goal).unwrap()[0].p_better;
    assert_eq!(share(&goal), Some(1.0));
    goal.metrics[0].1 = Direction::Maximize;
    assert_eq!(share(&goal), Some(0.0));
    goal.metrics[0].1 = Direction::Neutral;
    assert_eq!(share(&goal), None);
}

#[test]
fn values_that_are_not_positive_have_no_ratio() {
    let mut rows = two_arms(8, 0.5);
    rows[3].4 = Some(0.0);
    let row = &compare(&runs(&rows), &question(None)).unwrap()[0];
    assert_eq!((row.ratio, row.ratio_low, row.ratio_high), (None, None, None));
    assert!(row.diff_low.is_some());
}

#[test]
fn constant_differences_keep_the_exact_tests_alone() {
    let of = |arm, loss: f64| (0..8).map(move |seed| ("c", arm, "v", seed, Some(loss + seed as f64), None));
    let rows: Vec<Row<'_>> = of("adam", 1.0).chain(of("kfac", 0.5)).collect();
    let row = &compare(&runs(&rows), &question(None)).unwrap()[0];
    assert_eq!(
        (row.t, row.p_t, row.d_z, row.diff_low, row.t_low, row.seeds_for_power80),
        (None, None, None, None, None, None)
    );
    assert_eq!((row.p_signflip, row.hl_diff, row.diff), (Some(2.0 / 256.0), Some(-0.5), Some(-0.5)));
    // Ties of up to thirteen differences are enumerated.
    assert_eq!(row.p_wilcoxon, Some(2.0 / 256.0));
}

#[test]
fn two_pairs_and_one_have_what_they_can_have() {
    let row = &compare(&runs(&two_arms(2, 0.5)), &question(None)).unwrap()[0];
    assert!(row.p_t.is_some() && row.t_low.is_some() && row.diff_low.is_none());
    assert_eq!((row.p_signflip, row.verdict.as_str()), (Some(0.5), "too_few_seeds"));
    let row = &compare(&runs(&two_arms(1, 0.5)), &question(None)).unwrap()[0];
    assert_eq!((row.n, row.p_t, row.p_signflip, row.p_wilcoxon), (1, None, Some(1.0), Some(1.0)));
}

/// Eight cells of two arms; the arm is better in all of them, by as much as the cell's number.
fn eight_cells() -> Vec<Row<'static>> {
    let cells = ["a", "b", "c", "d", "e", "f", "g", "h"].into_iter().zip(1..);
    let of_cell = |(cell, number): (&'static str, u64)| {
        two_arms(7, 0.01 * number as f64).into_iter().map(move |row| (cell, row.1, row.2, row.3, row.4, row.5))
    };
    cells.flat_map(of_cell).collect()
}

#[test]
fn cells_are_summarised_by_seeds_that_every_cell_has() {
    let rows = compare(&runs(&eight_cells()), &question(None)).unwrap();
    assert_eq!(rows.len(), 9);
    let all = &rows[8];
    assert_eq!((all.cell.as_str(), all.n, all.p_better), (ALL_CELLS, 7, Some(1.0)));
    let means: Vec<f64> = rows[..8].iter().map(|row| row.diff.unwrap()).collect();
    assert!((all.diff.unwrap() - analysis::stats::mean(&means).unwrap()).abs() < 1e-12);
    assert!(all.p_t.unwrap() < 0.001 && all.p_holm == all.p_t && all.diff_low.is_some());
    assert_eq!(all.verdict, "better");
    // Eight cells, all with one sign; seven seeds.
    assert_eq!((all.p_wilcoxon, all.p_signflip), (Some(2.0 / 256.0), Some(2.0 / 128.0)));
    let (low, high) = (all.iqm_diff_low.unwrap(), all.iqm_diff_high.unwrap());
    assert!(low <= all.iqm_diff.unwrap() && all.iqm_diff.unwrap() <= high && high < 0.0);
}

#[test]
fn a_single_cell_is_its_own_summary() {
    let one = compare(&runs(&two_arms(8, 0.5)), &question(None)).unwrap();
    assert!(one.iter().all(|row| row.cell != ALL_CELLS));
    // Two are judged by their seeds, though Wilcoxon's test of two cells can tell nothing.
    let mut rows = eight_cells();
    rows.retain(|row| row.0 < "c");
    let rows = compare(&runs(&rows), &question(None)).unwrap();
    assert_eq!((rows[2].cell.as_str(), rows[2].p_wilcoxon, rows[2].verdict.as_str()), (ALL_CELLS, Some(0.5), "better"));
}

#[test]
fn an_arm_that_lost_a_seed_in_one_cell_is_not_better_across_them() {
    let mut rows = eight_cells();
    rows.iter_mut().find(|row| row.0 == "d" && row.1 == "kfac").unwrap().4 = None;
    let rows = compare(&runs(&rows), &question(None)).unwrap();
    assert_eq!((rows[8].n, rows[8].verdict.as_str()), (6, "undefined"));
    assert_eq!(rows[8].p_wilcoxon, Some(2.0 / 256.0), "the cell has six more");
    // Nor is one that lost a whole cell better across the others.
    let mut rows = eight_cells();
    rows.iter_mut().filter(|row| row.0 == "d" && row.1 == "kfac").for_each(|row| row.4 = None);
    let rows = compare(&runs(&rows), &question(None)).unwrap();
    assert_eq!((rows[8].n, rows[8].p_wilcoxon, rows[8].verdict.as_str()), (7, Some(2.0 / 128.0), "undefined"));
}

#[test]
fn a_tuned_arm_is_one_across_cells_whatever_its_variant() {
    let tune = Tune { seeds: vec![0], by: "validation.loss".into(), direction: Direction::Minimize };
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (cell, better) in [("c", "lr=1"), ("d", "lr=2")] {
        for (arm, variant) in [("adam", "default"), ("kfac", "lr=1"), ("kfac", "lr=2")] {
            let validation = if variant == better { 0.1 } else { 0.2 };
            rows.extend(
                (0..9).map(|seed| (cell, arm, variant, seed, Some(noise(seed) + validation), Some(validation))),
            );
        }
    }
    let answer = compare(&runs(&rows), &question(Some(tune))).unwrap();
    let variants: Vec<&str> = answer.iter().map(|row| row.variant.as_str()).collect();
    assert_eq!(variants, ["lr=1", "lr=2", "*"]);
    assert_eq!(answer[2].baseline_variant, "default");
    // Without tuning each variant is compared with the baseline across cells.
    let answer = compare(&runs(&rows), &question(None)).unwrap();
    let across: Vec<&str> = answer[4..].iter().map(|row| row.variant.as_str()).collect();
    assert_eq!(across, ["lr=1", "lr=2"]);
}

#[test]
fn equal_results_give_equal_rows_in_whatever_order() {
    let rows = eight_cells();
    let answer = compare(&runs(&rows), &question(None)).unwrap();
    // Runs of one cell in another order of seeds, and beside other metrics and arms.
    let mut shuffled = rows.clone();
    for cell in shuffled.chunks_mut(7) {
        cell.reverse();
    }
    shuffled.extend(rows.iter().filter(|row| row.1 == "kfac").map(|row| (row.0, "other", row.2, row.3, row.4, row.5)));
    shuffled.sort_by_key(|row| row.0);
    let mut asked = question(None);
    asked.arms.insert(0, "other".into());
    asked.metrics.insert(0, ("validation.loss".into(), Direction::Minimize));
    let more = compare(&runs(&shuffled), &asked).unwrap();
    for row in &answer {
        let same = |other: &&Comparison| (&other.metric, &other.cell, &other.arm) == (&row.metric, &row.cell, &row.arm);
        let other = more.iter().find(same).unwrap();
        assert_eq!(&Comparison { p_holm: row.p_holm, ..other.clone() }, row);
    }
}

#[test]
fn what_was_tuned_with_which_budget_is_told() {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (arm, variant, validation) in
        [("adam", "default", Some(0.3)), ("kfac", "a", Some(0.5)), ("kfac", "b", Some(0.1))]
    {
        rows.extend((0..4).map(|seed| ("c", arm, variant, seed, Some(1.0), validation)));
    }
    let tune = Tune { seeds: vec![0, 1], by: "validation.loss".into(), direction: Direction::Minimize };
    let tuning = Tuning::of(&runs(&rows), &question(Some(tune.clone()))).unwrap();
    let choice = |arm: &str, variant: &str, variants, score| Choice {
        cell: "c".into(),
        arm: arm.into(),
        variant: variant.into(),
        variants,
        score,
    };
    assert_eq!(tuning.choices, [choice("adam", "default", 1, Some(0.3)), choice("kfac", "b", 2, Some(0.1))]);
    assert_eq!((tuning.by.as_str(), tuning.seeds.as_slice()), ("validation.loss", [0, 1].as_slice()));
    let budget = |arm, variants| Budget { arm, fewest: variants, most: variants };
    assert_eq!(tuning.budgets(), [budget("adam", 1), budget("kfac", 2)]);
    assert!(tuning.is_unequal());
    // Where every variant has lost a tuning seed the first is taken, and has no score.
    rows.iter_mut().filter(|row| row.3 == 1).for_each(|row| row.5 = None);
    let tuning = Tuning::of(&runs(&rows), &question(Some(tune))).unwrap();
    assert_eq!(tuning.choices[1], choice("kfac", "a", 2, None));
    rows.retain(|row| row.2 != "b");
    let equal = Tuning::of(
        &runs(&rows),
        &question(Some(Tune { seeds: vec![0], by: "x".into(), direction: Direction::Minimize })),
    );
    assert!(!equal.unwrap().is_unequal());
    assert_eq!(Tuning::of(&runs(&rows), &question(None)), None);
}
