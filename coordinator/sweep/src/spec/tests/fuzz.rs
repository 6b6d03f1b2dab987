//! Whatever is in a file, reading it ends, without a panic. `FUZZ_CASES=100000` tries more than the usual few thousand.

use proptest::prelude::*;

use super::super::*;
use super::{Files, lstm};
use crate::plan::Plan;

/// Files that are right, or wrong in ways of their own, to be spoilt.
const FILES: [&str; 6] = [
    include_str!("../../../../../sweeps/damping.yaml"),
    include_str!("../../../../../sweeps/hedging.yaml"),
    include_str!("../../../../../sweeps/kfac.yaml"),
    include_str!("../../../../../sweeps/paper_table2.yaml"),
    include_str!("../../../../../sweeps/smoke.yaml"),
    "name: all\nmethod: random\nsamples: 5\nsweep_seed: 1\npreset: paper\nseeds: {start: 3, count: 2}\nparameters: &p\n  \
     market.xi: {min: 0.1, max: 0.3, step: 0.1}\n  optimizer.lr: {min: 1e-4, max: 1e-1, distribution: \
     log_uniform_values, count: 7}\narms:\n  a: {parameters: {<<: *p, training.epochs: {value: 1/250}}}\nexclude: \
     [{market.xi: 0.1}]\ninclude: [{market.xi: 0.9}]\nrun_cap: 10\n",
];

/// What files are made of, and what breaks readers of files.
const SCRAPS: [&str; 40] = [
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "&p ",
    "*p",
    "<<: *p",
    "|\n",
    ">-\n",
    "\"",
    "'",
    "#",
    "%",
    "? ",
    "---\n",
    "...\n",
    "!!int ",
    "\t",
    "\u{feff}",
    "\u{0}",
    "\u{2028}",
    "name",
    "parameters",
    "values",
    "min",
    "max",
    "step",
    "count: 999999999999",
    "seeds",
    "1e999",
    "-1",
    "0x10",
    ".nan",
    "99999999999999999999999999",
];

#[derive(Clone, Debug)]
enum Change {
    Insert(prop::sample::Index, usize),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Put(prop::sample::Index, char),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        4 => (place(), 0..SCRAPS.len()).prop_map(|(at, scrap)| Change::Insert(at, scrap)),
        2 => (place(), 1..40_usize).prop_map(|(at, length)| Change::Remove(at, length)),
        1 => (place(), 1..40_usize).prop_map(|(at, length)| Change::Repeat(at, length)),
        2 => (place(), any::<char>()).prop_map(|(at, letter)| Change::Put(at, letter)),
    ]
}

fn apply(text: &str, change: &Change) -> String {
    let letters: Vec<char> = text.chars().collect();
    let cut = |at: &prop::sample::Index| at.index(letters.len() + 1);
    let piece =
        |from: usize, to: usize| letters[from.min(letters.len())..to.min(letters.len())].iter().collect::<String>();
    match change {
        Change::Insert(at, scrap) => piece(0, cut(at)) + SCRAPS[*scrap] + &piece(cut(at), letters.len()),
        Change::Remove(at, length) => piece(0, cut(at)) + &piece(cut(at) + length, letters.len()),
        Change::Repeat(at, length) => piece(0, cut(at) + length) + &piece(cut(at), letters.len()),
        Change::Put(at, letter) => piece(0, cut(at)) + &letter.to_string() + &piece(cut(at) + 1, letters.len()),
    }
}

/// Reads a file, and plans it if it is right; what is said of it if it is not names the file.
fn read_anything(text: &str) {
    let mut weights = Files(vec![("paper/seed42_adam_init.safetensors", lstm(32))]);
    match parse(text, "sweeps/fuzz.yaml", &[], &mut weights) {
        Ok((spec, _)) => {
            if let Ok(plan) = Plan::build(&spec)
                && plan.len() > 0
            {
                for index in [0, plan.len() / 2, plan.len() - 1] {
                    let _ = (plan.run_id(index), plan.overrides(index), plan.config(index));
                }
            }
        }
        Err(errors) => assert!(errors.to_string().contains("fuzz.yaml"), "{errors}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a test takes is whoever runs it to say")]
fn cases() -> u32 {
    std::env::var("FUZZ_CASES").map_or(2_000, |text| text.parse().expect("FUZZ_CASES is a number"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn no_spoilt_file_panics(file in 0..FILES.len(), changes in prop::collection::vec(change(), 1..6)) {
        read_anything(&changes.iter().fold(FILES[file].to_owned(), |text, change| apply(&text, change)));
    }

    #[test]
    fn no_text_panics(text in "(\\PC|[:\\-{}\\[\\],&*#!|>'\"%@\n\t ]){0,120}") {
        read_anything(&text);
    }
}
