//! What a result holds beside its numbers, against what this sweep records. A worker that has outlived a coordinator can
//! deliver what it computed for another version of the file: the numbers are the same, but more or less may have been kept.

use engine::record::{Record, RunOutput, SampleSet};

/// Removes what is not recorded, as if it never had been.
pub(super) fn trim(output: &mut RunOutput, record: &Record) {
    if !record.curves {
        output.curves.clear();
    }
    let Some(wanted) = &record.samples else {
        output.samples.clear();
        return;
    };
    output.samples.retain(|samples| wanted.sets.contains(&samples.set));
    let most = usize::try_from(wanted.max_paths).unwrap_or(usize::MAX);
    for samples in &mut output.samples {
        samples.pnl.truncate(most);
        samples.cost.truncate(most);
    }
    if !wanted.all_epochs {
        for set in &wanted.sets {
            let last = output.samples.iter().filter(|samples| samples.set == *set).map(|samples| samples.epoch).max();
            output.samples.retain(|samples| samples.set != *set || Some(samples.epoch) == last);
        }
    }
}

/// What a result lacks of what is recorded, as far as it shows without the run's config.
pub(super) fn lacks(output: &RunOutput, record: &Record) -> Option<&'static str> {
    let trained = output.metrics.get("train.loss_final").is_some();
    if record.curves && trained && output.curves.is_empty() {
        return Some("its curves");
    }
    let wanted = record.samples.as_ref()?;
    let mut missing = wanted.sets.iter().filter(|set| {
        let exists = match set {
            SampleSet::Train => trained,
            SampleSet::Validation => output.metrics.get("validation.loss").is_some(),
            SampleSet::Test => output.metrics.get("test.loss").is_some(),
        };
        exists && output.samples.iter().all(|samples| samples.set != **set)
    });
    if let Some(set) = missing.next() {
        return Some(match set {
            SampleSet::Train => "its training samples",
            SampleSet::Validation => "its validation samples",
            SampleSet::Test => "its test samples",
        });
    }
    let first =
        output.samples.iter().filter(|samples| samples.set == SampleSet::Train).map(|samples| samples.epoch).min();
    (wanted.all_epochs && first.is_some_and(|epoch| epoch > 1)).then_some("training samples of its first epochs")
}

#[cfg(test)]
mod tests {
    use engine::record::{Epoch, RecordSamples, Samples};

    use super::super::tests::output;
    use super::*;

    fn samples(set: SampleSet, epoch: u32, paths: usize) -> Samples {
        Samples { set, epoch, pnl: vec![0.0; paths], cost: vec![0.0; paths] }
    }

    fn record(all_epochs: bool, max_paths: u64) -> Record {
        let sets = vec![SampleSet::Train, SampleSet::Test];
        Record { curves: true, samples: Some(RecordSamples { sets, all_epochs, max_paths }) }
    }

    /// A run of three epochs, recorded by `record(true, 5)`.
    fn whole() -> RunOutput {
        let mut whole = output(0.25);
        whole.metrics.set("train.loss_final", 0.5);
        whole.curves = (1..=3).map(|epoch| Epoch { epoch, ..Epoch::default() }).collect();
        whole.samples = (1..=3).map(|epoch| samples(SampleSet::Train, epoch, 5)).collect();
        whole.samples.push(samples(SampleSet::Test, 3, 5));
        whole
    }

    #[test]
    fn what_is_recorded_stays_as_it_is() {
        let mut output = whole();
        trim(&mut output, &record(true, 5));
        assert_eq!(output, whole());
        assert_eq!(lacks(&output, &record(true, 5)), None);
    }

    #[test]
    fn what_is_not_recorded_any_more_goes_and_the_rest_is_as_good_as_any() {
        let mut output = whole();
        trim(&mut output, &record(false, 2));
        assert_eq!(output.samples, [samples(SampleSet::Train, 3, 2), samples(SampleSet::Test, 3, 2)]);
        assert_eq!((output.curves.len(), lacks(&output, &record(false, 2))), (3, None));
        let bare = Record { curves: false, samples: None };
        trim(&mut output, &bare);
        assert!(output.curves.is_empty() && output.samples.is_empty());
        assert_eq!(lacks(&output, &bare), None);
    }

    #[test]
    fn what_was_not_recorded_then_is_missed() {
        let missing = |change: fn(&mut RunOutput)| {
            let mut changed = whole();
            change(&mut changed);
            lacks(&changed, &record(true, 5))
        };
        assert_eq!(missing(|output| output.curves.clear()), Some("its curves"));
        assert_eq!(missing(|output| output.samples.truncate(3)), Some("its test samples"));
        assert_eq!(missing(|output| drop(output.samples.drain(..3))), Some("its training samples"));
        assert_eq!(missing(|output| drop(output.samples.drain(..2))), Some("training samples of its first epochs"));
    }
}
