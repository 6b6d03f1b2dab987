//! Whatever has become of a part, reading it ends, without a panic, and it is set aside. `FUZZ_CASES=100000` tries more than
//! the usual few.
//!
//! A seal vouches for what was written, so nothing that does not fit it is decoded. It is no defence against whoever can
//! write into the folder and computes another one: a Parquet decoder that is lied to about sizes can end the process.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{at, failed, full, noop, sweep};
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
    proptest!(config, |(damages in prop::collection::vec(damage(), 1..4))| {
        let mut bytes = whole.clone();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        prop_assume!(bytes != whole);
        fs::write(&part, &bytes).unwrap();
        let store = Store::open(&at(&place), &sweep("a"), Access::Read).unwrap();
        prop_assert_eq!((store.set_aside().len(), store.index().len()), (1, 0));
    });
}
