//! Which runs of a plan are still to be done.

use std::collections::HashSet;

use results::Store;
use sweep::plan::{Plan, Shard};
use sweep::spec::Spec;

use crate::format;

/// Which runs of a plan, or of one shard of it, are done, and how many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The shard whose runs are counted; of none, all are.
    shard: Option<Shard>,
    /// Runs of the plan.
    planned: u64,
    /// Of these, those that are counted: all of them, or the shard's.
    pub runs: u64,
    /// Of these, done: with a result that holds what is to be recorded.
    pub done: u64,
    /// Of these, still to be done.
    pub to_do: u64,
    /// One bit a run of the plan: whether it is to be done. None if all are.
    to_do_bits: Option<Vec<u64>>,
}

impl Tally {
    /// The tally of a plan of which nothing is stored.
    pub fn nothing_done(plan: &Plan) -> Tally {
        Tally { planned: plan.len(), runs: plan.len(), to_do: plan.len(), ..Tally::default() }
    }

    /// Holds the runs of a plan, or of one shard of it, against what is stored.
    pub fn of(plan: &Plan, store: &Store, spec: &Spec, shard: Option<Shard>) -> Tally {
        let index = store.index();
        if index.is_empty() && shard.is_none() {
            return Tally::nothing_done(plan);
        }
        // The ids of a million runs take half a second on one core, so the plan is cut into a piece for each.
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let words = plan.len().div_ceil(64);
        let piece = words.div_ceil(cores).max(1);
        // How many runs of a piece are counted, and which are to be done.
        let count = |first: u64| -> (u64, Vec<u64>) {
            let mut counted = 0;
            let mut is_to_do = |run: u64| {
                let run_id = plan.run_id(run);
                let is_counted = shard.is_none_or(|shard| shard.contains(run_id));
                counted += u64::from(is_counted);
                is_counted && !index.is_done(run_id, &spec.record)
            };
            let runs_of = |word: u64| 64 * word..(64 * word + 64).min(plan.len());
            let words = first..(first + piece).min(words);
            let bits = words
                .map(|word| runs_of(word).fold(0, |bits, run| bits | u64::from(is_to_do(run)) << (run % 64)))
                .collect();
            (counted, bits)
        };
        let pieces: Vec<(u64, Vec<u64>)> = std::thread::scope(|scope| {
            let count = &count;
            let pieces: Vec<_> =
                (0..words).step_by(piece as usize).map(|first| scope.spawn(move || count(first))).collect();
            pieces.into_iter().map(|piece| piece.join().expect("counting does not panic")).collect()
        });
        let runs = pieces.iter().map(|(counted, _)| counted).sum();
        let to_do_bits: Vec<u64> = pieces.into_iter().flat_map(|(_, bits)| bits).collect();
        let to_do = to_do_bits.iter().map(|bits| u64::from(bits.count_ones())).sum();
        Tally { shard, planned: plan.len(), runs, done: runs - to_do, to_do, to_do_bits: Some(to_do_bits) }
    }

    /// How many tasks are to be done: runs that share a `run_id` are one.
    pub fn tasks_to_do(&self, plan: &Plan) -> u64 {
        if !plan.may_repeat() {
            return self.to_do;
        }
        let to_do = (0..plan.len()).filter(|run| self.is_to_do(*run));
        to_do.map(|run| plan.run_id(run)).collect::<HashSet<_>>().len() as u64
    }

    /// Whether the run at an index of the plan is to be done.
    pub fn is_to_do(&self, run: u64) -> bool {
        let bits = self.to_do_bits.as_ref();
        bits.is_none_or(|bits| bits.get((run / 64) as usize).is_some_and(|bits| bits >> (run % 64) & 1 == 1))
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (done, to_do) = (format::count(self.done), format::count(self.to_do));
        match self.shard {
            Some(shard) => {
                write!(f, "shard {shard}, {} of {}", format::count(self.runs), format::plural(self.planned, "run"))?;
            }
            None => f.write_str(&format::plural(self.runs, "run"))?,
        }
        write!(f, ", {done} done already, {to_do} to do")
    }
}
