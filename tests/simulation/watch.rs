//! The invariants, by name, checked after every step.

use std::collections::BTreeMap;

use engine::RunId;
use proto::{Acknowledgement, Verdict};
use sweep::ledger::{Ledger, Phase};

use crate::books::Place;
use crate::fault::Fault;
use crate::head::{LEASE_TTL, MAX_ATTEMPTS, ids};
use crate::tasks::{index_of, run_id};
use crate::world::{Broken, World, hold};

impl World {
    /// Notes where the tasks have gone.
    pub(crate) fn observe(&mut self, cause: &'static str) -> Result<(), Broken> {
        let Some(head) = &self.head else { return Ok(()) };
        let ledger = head.dispatcher.ledger();
        for (index, run_id) in ids(self.tasks.len()).enumerate() {
            let before = self.books.places[index];
            let place = match ledger.phase(run_id) {
                // An earlier coordinator's, or not planned yet.
                None => before,
                Some(Phase::Queued) => Place::Queued,
                Some(Phase::Leased(first)) => Place::Leased { first, second: ledger.backup(run_id) },
                Some(Phase::Storing) => match before {
                    Place::StoringResult | Place::StoringFailure => before,
                    _ if ledger.is_storing_result(run_id) => Place::StoringResult,
                    _ => Place::StoringFailure,
                },
                Some(Phase::Done(_)) => Place::Done,
                Some(Phase::Failed) => Place::Failed,
            };
            if place != before {
                self.books.moved(index, place, cause);
            }
        }
        Ok(())
    }

    /// After every step.
    pub(crate) fn check(&mut self) -> Result<(), Broken> {
        self.results_are_final()?;
        let Some(head) = &self.head else { return Ok(()) };
        let ledger = head.dispatcher.ledger();
        ledger.check().map_err(|broken| Broken { invariant: broken.invariant, found: broken.to_string() })?;
        self.strikes_are_inherited(ledger)?;
        for (index, place) in self.books.places.iter().enumerate() {
            let run_id = run_id(index as u64);
            match place {
                Place::Done => {
                    hold(self.disk.has_result(run_id), "done_is_durable", || format!("task {index} is not"))?
                }
                Place::Failed => {
                    hold(self.disk.seen(run_id).is_some(), "failed_is_durable", || format!("task {index} is not"))?;
                }
                Place::Leased { first, second } => {
                    // While the coordinator sleeps nobody can be missed, and afterwards everybody is given time.
                    let awake = self.now.saturating_sub(self.books.last_awakening);
                    let limit = LEASE_TTL.as_millis() as u64 + 1;
                    for worker in [Some(*first), *second].into_iter().flatten() {
                        let dead = self.books.death(worker).map_or(0, |death| self.now - death);
                        hold(
                            dead.min(awake) <= limit || self.head_asleep_until > self.now,
                            "the_dead_hold_no_lease",
                            || format!("task {index} is leased to {worker}, which died {dead} ms ago"),
                        )?;
                    }
                }
                Place::Unknown | Place::Queued | Place::StoringResult | Place::StoringFailure => {}
            }
        }
        Ok(())
    }

    /// What counted against a task when the coordinator before died, counts still.
    fn strikes_are_inherited(&self, ledger: &Ledger) -> Result<(), Broken> {
        if self.books.inherited.is_empty() {
            return Ok(());
        }
        let strikes: BTreeMap<RunId, u16> = ledger.strikes().collect();
        for (run_id, &inherited) in &self.books.inherited {
            let place = self.books.places[index_of(*run_id) as usize];
            if matches!(place, Place::Queued | Place::Leased { .. }) {
                let now = strikes.get(run_id).copied().unwrap_or(0);
                hold(now >= inherited.min(MAX_ATTEMPTS - 1), "strikes_survive_a_restart", || {
                    format!("task {} had {inherited} and has {now}", index_of(*run_id))
                })?;
            }
        }
        Ok(())
    }

    /// Once a result can be read, it is what is read from then on.
    fn results_are_final(&mut self) -> Result<(), Broken> {
        for run_id in ids(self.tasks.len()) {
            let Some(row) = self.disk.seen(run_id).filter(|row| row.status.is_done()) else {
                let gone = self.books.seen.contains_key(&run_id);
                hold(!gone, "a_durable_result_stays", || format!("task {} has none any more", index_of(run_id)))?;
                continue;
            };
            match self.books.seen.get(&run_id) {
                None => {
                    self.books.seen.insert(run_id, row.clone());
                }
                Some(first) => hold(first == row, "the_first_result_wins", || {
                    format!("task {}: {first:?} was, {row:?} is", index_of(run_id))
                })?,
            }
        }
        Ok(())
    }

    /// What is acknowledged is durable.
    pub(crate) fn acknowledged(&mut self, verdicts: &[Option<Acknowledgement>]) -> Result<(), Broken> {
        for Acknowledgement { run_id, verdict } in verdicts.iter().flatten() {
            if matches!(verdict, Verdict::Stored | Verdict::Duplicate) {
                self.books.acknowledged += 1;
                hold(self.disk.has_result(*run_id), "acknowledged_is_durable", || {
                    format!("task {} is acknowledged as {verdict:?} and not on the disk", index_of(*run_id))
                })?;
            }
        }
        Ok(())
    }

    /// A worker begins a task. Nobody else has a result of it that was not delivered because the coordinator was away.
    pub(crate) fn check_begun(&self, node: usize, task: u64) -> Result<(), Broken> {
        // Whoever cannot be heard of for a while loses its tasks to others, and some are given to two workers on purpose.
        let calm_since = self.now.saturating_sub(60_000);
        let undisturbed = |node: usize| self.nodes[node].disturbed_until < calm_since.max(1);
        let excused = !self.weather.is_calm() || self.books.last_awakening > calm_since || !undisturbed(node);
        if excused || self.books.backed_up.contains(&task) {
            return Ok(());
        }
        for (other, life) in self.books.finishers(task).filter(|(other, _)| *other != node) {
            let place = &self.nodes[other];
            let Some(process) = place.process.as_ref().filter(|_| place.life == life) else { continue };
            let known = self.books.awaited.contains(&place.full_name());
            let has_it = process.session.held().iter().any(|held| index_of(held.run_id) == task);
            hold(!(known && has_it && undisturbed(other)), "what_is_finished_is_not_run_again", || {
                format!("worker {node} begins task {task}, of which worker {other} has a result")
            })?;
        }
        Ok(())
    }

    /// A coordinator that ends because everything has ended has told whoever could hear it.
    pub(crate) fn check_farewell(&mut self, ledger: &Ledger) -> Result<(), Broken> {
        hold(ledger.is_finished(), "the_end_is_the_end", || format!("{:?}", ledger.counts()))?;
        let calm_since = self.now.saturating_sub(60_000);
        for (worker, ..) in ledger.workers() {
            let Some((node, life)) = self.books.who(worker) else { continue };
            let place = &self.nodes[node];
            // Whoever had to wait for a coordinator may still be waiting before it asks again.
            let head_since = self.books.coordinator_began.max(self.books.last_awakening);
            let undisturbed = place.disturbed_until < calm_since && (head_since == 0 || head_since < calm_since);
            let settled = place.process.as_ref().is_some_and(|process| process.began + 20_000 < self.now);
            if self.weather.is_calm() && undisturbed && place.life == life && settled {
                self.books.to_be_told.push((node, life));
            }
        }
        Ok(())
    }

    /// When the sweep is over.
    pub(crate) fn check_end(&mut self) -> Result<(), Broken> {
        for &(node, life) in &self.books.to_be_told {
            let place = &self.nodes[node];
            let told = place.life != life || place.process.as_ref().is_none_or(|process| process.told);
            hold(told, "a_finished_sweep_has_told_its_workers", || format!("worker {node} does not know"))?;
        }
        for index in 0..self.tasks.len() {
            let row = self.disk.seen(run_id(index));
            let nature = self.tasks.nature(index);
            let Some(row) = row else {
                return Err(Broken { invariant: "every_task_has_one_result", found: format!("task {index} has none") });
            };
            let done = row.status.is_done();
            hold(!done || !nature.fate.is_hopeless(), "every_task_has_its_result", || {
                format!("task {index} is {:?} and has {row:?}", nature.fate)
            })?;
            let kills = self.books.kills.get(&index).copied().unwrap_or(0);
            // A task that had failed begins anew with the next coordinator. Otherwise each leaves it one attempt, and may
            // die before its last one is noted; and a backup may die of it as well.
            let begun = u32::from(MAX_ATTEMPTS) * (1 + self.books.retried.get(&index).copied().unwrap_or(0));
            let unnoted = if self.books.faults.contains_key(&Fault::DiskFull) { 3 } else { 2 };
            let limit = begun + unnoted * (self.books.coordinator_lives - 1) + self.books.backups as u32;
            hold(kills <= limit, "a_killer_is_given_up", || {
                format!("task {index} has killed {kills} workers, {limit} are allowed")
            })?;
        }
        Ok(())
    }
}
