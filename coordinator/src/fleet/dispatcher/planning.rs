//! Keeps the ledger supplied: tasks are planned a few grants ahead, and no further unless a worker knows of them.

use engine::RunId;

use super::super::progress::FleetError;
use super::Dispatcher;

/// Tasks are planned ahead for this many grants.
const GRANTS_AHEAD: usize = 4;

/// And at least this many: planning a few more costs less than asking often.
const LEAST_AHEAD: u64 = 64;

/// Tasks are planned so many at a time while one of them is looked for.
const SEARCHED_AT_A_TIME: u64 = 4096;

impl Dispatcher {
    /// Keeps the ledger supplied, a few grants ahead.
    pub(super) fn plan(&mut self) -> Result<(), FleetError> {
        if self.planned || self.ledger.is_draining() {
            return Ok(());
        }
        let ahead = ((self.largest_grant * GRANTS_AHEAD) as u64).max(LEAST_AHEAD).max(2 * self.slots);
        let mut nothing = false;
        while self.ledger.counts().queued < ahead && !nothing {
            nothing = !self.plan_more(2 * ahead - self.ledger.counts().queued);
            if self.planned {
                return Ok(());
            }
        }
        let waits_for_nothing = nothing && self.ledger.counts().queued == 0 && self.ledger.is_settled();
        if waits_for_nothing { Err(FleetError::Stuck { ended: self.ledger.counts().ended() }) } else { Ok(()) }
    }

    /// Plans at most `limit` tasks more. Whether there were any.
    fn plan_more(&mut self, limit: u64) -> bool {
        let tasks = self.planner.next(&self.outcomes, usize::try_from(limit).unwrap_or(usize::MAX));
        self.outcomes.clear();
        let any = !tasks.is_empty();
        for task in tasks {
            // Known tasks are no harm: a planner need not remember what it said.
            let strikes = self.known_strikes.remove(&task.run_id).unwrap_or(0);
            self.ledger.submit_with_strikes(task, strikes);
        }
        if self.planner.is_exhausted() {
            self.planned = true;
            self.ledger.close();
            // What is left is of tasks that have ended, or are in no plan any more.
            if !std::mem::take(&mut self.known_strikes).is_empty() {
                self.changes += 1;
            }
        }
        any
    }

    /// Plans on until these tasks are known, or there is nothing more to plan: a worker that has outlived another coordinator
    /// holds, and has finished, tasks that this one has not come to yet, and what it delivers must not pass for nobody's.
    pub(super) fn plan_up_to(&mut self, run_ids: impl IntoIterator<Item = RunId>) {
        for run_id in run_ids {
            while !self.planned && self.ledger.phase(run_id).is_none() && self.plan_more(SEARCHED_AT_A_TIME) {}
        }
    }
}
