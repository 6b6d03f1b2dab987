//! Deterministic simulation of a fleet under fire: the real dispatcher and ledger, the real sessions and desks, and
//! around them virtual time, an unreliable network, processes that die and a disk that fills up, all from one seed.
//!
//! `SIMULATION_SEED=N cargo test --release -p hedgesweep-tests --test simulation one_seed -- --nocapture` runs one seed
//! and prints what happens; `SIMULATION_SEEDS=N` runs as many seeds instead of the usual ones, and `SIMULATION_FIRST=N`
//! begins with another one than 0.

mod books;
mod coverage;
mod dice;
mod disk;
mod fault;
mod head;
mod node;
mod tasks;
mod trace;
mod watch;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use fault::{Bug, Fault};
use world::{Outcome, simulate};

/// Seeds that every run of the tests goes through.
const SEEDS: u64 = 2_500;

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is not a number")))
}

fn seeds() -> u64 {
    setting("SIMULATION_SEEDS").unwrap_or(SEEDS)
}

/// How to see what a seed does.
fn rerun(seed: u64) -> String {
    format!("SIMULATION_SEED={seed} cargo test --release -p hedgesweep-tests --test simulation one_seed -- --nocapture")
}

/// Goes through many seeds on all cores.
fn for_each_seed(count: u64, look: impl Fn(u64, Outcome) + Sync) {
    let first = setting("SIMULATION_FIRST").unwrap_or(0);
    let next = AtomicU64::new(first);
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= first + count {
            break;
        }
        look(seed, simulate(seed, None, false));
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for worker in (0..cores).map(|_| scope.spawn(work)).collect::<Vec<_>>() {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

#[derive(Default)]
struct Tally {
    failures: BTreeMap<u64, String>,
    /// In how many seeds each fault took effect.
    faults: BTreeMap<Fault, u64>,
    transitions: BTreeSet<books::Transition>,
    virtual_ms: u64,
    steps: u64,
}

#[test]
fn no_seed_breaks_an_invariant_and_every_fault_and_transition_is_met() {
    let count = seeds();
    let began = Instant::now();
    let tally = Mutex::new(Tally::default());
    for_each_seed(count, |seed, outcome| {
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(broken) = outcome.broken {
            tally.failures.insert(seed, format!("{}: {}", broken.invariant, broken.found));
        }
        for fault in outcome.books.faults.keys() {
            *tally.faults.entry(*fault).or_default() += 1;
        }
        tally.transitions.extend(outcome.books.transitions);
        tally.virtual_ms += outcome.virtual_ms;
        tally.steps += outcome.digest.1;
    });
    let Tally { failures, faults, transitions, virtual_ms, steps } = tally.into_inner().unwrap();
    println!(
        "{count} seeds, {steps} lines, {:.0} virtual hours in {:.1} s",
        virtual_ms as f64 / 3.6e6,
        began.elapsed().as_secs_f64()
    );
    if let Some((seed, failure)) = failures.first_key_value() {
        let all: Vec<u64> = failures.keys().copied().take(20).collect();
        panic!("{} of {count} seeds fail: {all:?}; seed {seed}: {failure}\n{}", failures.len(), rerun(*seed));
    }
    for fault in Fault::ALL {
        let share = faults.get(&fault).copied().unwrap_or(0) as f64 / count as f64;
        println!("{fault:?} in {:.0}% of the seeds", 100.0 * share);
    }
    for fault in Fault::ALL {
        let share = faults.get(&fault).copied().unwrap_or(0) as f64 / count as f64;
        assert!(share >= 0.1, "{fault:?} took effect in {share} of the seeds only");
    }
    let missing = coverage::missing(&transitions);
    assert!(missing.is_empty(), "transitions of the ledger that no seed went through: {missing:#?}");
}

#[test]
fn a_seed_repeats_itself() {
    for seed in 0..20 {
        let (once, again) = (simulate(seed, None, false), simulate(seed, None, false));
        assert_eq!(once.digest, again.digest, "seed {seed}");
    }
    let digests: BTreeSet<(u64, u64)> = (0..20).map(|seed| simulate(seed, None, false).digest).collect();
    assert_eq!(digests.len(), 20, "and no other");
}

/// The simulation finds what it is there to find: each planted mistake, by the invariant that it breaks.
#[test]
fn planted_bugs_are_caught() {
    let bugs = [
        (
            Bug::AcknowledgedBeforeDurable,
            &["acknowledged_is_durable", "done_is_durable", "failed_is_durable"] as &[&str],
        ),
        (Bug::LeaseNotReturned, &["the_dead_hold_no_lease"]),
        (Bug::LateResultOverwrites, &["the_first_result_wins"]),
        (Bug::StrikesForgotten, &["strikes_survive_a_restart"]),
        (Bug::WorkersForgotten, &["what_is_finished_is_not_run_again"]),
    ];
    for (bug, invariants) in bugs {
        let mut caught = Vec::new();
        for seed in 0..100 {
            if let Some(broken) = simulate(seed, Some(bug), false).broken {
                assert!(invariants.contains(&broken.invariant), "seed {seed}, {bug:?}: {broken:?}");
                caught.push(seed);
            }
        }
        println!("{bug:?} is caught by {} of 100 seeds: {caught:?}", caught.len());
        assert!(caught.len() >= 3, "{bug:?} is caught by {caught:?} only");
    }
}

#[test]
fn one_seed() {
    let Some(seed) = setting("SIMULATION_SEED") else { return };
    let outcome = simulate(seed, None, true);
    if let Some(broken) = outcome.broken {
        panic!("seed {seed}: {}: {}", broken.invariant, broken.found);
    }
}
