//! A store in a bucket does what one in a folder does.

use std::borrow::Cow;
use std::sync::Arc;

use engine::record::{Provenance, Record};
use engine::{RunId, RunOutput, RunRecord, Value};
use object_store::ObjectStore;
use object_store::memory::InMemory;

use crate::folder::Folder;
use crate::identity::{SweepIdentity, Versions};
use crate::line::Line;
use crate::location::Location;
use crate::merge::RUNS;
use crate::plan_table::{PlanTable, RowLabels, SweptColumn};
use crate::store::{Access, Store};
use crate::{StoreError, part};

pub(crate) const RUNS_STORED: u64 = 40;

pub(crate) fn sweep() -> SweepIdentity {
    SweepIdentity {
        name: "a".to_owned(),
        text: "name: a\n".to_owned(),
        hash: "00ff".to_owned(),
        versions: Versions::current(),
        record: Record::default(),
    }
}

fn id(n: u64) -> RunId {
    RunId((u128::from(n) << 64).to_be_bytes())
}

pub(crate) fn record(n: u64) -> RunRecord {
    let provenance = Provenance { attempt: 1, ..Provenance::default() };
    RunRecord {
        run_id: id(n),
        config: format!("{{\"seed\":{n}}}"),
        record: Record::default(),
        output: RunOutput::failed(format!("failure {n}"), provenance),
    }
}

/// The runs by their numbers.
pub(crate) struct Plan;

impl PlanTable for Plan {
    fn len(&self) -> u64 {
        RUNS_STORED
    }

    fn run_id(&self, index: u64) -> RunId {
        id(index)
    }

    fn labels(&self, index: u64) -> RowLabels<'_> {
        let word = Cow::Borrowed;
        RowLabels { arm: word("all"), variant: word("default"), cell: word("default"), seed: index }
    }

    fn swept(&self) -> &[SweptColumn] {
        &[]
    }

    fn swept_value(&self, _: u64, _: usize) -> Option<Value> {
        None
    }
}

fn open(objects: &Arc<InMemory>, access: Access) -> Store {
    Store::open_in(Folder::in_memory(Arc::clone(objects)), &sweep(), access).unwrap()
}

pub(crate) fn fill(store: &mut Store) {
    (0..RUNS_STORED).for_each(|n| store.append(&[record(n)]).unwrap());
}

#[test]
fn what_was_appended_is_compacted_found_again_and_merged_into_the_same_bytes() {
    let objects = Arc::default();
    let mut store = open(&objects, Access::Write);
    fill(&mut store);
    drop(store);
    let folder = Folder::in_memory(Arc::clone(&objects));
    assert_eq!(folder.list(part::FOLDER).unwrap().len(), 10, "32 of the parts became two");

    let mut store = open(&objects, Access::Write);
    assert_eq!(store.index().len() as u64, RUNS_STORED);
    let summary = store.merge(&Plan).unwrap();
    assert_eq!((summary.runs, summary.missing), (RUNS_STORED, 0));
    assert_eq!(summary.files[0].display().to_string(), "s3://bucket/sweep/runs.parquet");
    let merged = folder.read(RUNS).unwrap();

    let place = tempfile::tempdir().unwrap();
    let mut local = Store::open(&Location::folder(place.path()), &sweep(), Access::Write).unwrap();
    fill(&mut local);
    local.merge(&Plan).unwrap();
    assert_eq!(std::fs::read(place.path().join(RUNS)).unwrap(), merged);
}

#[test]
fn who_reads_needs_no_lock_and_who_ends_leaves_none() {
    let objects = Arc::default();
    let store = open(&objects, Access::Write);
    assert_eq!(open(&objects, Access::Read).index().len(), 0);
    drop(store);
    drop(open(&objects, Access::Shard { index: 0, count: 2 }));
    drop(open(&objects, Access::Write));
}

#[test]
fn a_part_that_was_cut_off_on_its_way_is_set_aside() {
    let objects = Arc::default();
    let mut store = open(&objects, Access::Write);
    store.append(&[record(0)]).unwrap();
    store.append(&[record(1)]).unwrap();
    drop(store);
    let folder = Folder::in_memory(Arc::clone(&objects));
    let key = folder.list(part::FOLDER).unwrap().remove(0).key;
    let whole = folder.read(&key).unwrap();
    folder.replace(&key, whole.slice(..whole.len() / 2)).unwrap();
    let store = open(&objects, Access::Write);
    assert_eq!((store.index().len(), store.set_aside().len()), (1, 1));
    assert_eq!(store.set_aside()[0].path.display().to_string(), format!("s3://bucket/sweep/{key}"));
}

#[test]
fn weights_are_kept_by_who_may_write() {
    let objects = Arc::default();
    let content = bytes::Bytes::from_static(b"weights");
    let store = open(&objects, Access::Write);
    store.keep_blob("00ff", &content).unwrap();
    store.keep_blob("00ff", &content).unwrap();
    assert_eq!(Folder::in_memory(Arc::clone(&objects)).read("blobs/00ff").unwrap(), content);
    let error = open(&objects, Access::Read).keep_blob("1", &content).unwrap_err();
    assert!(matches!(error, StoreError::Access { .. }), "{error}");
}

#[test]
fn a_listing_that_misses_what_is_written_meanwhile_is_not_the_last() {
    let line: Arc<Line> = Arc::default();
    let open = |access| {
        let folder = Folder::of(Arc::clone(&line) as Arc<dyn ObjectStore>);
        Store::open_in(folder, &sweep(), access).unwrap()
    };
    open(Access::Write).append(&[record(0)]).unwrap();
    line.blind_next_listing();
    assert_eq!(open(Access::Read).index().len(), 1);
}
