//! The order in which runs are started.
//!
//! A planner hands out tasks and hears of outcomes. Grid and random sweeps need no outcomes; a method that does, and so
//! does not know how many runs there will be, is another [`Planner`] and nothing else.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use engine::{RunId, Status};

use super::Plan;
use crate::Task;

/// How a task ended, as far as a planner cares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Which task.
    pub task: Task,
    /// How it ended.
    pub status: Status,
    /// The primary endpoint's value, if the run has one.
    pub metric: Option<f64>,
}

/// Says what to run next. Pure: the same outcomes give the same tasks.
pub trait Planner {
    /// Up to `limit` further tasks; `outcomes` is what has ended since the last call. An empty answer means that there
    /// is nothing to start now, and, if [`Planner::is_exhausted`], nothing ever.
    fn next(&mut self, outcomes: &[Outcome], limit: usize) -> Vec<Task>;

    /// Whether there will be no further tasks, whatever the outcomes.
    fn is_exhausted(&self) -> bool;
}

/// Ids are hashes already.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(word) = bytes.first_chunk() {
            self.0 ^= u64::from_le_bytes(*word);
        }
    }

    fn write_usize(&mut self, _length: usize) {}
}

type IdSet = HashSet<RunId, BuildHasherDefault<IdHasher>>;

/// Walks a plan from its first run to its last, each id once.
pub struct PlanOrder {
    plan: Arc<Plan>,
    next: u64,
    /// Says which tasks are not to be run: done already, or another shard's.
    skip: Box<dyn FnMut(Task) -> bool + Send>,
    /// Ids that were met; only kept where a plan can repeat an id.
    met: Option<IdSet>,
}

impl fmt::Debug for PlanOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanOrder").field("next", &self.next).field("len", &self.plan.len()).finish_non_exhaustive()
    }
}

impl PlanOrder {
    /// The runs of `plan` in its order, without those that `skip` names. `skip` sees each id once.
    pub fn new(plan: Arc<Plan>, skip: impl FnMut(Task) -> bool + Send + 'static) -> PlanOrder {
        let room = plan.len().min(1 << 20) as usize;
        let met = plan.may_repeat().then(|| IdSet::with_capacity_and_hasher(room, BuildHasherDefault::default()));
        PlanOrder { plan, next: 0, skip: Box::new(skip), met }
    }
}

impl Iterator for PlanOrder {
    type Item = Task;

    fn next(&mut self) -> Option<Task> {
        while self.next < self.plan.len() {
            let task = Task { run_id: self.plan.run_id(self.next), index: self.next };
            self.next += 1;
            let is_new = self.met.as_mut().is_none_or(|met| met.insert(task.run_id));
            if is_new && !(self.skip)(task) {
                return Some(task);
            }
        }
        None
    }
}

impl Planner for PlanOrder {
    fn next(&mut self, _outcomes: &[Outcome], limit: usize) -> Vec<Task> {
        self.take(limit).collect()
    }

    fn is_exhausted(&self) -> bool {
        self.next >= self.plan.len()
    }
}
