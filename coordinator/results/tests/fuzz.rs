//! Whatever is in a part, reading it ends, without a panic, and what is damaged is set aside. `FUZZ_CASES=100000` tries
//! more than the usual few.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{Plan, at, failed, full, id, noop, sweep};
use proptest::prelude::*;
use results::{Access, Store};

#[derive(Clone, Debug)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Zero(prop::sample::Index, usize),
    Cut(prop::sample::Index),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Grow(Vec<u8>),
    /// In the last bytes, where the footer's length and the magic are.
    Tail(usize, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        6 => (place(), 1..=u8::MAX).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        2 => (place(), 1..200_usize).prop_map(|(at, length)| Damage::Zero(at, length)),
        1 => place().prop_map(Damage::Cut),
        1 => (place(), 1..200_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        1 => (place(), 1..200_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
        1 => prop::collection::vec(any::<u8>(), 1..50).prop_map(Damage::Grow),
        2 => (1..12_usize, 1..=u8::MAX).prop_map(|(from_end, bits)| Damage::Tail(from_end, bits)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let length = bytes.len();
    if length == 0 {
        return;
    }
    match damage {
        Damage::Flip(at, bits) => bytes[at.index(length)] ^= bits,
        Damage::Zero(at, count) => {
            let at = at.index(length);
            bytes[at..(at + count).min(length)].fill(0);
        }
        Damage::Cut(at) => bytes.truncate(at.index(length)),
        Damage::Remove(at, count) => {
            let at = at.index(length);
            bytes.drain(at..(at + count).min(length));
        }
        Damage::Repeat(at, count) => {
            let at = at.index(length);
            let piece = bytes[at..(at + count).min(length)].to_vec();
            bytes.splice(at..at, piece);
        }
        Damage::Grow(more) => bytes.extend(more),
        Damage::Tail(from_end, bits) => {
            let at = length.saturating_sub(*from_end).min(length - 1);
            bytes[at] ^= bits;
        }
    }
}

/// Makes the seal fit again, if its place can be found: what a program with a mistake might write.
fn seal_again(bytes: &mut [u8]) -> bool {
    let scheme = b"blake3:";
    let Some(at) = bytes.windows(scheme.len()).rposition(|window| window == scheme) else { return false };
    let digits = at + scheme.len()..at + scheme.len() + 64;
    if digits.end > bytes.len() {
        return false;
    }
    bytes[digits.clone()].fill(b'0');
    let digest = blake3::hash(bytes).to_hex();
    bytes[digits].copy_from_slice(digest.as_bytes());
    true
}

/// A store with one part of three records; the part.
fn one_part(place: &tempfile::TempDir) -> PathBuf {
    let mut store = Store::open(&at(place), &sweep("a"), Access::Write).unwrap();
    store.append(&[noop(1), full(2, 3, 4), failed(3, 2)]).unwrap();
    let mut parts = fs::read_dir(place.path().join("out/parts")).unwrap();
    parts.next().unwrap().unwrap().path()
}

fn cases() -> u32 {
    std::env::var("FUZZ_CASES").map_or(1_000, |text| text.parse().expect("FUZZ_CASES is a number"))
}

#[test]
fn no_damaged_part_panics_and_none_is_believed() {
    let place = tempfile::tempdir().unwrap();
    let part = one_part(&place);
    let whole = fs::read(&part).unwrap();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) };
    proptest!(config, |(damages in prop::collection::vec(damage(), 1..4), seal: bool)| {
        let mut bytes = whole.clone();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        let changed = bytes != whole;
        let sealed = seal && seal_again(&mut bytes);
        fs::write(&part, &bytes).unwrap();
        let store = Store::open(&at(&place), &sweep("a"), Access::Read).unwrap();
        // Nobody vouches for what a seal does not cover. What is sealed may be nonsense, but is read without a panic.
        if changed && !sealed {
            prop_assert_eq!((store.set_aside().len(), store.index().len()), (1, 0));
        }
        for n in 1..4 {
            let _ = store.index().get(id(n));
        }
    });
}

/// Reading all of it, as the merge does: parts whose seal fits, and whose content is another than was written.
#[test]
fn no_sealed_nonsense_panics_the_merge() {
    let place = tempfile::tempdir().unwrap();
    let part = one_part(&place);
    let whole = fs::read(&part).unwrap();
    let few = (cases() / 20).max(1);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(few) };
    proptest!(config, |(damages in prop::collection::vec(damage(), 1..3))| {
        let mut bytes = whole.clone();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        seal_again(&mut bytes);
        fs::write(&part, &bytes).unwrap();
        let store = Store::open(&at(&place), &sweep("a"), Access::Write).unwrap();
        // An error is an answer, too.
        let _ = store.merge(&Plan::of(1..4));
    });
}
