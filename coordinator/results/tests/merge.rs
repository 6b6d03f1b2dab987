//! Whatever way records came into the parts, the tables are a function of the plan and the records.
mod common;

use std::collections::HashMap;
use std::fs;

use common::{Plan, at, failed, full, id, noop, sweep};
use engine::metrics::{Metrics, catalogue};
use engine::record::{Epoch, PathPoint, Record, RecordSamples, SampleSet, Samples};
use engine::{RunRecord, Status};
use proptest::prelude::*;
use results::{Access, Store, Tables};

const TABLES: [&str; 4] = [results::RUNS, results::CURVES, results::PATHS, results::SAMPLES];

/// Stores batches one by one, merges, and returns the bytes of the tables.
fn merged(batches: &[Vec<RunRecord>], plan: &Plan) -> (Vec<Option<Vec<u8>>>, results::MergeSummary, Tables) {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(&at(&place), &sweep("a"), Access::Write).unwrap();
    for batch in batches {
        store.append(batch).unwrap();
    }
    drop(store);
    let mut store = Store::open(&at(&place), &sweep("a"), Access::Write).unwrap();
    assert_eq!(store.set_aside(), []);
    let summary = store.merge(plan).unwrap();
    let bytes = TABLES.iter().map(|name| fs::read(place.path().join("out").join(name)).ok()).collect();
    let tables = Tables::open(&at(&place)).unwrap();
    // The files are read through open handles by path: keep them.
    std::mem::forget(place);
    (bytes, summary, tables)
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(-0.0), Just(f64::MIN_POSITIVE), Just(f64::MAX), -1e6..1e6]
}

fn optional() -> impl Strategy<Value = Option<f64>> {
    proptest::option::of(number())
}

fn epoch() -> impl Strategy<Value = Epoch> {
    (0_u32..200, proptest::array::uniform12(optional())).prop_map(|(epoch, v)| Epoch {
        epoch,
        loss: v[0],
        pnl_mean: v[1],
        pnl_variance: v[2],
        mean_cost: v[3],
        sharpe: v[4],
        grad_norm: v[5],
        damping: v[6],
        validation_loss: v[7],
        step_norm: v[8],
        trust_ratio: v[9],
        factor_condition: v[10],
        seconds: v[11],
    })
}

fn block() -> impl Strategy<Value = Samples> {
    let pair = (-10.0_f32..10.0, 0.0_f32..1.0);
    (0_usize..3, 0_u32..50, prop::collection::vec(pair, 0..6)).prop_map(|(set, epoch, pairs)| Samples {
        set: SampleSet::ALL[set],
        epoch,
        pnl: pairs.iter().map(|pair| pair.0).collect(),
        cost: pairs.iter().map(|pair| pair.1).collect(),
    })
}

fn record(n: u64) -> impl Strategy<Value = RunRecord> {
    let metrics = prop::collection::vec(optional(), catalogue().len());
    let path = prop::collection::vec((0_u32..60, number(), number(), number()), 0..4);
    let recorded = proptest::option::of((any::<bool>(), 0_u64..100));
    let outcome = (0_usize..3, proptest::option::of(".{0,12}"), ".{0,20}");
    let lists = (prop::collection::vec(epoch(), 0..4), path, prop::collection::vec(block(), 0..3));
    (metrics, lists, recorded, outcome, any::<bool>(), proptest::array::uniform4(optional())).prop_map(
        move |(metrics, (curves, path, samples), recorded, (status, error, text), flag, times)| {
            let mut record = noop(n);
            record.config = format!("{{\"seed\":{n},\"x\":\"{text}\"}}");
            record.record = Record {
                curves: flag,
                samples: recorded.map(|(all_epochs, max_paths)| RecordSamples {
                    sets: vec![SampleSet::Test],
                    all_epochs,
                    max_paths,
                }),
            };
            let output = &mut record.output;
            output.status = [Status::Ok, Status::Diverged, Status::Failed][status];
            output.error = error;
            output.metrics = Metrics::from_values(metrics).unwrap();
            output.provenance.worker = text;
            output.provenance.train_s = times[0];
            (output.curves, output.samples) = (curves, samples);
            output.path = path
                .into_iter()
                .map(|(step, price, variance, position)| PathPoint { step, price, variance, position })
                .collect();
            record
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn tables_do_not_depend_on_how_parts_were_cut(
        records in (0_u64..40).prop_flat_map(|count| (0..count).map(record).collect::<Vec<_>>()),
        order in any::<u64>(),
        batch in 1_usize..9,
        places in prop::collection::vec(0_u64..44, 0..60),
    ) {
        let plan = Plan::of(places.iter().copied());
        let (reference, summary, tables) = merged(std::slice::from_ref(&records), &plan);
        let mut shuffled = records.clone();
        shuffled.sort_by_key(|record| (record.run_id.as_u128() as u64).wrapping_mul(order | 1));
        let batches: Vec<Vec<RunRecord>> = shuffled.chunks(batch).map(<[RunRecord]>::to_vec).collect();
        let (other, other_summary, _) = merged(&batches, &plan);
        prop_assert!(reference == other, "bytes differ");
        prop_assert_eq!(summary.runs, other_summary.runs);

        // Against the plain way of doing it.
        let by_id: HashMap<_, _> = records.iter().map(|record| (record.run_id, record)).collect();
        let rows: Vec<&RunRecord> = places.iter().filter_map(|place| by_id.get(&id(*place)).copied()).collect();
        prop_assert_eq!(summary.runs, rows.len() as u64);
        prop_assert_eq!(summary.missing, (places.len() - rows.len()) as u64);
        let ids = tables.words("run_id").unwrap();
        let statuses = tables.words("status").unwrap();
        let errors = tables.words("error").unwrap();
        let losses = tables.numbers("test.loss").unwrap();
        for (row, record) in rows.iter().enumerate() {
            let id = record.run_id.to_string();
            prop_assert_eq!(ids.get(row), Some(id.as_str()));
            prop_assert_eq!(statuses.get(row), Some(record.output.status.word()));
            prop_assert_eq!(errors.get(row), record.output.error.as_deref());
            let bits = |value: Option<f64>| value.map(f64::to_bits);
            prop_assert_eq!(bits(losses[row]), bits(record.output.metrics.get("test.loss")));
        }
        let mut distinct: Vec<&RunRecord> = Vec::new();
        for record in rows {
            if distinct.iter().all(|known| known.run_id != record.run_id) {
                distinct.push(record);
            }
        }
        prop_assert_eq!(summary.curves, distinct.iter().map(|record| record.output.curves.len() as u64).sum::<u64>());
        prop_assert_eq!(summary.orphans, (records.len() - distinct.len()) as u64);
        let mut samples = distinct.iter().flat_map(|record| {
            record.output.samples.iter().flat_map(move |block| {
                block.pnl.iter().zip(&block.cost).map(move |(&pnl, &cost)| (record.run_id.to_string(), block.set.word(), block.epoch, pnl, cost))
            })
        });
        if let Some(batches) = tables.samples().unwrap() {
            for batch in batches {
                let batch = batch.unwrap();
                for row in 0..batch.pnl.len() {
                    let found = (batch.run_id.get(row).unwrap().to_owned(), batch.set.get(row).unwrap(), batch.epoch[row], batch.pnl[row], batch.cost[row]);
                    prop_assert_eq!(Some(found), samples.next());
                }
            }
        }
        prop_assert_eq!(samples.next(), None);
        let mut epochs = distinct.iter().flat_map(|record| {
            record.output.curves.iter().map(move |epoch| (record.run_id.to_string(), epoch.epoch, epoch.validation_loss, epoch.seconds))
        });
        if let Some(batches) = tables.curves().unwrap() {
            for batch in batches {
                let batch = batch.unwrap();
                let known = |value: f64| (!value.is_nan()).then_some(value);
                for row in 0..batch.epoch.len() {
                    let found = (batch.run_id.get(row).unwrap().to_owned(), batch.epoch[row], known(batch.validation_loss[row]), known(batch.seconds[row]));
                    prop_assert_eq!(Some(found), epochs.next());
                }
            }
        }
        prop_assert_eq!(epochs.next(), None);
    }
}

#[test]
fn a_run_that_the_plan_has_twice_has_two_rows_and_one_curve() {
    let plan = Plan::of([0, 1, 0, 7]);
    let (bytes, summary, tables) = merged(&[vec![full(0, 3, 0), full(1, 3, 0), failed(9, 1)]], &plan);
    assert_eq!((summary.runs, summary.ok, summary.missing, summary.orphans), (3, 3, 1, 1));
    assert_eq!((summary.curves, summary.paths, summary.samples), (6, 2, 0));
    assert!(bytes[3].is_none(), "no samples, no table of them");
    assert_eq!(tables.integers("seed").unwrap(), [0, 1, 2]);
    assert_eq!(tables.swept(), ["optimizer.lr", "network.hidden", "contract.entry", "features"]);
    assert_eq!(tables.numbers("optimizer.lr").unwrap(), [Some(1.0), Some(0.5), Some(1.0)]);
    assert_eq!(tables.numbers("network.hidden").unwrap(), [Some(32.0), None, None]);
    assert_eq!(tables.words("features").unwrap().get(0), Some("[\"price\"]"));
    assert_eq!(tables.footer().sweep, "a");
}

#[test]
fn columns_are_as_documented() {
    let (_, _, tables) = merged(&[vec![full(0, 1, 1)]], &Plan::of([0]));
    let columns = tables.columns();
    let first = ["run_id", "arm", "variant", "cell", "seed", "status", "error", "optimizer.lr"];
    assert_eq!(columns[..8], first);
    let last = [
        "time.simulate_s",
        "time.train_s",
        "time.evaluate_s",
        "time.to_target_s",
        "host.name",
        "host.worker",
        "host.isa",
        "host.attempt",
        "engine.version",
    ];
    assert_eq!(columns[columns.len() - 9..], last);
    assert_eq!(columns[11], "config");
    let metrics: Vec<&str> = catalogue().iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(columns[12..columns.len() - 9], metrics);
}

#[test]
fn a_sweep_without_results_makes_empty_tables() {
    let (bytes, summary, tables) = merged(&[], &Plan::of(0..5));
    assert_eq!((summary.runs, summary.missing), (0, 5));
    assert_eq!(bytes.iter().filter(|bytes| bytes.is_some()).count(), 3);
    assert_eq!(tables.rows(), 0);
    assert!(tables.numbers("test.loss").unwrap().is_empty());
    assert!(tables.curves().unwrap().is_none(), "a table without rows has no pieces");
}

#[test]
fn memory_stays_within_its_budget_in_the_worst_order() {
    // Sixty megabytes of results, and a plan that jumps between all of the parts.
    let (batches, size) = (12, 200);
    let stored: Vec<Vec<RunRecord>> =
        (0..batches).map(|b| (b * size..(b + 1) * size).map(|n| full(n, 150, 0)).collect()).collect();
    let plan = Plan::of((0..batches * size).map(|n| n % batches * size + n / batches));
    let (_, summary, _) = merged(&stored, &plan);
    assert_eq!(summary.runs, batches * size);
    assert!(summary.peak_bytes <= 16 << 20, "{summary:?}");
    let groups = batches * 2;
    assert!(summary.groups_decoded <= groups * 8, "{summary:?}");
}
