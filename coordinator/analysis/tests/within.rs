//! From stored test samples to the tests over paths, through the files.

use std::borrow::Cow;
use std::path::Path;

use analysis::stats::{Losses, crossed_cvar, grambsch, memmel, pitman_morgan, sd, sharpe};
use analysis::{Question, Runs, Tune, within};
use engine::metrics::{Direction, Metrics};
use engine::record::{Provenance, Record, SampleSet, Samples};
use engine::{RunId, RunOutput, RunRecord, Status, Value};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use results::{Access, Location, PlanTable, RowLabels, Store, SweepIdentity, SweptColumn, Tables, Versions, Within};

const SEEDS: u64 = 5;
const ARMS: [&str; 3] = ["adam", "kfac", "sgd"];
const PATHS: u64 = 40;

/// Two cells of three arms; `sgd` is one run for both cells, as an arm is that has not what the block sweeps.
struct Plan;

impl Plan {
    fn place(index: u64) -> (u64, u64, u64) {
        (index / (3 * SEEDS), index / SEEDS % 3, index % SEEDS)
    }
}

impl PlanTable for Plan {
    fn len(&self) -> u64 {
        2 * 3 * SEEDS
    }

    fn run_id(&self, index: u64) -> RunId {
        let (cell, arm, seed) = Plan::place(index);
        id(if arm == 2 { 0 } else { cell }, arm, seed)
    }

    fn labels(&self, index: u64) -> RowLabels<'_> {
        let (cell, arm, seed) = Plan::place(index);
        let cell = Cow::Borrowed(["c", "d"][cell as usize]);
        RowLabels { arm: Cow::Borrowed(ARMS[arm as usize]), variant: "v".into(), cell, seed }
    }

    fn swept(&self) -> &[SweptColumn] {
        &[]
    }

    fn swept_value(&self, _index: u64, _column: usize) -> Option<Value> {
        None
    }
}

fn id(cell: u64, arm: u64, seed: u64) -> RunId {
    RunId([(1 + cell * 3 * SEEDS + arm * SEEDS + seed) as u8; 16])
}

/// P&L and cost of a path: both arms see the same market.
fn path(cell: u64, arm: u64, seed: u64, path: u64) -> (f32, f32) {
    let market = (path * 37 % 101) as f32 / 50.0 - 1.0;
    let own = ((path * 11 + seed * 7 + arm * 5 + cell * 3) % 17) as f32 / 20.0;
    (market * (1.0 + arm as f32 * 0.1) + own, 0.01 * own + arm as f32 * 0.002)
}

fn record(cell: u64, arm: u64, seed: u64) -> RunRecord {
    let block = |set, epoch, shift: f32| {
        let (pnl, cost) = (0..PATHS).map(|number| path(cell, arm, seed, number)).unzip();
        let pnl = Vec::into_iter(pnl).map(|pnl: f32| pnl + shift).collect();
        Samples { set, epoch, pnl, cost }
    };
    let samples = vec![block(SampleSet::Train, 3, 7.0), block(SampleSet::Test, 3, 0.0)];
    RunRecord {
        run_id: id(cell, arm, seed),
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

fn tables(place: &Path, records: &[RunRecord]) -> Tables {
    let location = Location::folder(place);
    let sweep = SweepIdentity {
        record: Default::default(),
        name: "w".into(),
        text: "name: w\n".into(),
        hash: String::new(),
        versions: Versions::current(),
    };
    let mut store = Store::open(&location, &sweep, Access::Write).unwrap();
    store.append(records).unwrap();
    store.merge(&Plan).unwrap();
    Tables::open(&location).unwrap()
}

fn all_records() -> Vec<RunRecord> {
    let places = (0..2).flat_map(|cell| (0..3).flat_map(move |arm| (0..SEEDS).map(move |seed| (cell, arm, seed))));
    places.filter(|(cell, arm, _)| *arm != 2 || *cell == 0).map(|(cell, arm, seed)| record(cell, arm, seed)).collect()
}

fn answer(records: &[RunRecord], tune: Option<Tune>) -> Vec<Within> {
    let place = tempfile::tempdir().unwrap();
    let tables = tables(place.path(), records);
    let runs = Runs::load(&tables, ["test.loss", "validation.loss"]).unwrap();
    let question = Question {
        baseline_arm: "adam".into(),
        baseline_variant: None,
        metrics: vec![("test.loss".into(), Direction::Minimize)],
        tune,
        arms: ARMS.map(str::to_owned).to_vec(),
    };
    let rows = within(&tables, &runs, &question).unwrap();
    tables.write_within(&rows).unwrap();
    assert!(place.path().join(results::WITHIN).exists());
    tables.remove_comparisons().unwrap();
    assert!(!place.path().join(results::WITHIN).exists());
    rows
}

fn gross(cell: u64, arm: u64, seed: u64) -> Vec<f64> {
    (0..PATHS).map(|number| f64::from(path(cell, arm, seed, number).0)).collect()
}

fn net(cell: u64, arm: u64, seed: u64) -> Vec<f64> {
    let of_path = |number| path(cell, arm, seed, number);
    (0..PATHS).map(of_path).map(|(pnl, cost)| f64::from(pnl) - f64::from(cost)).collect()
}

#[test]
fn every_seed_has_the_tests_of_its_own_paths() {
    let rows = answer(&all_records(), None);
    // Two cells, two arms, five seeds, four tests; and two tails for each cell and arm.
    assert_eq!(rows.len(), 2 * 2 * (5 * 4 + 2));
    let find = |cell: &str, arm: &str, seed: u64, test: &str| {
        rows.iter().find(|row| {
            (row.cell.as_str(), row.arm.as_str(), row.seed, row.test.as_str()) == (cell, arm, Some(seed), test)
        })
    };
    for (cell, number) in [("c", 0), ("d", 1)] {
        for seed in 0..SEEDS {
            let (x, y) = (gross(number, 1, seed), gross(number, 0, seed));
            let row = find(cell, "kfac", seed, "grambsch").unwrap();
            let test = grambsch(&x, &y);
            assert_eq!((row.statistic, row.p, row.n, row.seeds), (test.t, test.p, PATHS, 1));
            assert_eq!(row.value, sd(&x).map(|sd| sd * sd));
            assert_eq!(row.diff, row.value.zip(row.baseline_value).map(|(x, y)| x - y));
            let row = find(cell, "kfac", seed, "pitman_morgan").unwrap();
            assert_eq!((row.statistic, row.metric.as_str()), (pitman_morgan(&x, &y).t, "test.pnl_variance"));
            let (x, y) = (net(number, 1, seed), net(number, 0, seed));
            let row = find(cell, "kfac", seed, "memmel").unwrap();
            assert_eq!((row.statistic, row.value, row.baseline_value), (memmel(&x, &y).z, sharpe(&x), sharpe(&y)));
            let row = find(cell, "kfac", seed, "studentised_bootstrap").unwrap();
            assert!(row.diff_low < row.diff && row.diff < row.diff_high && row.p.is_some(), "{row:?}");
        }
    }
    // An arm whose runs both cells share has its rows in both, each against the cell's own baseline.
    let y = gross(1, 0, 2);
    assert_eq!(find("d", "sgd", 2, "grambsch").unwrap().statistic, grambsch(&gross(0, 2, 2), &y).t);
}

#[test]
fn tails_are_compared_over_all_seeds() {
    let rows = answer(&all_records(), None);
    let tails: Vec<&Within> = rows.iter().filter(|row| row.seed.is_none()).collect();
    assert_eq!(
        tails.iter().map(|row| row.metric.as_str()).collect::<Vec<_>>(),
        ["test.cvar95", "test.cvar99"].repeat(4)
    );
    let losses = |arm, seed| Losses::new(net(0, arm, seed).into_iter().map(|net| -net));
    let pairs: Vec<_> = (0..SEEDS).map(|seed| (losses(1, seed), losses(0, seed))).collect();
    let wanted = crossed_cvar(&mut Xoshiro256PlusPlus::seed_from_u64(0), &pairs, 0.95).unwrap();
    let row = tails[0];
    assert_eq!((row.seeds, row.n, row.p), (SEEDS, PATHS, None));
    assert_eq!((row.value, row.baseline_value), (Some(wanted.arm), Some(wanted.baseline)));
    assert!(row.diff_low <= row.diff && row.diff <= row.diff_high);
}

#[test]
fn runs_without_whole_samples_and_seeds_that_tuned_are_left_out() {
    let mut records = all_records();
    let at = |cell, arm, seed| move |record: &&mut RunRecord| record.run_id == id(cell, arm, seed);
    records.iter_mut().find(at(0, 1, 4)).unwrap().output.samples[1].cost[7] = f32::NAN;
    records.iter_mut().find(at(1, 0, 3)).unwrap().output.samples.clear();
    let tune = Tune { seeds: vec![0], by: "validation.loss".into(), direction: Direction::Minimize };
    let rows = answer(&records, Some(tune));
    let seeds = |cell: &str, arm: &str| {
        let of_pair = rows.iter().filter(|row| row.cell == cell && row.arm == arm && row.test == "memmel");
        of_pair.filter_map(|row| row.seed).collect::<Vec<_>>()
    };
    assert_eq!(seeds("c", "kfac"), [1, 2, 3]);
    assert_eq!(seeds("c", "sgd"), [1, 2, 3, 4]);
    assert_eq!(seeds("d", "kfac"), [1, 2, 4]);
    assert!(rows.iter().all(|row| row.stage == "confirm"));
    assert_eq!(rows.iter().find(|row| row.seed.is_none()).unwrap().seeds, 3);
}

#[test]
fn paths_of_two_markets_are_not_paired_though_they_be_equally_many() {
    let mut records = all_records();
    let config = |rho: f64, skip: u64| format!("{{\"market\":{{\"rho\":{rho},\"generator_skip\":{skip}}}}}");
    for record in &mut records {
        record.config = config(-0.7, u64::from(record.run_id.0[0]));
    }
    let of = |rows: &[Within], arm: &str| rows.iter().filter(|row| row.arm == arm && row.seed.is_some()).count();
    let rows = answer(&records, None);
    assert_eq!((of(&rows, "kfac"), of(&rows, "sgd")), (2 * 5 * 4, 2 * 5 * 4), "where training begins does not matter");
    // In one cell an arm's market differs from the baseline's, at one seed.
    let other = records.iter_mut().find(|record| record.run_id == id(0, 1, 3)).unwrap();
    other.config = config(-0.5, 0);
    let rows = answer(&records, None);
    assert_eq!((of(&rows, "kfac"), of(&rows, "sgd")), (2 * 5 * 4 - 4, 2 * 5 * 4));
    assert!(!rows.iter().any(|row| (row.cell.as_str(), row.arm.as_str(), row.seed) == ("c", "kfac", Some(3))));
    let tail = rows.iter().find(|row| (row.cell.as_str(), row.arm.as_str(), row.seed) == ("c", "kfac", None)).unwrap();
    assert_eq!(tail.seeds, SEEDS - 1);
}

#[test]
fn the_same_samples_have_the_same_rows() {
    let mut records = all_records();
    let rows = answer(&records, None);
    records.reverse();
    assert_eq!(answer(&records, None), rows);
    records.iter_mut().for_each(|record| record.output.samples.clear());
    assert_eq!(answer(&records, None), []);
}
