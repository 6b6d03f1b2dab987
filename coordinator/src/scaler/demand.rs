//! How much work there is for workers.

use crate::fleet::Progress;

/// What a sweep asks of an autoscaler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Tasks that a worker has to run or is running.
    pub outstanding: u64,
    /// Whether the sweep is unfinished. It may be with nothing outstanding: what is being stored may have to be run again.
    pub active: bool,
}

impl Demand {
    /// The demand at this progress towards `total` tasks, of which the planner need not have come to all.
    pub fn of(progress: &Progress, total: u64) -> Demand {
        let counts = &progress.counts;
        let total = if progress.planned { counts.submitted } else { total.max(counts.submitted) };
        let left = total.saturating_sub(counts.ended());
        Demand { outstanding: left.saturating_sub(counts.storing), active: left > 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(planned: bool, submitted: u64, storing: u64, ok: u64) -> Progress {
        let mut progress = Progress { planned, ..Progress::default() };
        (progress.counts.submitted, progress.counts.storing, progress.counts.ok) = (submitted, storing, ok);
        progress
    }

    #[test]
    fn what_is_not_planned_yet_counts_and_what_is_being_stored_needs_nobody() {
        let cases = [
            (progress(false, 0, 0, 0), 100, (100, true)),
            (progress(false, 40, 5, 30), 100, (65, true)),
            (progress(true, 100, 10, 90), 100, (0, true)),
            (progress(true, 100, 0, 100), 100, (0, false)),
            (progress(false, 0, 0, 0), 0, (0, false)),
            // The planner has the last word on how many there are.
            (progress(true, 80, 0, 80), 100, (0, false)),
            (progress(false, 120, 0, 0), 100, (120, true)),
        ];
        for (progress, total, (outstanding, active)) in cases {
            assert_eq!(Demand::of(&progress, total), Demand { outstanding, active }, "{progress:?} of {total}");
        }
    }
}
