//! Where the crates meet: the plan as the fleet and the merge see it, and the store as the fleet sees it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use engine::record::Record;
use engine::{Preset, RunId, RunRecord, Value};
use results::{Handover, PlanTable, RowLabels, Store, StoreError, SweptColumn, SweptKind};
use sweep::plan::{Plan, Run};

use crate::fleet::{Shape, Sink, SinkError, TaskSource};
use crate::meter::Meter;

/// How many configs are remembered as text.
const TEMPLATES: usize = 256;

/// The plan as the fleet sees it.
pub struct PlanTasks {
    plan: Arc<Plan>,
    record: Record,
    blobs: HashMap<String, Bytes>,
    /// The text of a config behind its seed, by arm, variant and cell. Runs that differ in nothing but their seed come one
    /// after the other, and to write a config takes longer than to store it.
    templates: Mutex<HashMap<(u32, u32, u32), Arc<str>>>,
}

impl PlanTasks {
    /// The tasks of a plan, with the content of the blobs that its configs name.
    pub fn new(plan: Arc<Plan>, record: Record, blobs: HashMap<String, Bytes>) -> PlanTasks {
        PlanTasks { plan, record, blobs, templates: Mutex::default() }
    }
}

impl TaskSource for PlanTasks {
    fn base(&self) -> (Preset, Vec<(String, Value)>) {
        (self.plan.preset(), self.plan.base().to_vec())
    }

    fn record(&self) -> Record {
        self.record.clone()
    }

    fn seed(&self, index: u64) -> u64 {
        self.plan.get(index).seed
    }

    fn overrides(&self, index: u64) -> Vec<(String, Value)> {
        self.plan.overrides(index)
    }

    fn arm(&self, index: u64) -> u32 {
        self.plan.get(index).arm
    }

    fn config_json(&self, index: u64) -> String {
        let Run { arm, variant, cell, seed } = self.plan.get(index);
        let place = (arm, variant, cell);
        let head = format!("{{\"seed\":{seed}");
        // Templates are whole, or not there.
        let mut templates = self.templates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tail) = templates.get(&place) {
            return head + tail;
        }
        let text = self.plan.config(index).to_json().to_string();
        if let Some(tail) = text.strip_prefix(&head).filter(|tail| tail.starts_with([',', '}'])) {
            if templates.len() >= TEMPLATES {
                templates.clear();
            }
            templates.insert(place, tail.into());
        }
        text
    }

    fn shape(&self, index: u64) -> Shape {
        Shape::of(&self.plan.config(index))
    }

    fn blob(&self, digest: &str) -> Option<Bytes> {
        self.blobs.get(digest).cloned()
    }
}

/// The plan as the merge sees it.
pub struct PlanRows<'a> {
    plan: &'a Plan,
    swept: Vec<SweptColumn>,
}

impl<'a> PlanRows<'a> {
    /// The rows of a plan.
    pub fn new(plan: &'a Plan) -> PlanRows<'a> {
        let columns = plan.swept().iter().enumerate();
        let swept =
            columns.map(|(column, name)| SweptColumn { name: name.clone(), kind: kind(plan, column) }).collect();
        PlanRows { plan, swept }
    }
}

/// The type of a swept column: of its values in every combination of cell, arm and variant.
fn kind(plan: &Plan, column: usize) -> SweptKind {
    let mut values: Vec<Value> = Vec::new();
    let mut group = None;
    for index in 0..plan.len() {
        let run = plan.get(index);
        let place = Some((run.cell, run.arm, run.variant));
        if place != group {
            group = place;
            if let Some(value) = plan.swept_value(index, column)
                && !values.iter().any(|known| std::mem::discriminant(known) == std::mem::discriminant(&value))
            {
                values.push(value);
            }
        }
    }
    SweptKind::of(&values)
}

impl PlanTable for PlanRows<'_> {
    fn len(&self) -> u64 {
        self.plan.len()
    }

    fn run_id(&self, index: u64) -> RunId {
        self.plan.run_id(index)
    }

    fn labels(&self, index: u64) -> RowLabels<'_> {
        let run = self.plan.get(index);
        RowLabels {
            arm: Cow::Borrowed(&self.plan.arms()[run.arm as usize]),
            variant: Cow::Borrowed(self.plan.variant_label(run.arm, run.variant)),
            cell: Cow::Borrowed(self.plan.cell_label(run.cell)),
            seed: run.seed,
        }
    }

    fn swept(&self) -> &[SweptColumn] {
        &self.swept
    }

    fn swept_value(&self, index: u64, column: usize) -> Option<Value> {
        self.plan.swept_value(index, column)
    }
}

/// The store, shared by the fleet, which fills it, and the merge, which reads it afterwards.
#[derive(Clone)]
pub struct SharedStore {
    store: Arc<Mutex<Store>>,
    meter: Arc<Meter>,
}

impl SharedStore {
    /// Shares a store.
    pub fn new(store: Store) -> SharedStore {
        SharedStore { store: Arc::new(Mutex::new(store)), meter: Arc::default() }
    }

    /// Does something with the store that blocks.
    pub fn with<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        // A panic in an append leaves the store as it was before it: every change is made at its end.
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut store)
    }

    /// What was measured of what was stored.
    pub fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    /// Stores records, and measures.
    fn append_now(&self, records: &[RunRecord]) -> Result<(), StoreError> {
        let began = Instant::now();
        let stored = self.with(|store| store.append(records));
        match &stored {
            Ok(()) => {
                self.meter.store.observe(began.elapsed());
                for record in records {
                    let provenance = &record.output.provenance;
                    let times = [provenance.simulate_s, provenance.train_s, provenance.evaluate_s];
                    self.meter.record(times.into_iter().flatten().reduce(|sum, time| sum + time));
                }
            }
            Err(_) => self.meter.store_failed(),
        }
        stored
    }
}

fn sink_error(error: StoreError) -> SinkError {
    if error.is_transient() { SinkError::transient(error) } else { SinkError::new(error) }
}

impl Sink for SharedStore {
    async fn append(&mut self, records: Vec<RunRecord>) -> Result<(), SinkError> {
        let store = self.clone();
        let count = records.len();
        let stored: Result<Result<(), StoreError>, _> =
            tokio::task::spawn_blocking(move || store.append_now(&records)).await;
        stored.map_err(SinkError::new)?.map_err(sink_error)?;
        tracing::debug!(records = count, "part stored");
        Ok(())
    }

    async fn hand_over(&mut self, handover: Handover) -> Result<(), SinkError> {
        let store = self.clone();
        let kept = tokio::task::spawn_blocking(move || store.with(|store| store.hand_over(&handover))).await;
        kept.map_err(SinkError::new)?.map_err(sink_error)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::weights::WeightFiles;

    #[test]
    fn a_configs_text_is_the_configs_own_whatever_was_asked_before() {
        let file = "name: texts
preset: paper
seeds: [0, 7, 9223372036854775807]
parameters:
  market.xi: {min: 0.1, max: 0.9, count: 200}
arms:
  adam: {parameters: {optimizer.kind: {value: adam}, optimizer.lr: {values: [1e-3, 1e-2]}}}
  sgd: {parameters: {optimizer.kind: {value: sgd}}}
";
        let mut weights = WeightFiles::beside(Path::new("texts.yaml"));
        let (spec, _) = sweep::spec::parse(file, "texts.yaml", &[], &mut weights).unwrap();
        let plan = Arc::new(Plan::build(&spec).unwrap());
        let tasks = PlanTasks::new(Arc::clone(&plan), Record::default(), HashMap::new());
        // In order, backwards, and in strides, so that templates come and go.
        let length = plan.len();
        let orders = (0..length).chain((0..length).rev()).chain((0..length).map(|index| index * 997 % length));
        for index in orders {
            assert_eq!(tasks.config_json(index), plan.config(index).to_json().to_string(), "{index}");
        }
    }
}
