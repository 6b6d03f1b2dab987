//! Which runs are stored: what a restarted coordinator knows without decoding a result.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use engine::record::{Record, RecordSamples};
use engine::{RunId, RunRecord, Status};

use crate::decode::IndexRows;

/// What is stored of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored<'a> {
    /// How the run ended.
    pub status: Status,
    /// The highest attempt that left a record.
    pub attempt: u32,
    /// Whether curves were recorded.
    pub has_curves: bool,
    /// Which samples were recorded.
    pub samples: Option<&'a RecordSamples>,
}

/// Where a row lies: a part of the store's list, a row group, a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) part: u32,
    pub(crate) group: u16,
    pub(crate) row: u16,
}

/// One run's best row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    pub(crate) footprint: u32,
    attempt: u32,
    samples: u16,
    status: Status,
    curves: bool,
}

/// All runs that have a row.
#[derive(Default)]
pub struct Index {
    places: HashMap<RunId, u32, BuildHasherDefault<Prefix>>,
    entries: Vec<Entry>,
    recorded: Vec<Option<RecordSamples>>,
    /// What is asked for now.
    wanted: Record,
}

impl Index {
    /// An empty index that prefers rows which hold what `wanted` asks for.
    pub(crate) fn preferring(wanted: Record) -> Index {
        Index { wanted, ..Index::default() }
    }

    /// An empty one that prefers the same rows.
    pub(crate) fn emptied(&self) -> Index {
        Index::preferring(self.wanted.clone())
    }

    /// Number of runs of which something is stored, failures included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is stored of a run.
    pub fn get(&self, run_id: RunId) -> Option<Stored<'_>> {
        let entry = self.entries[*self.places.get(&run_id)? as usize];
        Some(Stored {
            status: entry.status,
            attempt: entry.attempt,
            has_curves: entry.curves,
            samples: self.recorded[usize::from(entry.samples)].as_ref(),
        })
    }

    /// Whether nothing is left to do for a run of which `record` is asked: it ended `ok` or `diverged`, and what was
    /// recorded then includes what is asked now. A failed run is tried again.
    pub fn is_done(&self, run_id: RunId, record: &Record) -> bool {
        self.get(run_id).is_some_and(|stored| {
            stored.status.is_done()
                && (stored.has_curves || !record.curves)
                && record.samples.as_ref().is_none_or(|want| stored.samples.is_some_and(|have| covers(have, want)))
        })
    }

    /// Moves a run's row to where it was copied.
    pub(crate) fn relocate(&mut self, number: u32, place: Place) {
        self.entries[number as usize].place = place;
    }

    /// The number of a run's entry.
    pub(crate) fn entry_of(&self, run_id: RunId) -> Option<u32> {
        self.places.get(&run_id).copied()
    }

    /// An entry by its number.
    pub(crate) fn entry(&self, number: u32) -> Entry {
        self.entries[number as usize]
    }

    /// Enters the rows of a row group; the group lies at `at`, whose row counts for nothing.
    pub(crate) fn add_rows(&mut self, at: Place, rows: &IndexRows) {
        let samples: Vec<u16> = rows.recorded.iter().map(|recorded| self.intern(recorded.as_ref())).collect();
        for (row, &run_id) in rows.run_ids.iter().enumerate() {
            let entry = Entry {
                // Row groups are far smaller than 2¹⁶ rows: a record takes more than 64 bytes of a group's 4 MiB.
                place: Place { row: row as u16, ..at },
                footprint: rows.footprints[row],
                attempt: rows.attempts[row],
                samples: samples[rows.samples[row] as usize],
                status: rows.statuses[row],
                curves: rows.curves[row],
            };
            self.add(run_id, entry);
        }
    }

    /// Enters records that were just stored as a row group at `at`.
    pub(crate) fn add_records(&mut self, at: Place, records: &[RunRecord]) {
        for (row, record) in records.iter().enumerate() {
            let entry = Entry {
                place: Place { row: row as u16, ..at },
                footprint: u32::try_from(crate::encode::footprint(record)).unwrap_or(u32::MAX),
                attempt: record.output.provenance.attempt,
                samples: self.intern(record.record.samples.as_ref()),
                status: record.output.status,
                curves: record.record.curves,
            };
            self.add(record.run_id, entry);
        }
    }

    fn add(&mut self, run_id: RunId, new: Entry) {
        if self.recorded.is_empty() {
            self.recorded.push(None);
        }
        match self.places.entry(run_id) {
            std::collections::hash_map::Entry::Vacant(vacant) => {
                // 2³² runs would not fit into memory.
                vacant.insert(self.entries.len() as u32);
                self.entries.push(new);
            }
            std::collections::hash_map::Entry::Occupied(occupied) => {
                let old = &mut self.entries[*occupied.get() as usize];
                let attempt = old.attempt.max(new.attempt);
                if supersedes(&self.recorded, &self.wanted, &new, old) {
                    *old = new;
                }
                // Attempts are counted over all that failed before, also once the run has succeeded.
                old.attempt = attempt;
            }
        }
    }

    fn intern(&mut self, samples: Option<&RecordSamples>) -> u16 {
        if self.recorded.is_empty() {
            self.recorded.push(None);
        }
        let known = self.recorded.iter().position(|recorded| recorded.as_ref() == samples);
        let place = known.unwrap_or_else(|| {
            self.recorded.push(samples.cloned());
            self.recorded.len() - 1
        });
        // One for each way of recording that a sweep ever had. Beyond 2¹⁶ of them, runs count as not recorded.
        u16::try_from(place).unwrap_or(0)
    }
}

/// Whether a later row takes the place of an earlier one: only if it is done where that failed, if it holds what is asked
/// for and that does not, or if it was recorded with more. A second result never takes the place of one that is as good.
fn supersedes(recorded: &[Option<RecordSamples>], wanted: &Record, new: &Entry, old: &Entry) -> bool {
    if new.status.is_done() != old.status.is_done() {
        return new.status.is_done();
    }
    if !new.status.is_done() {
        // Of two failures the later one's reason is told: parts are read in the order in which they were written, and
        // attempts count from 1 again after a restart.
        return true;
    }
    let holds = |entry: &Entry| {
        let samples = recorded[usize::from(entry.samples)].as_ref();
        (entry.curves || !wanted.curves)
            && wanted.samples.as_ref().is_none_or(|want| samples.is_some_and(|have| covers(have, want)))
    };
    if holds(new) != holds(old) {
        return holds(new);
    }
    let more_curves = new.curves && !old.curves;
    let fewer_curves = !new.curves && old.curves;
    let samples = |entry: &Entry| recorded[usize::from(entry.samples)].as_ref();
    let more_samples = match (samples(new), samples(old)) {
        (Some(new), Some(old)) => covers(new, old) && new != old,
        (Some(_), None) => true,
        _ => false,
    };
    let no_fewer_samples = match (samples(new), samples(old)) {
        (_, None) => true,
        (Some(new), Some(old)) => covers(new, old),
        (None, Some(_)) => false,
    };
    (more_curves && no_fewer_samples) || (more_samples && !fewer_curves)
}

/// Whether what was recorded includes what is wanted.
fn covers(have: &RecordSamples, want: &RecordSamples) -> bool {
    want.sets.iter().all(|set| have.sets.contains(set))
        && (have.all_epochs || !want.all_epochs)
        && have.max_paths >= want.max_paths
}

/// Run ids are hashes already: their first bytes serve as they are.
#[derive(Default)]
struct Prefix(u64);

impl Hasher for Prefix {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(prefix) = bytes.first_chunk() {
            self.0 ^= u64::from_le_bytes(*prefix);
        }
    }

    fn write_usize(&mut self, _length: usize) {
        // Arrays announce their length, which all ids share.
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use engine::record::SampleSet;

    use super::*;

    #[test]
    fn of_two_recordings_of_which_neither_has_all_of_the_other_the_one_that_is_asked_for_counts() {
        let test_only = Record { curves: false, samples: Some(samples(&[SampleSet::Test], false, 10)) };
        let curves_only = Record { curves: true, samples: None };
        let with_curves = Entry { curves: true, ..entry(Status::Ok, 1, 1) };
        let with_samples = Entry { samples: 1, ..entry(Status::Ok, 1, 2) };
        for order in [[with_curves, with_samples], [with_samples, with_curves]] {
            assert_eq!(after_wanting(test_only.clone(), &order).0.place.part, 2);
            assert_eq!(after_wanting(curves_only.clone(), &order).0.place.part, 1);
        }
    }

    const AT: Place = Place { part: 0, group: 0, row: 0 };

    fn entry(status: Status, attempt: u32, part: u32) -> Entry {
        Entry { place: Place { part, ..AT }, footprint: 0, attempt, samples: 0, status, curves: false }
    }

    fn samples(sets: &[SampleSet], all_epochs: bool, max_paths: u64) -> RecordSamples {
        RecordSamples { sets: sets.to_vec(), all_epochs, max_paths }
    }

    fn after(entries: &[Entry]) -> (Entry, Index) {
        after_wanting(Record { curves: false, samples: None }, entries)
    }

    fn after_wanting(wanted: Record, entries: &[Entry]) -> (Entry, Index) {
        let mut index = Index::preferring(wanted);
        index.intern(Some(&samples(&[SampleSet::Test], false, 10)));
        index.intern(Some(&samples(&[SampleSet::Test, SampleSet::Train], true, 10)));
        let id = RunId([7; 16]);
        entries.iter().for_each(|entry| index.add(id, *entry));
        (index.entry(index.entry_of(id).unwrap()), index)
    }

    #[test]
    fn a_valid_result_supersedes_a_failure_and_never_the_other_way_round() {
        let (failed, ok) = (entry(Status::Failed, 2, 0), entry(Status::Ok, 1, 1));
        for order in [[failed, ok], [ok, failed]] {
            let (best, index) = after(&order);
            assert_eq!((best.status, best.place.part), (Status::Ok, 1));
            assert_eq!(index.get(RunId([7; 16])).unwrap().attempt, 2, "attempts are counted over all rows");
        }
    }

    #[test]
    fn of_two_valid_results_the_first_stays() {
        assert_eq!(after(&[entry(Status::Ok, 1, 0), entry(Status::Diverged, 2, 1)]).0.place.part, 0);
    }

    #[test]
    fn of_two_valid_results_the_one_that_was_recorded_with_more_is_taken() {
        let plain = entry(Status::Ok, 1, 0);
        let curves = Entry { curves: true, ..entry(Status::Ok, 1, 1) };
        let test = Entry { samples: 1, ..entry(Status::Ok, 1, 2) };
        let both = Entry { samples: 2, curves: true, ..entry(Status::Ok, 1, 3) };
        assert_eq!(after(&[plain, curves]).0.place.part, 1);
        assert_eq!(after(&[curves, plain]).0.place.part, 1);
        assert_eq!(after(&[curves, test]).0.place.part, 1, "neither includes the other");
        assert_eq!(after(&[curves, test, both]).0.place.part, 3);
        assert_eq!(after(&[both, test, curves]).0.place.part, 3);
    }

    #[test]
    fn done_means_holding_what_is_asked() {
        let id = RunId([7; 16]);
        let want = |curves, samples| Record { curves, samples };
        let (_, index) = after(&[Entry { samples: 1, curves: true, ..entry(Status::Diverged, 1, 0) }]);
        assert!(index.is_done(id, &want(true, None)));
        assert!(index.is_done(id, &want(false, Some(samples(&[SampleSet::Test], false, 10)))));
        assert!(!index.is_done(id, &want(false, Some(samples(&[SampleSet::Test], true, 10)))));
        assert!(!index.is_done(id, &want(false, Some(samples(&[SampleSet::Test], false, 11)))));
        assert!(!index.is_done(id, &want(false, Some(samples(&[SampleSet::Train], false, 1)))));
        assert!(!index.is_done(RunId([8; 16]), &want(false, None)));
        assert!(!after(&[entry(Status::Ok, 1, 0)]).1.is_done(id, &want(true, None)));
        assert!(!after(&[entry(Status::Failed, 1, 0)]).1.is_done(id, &want(false, None)));
    }
}
