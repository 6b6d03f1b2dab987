//! What all cores at once do of what one does, for runs and for multiply-adds that wait for nothing: what is lost between
//! the two is lost by the runs, the rest by the machine.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use engine::speed::multiply_adds;

use super::runs::complete;
use super::{BenchError, Case, median};
use crate::EngineRunner;

/// Rounds of multiply-adds of a look at a core's peak beside others: some hundredths of a second.
const ROUNDS: u32 = 20_000_000;
/// Runs that each slot does in a look.
const RUNS: u32 = 4;

/// Everything at once over one at a time: medians over the rounds, in each of which both were measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// Slots at work at once.
    pub slots: usize,
    /// Multiply-adds a second, over those of a single thread.
    pub peak_ratio: f64,
    /// Runs a second, over those of a single slot.
    pub runs_ratio: f64,
    /// `runs_ratio` over `peak_ratio` of the same round.
    pub share: f64,
    /// Runs a second on one slot and on all.
    pub runs_per_s: [f64; 2],
}

/// Times one case on one slot and on all of them, and the peak likewise, in turns.
///
/// # Errors
/// A run that failed or diverged.
pub fn scaling(case: &Case, slots: usize, rounds: u32) -> Result<Scaling, BenchError> {
    let runner = EngineRunner::default();
    let run = || complete(&runner, &case.config).map_err(|reason| BenchError::of(case, reason));
    // What runs of a market share is there before anything is timed; and later runs do as this one does.
    run()?;
    let runs = || (0..RUNS).for_each(|_| drop(run()));
    let peak = || {
        multiply_adds(ROUNDS);
    };
    let looks = (0..rounds).map(|_| {
        let [peak_one, peak_all] = [1, slots].map(|threads| rate_at_once(threads, peak));
        let [runs_one, runs_all] = [1, slots].map(|threads| rate_at_once(threads, runs));
        Look { peak: [peak_one, peak_all], runs: [runs_one, runs_all].map(|rate| rate * f64::from(RUNS)) }
    });
    Ok(Look::summary(slots, &looks.collect::<Vec<Look>>()))
}

/// One round's rates, on one thread and on all.
struct Look {
    peak: [f64; 2],
    runs: [f64; 2],
}

impl Look {
    fn summary(slots: usize, looks: &[Look]) -> Scaling {
        let over = |of: fn(&Look) -> f64| median(looks.iter().map(of).collect());
        Scaling {
            slots,
            peak_ratio: over(|look| look.peak[1] / look.peak[0]),
            runs_ratio: over(|look| look.runs[1] / look.runs[0]),
            share: over(|look| look.runs[1] / look.runs[0] / (look.peak[1] / look.peak[0])),
            runs_per_s: [over(|look| look.runs[0]), over(|look| look.runs[1])],
        }
    }
}

/// How often threads that begin at once do their work in a second, all together: each counts by its own time, as slots of a
/// fleet take the next task when they are done and do not wait for one another.
fn rate_at_once(threads: usize, work: impl Fn() + Sync) -> f64 {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let begun = Instant::now();
                    work();
                    begun.elapsed().as_secs_f64()
                })
            })
            .collect();
        let seconds =
            |worker: thread::ScopedJoinHandle<'_, f64>| worker.join().expect("a panic of a run is caught where it is");
        workers.into_iter().map(|worker| seconds(worker).recip()).sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_thread_does_the_work_once() {
        let done = AtomicUsize::new(0);
        let work = || {
            done.fetch_add(1, Ordering::Relaxed);
        };
        assert!(rate_at_once(3, work) > 0.0);
        assert_eq!(done.into_inner(), 3);
    }

    #[test]
    fn ratios_are_those_of_the_same_round() {
        let look = |speed: f64, all: f64| Look { peak: [speed, 2.0 * speed], runs: [speed, all * speed] };
        let scaling = Look::summary(2, &[look(1.0, 1.75), look(8.0, 1.875), look(64.0, 2.0)]);
        let expected = Scaling { slots: 2, peak_ratio: 2.0, runs_ratio: 1.875, share: 0.9375, runs_per_s: [8.0, 15.0] };
        assert_eq!(scaling, expected);
    }
}
