//! How much a run of a given config leaves behind. A result says so many things in lists that their lengths tell nonsense from
//! a result before it touches the store.

use std::collections::HashSet;

use engine::record::{Record, RunOutput, SampleSet, Samples};
use engine::{RunConfig, Status};

/// The lengths of what a run leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The most epochs.
    pub epochs: u64,
    /// Time steps of a path.
    pub steps: u64,
    /// Paths of an epoch's training.
    pub train_paths: u64,
    /// Paths of the validation set.
    pub validation_paths: u64,
    /// Paths of the test set.
    pub test_paths: u64,
}

/// Why an output is none of a run of a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Less was recorded than is to be: what is missing, for people.
    Incomplete(&'static str),
    /// What cannot be, for people.
    Nonsense(String),
}

impl From<String> for Misfit {
    fn from(problem: String) -> Misfit {
        Misfit::Nonsense(problem)
    }
}

impl Shape {
    /// The shape of what a config's run leaves behind.
    pub fn of(config: &RunConfig) -> Shape {
        Shape {
            epochs: config.training.epochs,
            steps: config.market.model().steps() as u64,
            train_paths: config.training.batches() * config.training.batch_size,
            validation_paths: config.evaluation.validation_paths,
            test_paths: config.evaluation.test_paths,
        }
    }

    /// Whether there is anything in an output whose length depends on the config.
    pub(super) fn matters_to(output: &RunOutput) -> bool {
        !(output.curves.is_empty() && output.path.is_empty() && output.samples.is_empty())
    }

    /// Whether an output can be of a run of this shape.
    ///
    /// # Errors
    /// What does not fit.
    pub(super) fn check(&self, output: &RunOutput, record: &Record) -> Result<(), Misfit> {
        self.check_curves(output, record)?;
        let points = output.path.len() as u64;
        if points != 0 && points != self.steps + 1 {
            return Err(format!("its path has {points} points; {} are right", self.steps + 1).into());
        }
        let mut seen = HashSet::new();
        for samples in &output.samples {
            self.check_samples(samples, output.status, record)?;
            let (set, epoch) = (samples.set.word(), samples.epoch);
            if !seen.insert((set, epoch)) {
                return Err(format!("it has the {set} samples of epoch {epoch} twice").into());
            }
        }
        Ok(())
    }

    fn check_curves(&self, output: &RunOutput, record: &Record) -> Result<(), String> {
        if !record.curves && !output.curves.is_empty() {
            return Err("it has curves, which are not recorded".to_owned());
        }
        let mut last = 0;
        for row in &output.curves {
            if row.epoch <= last || u64::from(row.epoch) > self.epochs {
                let (epoch, epochs) = (row.epoch, self.epochs);
                return Err(format!("its curves have epoch {epoch} after {last}, of {epochs} epochs"));
            }
            last = row.epoch;
        }
        Ok(())
    }

    fn check_samples(&self, samples: &Samples, status: Status, record: &Record) -> Result<(), Misfit> {
        let set = samples.set.word();
        let Some(wanted) = record.samples.as_ref().filter(|wanted| wanted.sets.contains(&samples.set)) else {
            return Err(format!("it has {set} samples, which are not recorded").into());
        };
        if u64::from(samples.epoch) > self.epochs {
            return Err(format!("it has {set} samples of epoch {} of {}", samples.epoch, self.epochs).into());
        }
        let paths = match samples.set {
            SampleSet::Train => self.train_paths,
            SampleSet::Validation => self.validation_paths,
            SampleSet::Test => self.test_paths,
        };
        let (count, right) = (samples.pnl.len() as u64, paths.min(wanted.max_paths));
        if count > right {
            return Err(format!("it has {count} {set} samples of epoch {}; {right} are right", samples.epoch).into());
        }
        // What breaks down may have left the rest out.
        if count < right && status == Status::Ok {
            return Err(Misfit::Incomplete("some paths of its samples"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use engine::record::{Epoch, PathPoint, RecordSamples};

    use super::super::tests::output;
    use super::*;

    const SHAPE: Shape = Shape { epochs: 3, steps: 2, train_paths: 4, validation_paths: 0, test_paths: 9 };

    fn record() -> Record {
        let samples = RecordSamples { sets: vec![SampleSet::Train, SampleSet::Test], all_epochs: true, max_paths: 5 };
        Record { curves: true, samples: Some(samples) }
    }

    fn samples(set: SampleSet, epoch: u32, paths: usize) -> Samples {
        Samples { set, epoch, pnl: vec![0.0; paths], cost: vec![0.0; paths] }
    }

    /// All that a run of the shape leaves behind.
    fn whole() -> RunOutput {
        let mut whole = output(0.25);
        whole.curves = (1..=3).map(|epoch| Epoch { epoch, ..Epoch::default() }).collect();
        whole.path = (0..3).map(|step| PathPoint { step, price: 1.0, variance: 0.04, position: 0.0 }).collect();
        whole.samples = (1..=3).map(|epoch| samples(SampleSet::Train, epoch, 4)).collect();
        whole.samples.push(samples(SampleSet::Test, 3, 5));
        whole
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut RunOutput), wanted: &str) {
        let mut changed = whole();
        change(&mut changed);
        let Err(Misfit::Nonsense(problem)) = SHAPE.check(&changed, &record()) else { panic!("{wanted}") };
        assert!(problem.contains(wanted), "{problem}");
    }

    #[test]
    fn what_a_run_leaves_behind_fits() {
        assert_eq!(SHAPE.check(&whole(), &record()), Ok(()));
        assert_eq!(SHAPE.check(&output(0.25), &record()), Ok(()), "less is another's business");
        let mut ended_early = whole();
        ended_early.curves.pop();
        assert_eq!(SHAPE.check(&ended_early, &record()), Ok(()));
        let mut diverged = whole();
        diverged.status = Status::Diverged;
        diverged.samples[2].pnl.pop();
        assert_eq!(SHAPE.check(&diverged, &record()), Ok(()));
        assert!(Shape::matters_to(&whole()) && !Shape::matters_to(&output(0.25)));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        refused(|output| output.curves[2].epoch = 4, "its curves have epoch 4 after 2, of 3 epochs");
        refused(|output| output.curves[1].epoch = 1, "its curves have epoch 1 after 1");
        refused(|output| output.curves[0].epoch = 0, "its curves have epoch 0 after 0");
        refused(|output| output.path.truncate(2), "its path has 2 points; 3 are right");
        refused(|output| output.samples[0].pnl.push(0.0), "it has 5 train samples of epoch 1; 4 are right");
        refused(|output| output.samples[1].epoch = 1, "it has the train samples of epoch 1 twice");
        refused(|output| output.samples[3].epoch = 4, "it has test samples of epoch 4 of 3");
        refused(|output| output.samples[3].set = SampleSet::Validation, "it has validation samples, which are not");
        let bare = Record { curves: false, samples: None };
        let nonsense = Misfit::Nonsense("it has curves, which are not recorded".into());
        assert_eq!(SHAPE.check(&whole(), &bare), Err(nonsense));
        let mut fewer = whole();
        fewer.samples[3].pnl.truncate(4);
        let incomplete = Misfit::Incomplete("some paths of its samples");
        assert_eq!(SHAPE.check(&fewer, &record()), Err(incomplete), "fewer may have been recorded for another");
    }

    #[test]
    fn a_configs_shape_is_its_runs() {
        use engine::{Preset, RunConfig, Value};
        let keys: [(&str, Value); 3] = [
            ("training.paths", Value::Int(100)),
            ("training.batch_size", Value::Int(32)),
            ("market.steps", Value::Int(7)),
        ];
        let config = RunConfig::resolve(Preset::Paper, 0, keys.iter().map(|(key, value)| (*key, value))).unwrap();
        let shape = Shape { epochs: 100, steps: 7, train_paths: 96, validation_paths: 1000, test_paths: 1000 };
        assert_eq!(Shape::of(&config), shape);
    }
}
