//! Sweep files, the planner that turns them into runs, and the lease ledger. Pure: no sockets, no clock, no files.

pub mod ledger;
pub mod plan;
pub mod spec;

use engine::RunId;

/// A run's work, as planner, ledger and driver speak of it: its identity, and its place in the plan, from which
/// everything else about it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// Names the work: equal ids mean equal numbers.
    pub run_id: RunId,
    /// The dense index of (one of) its run(s) in the plan.
    pub index: u64,
}
