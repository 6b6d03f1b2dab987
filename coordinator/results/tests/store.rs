//! What the store promises.
mod common;

use common::{at, failed, full, id, noop, sweep};
use engine::record::Record;
use engine::{RunRecord, Status};
use results::{Access, Store, StoreError};

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(&at(&place), &sweep("a"), Access::Write).unwrap();
    store.append(&[noop(1), full(2, 3, 4), failed(3, 2)]).unwrap();
    store.append(&[]).unwrap();
    drop(store);
    let store = Store::open(&at(&place), &sweep("a"), Access::Read).unwrap();
    assert_eq!(store.set_aside(), []);
    assert_eq!(store.index().len(), 3);
    assert!(store.index().is_done(id(1), &Record::default()));
    assert!(store.index().is_done(id(2), &full(2, 3, 4).record));
    assert!(!store.index().is_done(id(1), &full(2, 3, 4).record));
    let stored = store.index().get(id(3)).unwrap();
    assert_eq!((stored.status, stored.attempt), (Status::Failed, 2));
    assert_eq!(store.index().get(id(4)), None);
}
