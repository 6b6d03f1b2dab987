//! Where the crates meet: the plan as the fleet and the merge see it, and the store as the fleet sees it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use engine::record::Record;
use engine::{Preset, RunId, RunRecord, Value};
use results::{PlanTable, RowLabels, Store, StoreError, SweptColumn, SweptKind};
use sweep::plan::Plan;

use crate::fleet::{Sink, SinkError, Strikes, TaskSource};

/// The plan as the fleet sees it.
pub struct PlanTasks {
    plan: Arc<Plan>,
    record: Record,
    blobs: HashMap<String, Bytes>,
}

impl PlanTasks {
    /// The tasks of a plan, with the content of the blobs that its configs name.
    pub fn new(plan: Arc<Plan>, record: Record, blobs: HashMap<String, Bytes>) -> PlanTasks {
        PlanTasks { plan, record, blobs }
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
        self.plan.config(index).to_json().to_string()
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
pub struct SharedStore(Arc<Mutex<Store>>);

impl SharedStore {
    /// Shares a store.
    pub fn new(store: Store) -> SharedStore {
        SharedStore(Arc::new(Mutex::new(store)))
    }

    /// Does something with the store that blocks.
    pub fn with<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        // A panic in an append leaves the store as it was before it: every change is made at its end.
        let mut store = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        act(&mut store)
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
            tokio::task::spawn_blocking(move || store.with(|store| store.append(&records))).await;
        stored.map_err(SinkError::new)?.map_err(sink_error)?;
        tracing::debug!(records = count, "part stored");
        Ok(())
    }

    async fn keep_strikes(&mut self, strikes: Strikes) -> Result<(), SinkError> {
        let store = self.clone();
        let kept = tokio::task::spawn_blocking(move || store.with(|store| store.keep_strikes(&strikes))).await;
        kept.map_err(SinkError::new)?.map_err(sink_error)
    }
}
