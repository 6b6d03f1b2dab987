//! The observer that has what the engine has not: a clock, and a memory for samples.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use engine::record::{Epoch, Provenance, Record, RunOutput, SampleSet, Samples};
use engine::{Observer, Phase, RunResult};

use crate::progress::Progress;

/// Watches one run: times its phases and epochs, keeps the samples that are asked for, publishes its progress and ends
/// it if it is cancelled.
#[derive(Debug)]
pub struct Recorder<'a, C = fn() -> Duration> {
    record: &'a Record,
    target_loss: Option<f64>,
    progress: &'a Progress,
    clock: C,
    phase: Option<(Phase, Duration)>,
    simulate: Duration,
    train: Duration,
    evaluate: Duration,
    to_target: Option<Duration>,
    epochs: Vec<(u32, Duration)>,
    samples: Vec<Samples>,
}

impl<'a> Recorder<'a> {
    /// A recorder whose clock starts now.
    pub fn started(
        record: &'a Record,
        target_loss: Option<f64>,
        progress: &'a Progress,
    ) -> Recorder<'a, impl FnMut() -> Duration + use<>> {
        let start = Instant::now();
        Recorder::new(record, target_loss, progress, move || start.elapsed())
    }
}

impl<'a, C: FnMut() -> Duration> Recorder<'a, C> {
    /// A recorder with a clock that says how long ago the run began.
    pub fn new(record: &'a Record, target_loss: Option<f64>, progress: &'a Progress, clock: C) -> Recorder<'a, C> {
        Recorder {
            record,
            target_loss,
            progress,
            clock,
            phase: None,
            simulate: Duration::ZERO,
            train: Duration::ZERO,
            evaluate: Duration::ZERO,
            to_target: None,
            epochs: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Adds the recorded times to a provenance.
    pub fn timed(&self, provenance: Provenance) -> Provenance {
        Provenance {
            simulate_s: Some(self.simulate.as_secs_f64()),
            train_s: Some(self.train.as_secs_f64()),
            evaluate_s: Some(self.evaluate.as_secs_f64()),
            to_target_s: self.to_target.map(|time| time.as_secs_f64()),
            ..provenance
        }
    }

    /// What the run leaves behind, with its times and samples, and without the curves if nobody wants them.
    pub fn finish(mut self, result: RunResult, provenance: Provenance) -> RunOutput {
        self.turn_to(Phase::Done);
        let provenance = self.timed(provenance);
        let mut curves = if self.record.curves { result.curves } else { Vec::new() };
        // Both are in the order of the epochs, and one may lack some of the other's.
        let mut times = self.epochs.iter().peekable();
        for row in &mut curves {
            while times.next_if(|(epoch, _)| *epoch < row.epoch).is_some() {}
            row.seconds = times.next_if(|(epoch, _)| *epoch == row.epoch).map(|(_, time)| time.as_secs_f64());
        }
        RunOutput {
            status: result.status,
            error: result.error,
            metrics: result.metrics,
            provenance,
            curves,
            path: result.path,
            samples: self.samples,
        }
    }

    fn turn_to(&mut self, phase: Phase) {
        let now = (self.clock)();
        if let Some((last, since)) = self.phase {
            let spent = now.saturating_sub(since);
            match last {
                Phase::Simulate => self.simulate += spent,
                Phase::Train => self.train += spent,
                Phase::Evaluate => self.evaluate += spent,
                Phase::Done => {}
            }
        }
        self.phase = Some((phase, now));
    }
}

impl<C: FnMut() -> Duration> Observer for Recorder<'_, C> {
    fn phase(&mut self, phase: Phase) {
        self.turn_to(phase);
    }

    fn epoch(&mut self, epoch: &Epoch) -> ControlFlow<()> {
        let now = (self.clock)();
        self.epochs.push((epoch.epoch, now));
        if self.to_target.is_none()
            && let (Some(loss), Some(target)) = (epoch.loss, self.target_loss)
            && loss <= target
        {
            self.to_target = Some(now);
        }
        self.progress.set_epoch(epoch.epoch, epoch.loss);
        if self.progress.cancellation().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn samples(&mut self, set: SampleSet, epoch: u32, pnl: &[f32], cost: &[f32]) {
        let Some(wanted) = &self.record.samples else { return };
        if !wanted.sets.contains(&set) {
            return;
        }
        let paths = usize::try_from(wanted.max_paths).unwrap_or(usize::MAX);
        let (pnl, cost) = (&pnl[..pnl.len().min(paths)], &cost[..cost.len().min(paths)]);
        // Only the last epoch's: its buffer is used again and again.
        if !wanted.all_epochs
            && let Some(kept) = self.samples.iter_mut().find(|samples| samples.set == set)
        {
            kept.epoch = epoch;
            kept.pnl.clear();
            kept.pnl.extend_from_slice(pnl);
            kept.cost.clear();
            kept.cost.extend_from_slice(cost);
            return;
        }
        self.samples.push(Samples { set, epoch, pnl: pnl.to_vec(), cost: cost.to_vec() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Cancellation;
    use engine::Status;
    use engine::metrics::Metrics;
    use engine::record::RecordSamples;

    /// A clock that gains a second whenever it is read, from 0.
    fn ticking() -> impl FnMut() -> Duration {
        let mut reading = 0..;
        move || Duration::from_secs(reading.next().expect("endless"))
    }

    fn epoch(epoch: u32, loss: f64) -> Epoch {
        Epoch { epoch, loss: Some(loss), ..Epoch::default() }
    }

    fn result(curves: Vec<Epoch>) -> RunResult {
        RunResult { status: Status::Ok, error: None, metrics: Metrics::default(), curves, path: Vec::new() }
    }

    #[test]
    fn phases_and_epochs_are_timed() {
        let (record, progress) = (Record::default(), Progress::new(1));
        let mut recorder = Recorder::new(&record, Some(0.5), &progress, ticking());
        recorder.phase(Phase::Simulate); // 0
        recorder.phase(Phase::Train); // 1
        assert!(recorder.epoch(&epoch(1, 0.9)).is_continue()); // 2
        recorder.phase(Phase::Simulate); // 3
        recorder.phase(Phase::Train); // 4
        assert!(recorder.epoch(&epoch(2, 0.5)).is_continue()); // 5
        assert!(recorder.epoch(&epoch(3, 0.1)).is_continue()); // 6
        recorder.phase(Phase::Evaluate); // 7
        let output = recorder.finish(result(vec![epoch(1, 0.9), epoch(2, 0.5), epoch(3, 0.1)]), Provenance::default()); // 8
        assert_eq!(output.provenance.simulate_s, Some(2.0));
        assert_eq!(output.provenance.train_s, Some(5.0));
        assert_eq!(output.provenance.evaluate_s, Some(1.0));
        assert_eq!(output.provenance.to_target_s, Some(5.0), "the first epoch at the target counts");
        let seconds: Vec<_> = output.curves.iter().map(|row| row.seconds).collect();
        assert_eq!(seconds, [Some(2.0), Some(5.0), Some(6.0)]);
        assert_eq!((progress.epochs().0, progress.loss()), (3, Some(0.1)));
    }

    #[test]
    fn curves_that_nobody_wants_are_dropped() {
        let (record, progress) = (Record { curves: false, samples: None }, Progress::new(1));
        let recorder = Recorder::new(&record, None, &progress, ticking());
        assert!(recorder.finish(result(vec![epoch(1, 0.9)]), Provenance::default()).curves.is_empty());
    }

    fn sampled(all_epochs: bool) -> Vec<Samples> {
        let samples = RecordSamples { sets: vec![SampleSet::Train], all_epochs, max_paths: 2 };
        let (record, progress) = (Record { curves: true, samples: Some(samples) }, Progress::new(1));
        let mut recorder = Recorder::new(&record, None, &progress, ticking());
        recorder.samples(SampleSet::Train, 1, &[1.0, 2.0, 3.0], &[0.1, 0.2, 0.3]);
        recorder.samples(SampleSet::Train, 2, &[4.0], &[0.4]);
        recorder.samples(SampleSet::Test, 2, &[5.0], &[0.5]);
        recorder.finish(result(Vec::new()), Provenance::default()).samples
    }

    #[test]
    fn only_what_was_asked_for_is_sampled() {
        let first = Samples { set: SampleSet::Train, epoch: 1, pnl: vec![1.0, 2.0], cost: vec![0.1, 0.2] };
        let last = Samples { set: SampleSet::Train, epoch: 2, pnl: vec![4.0], cost: vec![0.4] };
        assert_eq!(sampled(true), [first, last.clone()]);
        assert_eq!(sampled(false), [last]);
    }

    #[test]
    fn a_cancelled_run_ends_with_its_epoch() {
        let (record, progress) = (Record::default(), Progress::new(1));
        let mut recorder = Recorder::new(&record, None, &progress, ticking());
        assert!(recorder.epoch(&epoch(1, 0.9)).is_continue());
        progress.cancel(Cancellation::ByCoordinator);
        progress.cancel(Cancellation::ByShutdown);
        assert!(recorder.epoch(&epoch(2, 0.9)).is_break());
        assert_eq!(progress.cancellation(), Some(Cancellation::ByCoordinator));
    }
}
