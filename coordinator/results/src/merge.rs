//! The merge: from parts in the order in which runs ended to tables in the order of the plan, in bounded memory.
//!
//! The plan is walked in windows of so many bytes of results. Within a window every row group that holds one of its
//! runs is decoded once; parts are written nearly in the plan's order, so neighbouring windows find most of their row
//! groups in the cache. While a window is written the next one is read, on a thread of its own.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::{panic, thread};

use engine::metrics::catalogue;
use engine::{RunRecord, Status, Value};
use polars::prelude::PolarsError;

use crate::cache::Cache;
use crate::encode::{curve_values, path_values};
use crate::error::StoreError;
use crate::folder::Folder;
use crate::index::Place;
use crate::location::Location;
use crate::plan_table::{PlanTable, SweptKind, text};
use crate::schema;
use crate::store::Store;
use crate::table::{Row, Table, Type};
use crate::upload::Upload;

/// The name of the table of runs.
pub const RUNS: &str = "runs.parquet";
/// The name of the table of curves.
pub const CURVES: &str = "curves.parquet";
/// The name of the table of paths.
pub const PATHS: &str = "paths.parquet";
/// The name of the table of samples.
pub const SAMPLES: &str = "samples.parquet";

/// Bytes of results in a window, and again in the cache.
const WINDOW_BYTES: u64 = 16 << 20;
/// How often the tables are written, at most, until no part has vanished meanwhile.
const MERGES: u32 = 4;
/// Runs in a window: labels and places take memory as well.
const WINDOW_RUNS: usize = 16_384;

/// Rows of a row group: some megabytes in each table.
const RUN_ROWS: usize = 4096;
const CURVE_ROWS: usize = 65_536;
const SAMPLE_ROWS: usize = 131_072;

/// Which of the long tables a merge fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The curves.
    pub curves: bool,
    /// The samples.
    pub samples: bool,
}

impl Extent {
    /// All of them.
    pub const WHOLE: Extent = Extent { curves: true, samples: true };
}

/// What a merge has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergeSummary {
    /// Rows of `runs.parquet`.
    pub runs: u64,
    /// Rows of runs that ended `ok`.
    pub ok: u64,
    /// Rows of runs that diverged.
    pub diverged: u64,
    /// Rows of runs that failed.
    pub failed: u64,
    /// Runs of the plan of which nothing is stored: they have no row.
    pub missing: u64,
    /// Stored runs that the plan does not have: they have no row either.
    pub orphans: u64,
    /// Rows of `curves.parquet`.
    pub curves: u64,
    /// Rows of `paths.parquet`.
    pub paths: u64,
    /// Rows of `samples.parquet`; without any there is no such file.
    pub samples: u64,
    /// The files written.
    pub files: Vec<PathBuf>,
    /// Bytes of decoded results that were held at most.
    pub peak_bytes: u64,
    /// Row groups decoded, again included.
    pub groups_decoded: u64,
}

impl Store {
    /// Writes the tables in the plan's order. Each of them appears whole or stays as it was, `runs.parquet` last.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a part turns out damaged now: it is renamed to `….damaged`, so that the next start
    /// computes its runs again. [`StoreError::Missing`] if a part has vanished, and what was in it is nowhere else.
    pub fn merge(&mut self, plan: &dyn PlanTable) -> Result<MergeSummary, StoreError> {
        self.allow_merging()?;
        for _ in 1..MERGES {
            match self.merge_to(&self.folder, plan, Extent::WHOLE) {
                Err(error @ StoreError::Missing { .. }) => {
                    // Where there are no locks, or they were lost, somebody else may compact parts.
                    let runs = self.index().len();
                    self.load()?;
                    if self.index().len() < runs {
                        return Err(error);
                    }
                    tracing::warn!(%error, "the tables are written again from the parts that are there now");
                }
                ended => return ended,
            }
        }
        self.merge_to(&self.folder, plan, Extent::WHOLE)
    }

    /// Writes the tables of what is stored so far into another folder, which exists; what `extent` leaves out is not even read.
    /// Nothing is changed where the results are, so that it may be done to results that are opened for reading and that another
    /// process adds to.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if a part was compacted away since the store was opened: open it again.
    pub fn merge_into(
        &self,
        target: &Location,
        plan: &dyn PlanTable,
        extent: Extent,
    ) -> Result<MergeSummary, StoreError> {
        self.merge_to(&Folder::open(target)?, plan, extent)
    }

    fn merge_to(&self, folder: &Folder, plan: &dyn PlanTable, extent: Extent) -> Result<MergeSummary, StoreError> {
        let names = [SAMPLES, PATHS, CURVES, RUNS];
        let mut uploads = names.map(|name| folder.upload(name));
        let mut summary = match Merge::fill(self, plan, extent, &mut uploads) {
            Ok(summary) => summary,
            Err(error) => {
                // The upload that failed knows better why than the encoder above it.
                let own = |error, upload: Upload<'_>| upload.fail(error);
                return Err(uploads.into_iter().fold(error, own));
            }
        };
        for (upload, name) in uploads.into_iter().zip(names) {
            if name == SAMPLES && summary.samples == 0 {
                upload.fail(StoreError::Missing { path: folder.path(name) });
                // One that a former version of the sweep had recorded.
                folder.delete(name)?;
                continue;
            }
            upload.finish()?;
            summary.files.push(folder.path(name));
        }
        summary.files.reverse();
        Ok(summary)
    }
}

type Sink<'a, 'b> = Table<&'a mut Upload<'b>>;

/// A run of a window, and its entry in the index.
struct Wanted {
    index: u64,
    entry: u32,
    place: Place,
}

/// A window of the plan with its results.
struct Window {
    wanted: Vec<Wanted>,
    /// By their entries.
    records: HashMap<u32, Arc<RunRecord>>,
}

/// Reads the results of one window of the plan after the other.
struct Reader<'a> {
    store: &'a Store,
    plan: &'a dyn PlanTable,
    cache: Cache<'a>,
    /// The first run of the next window.
    next: u64,
    /// Runs of the plan of which nothing is stored.
    missing: u64,
}

impl<'a> Reader<'a> {
    fn new(store: &'a Store, plan: &'a dyn PlanTable, extent: Extent) -> Reader<'a> {
        Reader { store, plan, cache: Cache::new(store, WINDOW_BYTES, extent), next: 0, missing: 0 }
    }

    /// Reads to the end of the plan, or until nobody wants more.
    fn read(mut self, windows: &SyncSender<Window>) -> Result<Reader<'a>, StoreError> {
        while self.next < self.plan.len() {
            let wanted = self.window();
            let records = self.fetch(&wanted)?;
            if windows.send(Window { wanted, records }).is_err() {
                break;
            }
        }
        Ok(self)
    }

    /// The next runs of the plan whose results fit into a window, at least one.
    fn window(&mut self) -> Vec<Wanted> {
        let index = self.store.index();
        let (mut window, mut bytes) = (Vec::new(), 0);
        while self.next < self.plan.len() && bytes < WINDOW_BYTES && window.len() < WINDOW_RUNS {
            match index.entry_of(self.plan.run_id(self.next)) {
                None => self.missing += 1,
                Some(entry) => {
                    let found = index.entry(entry);
                    bytes += u64::from(found.footprint);
                    window.push(Wanted { index: self.next, entry, place: found.place });
                }
            }
            self.next += 1;
        }
        window
    }

    fn fetch(&mut self, window: &[Wanted]) -> Result<HashMap<u32, Arc<RunRecord>>, StoreError> {
        let mut places: Vec<(Place, u32)> = window.iter().map(|wanted| (wanted.place, wanted.entry)).collect();
        places.sort_by_key(|(place, _)| (place.part, place.group, place.row));
        let mut records = HashMap::with_capacity(places.len());
        for same in places.chunk_by(|left, right| (left.0.part, left.0.group) == (right.0.part, right.0.group)) {
            let Place { part, group, .. } = same[0].0;
            let decoded = self.cache.group(part, group).map_err(|error| self.blame(part, error))?;
            for (place, entry) in same {
                records.insert(*entry, Arc::clone(&decoded[usize::from(place.row)]));
            }
        }
        Ok(records)
    }

    /// Puts a damaged part out of the way.
    fn blame(&self, part: u32, error: StoreError) -> StoreError {
        let found = self.store.part(part).filter(|_| self.store.allow_merging().is_ok());
        if let (StoreError::Damaged { .. }, Some(part)) = (&error, found) {
            let key = part.name.key();
            if let Err(error) = self.store.folder.rename(&key, &format!("{key}.damaged")) {
                tracing::warn!(%error, "a damaged part stays where it is");
            }
        }
        error
    }
}

struct Merge<'a, 'b> {
    plan: &'a dyn PlanTable,
    runs: Sink<'a, 'b>,
    curves: Sink<'a, 'b>,
    paths: Sink<'a, 'b>,
    samples: Sink<'a, 'b>,
    /// Entries of the index that have had a row: in the narrow tables a run that the plan has twice appears once.
    seen: Vec<bool>,
    summary: MergeSummary,
}

impl<'a, 'b> Merge<'a, 'b> {
    fn fill(
        store: &'a Store,
        plan: &'a dyn PlanTable,
        extent: Extent,
        uploads: &'a mut [Upload<'b>],
    ) -> Result<MergeSummary, StoreError> {
        let broken = |error: PolarsError| StoreError::damaged(store.folder.root(), error.to_string());
        let [samples, paths, curves, runs] = uploads else { unreachable!("four tables, four uploads") };
        let table = |sink, columns, rows| Table::new(sink, columns, rows, store.footer.pairs(&[])).map_err(broken);
        let mut merge = Merge {
            plan,
            runs: table(runs, run_columns(plan), RUN_ROWS)?,
            curves: table(curves, curve_columns(), CURVE_ROWS)?,
            paths: table(paths, path_columns(), CURVE_ROWS)?,
            samples: table(samples, sample_columns(), SAMPLE_ROWS)?,
            seen: vec![false; store.index().len()],
            summary: MergeSummary::default(),
        };
        let reader = thread::scope(|scope| {
            // One window is written, one waits, one is read.
            let (sender, windows) = sync_channel(1);
            let reader = scope.spawn(move || Reader::new(store, plan, extent).read(&sender));
            let written = windows.iter().try_for_each(|window| merge.write(&window).map_err(broken));
            // If writing has failed, nobody waits for what is read.
            drop(windows);
            let read = reader.join().unwrap_or_else(|payload| panic::resume_unwind(payload));
            written.and(read)
        })?;
        let mut summary = merge.summary;
        summary.missing = reader.missing;
        summary.orphans = merge.seen.iter().filter(|seen| !**seen).count() as u64;
        (summary.peak_bytes, summary.groups_decoded) = (reader.cache.peak, reader.cache.decoded);
        (summary.runs, summary.curves) = (merge.runs.rows(), merge.curves.rows());
        (summary.paths, summary.samples) = (merge.paths.rows(), merge.samples.rows());
        for table in [merge.runs, merge.curves, merge.paths, merge.samples] {
            table.finish().map_err(broken)?;
        }
        Ok(summary)
    }

    fn write(&mut self, window: &Window) -> Result<(), PolarsError> {
        for wanted in &window.wanted {
            let record = &window.records[&wanted.entry];
            match record.output.status {
                Status::Ok => self.summary.ok += 1,
                Status::Diverged => self.summary.diverged += 1,
                Status::Failed => self.summary.failed += 1,
            }
            let plan = self.plan;
            self.runs.push(|row| run_row(row, plan, wanted.index, record))?;
            if !std::mem::replace(&mut self.seen[wanted.entry as usize], true) {
                self.write_narrow(record)?;
            }
        }
        Ok(())
    }

    fn write_narrow(&mut self, record: &RunRecord) -> Result<(), PolarsError> {
        let run_id = record.run_id.to_string();
        let run_id = Some(run_id.as_str());
        for epoch in &record.output.curves {
            self.curves.push(|row| {
                row.text(run_id).u32(Some(epoch.epoch));
                row.f64s(curve_values(epoch));
            })?;
        }
        for point in &record.output.path {
            self.paths.push(|row| {
                row.text(run_id).u32(Some(point.step));
                row.f64s(path_values(point).map(Some));
            })?;
        }
        for block in &record.output.samples {
            for (path, (&pnl, &cost)) in block.pnl.iter().zip(&block.cost).enumerate() {
                self.samples.push(|row| {
                    row.text(run_id).text(Some(block.set.word())).u32(Some(block.epoch));
                    row.u32(u32::try_from(path).ok()).f32(pnl).f32(cost);
                })?;
            }
        }
        Ok(())
    }
}

fn named(names: &[&str], kind: Type) -> impl Iterator<Item = (String, Type)> {
    names.iter().map(move |name| ((*name).to_owned(), kind))
}

/// The columns of `runs.parquet`: identity, outcome, what was swept, the config, metrics, provenance.
fn run_columns(plan: &dyn PlanTable) -> Vec<(String, Type)> {
    let mut columns: Vec<_> = named(&["run_id", "arm", "variant", "cell"], Type::Text).collect();
    columns.extend(named(&["seed"], Type::U64));
    columns.extend(named(&["status", "error"], Type::Text));
    columns.extend(plan.swept().iter().map(|swept| {
        let kind = match swept.kind {
            SweptKind::Number => Type::F64,
            SweptKind::Integer => Type::Integer,
            SweptKind::Boolean => Type::Boolean,
            SweptKind::Text => Type::Text,
        };
        (swept.name.clone(), kind)
    }));
    columns.extend(named(&["config"], Type::Text));
    columns.extend(catalogue().iter().map(|metric| (metric.name.clone(), Type::F64)));
    columns.extend(named(&schema::TIMES, Type::F64));
    columns.extend(named(&schema::HOSTS, Type::Text));
    columns.extend(named(&[schema::ATTEMPT], Type::U32));
    columns.extend(named(&[schema::ENGINE_VERSION], Type::Text));
    columns
}

fn run_row(row: &mut Row<'_>, plan: &dyn PlanTable, index: u64, record: &RunRecord) {
    let (labels, output) = (plan.labels(index), &record.output);
    row.text(Some(&record.run_id.to_string())).text(Some(&labels.arm)).text(Some(&labels.variant));
    row.text(Some(&labels.cell)).u64(labels.seed).text(Some(output.status.word())).text(output.error.as_deref());
    for (column, swept) in plan.swept().iter().enumerate() {
        let value = plan.swept_value(index, column);
        match (swept.kind, value) {
            (SweptKind::Number, Some(Value::Float(number))) => row.f64(Some(number)),
            (SweptKind::Number, Some(Value::Int(number))) => row.f64(Some(number as f64)),
            (SweptKind::Number, _) => row.f64(None),
            (SweptKind::Integer, Some(Value::Int(number))) => row.integer(Some(number)),
            (SweptKind::Integer, _) => row.integer(None),
            (SweptKind::Boolean, Some(Value::Bool(flag))) => row.boolean(Some(flag)),
            (SweptKind::Boolean, _) => row.boolean(None),
            (SweptKind::Text, value) => row.text(value.as_ref().and_then(text).as_deref()),
        };
    }
    row.text(Some(&record.config));
    row.f64s(output.metrics.values().iter().copied());
    let times = &output.provenance;
    row.f64(times.simulate_s).f64(times.train_s).f64(times.evaluate_s).f64(times.to_target_s);
    row.text(Some(&times.host)).text(Some(&times.worker)).text(Some(&times.isa)).u32(Some(times.attempt));
    row.text(Some(&times.engine_version));
}

fn curve_columns() -> Vec<(String, Type)> {
    let key = named(&["run_id"], Type::Text).chain(named(&["epoch"], Type::U32));
    key.chain(named(&schema::CURVES, Type::F64)).collect()
}

fn path_columns() -> Vec<(String, Type)> {
    let key = named(&["run_id"], Type::Text).chain(named(&["step"], Type::U32));
    key.chain(named(&schema::PATH, Type::F64)).collect()
}

fn sample_columns() -> Vec<(String, Type)> {
    let key = named(&["run_id", "set"], Type::Text).chain(named(&["epoch", "path"], Type::U32));
    key.chain(named(&["pnl", "cost"], Type::F32)).collect()
}
