//! Where there are no locks, others may be at work at any time.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::StoreError;
use crate::bucket_tests::{Plan, RUNS_STORED, fill, record, sweep};
use crate::folder::Folder;
use crate::location::Location;
use crate::lock::Lock;
use crate::store::{Access, Store};

fn open(place: &Path, locks: Vec<Lock>) -> Store {
    Store::open_locked(Folder::open(&Location::folder(place)).unwrap(), &sweep(), Access::Write, locks).unwrap()
}

fn parts(place: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> =
        fs::read_dir(place.join("parts")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn what_others_may_be_writing_is_not_swept_up() {
    let place = tempfile::tempdir().unwrap();
    drop(open(place.path(), Vec::new()));
    let now = SystemTime::now();
    fs::create_dir_all(place.path().join("parts")).unwrap();
    for (name, age) in [("fresh.parquet#1", 60), ("old.parquet#1", 7200)] {
        let file = File::create(place.path().join("parts").join(name)).unwrap();
        file.set_modified(now - Duration::from_secs(age)).unwrap();
    }
    drop(open(place.path(), vec![Lock::Absent]));
    assert_eq!(parts(place.path()), ["fresh.parquet#1"]);
    drop(open(place.path(), Vec::new()));
    assert!(parts(place.path()).is_empty(), "whoever is alone need not wait");
}

#[test]
fn what_others_have_written_is_neither_compacted_nor_removed() {
    let place = tempfile::tempdir().unwrap();
    let mut other = open(place.path(), Vec::new());
    (0..15).for_each(|n| other.append(&[record(n)]).unwrap());
    let before = parts(place.path());
    let contents: Vec<_> = before.iter().map(|name| fs::read(place.path().join("parts").join(name)).unwrap()).collect();

    let mut store = open(place.path(), vec![Lock::Absent]);
    store.append(&[record(15)]).unwrap();
    assert!(before.iter().all(|name| parts(place.path()).contains(name)));
    (16..31).for_each(|n| store.append(&[record(n)]).unwrap());
    assert_eq!(parts(place.path()).len(), 16, "its own sixteen became one");
    drop(store);

    // The other one compacts its own, and is killed before the old ones are gone.
    other.append(&[record(31)]).unwrap();
    for (name, content) in before.iter().zip(contents) {
        fs::write(place.path().join("parts").join(name), content).unwrap();
    }
    let store = open(place.path(), vec![Lock::Absent]);
    assert_eq!(store.index().len(), 32);
    assert!(before.iter().all(|name| parts(place.path()).contains(name)));
    drop(store);
    assert_eq!(open(place.path(), Vec::new()).index().len(), 32);
    assert_eq!(parts(place.path()).len(), 2, "whoever is alone finishes it");
}

#[test]
fn a_merge_goes_on_with_what_another_has_compacted_meanwhile() {
    let place = tempfile::tempdir().unwrap();
    let open = || open(place.path(), Vec::new());
    let mut filled = open();
    fill(&mut filled);
    let mut store = open();
    // Twenty-four more: the eight parts that were not yet compacted go.
    (0..24).for_each(|n| filled.append(&[record(n)]).unwrap());
    let summary = store.merge(&Plan).unwrap();
    assert_eq!((summary.runs, summary.missing), (RUNS_STORED, 0));

    let mut store = open();
    fs::remove_dir_all(place.path().join("parts")).unwrap();
    let error = store.merge(&Plan).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "what is nowhere is missed: {error}");
}
