//! The report through the files: from stored runs to what figures show, and what it costs when there are many.

use std::borrow::Cow;
use std::time::Instant;

use analysis::report::{Findings, ReportData, Subject, gather, headline, markdown, page};
use analysis::{Budget, Question, Runs, Tune, Tuning};
use engine::metrics::{Direction, Metrics};
use engine::record::{Epoch, PathPoint, Provenance, Record, RecordSamples, SampleSet, Samples};
use engine::{RunId, RunOutput, RunRecord, Status, Value};
use results::{Access, Location, PlanTable, RowLabels, Store, SweepIdentity, SweptColumn, SweptKind, Tables, Versions};

const ARMS: [&str; 2] = ["adam", "kfac"];
const DAMPING: [f64; 3] = [0.01, 0.1, 1.0];

/// Two arms, three dampings each, so many seeds.
struct Plan {
    seeds: u64,
    swept: Vec<SweptColumn>,
}

impl Plan {
    fn of(seeds: u64) -> Plan {
        Plan { seeds, swept: vec![SweptColumn { name: "optimizer.damping".into(), kind: SweptKind::Number }] }
    }

    /// Arm, damping and seed of a run.
    fn place(&self, index: u64) -> (usize, usize, u64) {
        let (group, seed) = ((index / self.seeds) as usize, index % self.seeds);
        (group / DAMPING.len(), group % DAMPING.len(), seed)
    }
}

impl PlanTable for Plan {
    fn len(&self) -> u64 {
        (ARMS.len() * DAMPING.len()) as u64 * self.seeds
    }

    fn run_id(&self, index: u64) -> RunId {
        let mut id = [7; 16];
        id[..8].copy_from_slice(&index.to_be_bytes());
        RunId(id)
    }

    fn labels(&self, index: u64) -> RowLabels<'_> {
        let (arm, damping, seed) = self.place(index);
        let variant = format!("optimizer.damping={}", DAMPING[damping]);
        RowLabels { arm: Cow::Borrowed(ARMS[arm]), variant: variant.into(), cell: "default".into(), seed }
    }

    fn swept(&self) -> &[SweptColumn] {
        &self.swept
    }

    fn swept_value(&self, index: u64, _column: usize) -> Option<Value> {
        Some(Value::Float(DAMPING[self.place(index).1]))
    }
}

/// The loss of a run: its arm, its damping and its seed all count.
fn loss(arm: usize, damping: usize, seed: u64) -> f64 {
    1.0 + arm as f64 + DAMPING[damping] + 0.001 * (seed * 7 % 13) as f64
}

/// A run whose loss halves with the epoch; K-FAC's third seed diverges.
fn record(plan: &Plan, index: u64, epochs: u32, samples: bool) -> RunRecord {
    let (arm, damping, seed) = plan.place(index);
    let level = loss(arm, damping, seed);
    let diverged = arm == 1 && seed == 2;
    let mut metrics = Metrics::default();
    if !diverged {
        metrics.set("test.loss", level);
        metrics.set("validation.loss", level);
        metrics.set("train.feature_correlation", 0.5);
    }
    let epoch = |epoch: u32| Epoch {
        epoch,
        loss: Some(level / f64::from(epoch)),
        validation_loss: Some(level / f64::from(epoch)),
        pnl_mean: Some(0.0),
        mean_cost: Some(level),
        ..Epoch::default()
    };
    let point = |step: u32| PathPoint { step, price: f64::from(step), variance: 0.04, position: level };
    let sample = |set: SampleSet, epoch: u32| Samples {
        set,
        epoch,
        pnl: (0..50).map(|path| level as f32 + path as f32).collect(),
        cost: vec![0.5; 50],
    };
    let kept = samples && !diverged;
    RunRecord {
        run_id: plan.run_id(index),
        config: "{}".into(),
        record: Record { curves: true, samples: samples.then(recorded) },
        output: RunOutput {
            status: if diverged { Status::Diverged } else { Status::Ok },
            error: diverged.then(|| format!("epoch {seed}: the loss is not finite")),
            metrics,
            provenance: Provenance { engine_version: "0.1.0".into(), host: "here".into(), ..Provenance::default() },
            curves: (1..=if diverged { 1 } else { epochs }).map(epoch).collect(),
            path: if diverged { Vec::new() } else { (0..4).map(point).collect() },
            samples: if kept { vec![sample(SampleSet::Train, 1), sample(SampleSet::Test, 2)] } else { Vec::new() },
        },
    }
}

fn recorded() -> RecordSamples {
    RecordSamples { sets: vec![SampleSet::Train, SampleSet::Test], all_epochs: false, max_paths: 50 }
}

fn stored(plan: &Plan, epochs: u32, samples: bool) -> (tempfile::TempDir, Tables) {
    let place = tempfile::tempdir().unwrap();
    let location = Location::folder(place.path());
    let record_asked = Record { curves: true, samples: samples.then(recorded) };
    let sweep = SweepIdentity {
        record: record_asked,
        name: "p".into(),
        text: "name: p\n".into(),
        hash: "abc".into(),
        versions: Versions::current(),
    };
    let mut store = Store::open(&location, &sweep, Access::Write).unwrap();
    let all: Vec<u64> = (0..plan.len()).collect();
    for piece in all.chunks(5000) {
        let records: Vec<RunRecord> = piece.iter().map(|index| record(plan, *index, epochs, samples)).collect();
        store.append(&records).unwrap();
    }
    store.merge(plan).unwrap();
    drop(store);
    let tables = Tables::open(&location).unwrap();
    (place, tables)
}

fn report(tables: &Tables, tune: Option<Tune>) -> ReportData {
    let metrics = vec![("test.loss".to_owned(), Direction::Minimize)];
    let question = Question {
        baseline_arm: "adam".into(),
        baseline_variant: tune.is_none().then(|| "optimizer.damping=0.1".to_owned()),
        metrics: metrics.clone(),
        tune,
        arms: ARMS.map(str::to_owned).to_vec(),
    };
    let runs = Runs::load(tables, ["test.loss", "validation.loss"]).unwrap();
    let findings = Findings {
        comparisons: analysis::compare(&runs, &question).unwrap(),
        tuning: Tuning::of(&runs, &question),
        ..Findings::default()
    };
    let subject = Subject {
        name: "p".into(),
        description: None,
        metrics,
        question: Some(&question),
        record: Record::default(),
        live: false,
        missing: 0,
        files: Vec::new(),
    };
    gather(tables, &subject, findings).unwrap()
}

fn tuned() -> Option<Tune> {
    Some(Tune { seeds: vec![0, 1], by: "validation.loss".into(), direction: Direction::Minimize })
}

#[test]
fn a_tuned_sweep_shows_what_was_chosen_and_the_seeds_that_confirm() {
    let (_place, tables) = stored(&Plan::of(12), 8, true);
    let data = report(&tables, tuned());
    let [panel] = &data.panels[..] else { panic!("one cell") };
    let [adam, kfac] = &panel.groups[..] else { panic!("two arms") };
    for group in [adam, kfac] {
        assert_eq!(group.variant, "optimizer.damping=0.01", "the smallest damping has the smallest loss");
        assert!(!group.hindsight);
    }
    // Seeds 0 and 1 tuned; K-FAC's seed 2 diverged.
    assert_eq!(adam.values.iter().map(|(seed, _)| *seed).collect::<Vec<_>>(), (2..12).collect::<Vec<_>>());
    assert_eq!(kfac.differences.iter().map(|(seed, _)| *seed).collect::<Vec<_>>(), (3..12).collect::<Vec<_>>());
    assert!(kfac.differences.iter().all(|(_, difference)| (difference - 1.0).abs() < 1e-12));
    assert!(adam.differences.is_empty());

    let curves = adam.curves.as_ref().unwrap();
    assert_eq!((curves.seeds, curves.of, &curves.loss.epochs[..]), (10, 10, &[1, 2, 3, 4, 5, 6, 7, 8][..]));
    let losses: Vec<f64> = (2..12).map(|seed| loss(0, 0, seed)).collect();
    let (low, high) = losses.iter().fold((f64::MAX, f64::MIN), |(low, high), loss| (loss.min(low), loss.max(high)));
    for (epoch, quantiles) in curves.loss.epochs.iter().zip(&curves.loss.quantiles) {
        for (found, expected) in [(quantiles[0], low), (quantiles[4], high)] {
            let expected = expected / f64::from(*epoch);
            assert!((found - expected).abs() <= 1e-6 * expected, "{found} for {expected}");
        }
    }
    // A run that diverged has its first epoch in the picture.
    let kfac_curves = kfac.curves.as_ref().unwrap();
    assert_eq!((kfac_curves.seeds, kfac_curves.loss.quantiles.len()), (10, 8));

    let walk = kfac.path.as_ref().unwrap();
    assert_eq!((walk.seed, walk.points.len()), (3, 4), "the first seed at which both arms have a path");
    let samples = adam.samples.as_ref().unwrap();
    assert_eq!((samples.set.as_str(), samples.pnl.n), ("test", 10 * 50), "held-out paths come before training paths");
    assert_eq!(samples.cost.quantiles.len(), 7);
    assert!(samples.cost.quantiles.iter().all(|value| (value - 0.5).abs() < 1e-3));
}

#[test]
fn counts_failures_tuning_and_parameters_are_those_of_the_tables() {
    let (_place, tables) = stored(&Plan::of(12), 4, false);
    let data = report(&tables, tuned());
    let counts = &data.counts;
    assert_eq!((counts.runs, counts.ok, counts.diverged, counts.seeds, counts.variants), (72, 69, 3, 12, 6));
    let [failure] = &data.failures[..] else { panic!("{:?}", data.failures) };
    assert_eq!((failure.runs, failure.status.as_str(), &failure.arms[..]), (3, "diverged", &["kfac".to_owned()][..]));
    let budget = |arm| Budget { arm, fewest: 3, most: 3 };
    assert_eq!(data.tuning.as_ref().unwrap().budgets(), [budget("adam"), budget("kfac")]);
    let [sensitivity] = &data.sensitivities[..] else { panic!("{:?}", data.sensitivities) };
    assert!(sensitivity.ordered);
    let levels: Vec<_> = sensitivity.series[1].levels.iter().map(|level| (level.number, level.runs)).collect();
    assert_eq!(levels, [(Some(0.01), 11), (Some(0.1), 11), (Some(1.0), 11)]);
    assert!(data.panels[0].groups.iter().all(|group| group.samples.is_none()));
    let text = page(&data);
    assert!(text.contains("record: {samples:"), "how to record what is not there");
    assert!(markdown(&data).contains(&headline(&data).sentence));
}

#[test]
fn what_was_chosen_without_tuning_is_said_to_be_hindsight() {
    let (_place, tables) = stored(&Plan::of(8), 2, false);
    let data = report(&tables, None);
    let [adam, kfac] = &data.panels[0].groups[..] else { panic!("two arms") };
    assert_eq!((adam.variant.as_str(), adam.hindsight), ("optimizer.damping=0.1", false));
    assert_eq!((kfac.variant.as_str(), kfac.hindsight), ("optimizer.damping=0.01", true));
    assert!(page(&data).contains("a choice in hindsight"));
}

#[test]
fn of_many_seeds_a_thousand_are_read_and_the_page_says_so() {
    let (_place, tables) = stored(&Plan::of(1200), 2, false);
    let data = report(&tables, None);
    let curves = data.panels[0].groups[0].curves.as_ref().unwrap();
    assert_eq!((curves.seeds, curves.of), (1000, 1200));
    let page = page(&data);
    assert!(page.contains("The first 1,000 seeds of 1,200 were read."));
    assert!(page.len() < 1_000_000, "{}", page.len());
}

/// `cargo test --release -p analysis --test report -- --ignored --nocapture` says how long it takes and how large it gets.
#[test]
#[ignore = "takes minutes, nearly all of them to store the runs"]
fn a_hundred_thousand_runs_make_a_page_under_five_megabytes() {
    let plan = Plan::of(16_667);
    let (_place, tables) = stored(&plan, 100, false);
    let began = Instant::now();
    let data = report(&tables, tuned());
    let page = page(&data);
    println!("{} runs: {:.1} s, {} bytes", plan.len(), began.elapsed().as_secs_f64(), page.len());
    assert!(page.len() < 5_000_000);
}
