//! What always holds of a ledger, by name. Property tests, simulation and debug builds all check this one list.

use std::collections::BTreeSet;

use super::report::Stored;
use super::task::{Phase, Slot};
use super::{Counts, Ledger};

/// A named predicate; the error says what was found.
pub type Invariant = (&'static str, fn(&Ledger) -> Result<(), String>);

/// All of them.
pub const INVARIANTS: &[Invariant] = &[
    ("every_id_has_one_task", every_id_has_one_task),
    ("every_lease_has_a_live_worker", every_lease_has_a_live_worker),
    ("every_backup_has_a_second_live_worker", every_backup_has_a_second_live_worker),
    ("every_worker_has_one_deadline", every_worker_has_one_deadline),
    ("no_task_in_two_places", no_task_in_two_places),
    ("what_waits_can_be_granted", what_waits_can_be_granted),
    ("what_is_stored_has_one_receipt", what_is_stored_has_one_receipt),
    ("done_is_final", done_is_final),
    ("strikes_are_bounded", strikes_are_bounded),
    ("counts_add_up", counts_add_up),
];

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger's invariant {invariant} is broken: {violation}")]
pub struct Broken {
    /// Its name.
    pub invariant: &'static str,
    /// What was found.
    pub violation: String,
}

fn tasks(ledger: &Ledger) -> impl Iterator<Item = (Slot, Phase)> {
    ledger.entries.iter().enumerate().map(|(index, entry)| (Slot::new(index), entry.phase))
}

fn holds(condition: bool, violation: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(violation()) }
}

fn every_id_has_one_task(ledger: &Ledger) -> Result<(), String> {
    holds(ledger.slots.len() == ledger.entries.len(), || {
        format!("{} ids, {} tasks", ledger.slots.len(), ledger.entries.len())
    })?;
    tasks(ledger).try_for_each(|(slot, _)| {
        let run_id = ledger.entry(slot).run_id();
        holds(ledger.slots.get(&run_id) == Some(&slot), || format!("{run_id} leads elsewhere"))
    })
}

fn every_lease_has_a_live_worker(ledger: &Ledger) -> Result<(), String> {
    tasks(ledger).try_for_each(|(slot, phase)| match phase {
        Phase::Leased(worker) => {
            let has = ledger.workers.get(&worker).is_some_and(|worker| worker.leases.contains_key(&slot));
            holds(has, || format!("{slot:?} is leased to {worker}, which does not have it"))
        }
        Phase::Queued | Phase::Storing | Phase::Done(_) | Phase::Failed => Ok(()),
    })
}

fn every_backup_has_a_second_live_worker(ledger: &Ledger) -> Result<(), String> {
    ledger.backups.iter().try_for_each(|(&slot, second)| {
        let phase = ledger.entry(slot).phase;
        let elsewhere = matches!(phase, Phase::Leased(first) if first != *second);
        let has = ledger.workers.get(second).is_some_and(|worker| worker.leases.contains_key(&slot));
        holds(elsewhere && has, || format!("{slot:?} is {phase:?} and backed up by {second}"))
    })
}

/// Otherwise a worker could be lost without anyone noticing.
fn every_worker_has_one_deadline(ledger: &Ledger) -> Result<(), String> {
    let expected = ledger.workers.iter().map(|(id, worker)| (worker.deadline, *id)).collect();
    holds(ledger.deadlines == expected, || format!("{:?} where {expected:?} was expected", ledger.deadlines))
}

fn no_task_in_two_places(ledger: &Ledger) -> Result<(), String> {
    for (id, worker) in &ledger.workers {
        for &slot in worker.leases.keys() {
            let phase = ledger.entry(slot).phase;
            holds(phase == Phase::Leased(*id) || ledger.has_backup(slot, *id), || {
                format!("{slot:?} is leased to {id} and {phase:?}")
            })?;
        }
    }
    for slot in ledger.queue.returned() {
        let phase = ledger.entry(slot).phase;
        holds(phase == Phase::Queued, || format!("{slot:?} waits and is {phase:?}"))?;
    }
    ledger.storing.keys().try_for_each(|&slot| {
        let phase = ledger.entry(slot).phase;
        holds(phase == Phase::Storing, || format!("{slot:?} is being stored and {phase:?}"))
    })
}

/// Otherwise a task would be forgotten.
fn what_waits_can_be_granted(ledger: &Ledger) -> Result<(), String> {
    tasks(ledger).try_for_each(|(slot, phase)| {
        holds(phase != Phase::Queued || ledger.queue.contains(slot), || format!("{slot:?} is in no queue"))
    })
}

fn what_is_stored_has_one_receipt(ledger: &Ledger) -> Result<(), String> {
    tasks(ledger).filter(|(_, phase)| *phase == Phase::Storing).try_for_each(|(slot, _)| {
        let storing = ledger.storing.get(&slot);
        let task = storing.map(|storing| storing.receipt.task());
        holds(task == Some(ledger.entry(slot).task), || format!("{slot:?} is stored as {storing:?}"))
    })
}

/// A task whose result is durable is in nobody's hands, and no failure is about to be stored over a result.
fn done_is_final(ledger: &Ledger) -> Result<(), String> {
    let leased = ledger.workers.values().flat_map(|worker| worker.leases.keys().copied());
    let in_hand: BTreeSet<Slot> = leased.chain(ledger.queue.returned()).chain(ledger.storing.keys().copied()).collect();
    tasks(ledger).filter(|(_, phase)| matches!(phase, Phase::Done(_))).try_for_each(|(slot, _)| {
        holds(!in_hand.contains(&slot), || format!("{slot:?} is done, and leased, waiting or being stored"))
    })?;
    ledger.storing.iter().try_for_each(|(slot, storing)| {
        let worse = storing.had_failed && matches!(storing.what, Stored::Failure(_));
        holds(!worse, || format!("{slot:?} has failed, and its failure is being stored again"))
    })
}

/// An attempt counts against its task at most once, no more count than are allowed, and a later coordinator will know.
fn strikes_are_bounded(ledger: &Ledger) -> Result<(), String> {
    tasks(ledger).try_for_each(|(slot, phase)| {
        let entry = ledger.entry(slot);
        let (strikes, attempts, limit) = (entry.strikes, entry.attempts, ledger.config.max_attempts);
        holds(u32::from(strikes) <= attempts && strikes <= limit, || {
            format!("{} has {strikes} strikes in {attempts} attempts, of {limit} allowed", entry.run_id())
        })?;
        let told = ledger.struck.contains(&slot);
        // A task that had failed has ended, whatever comes of a late result.
        let had_failed = ledger.storing.get(&slot).is_some_and(|storing| storing.had_failed);
        let open = !matches!(phase, Phase::Done(_) | Phase::Failed) && !had_failed;
        holds(told == (open && strikes > 0), || format!("{} has {strikes} strikes and told is {told}", entry.run_id()))
    })
}

fn counts_add_up(ledger: &Ledger) -> Result<(), String> {
    let mut counts = Counts { submitted: ledger.entries.len() as u64, ..Counts::default() };
    for (_, phase) in tasks(ledger) {
        *counts.of(phase) += 1;
    }
    let Counts { lost_leases, strikes, backups, duplicates, conflicts, .. } = ledger.counts;
    let expected = Counts { lost_leases, strikes, backups, duplicates, conflicts, ..counts };
    holds(ledger.counts == expected, || format!("{:?} where {expected:?} was expected", ledger.counts))
}
