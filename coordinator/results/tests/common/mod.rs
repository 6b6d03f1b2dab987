//! Records and plans for the tests.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::borrow::Cow;

use engine::metrics::{Metrics, catalogue};
use engine::record::{Epoch, PathPoint, Provenance, Record, RecordSamples, SampleSet, Samples};
use engine::{RunId, RunOutput, RunRecord, Status, Value};
use results::{Location, PlanTable, RowLabels, SweepIdentity, SweptColumn, SweptKind, Versions};

/// The id number `n`.
pub(crate) fn id(n: u64) -> RunId {
    let hash = (u128::from(n) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    RunId(hash.to_be_bytes())
}

pub(crate) fn sweep(name: &str) -> SweepIdentity {
    SweepIdentity {
        record: Default::default(),
        name: name.to_owned(),
        text: format!("name: {name}\n"),
        hash: "00ff".to_owned(),
        versions: Versions::current(),
    }
}

pub(crate) fn at(place: &tempfile::TempDir) -> Location {
    Location::folder(place.path().join("out"))
}

/// A run that did nothing.
pub(crate) fn noop(n: u64) -> RunRecord {
    RunRecord {
        run_id: id(n),
        config: format!("{{\"seed\":{n},\"market\":{{\"model\":\"heston\"}}}}"),
        record: Record::default(),
        output: RunOutput {
            status: Status::Ok,
            error: None,
            metrics: Metrics::default(),
            provenance: provenance(1),
            curves: vec![],
            path: vec![],
            samples: vec![],
        },
    }
}

pub(crate) fn provenance(attempt: u32) -> Provenance {
    Provenance {
        simulate_s: Some(0.25),
        host: "host".into(),
        worker: "worker-1".into(),
        isa: "avx2".into(),
        attempt,
        engine_version: "0.1.0".into(),
        ..Provenance::default()
    }
}

/// A run that was recorded in full, its numbers made from `n`.
pub(crate) fn full(n: u64, epochs: u32, paths: u32) -> RunRecord {
    let number = |k: u64| (n * 31 + k) as f64 / 7.0;
    let values = (0..catalogue().len() as u64).map(|k| (k % 5 != 4).then(|| number(k))).collect();
    let epoch = |e: u32| Epoch {
        epoch: e,
        loss: Some(number(u64::from(e))),
        pnl_mean: Some(-number(2)),
        grad_norm: e.is_multiple_of(2).then(|| number(3)),
        seconds: Some(f64::from(e)),
        ..Epoch::default()
    };
    let point = |step: u32| PathPoint { step, price: 100.0 + number(u64::from(step)), variance: 0.04, position: 0.5 };
    let block = |set, epoch| Samples {
        set,
        epoch,
        pnl: (0..paths).map(|p| p as f32 + n as f32).collect(),
        cost: (0..paths).map(|p| p as f32 / 8.0).collect(),
    };
    let samples = RecordSamples { sets: vec![SampleSet::Train, SampleSet::Test], all_epochs: true, max_paths: 100 };
    let mut record = noop(n);
    record.record.samples = (paths > 0).then_some(samples);
    record.output.metrics = Metrics::from_values(values).unwrap();
    record.output.curves = (1..=epochs).map(epoch).collect();
    record.output.path = (0..epochs / 2).map(point).collect();
    if paths > 0 {
        record.output.samples = vec![block(SampleSet::Train, 1), block(SampleSet::Test, epochs)];
    }
    record
}

pub(crate) fn failed(n: u64, attempt: u32) -> RunRecord {
    RunRecord { output: RunOutput::failed(format!("attempt {attempt}"), provenance(attempt)), ..noop(n) }
}

/// A plan of these ids, two arms taking turns.
pub(crate) struct Plan {
    pub(crate) ids: Vec<u64>,
    pub(crate) swept: Vec<SweptColumn>,
}

impl Plan {
    pub(crate) fn of(ids: impl IntoIterator<Item = u64>) -> Plan {
        let column = |name: &str, kind| SweptColumn { name: name.to_owned(), kind };
        let swept = vec![
            column("optimizer.lr", SweptKind::Number),
            column("network.hidden", SweptKind::Integer),
            column("contract.entry", SweptKind::Boolean),
            column("features", SweptKind::Text),
        ];
        Plan { ids: ids.into_iter().collect(), swept }
    }
}

impl PlanTable for Plan {
    fn len(&self) -> u64 {
        self.ids.len() as u64
    }

    fn run_id(&self, index: u64) -> RunId {
        id(self.ids[index as usize])
    }

    fn labels(&self, index: u64) -> RowLabels<'_> {
        RowLabels {
            arm: Cow::Borrowed(if index.is_multiple_of(2) { "adam" } else { "kfac" }),
            variant: Cow::Owned(format!("lr={}", index % 3)),
            cell: Cow::Borrowed("xi=0.5"),
            seed: index,
        }
    }

    fn swept(&self) -> &[SweptColumn] {
        &self.swept
    }

    fn swept_value(&self, index: u64, column: usize) -> Option<Value> {
        match column {
            0 if index.is_multiple_of(2) => Some(Value::Int(1)),
            0 => Some(Value::Float(0.5)),
            1 => index.is_multiple_of(3).then_some(Value::Int(32)),
            2 => Some(Value::Bool(index.is_multiple_of(2))),
            _ => Some(Value::List(vec![Value::Text("price".into())])),
        }
    }
}

/// A config of the usual size.
pub(crate) const CONFIG: &str = r#"{"preset":"paper","market":{"model":"heston","s0":1.0,"v0":0.04,"theta":0.04,"kappa":2.0,"xi":0.5,"rho":-0.7,"mu":0.0,"steps":50,"dt":0.004,"scheme":"absorption","generator":"chacha"},"contract":{"kind":"none"},"costs":{"model":"proportional","rate":0.01,"base":"units","entry":false,"exit":false},"features":{"columns":["price","variance"],"normalization":"batch"},"network":{"cell":"lstm","layers":1,"hidden":32,"output":"tanh","init":"xavier_orthogonal"},"loss":{"kind":"variance_plus_cost","gamma":1.0,"units":"normalized"},"optimizer":{"kind":"adam","lr":0.001,"weight_decay":0.0},"training":{"epochs":0,"batch_size":32,"paths":"fresh","grad_clip":10.0},"evaluation":{"validation_paths":0,"test_paths":0,"hedges":[]}}"#;
