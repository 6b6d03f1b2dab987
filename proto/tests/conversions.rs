//! Whatever the domain holds comes back from the wire as it was, and whatever arrives is refused without a panic.

use std::time::Duration;

use engine::metrics::{self, Metrics};
use engine::record::{Epoch, PathPoint, Provenance, Record, RecordSamples, RunOutput, SampleSet, Samples, Status};
use engine::{Preset, RunId, Value};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message;
use proto::{
    Acknowledgement, Failure, Grant, Heartbeat, Held, Hello, Lease, Orders, Outcome, Problem, Reason, Report,
    TaskGrant, Verdict, Welcome, WireError, v1,
};

fn finite() -> impl Strategy<Value = f64> {
    prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL
}

fn run_id() -> impl Strategy<Value = RunId> {
    any::<[u8; 16]>().prop_map(RunId)
}

fn name() -> impl Strategy<Value = String> {
    "\\PC{0,40}"
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        finite().prop_map(Value::Float),
        name().prop_map(Value::Text),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| vec(inner, 0..4).prop_map(Value::List))
}

fn overrides() -> impl Strategy<Value = Vec<(String, Value)>> {
    vec((name(), value()), 0..4)
}

prop_compose! {
    fn task()(run_id in run_id(), seed: u64, overrides in overrides(), attempt: u32) -> TaskGrant {
        TaskGrant { run_id, seed, overrides, attempt }
    }
}

fn sample_set() -> impl Strategy<Value = SampleSet> {
    prop::sample::select(SampleSet::ALL.to_vec())
}

prop_compose! {
    fn record()(
        curves: bool,
        samples in option::of((vec(sample_set(), 1..3), any::<bool>(), any::<u64>())),
    ) -> Record {
        let samples = samples.map(|(sets, all_epochs, max_paths)| RecordSamples { sets, all_epochs, max_paths });
        Record { curves, samples }
    }
}

fn lease() -> impl Strategy<Value = Lease> {
    let granted = (overrides(), vec(task(), 1..4), record())
        .prop_map(|(base, tasks, record)| Lease::Granted(Grant { preset: Preset::Paper, base, tasks, record }));
    prop_oneof![Just(Lease::Nothing), Just(Lease::Finished), Just(Lease::Draining), granted]
}

prop_compose! {
    fn provenance(attempt: u32)(
        seconds in prop::array::uniform4(option::of(finite())),
        names in prop::array::uniform4(name()),
    ) -> Provenance {
        let [simulate_s, train_s, evaluate_s, to_target_s] = seconds;
        let [host, worker, isa, engine_version] = names;
        Provenance { simulate_s, train_s, evaluate_s, to_target_s, host, worker, isa, attempt, engine_version }
    }
}

prop_compose! {
    fn epoch()(epoch: u32, numbers in prop::array::uniform12(option::of(finite()))) -> Epoch {
        let [loss, pnl_mean, pnl_variance, mean_cost, sharpe, grad_norm, damping, validation_loss, rest @ ..] = numbers;
        let [step_norm, trust_ratio, factor_condition, seconds] = rest;
        Epoch {
            epoch, loss, pnl_mean, pnl_variance, mean_cost, sharpe, grad_norm, damping, validation_loss, step_norm,
            trust_ratio, factor_condition, seconds,
        }
    }
}

fn samples() -> impl Strategy<Value = Samples> {
    let number = prop::num::f32::NORMAL | prop::num::f32::ZERO;
    (sample_set(), any::<u32>(), vec((number, number), 0..5)).prop_map(|(set, epoch, pairs)| {
        let (pnl, cost) = pairs.into_iter().unzip();
        Samples { set, epoch, pnl, cost }
    })
}

fn output(attempt: u32) -> impl Strategy<Value = RunOutput> {
    let values = vec(option::of(finite()), metrics::catalogue().len());
    let path = vec((finite(), finite(), finite()), 0..4);
    (option::of("\\PC{1,40}"), values, provenance(attempt), vec(epoch(), 0..4), path, vec(samples(), 0..3)).prop_map(
        |(error, values, provenance, curves, path, samples)| RunOutput {
            status: if error.is_some() { Status::Diverged } else { Status::Ok },
            error,
            metrics: Metrics::from_values(values).expect("as many as the catalogue has"),
            provenance,
            curves,
            path: (0..)
                .zip(path)
                .map(|(step, (price, variance, position))| PathPoint { step, price, variance, position })
                .collect(),
            samples,
        },
    )
}

fn report() -> impl Strategy<Value = Report> {
    let reasons = [Reason::Panic, Reason::Refused, Reason::Unavailable, Reason::HandedBack];
    any::<u32>().prop_flat_map(move |attempt| {
        let failed = (prop::sample::select(reasons.to_vec()), name(), provenance(attempt))
            .prop_map(|(reason, message, provenance)| Outcome::Failed(Failure { reason, message, provenance }));
        let outcome = prop_oneof![failed, output(attempt).prop_map(Outcome::Finished)];
        (run_id(), outcome).prop_map(move |(run_id, outcome)| Report { run_id, attempt, outcome })
    })
}

/// Through the bytes of the wire and back.
fn travel<M: Message + Default>(message: M) -> M {
    M::decode(message.encode_to_vec().as_slice()).expect("what is encoded can be decoded")
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn leases_come_back(lease in lease()) {
        prop_assert_eq!(Lease::try_from(travel(v1::LeaseTasksResponse::from(&lease))), Ok(lease));
    }

    #[test]
    fn reports_come_back(report in report()) {
        prop_assert_eq!(Report::try_from(travel(v1::Report::from(&report))), Ok(report));
    }

    #[test]
    fn heartbeats_come_back(worker_id: u64, held in vec((run_id(), any::<[u32; 3]>()), 0..5)) {
        let held = held.into_iter().map(|(run_id, [attempt, epoch, epochs])| Held { run_id, attempt, epoch, epochs, loss: (epoch > 0).then_some(0.5) });
        let heartbeat = Heartbeat { worker_id, held: held.collect() };
        prop_assert_eq!(Heartbeat::try_from(travel(v1::HeartbeatRequest::from(heartbeat.clone()))), Ok(heartbeat));
    }

    #[test]
    fn orders_come_back(cancel in vec(run_id(), 0..5), drain: bool, finished: bool, millis in 1_u64..1_000_000) {
        let orders = Orders { cancel, drain, finished, next: Duration::from_millis(millis) };
        prop_assert_eq!(Orders::try_from(travel(v1::HeartbeatResponse::from(orders.clone()))), Ok(orders));
    }

    #[test]
    fn introductions_come_back(names in prop::array::uniform3(name()), slots in 1_u32..4096) {
        let [engine_version, host, name] = names;
        let hello = Hello { engine_version, host, name, slots };
        let request = travel(v1::JoinRequest::from(&hello));
        prop_assert_eq!(proto::check_versions(&request), Ok(()));
        prop_assert_eq!(Hello::try_from(request), Ok(hello));
    }

    #[test]
    fn welcomes_come_back(worker_id: u64, millis in 1_u64..1_000_000, max_batch_bytes: u64) {
        let welcome = Welcome { worker_id, heartbeat_interval: Duration::from_millis(millis), max_batch_bytes, task_timeout: (millis > 5).then(|| Duration::from_millis(millis)) };
        prop_assert_eq!(Welcome::try_from(travel(v1::JoinResponse::from(welcome))), Ok(welcome));
    }

}

/// `FUZZ_CASES=100000` tries more than the usual few thousand.
fn cases() -> u32 {
    std::env::var("FUZZ_CASES").map_or(5_000, |text| text.parse().expect("FUZZ_CASES is a number"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200)) {
        convert_anything(&bytes);
    }

    /// Valid messages with a byte changed come closer to the edges than noise.
    #[test]
    fn no_mutation_panics(
        report in report(),
        lease in lease(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in option::of(any::<prop::sample::Index>()),
    ) {
        for mut bytes in [v1::Report::from(&report).encode_to_vec(), v1::LeaseTasksResponse::from(&lease).encode_to_vec()] {
            for (at, byte) in &changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
            }
            bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len() + 1)));
            convert_anything(&bytes);
        }
    }

    /// A batch of results, as it comes in pieces.
    #[test]
    fn no_spoilt_batch_panics(
        reports in vec(report(), 0..3),
        at: prop::sample::Index,
        byte: u8,
        size in 1..4_000_usize,
        limit in 0..4_000_usize,
    ) {
        let encoded: Vec<_> = reports.iter().map(proto::encode_report).collect();
        let mut bytes = proto::join_reports(7, &encoded).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let mut assembler = proto::Assembler::new(limit);
        let taken = bytes.chunks(size).try_for_each(|piece| assembler.push(piece.to_vec().into()));
        prop_assert_eq!(taken.is_err(), bytes.len() > limit);
        if let Ok(batch) = assembler.finish_batch() {
            batch.reports.into_iter().for_each(|report| drop(Report::try_from(report)));
        }
    }
}

fn convert_anything(bytes: &[u8]) {
    if let Ok(message) = v1::Report::decode(bytes) {
        let _ = Report::try_from(message);
    }
    if let Ok(message) = v1::LeaseTasksResponse::decode(bytes) {
        let _ = Lease::try_from(message);
    }
    if let Ok(message) = v1::HeartbeatRequest::decode(bytes) {
        let _ = Heartbeat::try_from(message);
    }
    if let Ok(message) = v1::HeartbeatResponse::decode(bytes) {
        let _ = Orders::try_from(message);
    }
    if let Ok(message) = v1::JoinRequest::decode(bytes)
        && proto::check_versions(&message).is_ok()
    {
        let _ = Hello::try_from(message);
    }
    if let Ok(message) = v1::JoinResponse::decode(bytes) {
        let _ = Welcome::try_from(message);
    }
    if let Ok(message) = v1::Acknowledgement::decode(bytes) {
        let _ = Acknowledgement::try_from(message);
    }
    if let Ok(message) = v1::ResultBatch::decode(bytes) {
        message.reports.into_iter().for_each(|report| drop(Report::try_from(report)));
    }
}

#[test]
fn acknowledgements_come_back() {
    for verdict in [Verdict::Stored, Verdict::Duplicate, Verdict::Noted, Verdict::Unknown, Verdict::Invalid] {
        let acknowledgement = Acknowledgement { run_id: RunId([7; 16]), verdict };
        let wire = travel(v1::Acknowledgement::from(acknowledgement));
        assert_eq!(Acknowledgement::try_from(wire), Ok(acknowledgement));
    }
}

/// A report that is right, to be spoilt.
fn finished() -> v1::Report {
    let output = RunOutput {
        status: Status::Ok,
        error: None,
        metrics: Metrics::default(),
        provenance: Provenance::default(),
        curves: vec![Epoch { epoch: 1, loss: Some(0.5), ..Epoch::default() }, Epoch { epoch: 2, ..Epoch::default() }],
        path: vec![PathPoint { step: 0, price: 1.0, variance: 0.04, position: 0.5 }],
        samples: vec![Samples { set: SampleSet::Test, epoch: 2, pnl: vec![0.1], cost: vec![0.0] }],
    };
    v1::Report::from(&Report { run_id: RunId([1; 16]), attempt: 1, outcome: Outcome::Finished(output) })
}

fn refusal(spoil: impl FnOnce(&mut v1::Finished)) -> WireError {
    let mut report = finished();
    let Some(v1::report::Outcome::Finished(finished)) = &mut report.outcome else { panic!("it is finished") };
    spoil(finished);
    Report::try_from(report).expect_err("it is spoilt")
}

#[test]
fn errors_name_the_field() {
    let cases: [(WireError, &str); 8] = [
        (refusal(|finished| finished.status = 9), "finished.status is 9, which this version does not know"),
        (refusal(|finished| finished.error = "no".into()), "finished.error contradicts status"),
        (
            refusal(|finished| finished.metrics[0] = f64::INFINITY),
            "finished.metrics[train.pnl_variance] is inf, which is not finite",
        ),
        (
            refusal(|finished| finished.curves.as_mut().unwrap().loss.truncate(1)),
            "finished.curves.loss has length 1, but 2 is needed",
        ),
        (
            refusal(|finished| finished.path.as_mut().unwrap().variance.clear()),
            "finished.path.variance has length 0, but 1 is needed",
        ),
        (
            refusal(|finished| finished.path.as_mut().unwrap().price[0] = f64::NAN),
            "finished.path.price is NaN, which is not finite",
        ),
        (
            refusal(|finished| finished.samples[0].pnl[0] = f32::NEG_INFINITY),
            "finished.samples[0].pnl is -inf, which is not finite",
        ),
        (
            refusal(|finished| finished.provenance.as_mut().unwrap().host = "h".repeat(256)),
            "finished.provenance.host has length 256, beyond the limit of 255",
        ),
    ];
    for (error, message) in cases {
        assert_eq!(error.to_string(), message);
    }
    let short = v1::Task { run_id: vec![0; 15].into(), ..v1::Task::default() };
    let error = TaskGrant::try_from(short).unwrap_err();
    assert_eq!(error, WireError::new("run_id", Problem::Length { length: 15, expected: 16 }));
}

#[test]
fn metrics_of_another_catalogue_are_refused() {
    let expected = metrics::catalogue().len();
    for length in [0, expected - 1, expected + 1] {
        let error = refusal(|finished| finished.metrics.resize(length, 0.0));
        assert_eq!(error, WireError::new("finished.metrics", Problem::Length { length, expected }));
    }
}

#[test]
fn values_nested_too_deeply_are_refused() {
    let nest = |depth: usize| (0..depth).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    assert!(Value::try_from(v1::Value::from(&nest(4))).is_ok());
    let error = Value::try_from(v1::Value::from(&nest(5))).unwrap_err();
    assert_eq!(error.problem, Problem::TooDeep { limit: 4 });
}

#[test]
fn what_blew_up_travels_as_absent() {
    let output = RunOutput {
        curves: vec![Epoch { epoch: 1, loss: Some(f64::INFINITY), ..Epoch::default() }],
        samples: vec![Samples { set: SampleSet::Train, epoch: 1, pnl: vec![f32::INFINITY], cost: vec![0.0] }],
        status: Status::Diverged,
        ..RunOutput::failed("loss is not finite in epoch 1", Provenance::default())
    };
    let report = Report { run_id: RunId([1; 16]), attempt: 0, outcome: Outcome::Finished(output) };
    let back = Report::try_from(travel(v1::Report::from(&report))).unwrap();
    let Outcome::Finished(output) = back.outcome else { panic!("it finished") };
    assert_eq!(output.curves[0].loss, None);
    assert!(output.samples[0].pnl[0].is_nan());
}

#[test]
fn an_output_that_failed_travels_as_a_refusal() {
    let output = RunOutput::failed("no", Provenance::default());
    let report = Report { run_id: RunId([1; 16]), attempt: 0, outcome: Outcome::Finished(output) };
    let back = Report::try_from(travel(v1::Report::from(&report))).unwrap();
    assert!(
        matches!(back.outcome, Outcome::Failed(Failure { reason: Reason::Refused, message, .. }) if message == "no")
    );
}
