//! From stored samples to the paper's table, through the files.

use std::borrow::Cow;

use analysis::stats::{Moments, welch_t};
use analysis::{Question, Runs, pooled};
use engine::metrics::{Direction, Metrics};
use engine::record::{Provenance, Record, SampleSet, Samples};
use engine::{RunId, RunOutput, RunRecord, Status, Value};
use results::{Access, Location, PlanTable, RowLabels, Store, SweepIdentity, SweptColumn, Tables, Versions};

struct Plan;

impl PlanTable for Plan {
    fn len(&self) -> u64 {
        2
    }

    fn run_id(&self, index: u64) -> RunId {
        RunId([index as u8; 16])
    }

    fn labels(&self, index: u64) -> RowLabels<'_> {
        let arm = Cow::Borrowed(["adam", "kfac"][index as usize]);
        RowLabels { arm, variant: "v".into(), cell: "c".into(), seed: 42 }
    }

    fn swept(&self) -> &[SweptColumn] {
        &[]
    }

    fn swept_value(&self, _index: u64, _column: usize) -> Option<Value> {
        None
    }
}

fn values(run: u8, epoch: u32) -> Vec<f32> {
    (0..32_u32).map(|path| ((path * 37 + epoch * 11) % 101) as f32 / 100.0 - f32::from(run) * 0.05).collect()
}

fn record(run: u8) -> RunRecord {
    let block = |set, epoch| Samples { set, epoch, pnl: values(run, epoch), cost: values(1 - run, epoch) };
    let mut samples: Vec<Samples> = (1..=100).map(|epoch| block(SampleSet::Train, epoch)).collect();
    samples.push(block(SampleSet::Test, 100));
    RunRecord {
        run_id: RunId([run; 16]),
        config: "{}".into(),
        record: Record::default(),
        output: RunOutput {
            status: Status::Ok,
            error: None,
            metrics: Metrics::default(),
            provenance: Provenance::default(),
            curves: vec![],
            path: vec![],
            samples,
        },
    }
}

#[test]
fn training_samples_are_pooled_over_epochs_and_test_samples_are_not() {
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
    store.append(&[record(1), record(0)]).unwrap();
    store.merge(&Plan).unwrap();
    let tables = Tables::open(&location).unwrap();
    let runs = Runs::load(&tables, ["test.loss"]).unwrap();
    let question = Question {
        baseline_arm: "adam".into(),
        baseline_variant: None,
        metrics: vec![("test.loss".into(), Direction::Minimize)],
        tune: None,
        arms: vec!["adam".into(), "kfac".into()],
    };
    let rows = pooled(&tables, &runs, &question).unwrap();
    assert_eq!(rows.iter().map(|row| row.metric.as_str()).collect::<Vec<_>>(), ["train.pnl", "train.cost"]);
    let all = |run| (1..=100).flat_map(|epoch| values(run, epoch)).map(f64::from).collect::<Moments>();
    let wanted = welch_t(&all(0), &all(1));
    let row = &rows[0];
    assert_eq!((row.n, row.baseline_n, row.seed), (3200, 3200, 42));
    assert_eq!((row.welch_t, row.p), (wanted.t, wanted.p), "baseline − arm");
    assert_eq!(row.mean, all(1).mean());
    assert_eq!(row.baseline_variance, all(0).population_variance());
    assert_eq!(rows[1].welch_t, wanted.t.map(|t| -t), "the costs are the other run's P&L");
    tables.write_pooled(&rows).unwrap();
    tables.write_comparisons(&analysis::compare(&runs, &question).unwrap()).unwrap();
    assert!(place.path().join(results::POOLED).exists() && place.path().join(results::COMPARISONS).exists());
}
