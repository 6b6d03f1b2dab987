//! What the store promises.
mod common;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{at, failed, full, id, noop, sweep};
use engine::Status;
use engine::record::Record;
use results::{Access, Handover, Location, Reading, Store, StoreError, SweepFile};

fn open(place: &tempfile::TempDir, access: Access) -> Store {
    Store::open(&at(place), &sweep("a"), access).unwrap()
}

fn parts(place: &tempfile::TempDir) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        fs::read_dir(place.path().join("out/parts")).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let mut store = open(&place, Access::Write);
    store.append(&[noop(1), full(2, 3, 4), failed(3, 2)]).unwrap();
    store.append(&[]).unwrap();
    drop(store);
    let store = open(&place, Access::Read);
    assert_eq!(store.set_aside(), []);
    assert_eq!(store.index().len(), 3);
    assert!(store.index().is_done(id(1), &Record::default()));
    assert!(store.index().is_done(id(2), &full(2, 3, 4).record));
    assert!(!store.index().is_done(id(1), &full(2, 3, 4).record));
    let stored = store.index().get(id(3)).unwrap();
    assert_eq!((stored.status, stored.attempt), (Status::Failed, 2));
    assert_eq!(store.index().get(id(4)), None);
}

#[test]
fn an_output_of_another_sweep_is_refused_and_left_alone() {
    let place = tempfile::tempdir().unwrap();
    drop(open(&place, Access::Write));
    for access in [Access::Write, Access::Read, Access::Shard { index: 0, count: 2 }] {
        let error = Store::open(&at(&place), &sweep("b"), access).err().unwrap();
        let StoreError::OtherSweep { found, wanted, .. } = error else { panic!("{error}") };
        assert_eq!((found.as_str(), wanted.as_str()), ("a", "b"));
    }
    assert_eq!(fs::read_to_string(place.path().join("out/sweep.yaml")).unwrap(), "name: a\n");
}

#[test]
fn the_sweep_file_lies_beside_the_results_with_how_it_was_read() {
    let place = tempfile::tempdir().unwrap();
    assert!(matches!(SweepFile::of(&at(&place)), Err(StoreError::Missing { .. })), "no such folder");
    assert!(matches!(SweepFile::of(&Location::folder(place.path())), Err(StoreError::Foreign { .. })), "a foreign one");
    let store = open(&place, Access::Write);
    let file = SweepFile::of(&at(&place)).unwrap();
    assert_eq!((file.text, file.reading), (sweep("a").text, Reading::default()));
    let reading = Reading {
        settings: vec![("seeds".into(), "5".into())],
        weights: [("init.safetensors".to_owned(), "blake3:00".to_owned())].into(),
    };
    store.note(&reading).unwrap();
    assert_eq!(SweepFile::of(&at(&place)).unwrap().reading, reading);
    drop(store);
    let reader = open(&place, Access::Read);
    assert!(matches!(reader.note(&Reading::default()), Err(StoreError::Access { .. })));
    // Results of a version that noted nothing.
    fs::write(place.path().join("out/.hedgesweep.json"), r#"{"sweep":"a","format":1}"#).unwrap();
    assert_eq!(SweepFile::of(&at(&place)).unwrap().reading, Reading::default());
}

#[test]
fn a_second_coordinator_is_locked_out_and_shards_are_not() {
    let place = tempfile::tempdir().unwrap();
    let (zero, one) = (Access::Shard { index: 0, count: 2 }, Access::Shard { index: 1, count: 2 });
    let refused = |access| {
        let outcome = Store::open(&at(&place), &sweep("a"), access);
        assert!(matches!(outcome.err(), Some(StoreError::Locked { .. })), "{access:?}");
    };
    let whole = open(&place, Access::Write);
    refused(Access::Write);
    refused(zero);
    open(&place, Access::Read);
    drop(whole);
    let mut first = open(&place, zero);
    let mut second = open(&place, one);
    refused(zero);
    refused(Access::Write);
    first.append(&[noop(0)]).unwrap();
    second.append(&[noop(1)]).unwrap();
    drop((first, second));
    assert_eq!(open(&place, Access::Write).index().len(), 2);
}

/// The numbers of records whose ids are in a shard.
fn of_shard(index: u64, count: u64) -> impl Iterator<Item = u64> {
    (0..).filter(move |n| id(*n).as_u128() % u128::from(count) == u128::from(index))
}

#[test]
fn many_shards_begin_an_output_at_once() {
    const SHARDS: u64 = 24;
    let place = tempfile::tempdir().unwrap();
    let reading = Reading { settings: vec![("seeds".into(), "5".into())], ..Reading::default() };
    std::thread::scope(|scope| {
        for index in 0..SHARDS {
            let (place, reading) = (&place, &reading);
            scope.spawn(move || {
                let mut store = open(place, Access::Shard { index, count: SHARDS });
                store.note(reading).unwrap();
                store.append(&[noop(of_shard(index, SHARDS).next().unwrap())]).unwrap();
            });
        }
    });
    let file = SweepFile::of(&at(&place)).unwrap();
    assert_eq!((file.text, file.reading), (sweep("a").text, reading));
    let store = open(&place, Access::Write);
    assert_eq!((store.index().len(), store.set_aside()), (SHARDS as usize, &[][..]));
}

#[test]
fn a_shard_reads_no_parts_that_hold_none_of_its_runs() {
    let place = tempfile::tempdir().unwrap();
    let shard = |index, count| Access::Shard { index, count };
    let first = |index| of_shard(index, 4).next().unwrap();
    let (zero, one, two, three) = (first(0), first(1), first(2), first(3));
    open(&place, Access::Write).append(&[noop(three)]).unwrap();
    open(&place, shard(0, 4)).append(&[noop(zero)]).unwrap();
    open(&place, shard(1, 4)).append(&[noop(one)]).unwrap();
    // A part that holds another shard's run as well is not named after either.
    open(&place, shard(1, 4)).append(&[noop(one), noop(two)]).unwrap();
    // Whoever reads it sets it aside.
    let damaged = parts(&place).into_iter().find(|path| path.to_str().unwrap().contains(".s1-4.")).unwrap();
    fs::write(&damaged, "damaged").unwrap();
    let seen = |access| {
        let store = open(&place, access);
        let known = [zero, one, two, three].map(|n| store.index().get(id(n)).is_some());
        (known, store.set_aside().len())
    };
    assert_eq!(seen(shard(0, 4)), ([true, true, true, true], 0));
    assert_eq!(seen(shard(2, 4)), ([false, true, true, true], 0));
    assert_eq!(seen(shard(0, 2)), ([true, true, true, true], 0), "shard 0 of 4 is in it, shard 1 of 4 is not");
    assert_eq!(seen(shard(2, 3)), ([true, true, true, true], 1), "another cut through the same runs");
    assert_eq!(seen(Access::Read), ([true, true, true, true], 1));
}

#[test]
fn a_reader_misses_nothing_while_shards_write_and_compact() {
    const SHARDS: u64 = 3;
    const EACH: usize = 120;
    let place = tempfile::tempdir().unwrap();
    drop(open(&place, Access::Write));
    let stored = AtomicUsize::new(0);
    let write = |index| {
        let mut store = open(&place, Access::Shard { index, count: SHARDS });
        for n in of_shard(index, SHARDS).take(EACH) {
            store.append(&[noop(n)]).unwrap();
            stored.fetch_add(1, Ordering::SeqCst);
        }
    };
    std::thread::scope(|scope| {
        let write = &write;
        let writers: Vec<_> = (0..SHARDS).map(|index| scope.spawn(move || write(index))).collect();
        while !writers.iter().all(|writer| writer.is_finished()) {
            let before = stored.load(Ordering::SeqCst);
            let store = open(&place, Access::Read);
            assert_eq!(store.set_aside(), []);
            assert!(store.index().len() >= before, "{} of {before}", store.index().len());
        }
    });
    assert_eq!(open(&place, Access::Read).index().len(), SHARDS as usize * EACH);
    let left = parts(&place);
    assert!(left.len() < SHARDS as usize * EACH / 4, "they were compacted");
    assert!(left.iter().all(|path| path.to_str().unwrap().contains("-3.parquet")), "and keep their names");
}

#[test]
fn reading_creates_nothing() {
    let place = tempfile::tempdir().unwrap();
    let missing = Store::open(&at(&place), &sweep("a"), Access::Read);
    assert!(matches!(missing.err(), Some(StoreError::Missing { .. })));
    assert!(!place.path().join("out").exists());
    let mut store = {
        drop(open(&place, Access::Write));
        open(&place, Access::Read)
    };
    assert!(matches!(store.append(&[noop(0)]), Err(StoreError::Access { .. })));
    assert!(matches!(store.merge(&common::Plan::of([0])), Err(StoreError::Access { .. })));
}

#[test]
fn a_place_that_is_no_folder_is_a_typed_error_with_its_path() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::open(&Location::folder(file.join("out")), &sweep("a"), Access::Write).err().unwrap();
    assert!(error.to_string().contains("file/out"), "{error}");
}

#[test]
fn uneven_samples_are_refused_and_nothing_of_the_batch_is_stored() {
    let place = tempfile::tempdir().unwrap();
    let mut store = open(&place, Access::Write);
    let mut wrong = full(1, 2, 3);
    wrong.output.samples[0].cost.pop();
    let error = store.append(&[noop(0), wrong]).unwrap_err();
    assert_eq!(error.to_string(), format!("run {}: train samples of epoch 1 have 3 P&Ls but 2 costs", id(1)));
    assert!(store.index().is_empty());
    assert!(parts(&place).is_empty());
}

/// Copies of `whole` that no writer ever finished.
fn torn(whole: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..whole.len()).step_by(97).map(|length| whole[..length].to_vec()).collect();
    all.extend((1..24).map(|missing| whole[..whole.len() - missing].to_vec()));
    // A piece is missing from the middle.
    all.extend((1..8).map(|k| [&whole[..whole.len() / 8 * k], &whole[whole.len() / 8 * k + 50..]].concat()));
    // Nothing but the length is right.
    all.push(vec![0; whole.len()]);
    let mut state = 1_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    all.push((0..500).map(|_| random()).collect());
    all.push((0..500).map(|_| random()).chain(*b"PAR1").collect());
    all
}

#[test]
fn torn_and_foreign_files_are_set_aside_and_stay() {
    let place = tempfile::tempdir().unwrap();
    let mut store = open(&place, Access::Write);
    store.append(&[full(1, 5, 3), noop(2)]).unwrap();
    drop(store);
    let part = parts(&place).remove(0);
    let whole = fs::read(&part).unwrap();
    for content in torn(&whole) {
        fs::write(&part, &content).unwrap();
        let mut store = open(&place, Access::Write);
        assert!(store.index().is_empty());
        assert_eq!(set_aside(&store), [part.file_name().unwrap()]);
        store.append(&[noop(3)]).unwrap();
        assert_eq!(store.index().len(), 1);
        drop(store);
        assert_eq!(fs::read(&part).unwrap(), content);
        parts(&place).iter().filter(|other| **other != part).for_each(|other| fs::remove_file(other).unwrap());
    }
    fs::write(&part, &whole).unwrap();
    fs::write(part.with_file_name(".DS_Store"), "x").unwrap();
    fs::write(part.with_file_name("notes.parquet"), "x").unwrap();
    let store = open(&place, Access::Read);
    assert_eq!((store.index().len(), store.set_aside().len()), (2, 2));
}

#[test]
fn flipped_bits_are_never_a_panic() {
    let place = tempfile::tempdir().unwrap();
    let mut store = open(&place, Access::Write);
    store.append(&[full(1, 5, 3), noop(2)]).unwrap();
    drop(store);
    let part = parts(&place).remove(0);
    let whole = fs::read(&part).unwrap();
    // Every eleventh byte, so that each bit has its turn, and every byte of the seal and of what lies around it.
    let seal = find(&whole, SEAL);
    let places = (0..whole.len()).filter(|at| at % 11 == 0 || (seal - 50..seal + 150).contains(at));
    for at in places {
        let mut content = whole.clone();
        content[at] ^= 1 << (at % 8);
        fs::write(&part, &content).unwrap();
        let store = open(&place, Access::Read);
        assert_eq!(set_aside(&store), [part.file_name().unwrap()], "byte {at}");
        assert!(store.index().is_empty(), "byte {at}");
    }
    // What is set aside is no obstacle to going on.
    let mut store = open(&place, Access::Write);
    store.append(&[noop(2)]).unwrap();
    let summary = store.merge(&common::Plan::of([1, 2])).unwrap();
    assert_eq!((summary.runs, summary.missing), (1, 1));
}

/// The key under which a part's seal lies in its footer.
const SEAL: &[u8] = b"hedgesweep.seal";

fn find(content: &[u8], wanted: &[u8]) -> usize {
    content.windows(wanted.len()).position(|window| window == wanted).unwrap()
}

/// The names of the files that were set aside.
fn set_aside(store: &Store) -> Vec<&OsStr> {
    store.set_aside().iter().filter_map(|file| file.path.file_name()).collect()
}

#[test]
fn a_part_without_a_seal_is_set_aside_whatever_it_says() {
    let place = tempfile::tempdir().unwrap();
    let mut store = open(&place, Access::Write);
    store.append(&[noop(1)]).unwrap();
    drop(store);
    let part = parts(&place).remove(0);
    let mut content = fs::read(&part).unwrap();
    let at = find(&content, SEAL);
    // As a program of before there were seals would have written it, but for a pair that means nothing.
    content[at..at + SEAL.len()].copy_from_slice(b"hedgesweep.none");
    fs::write(&part, &content).unwrap();
    let store = open(&place, Access::Read);
    assert!(store.index().is_empty());
    let reason = &store.set_aside()[0].reason;
    assert!(reason.starts_with("carries no seal"), "{reason}");
}

#[test]
fn a_part_that_is_torn_while_the_store_is_open_is_put_out_of_the_way_by_the_merge() {
    let place = tempfile::tempdir().unwrap();
    let mut store = open(&place, Access::Write);
    store.append(&[full(1, 5, 3)]).unwrap();
    store.append(&[noop(2)]).unwrap();
    let part = parts(&place).remove(0);
    let half = fs::read(&part).unwrap()[..1000].to_vec();
    fs::write(&part, &half).unwrap();
    assert!(matches!(store.merge(&common::Plan::of([1, 2])), Err(StoreError::Damaged { .. })));
    let damaged = PathBuf::from(format!("{}.damaged", part.display()));
    assert_eq!(fs::read(damaged).unwrap(), half);
    drop(store);
    let summary = open(&place, Access::Write).merge(&common::Plan::of([1, 2])).unwrap();
    assert_eq!((summary.runs, summary.missing), (1, 1));
}

#[test]
fn a_part_that_has_changed_since_it_was_written_is_not_compacted_under_a_new_seal() {
    let place = tempfile::tempdir().unwrap();
    let mut store = open(&place, Access::Write);
    for n in 0..15 {
        store.append(&[full(n, 2, 0)]).unwrap();
    }
    let part = parts(&place).remove(7);
    let mut content = fs::read(&part).unwrap();
    content[1000] ^= 1;
    fs::write(&part, &content).unwrap();
    store.append(&[full(15, 2, 0)]).unwrap();
    assert_eq!(parts(&place).len(), 16, "all stay as they are");
    drop(store);
    let store = open(&place, Access::Read);
    assert_eq!(set_aside(&store), [part.file_name().unwrap()]);
    assert_eq!(store.index().len(), 15);
}

fn table(place: &Path, name: &str) -> Vec<u8> {
    fs::read(place.join("out").join(name)).unwrap()
}

#[test]
fn sixteen_parts_become_one_and_nothing_is_lost() {
    let place = tempfile::tempdir().unwrap();
    let mut store = open(&place, Access::Write);
    for n in 0..100 {
        store.append(&[full(n, 2, 2), failed(n + 1, 1)]).unwrap();
    }
    assert_eq!(store.index().len(), 101);
    // 96 of the parts became six.
    assert_eq!(parts(&place).len(), 10);
    store.merge(&common::Plan::of(0..101)).unwrap();
    let before = table(place.path(), results::CURVES);
    drop(store);
    // Compacted parts are sealed as they stream by.
    let mut store = open(&place, Access::Write);
    assert_eq!(store.set_aside(), []);
    assert_eq!(store.index().len(), 101);
    assert_eq!(store.index().get(id(50)).unwrap().status, Status::Ok);
    assert_eq!(store.index().get(id(100)).unwrap().status, Status::Failed);
    store.merge(&common::Plan::of(0..101)).unwrap();
    assert_eq!(table(place.path(), results::CURVES), before);
    drop(store);
    let compacted = parts(&place).into_iter().find(|path| path.to_str().unwrap().contains(".l1.")).unwrap();
    let mut content = fs::read(&compacted).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&compacted, content).unwrap();
    let store = open(&place, Access::Read);
    assert_eq!(set_aside(&store), [compacted.file_name().unwrap()]);
}

#[test]
fn a_crash_between_the_two_halves_of_a_compaction_does_no_harm() {
    let place = tempfile::tempdir().unwrap();
    let mut store = open(&place, Access::Write);
    for n in 0..15 {
        store.append(&[full(n, 2, 0)]).unwrap();
    }
    let saved: Vec<(PathBuf, Vec<u8>)> =
        parts(&place).into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect();
    store.append(&[full(15, 2, 0)]).unwrap();
    assert_eq!(parts(&place).len(), 1);
    drop(store);
    // As if the compacted parts had not been removed, or only some.
    for (path, content) in &saved[3..] {
        fs::write(path, content).unwrap();
    }
    fs::write(place.path().join("out/parts/half.parquet#1"), "staged").unwrap();
    assert_eq!(open(&place, Access::Read).index().len(), 16);
    assert_eq!(parts(&place).len(), 14);
    let mut store = open(&place, Access::Write);
    assert_eq!(store.index().len(), 16);
    assert_eq!(parts(&place).len(), 1, "the next writer finishes it");
    let summary = store.merge(&common::Plan::of(0..16)).unwrap();
    assert_eq!((summary.runs, summary.curves, summary.missing), (16, 32, 0));
}

fn handover(strikes: &[(u64, u16)], workers: &[&str]) -> Handover {
    Handover {
        strikes: strikes.iter().map(|(number, count)| (id(*number), *count)).collect(),
        workers: workers.iter().map(|worker| (*worker).to_owned()).collect(),
    }
}

#[test]
fn what_is_handed_over_outlives_the_writer_and_each_shard_keeps_its_own() {
    let place = tempfile::tempdir().unwrap();
    let store = open(&place, Access::Write);
    assert!(store.inherit().is_empty());
    store.hand_over(&handover(&[(1, 2), (2, 1)], &["a"])).unwrap();
    store.hand_over(&handover(&[(1, 2)], &["b"])).unwrap();
    drop(store);
    let shard = open(&place, Access::Shard { index: 0, count: 2 });
    shard.hand_over(&handover(&[(1, 1), (3, 1)], &[])).unwrap();
    fs::write(place.path().join("out/attempts/foreign.json"), "{").unwrap();
    assert_eq!(shard.inherit(), handover(&[(1, 2), (3, 1)], &["b"]));
    drop(shard);
    let error = open(&place, Access::Read).hand_over(&Handover::default()).unwrap_err();
    assert!(matches!(error, StoreError::Access { .. }), "{error}");
}

#[test]
fn a_blob_that_somebody_else_is_writing_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let store = open(&place, Access::Write);
    let folder = place.path().join("out/blobs");
    fs::create_dir_all(&folder).unwrap();
    // Another shard's, which writes the same at this moment, or was killed when it did.
    let others = ["00ff#1", "00ff#2"].map(|name| folder.join(name));
    others.iter().for_each(|other| fs::write(other, "ha").unwrap());
    for _ in 0..2 {
        store.keep_blob("00ff", &"half and half".into()).unwrap();
        assert_eq!(fs::read_to_string(folder.join("00ff")).unwrap(), "half and half");
    }
    others.iter().for_each(|other| assert_eq!(fs::read_to_string(other).unwrap(), "ha", "{}", other.display()));
}

#[test]
fn whoever_writes_the_whole_sweep_takes_over_what_shards_have_left() {
    let place = tempfile::tempdir().unwrap();
    for index in 0..2 {
        let shard = open(&place, Access::Shard { index, count: 2 });
        shard.hand_over(&handover(&[(index, 1)], &[])).unwrap();
    }
    let store = open(&place, Access::Write);
    assert_eq!(store.inherit(), handover(&[(0, 1), (1, 1)], &[]));
    // Otherwise task 0 would have its strike for ever: nobody else clears a shard's.
    store.hand_over(&handover(&[(1, 1)], &[])).unwrap();
    assert_eq!(store.inherit(), handover(&[(1, 1)], &[]));
    store.hand_over(&Handover::default()).unwrap();
    assert_eq!(fs::read_dir(place.path().join("out/attempts")).unwrap().count(), 0);
}
