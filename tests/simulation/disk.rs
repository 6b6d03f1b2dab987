//! The coordinator's durable state: what was fsynced survives, whatever dies.

use std::collections::{BTreeMap, BTreeSet};

use coordinator::fleet::Handover;
use engine::{RunId, RunRecord, Status};

/// A record as the store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) status: Status,
    pub(crate) worker: String,
    pub(crate) attempt: u32,
    pub(crate) loss: Option<f64>,
}

impl Row {
    pub(crate) fn of(record: &RunRecord) -> Row {
        Row {
            status: record.output.status,
            worker: record.output.provenance.worker.clone(),
            attempt: record.output.provenance.attempt,
            loss: record.output.metrics.get("test.loss"),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// The rows of each run, in the order in which they were written.
    rows: BTreeMap<RunId, Vec<Row>>,
    /// What the coordinator has left to a later one.
    pub(crate) handover: Handover,
    /// There is no room until then.
    pub(crate) full_until: u64,
}

impl Disk {
    pub(crate) fn write(&mut self, records: &[RunRecord]) {
        for record in records {
            self.rows.entry(record.run_id).or_default().push(Row::of(record));
        }
    }

    /// What a reader sees: the first row with a result, otherwise the first row.
    pub(crate) fn seen(&self, run_id: RunId) -> Option<&Row> {
        let rows = self.rows.get(&run_id)?;
        rows.iter().find(|row| row.status.is_done()).or_else(|| rows.first())
    }

    pub(crate) fn has_result(&self, run_id: RunId) -> bool {
        self.seen(run_id).is_some_and(|row| row.status.is_done())
    }

    pub(crate) fn done(&self) -> BTreeSet<RunId> {
        self.rows.keys().copied().filter(|run_id| self.has_result(*run_id)).collect()
    }

    /// A planted bug's: the last one wins.
    pub(crate) fn overwrite(&mut self, run_id: RunId, row: Row) {
        self.rows.insert(run_id, vec![row]);
    }
}
