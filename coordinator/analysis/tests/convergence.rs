//! From stored curves to the epochs and seconds that an arm needs, through the files.

use std::borrow::Cow;

use analysis::{Question, Runs, Tune, convergence};
use engine::metrics::{Direction, Metrics};
use engine::record::{Epoch, Provenance, Record};
use engine::{RunId, RunOutput, RunRecord, Status, Value};
use results::{
    Access, Convergence, Location, PlanTable, RowLabels, Store, SweepIdentity, SweptColumn, Tables, Versions,
};

/// A run of the plan: its id, arm and seed.
#[derive(Clone, Copy)]
struct Run(u8, &'static str, u64);

struct Plan(Vec<Run>);

impl PlanTable for Plan {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn run_id(&self, index: u64) -> RunId {
        RunId([self.0[index as usize].0; 16])
    }

    fn labels(&self, index: u64) -> RowLabels<'_> {
        let Run(_, arm, seed) = self.0[index as usize];
        RowLabels { arm: Cow::Borrowed(arm), variant: "v".into(), cell: "c".into(), seed }
    }

    fn swept(&self) -> &[SweptColumn] {
        &[]
    }

    fn swept_value(&self, _index: u64, _column: usize) -> Option<Value> {
        None
    }
}

/// A run with these validation losses, which took `pace` seconds an epoch.
fn record(id: u8, status: Status, pace: f64, losses: &[Option<f64>]) -> RunRecord {
    let epoch = |(epoch, loss): (u32, &Option<f64>)| Epoch {
        epoch,
        validation_loss: *loss,
        seconds: Some(f64::from(epoch) * pace),
        ..Epoch::default()
    };
    RunRecord {
        run_id: RunId([id; 16]),
        config: "{}".into(),
        record: Record::default(),
        output: RunOutput {
            status,
            error: None,
            metrics: Metrics::default(),
            provenance: Provenance::default(),
            curves: (1..).zip(losses).map(epoch).collect(),
            path: vec![],
            samples: vec![],
        },
    }
}

fn question(tune: Option<Tune>) -> Question {
    Question {
        baseline_arm: "adam".into(),
        baseline_variant: None,
        metrics: vec![("test.loss".into(), Direction::Minimize)],
        tune,
        arms: vec!["kfac".into(), "adam".into()],
    }
}

/// Merges these records, and hands over the tables with the folder that they lie in.
fn merged(plan: Vec<Run>, records: &[RunRecord]) -> (tempfile::TempDir, Tables) {
    let place = tempfile::tempdir().unwrap();
    let location = Location::folder(place.path());
    let sweep = SweepIdentity {
        record: Default::default(),
        name: "p".into(),
        text: "name: p\n".into(),
        hash: String::new(),
        versions: Versions::current(),
    };
    let mut store = Store::open(&location, &sweep, Access::Write).unwrap();
    store.append(records).unwrap();
    store.merge(&Plan(plan)).unwrap();
    let tables = Tables::open(&location).unwrap();
    (place, tables)
}

fn answer(tables: &Tables, tune: Option<Tune>) -> Vec<Convergence> {
    let runs = Runs::load(tables, ["test.loss"]).unwrap();
    convergence(tables, &runs, &question(tune)).unwrap()
}

/// The arm comes before the baseline, both in the plan and in the tables.
fn six_seeds() -> (Vec<Run>, Vec<RunRecord>) {
    let ok = Status::Ok;
    let falling = [Some(3.0), Some(1.0), None, Some(1.0), Some(2.0)];
    let mut plan: Vec<Run> = (0..6).map(|seed| Run(seed, "kfac", seed.into())).collect();
    plan.extend((0..6).map(|seed| Run(10 + seed, "adam", seed.into())));
    let mut records = vec![
        // At the target exactly, after an epoch without a loss.
        record(0, ok, 2.0, &[None, Some(1.5), None, Some(1.0), Some(0.5)]),
        // As low as the target before it diverged: that is no arrival.
        record(1, Status::Diverged, 2.0, &[Some(0.5), None]),
        record(2, Status::Failed, 2.0, &[]),
        record(3, ok, 2.0, &[Some(0.9), Some(0.8)]),
        // Never as low.
        record(4, ok, 2.0, &[Some(3.0), Some(1.001)]),
        record(5, ok, 2.0, &[Some(0.9), Some(0.8)]),
    ];
    records.extend((10..15).map(|id| record(id, ok, 1.0, &falling)));
    // A baseline that did not end well sets no target.
    records.push(record(15, Status::Diverged, 1.0, &falling));
    (plan, records)
}

#[test]
fn each_seed_is_held_to_its_own_baselines_lowest_loss() {
    let (plan, records) = six_seeds();
    let (_place, tables) = merged(plan, &records);
    let rows = answer(&tables, None);
    assert_eq!(rows.len(), 1, "the baseline is no row of its own");
    let row = &rows[0];
    let names = [&row.cell, &row.arm, &row.variant, &row.baseline, &row.baseline_variant, &row.stage];
    assert_eq!(names, ["c", "kfac", "v", "adam", "v", "all"]);
    // Epochs 4, never, never, 1, never, over the baseline's 2 each.
    assert_eq!((row.n, row.reached, row.target_mean), (5, 2, Some(1.0)));
    assert_eq!((row.epochs_median, row.baseline_epochs_median, row.epochs_ratio), (None, Some(2.0), None));
    assert_eq!((row.seconds_median, row.baseline_seconds_median), (None, Some(2.0)));
    // Four above, one below: 2 (1 + 5)/32.
    assert_eq!(row.p_sign, Some(0.375));
}

#[test]
fn seeds_that_chose_or_that_one_side_lacks_are_left_out() {
    let (mut plan, mut records) = six_seeds();
    let tune = Tune { seeds: vec![1], by: "test.loss".into(), direction: Direction::Minimize };
    let rows = answer(&merged(plan.clone(), &records).1, Some(tune));
    assert_eq!((rows.len(), rows[0].n, rows[0].reached, rows[0].stage.as_str()), (1, 4, 2, "confirm"));
    // Without two that never arrive, one arm's run has no row and the other is not in the plan.
    records.retain(|record| record.run_id != RunId([1; 16]));
    plan.retain(|run| run.0 != 2);
    let row = answer(&merged(plan, &records).1, None).remove(0);
    assert_eq!((row.n, row.reached), (3, 2));
    assert_eq!((row.epochs_median, row.epochs_ratio), (Some(4.0), Some(2.0)));
    assert_eq!((row.seconds_median, row.seconds_ratio), (Some(8.0), Some(4.0)));
}

#[test]
fn a_run_that_both_arms_have_comes_as_soon_as_itself() {
    let losses = [Some(2.0), Some(1.0), Some(1.5)];
    let shared = [Run(0, "adam", 0), Run(1, "adam", 1), Run(0, "kfac", 0), Run(1, "kfac", 1)];
    let records = [0, 1].map(|id| record(id, Status::Ok, 1.0, &losses));
    let row = answer(&merged(shared.to_vec(), &records).1, None).remove(0);
    assert_eq!((row.n, row.reached, row.epochs_median), (2, 2, Some(2.0)));
    assert_eq!((row.epochs_ratio, row.seconds_ratio, row.p_sign), (Some(1.0), Some(1.0), Some(1.0)));
}

#[test]
fn runs_that_are_scored_after_the_last_epoch_alone_say_nothing() {
    let plan = [Run(0, "adam", 0), Run(1, "kfac", 0)];
    let (last, every) = ([None, None, Some(1.0)], [Some(3.0), Some(2.0), Some(1.0)]);
    for [baseline, arm] in [[last, last], [last, every], [every, last]] {
        let records = [record(0, Status::Ok, 1.0, &baseline), record(1, Status::Ok, 1.0, &arm)];
        assert_eq!(answer(&merged(plan.to_vec(), &records).1, None), []);
    }
    // Nor do runs without curves.
    let records = [0, 1].map(|id| record(id, Status::Ok, 1.0, &[]));
    assert_eq!(answer(&merged(plan.to_vec(), &records).1, None), []);
    // The only epoch is the last.
    let records = [record(0, Status::Ok, 1.0, &every), record(1, Status::Ok, 1.0, &[Some(0.5)])];
    assert_eq!(answer(&merged(plan.to_vec(), &records).1, None)[0].epochs_median, Some(1.0));
}

#[test]
fn curves_that_go_on_in_another_row_group_are_one_curve() {
    // The table's row groups have 65,536 rows: the second run's epochs lie in two of them.
    let falling: Vec<Option<f64>> = (0..40_000).map(|epoch| Some(1e5 - f64::from(epoch))).collect();
    let late: Vec<Option<f64>> = falling.iter().map(|loss| loss.map(|loss| loss + 2.0)).collect();
    let plan = [Run(0, "adam", 0), Run(1, "kfac", 0)];
    let reached = answer(
        &merged(plan.to_vec(), &[record(0, Status::Ok, 1.0, &falling[..30_000]), record(1, Status::Ok, 1.0, &late)]).1,
        None,
    );
    assert_eq!((reached[0].epochs_median, reached[0].baseline_epochs_median), (Some(30_002.0), Some(30_000.0)));
    let low = answer(
        &merged(plan.to_vec(), &[record(0, Status::Ok, 1.0, &late), record(1, Status::Ok, 1.0, &falling)]).1,
        None,
    );
    assert_eq!((low[0].epochs_median, low[0].baseline_epochs_median), (Some(39_998.0), Some(40_000.0)));
}

#[test]
fn the_table_is_written_beside_the_others_and_removed_with_them() {
    let (plan, records) = six_seeds();
    let (place, tables) = merged(plan, &records);
    let file = place.path().join(results::CONVERGENCE);
    for remove in [Tables::remove_convergence, Tables::remove_comparisons] {
        tables.write_convergence(&answer(&tables, None)).unwrap();
        assert!(file.exists());
        remove(&tables).unwrap();
        assert!(!file.exists());
        remove(&tables).unwrap();
    }
}
