//! The tables behind an answer: one sweep's, or several sweeps' side by side.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use engine::RunId;
use results::{CurveBatch, SampleBatch, StoreError, Tables, Words};

use crate::runs::Runs;

/// Tables whose runs are looked at as one table of runs, those of the first sweep first.
///
/// A run that two sweeps have has one id and the same numbers in both. It has a row for each, and its curves and samples are
/// read where they come first.
#[derive(Clone)]
pub struct Sources<'a> {
    all: Vec<Source<'a>>,
}

#[derive(Clone)]
struct Source<'a> {
    tables: &'a Tables,
    /// What is written before its arms.
    prefix: String,
}

/// One sweep's tables, its arms by their names.
impl<'a> From<&'a Tables> for Sources<'a> {
    fn from(tables: &'a Tables) -> Sources<'a> {
        Sources { all: vec![Source { tables, prefix: String::new() }] }
    }
}

impl<'a> From<&Sources<'a>> for Sources<'a> {
    fn from(sources: &Sources<'a>) -> Sources<'a> {
        sources.clone()
    }
}

impl<'a> Sources<'a> {
    /// Several sweeps' tables, their arms as `sweep/arm`.
    pub fn side_by_side<'n>(sweeps: impl IntoIterator<Item = (&'n str, &'a Tables)>) -> Sources<'a> {
        let source = |(name, tables): (&str, &'a Tables)| Source { tables, prefix: format!("{name}/") };
        Sources { all: sweeps.into_iter().map(source).collect() }
    }

    /// Reads these metrics of all runs.
    pub fn runs<'m>(&self, metrics: impl IntoIterator<Item = &'m str>) -> Result<Runs, StoreError> {
        let mut columns = BTreeMap::new();
        for metric in metrics {
            columns.insert(metric.to_owned(), self.chained(|source| source.tables.numbers(metric))?);
        }
        Ok(Runs {
            arm: self.words("arm", |source, word| format!("{}{word}", source.prefix))?,
            variant: self.words("variant", |_, word| word)?,
            cell: self.words("cell", |_, word| word)?,
            seed: self.chained(|source| source.tables.integers("seed"))?,
            metrics: columns,
        })
    }

    /// The id of every run.
    pub(crate) fn ids(&self) -> Result<Vec<Option<RunId>>, StoreError> {
        let of_source = |source: &Source<'_>| {
            let words = source.tables.words("run_id")?;
            let ids = parsed(&words);
            Ok(words.codes.into_iter().map(|code| ids[code? as usize]).collect())
        };
        self.chained(of_source)
    }

    /// The status of every run.
    pub(crate) fn statuses(&self) -> Result<Words, StoreError> {
        self.words("status", |_, word| word)
    }

    /// Whether any sweep has recorded curves.
    pub(crate) fn has_curves(&self) -> Result<bool, StoreError> {
        any(self.all.iter().map(|source| Ok(source.tables.curves()?.is_some())))
    }

    /// Whether any sweep has recorded samples.
    pub(crate) fn has_samples(&self) -> Result<bool, StoreError> {
        any(self.all.iter().map(|source| Ok(source.tables.samples()?.is_some())))
    }

    /// Shows each piece of a run's curve, in order. A run may come in several pieces.
    pub(crate) fn each_curve(&self, see: impl FnMut(RunId, &CurveBatch, Range<usize>)) -> Result<(), StoreError> {
        let tables = self.all.iter().map(|source| source.tables.curves());
        each_piece(tables, |batch| &batch.run_id, see)
    }

    /// Shows each piece of a run's samples, in order. A run may come in several pieces.
    pub(crate) fn each_sample(&self, see: impl FnMut(RunId, &SampleBatch, Range<usize>)) -> Result<(), StoreError> {
        let tables = self.all.iter().map(|source| source.tables.samples());
        each_piece(tables, |batch| &batch.run_id, see)
    }

    fn chained<T>(&self, column: impl Fn(&Source<'a>) -> Result<Vec<T>, StoreError>) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        for source in &self.all {
            all.append(&mut column(source)?);
        }
        Ok(all)
    }

    fn words(&self, column: &str, rename: impl Fn(&Source<'a>, String) -> String) -> Result<Words, StoreError> {
        let mut all = Words::default();
        let mut places: HashMap<String, u32> = HashMap::new();
        for source in &self.all {
            let own = source.tables.words(column)?;
            let mut place_of = |word: String| {
                let place = places.entry(rename(source, word)).or_insert_with_key(|word| {
                    all.distinct.push(word.clone());
                    all.distinct.len() as u32 - 1
                });
                *place
            };
            let codes: Vec<u32> = own.distinct.into_iter().map(&mut place_of).collect();
            all.codes.extend(own.codes.into_iter().map(|code| code.map(|code| codes[code as usize])));
        }
        Ok(all)
    }
}

fn any(mut all: impl Iterator<Item = Result<bool, StoreError>>) -> Result<bool, StoreError> {
    all.try_fold(false, |any, one| Ok(any || one?))
}

fn parsed(words: &Words) -> Vec<Option<RunId>> {
    words.distinct.iter().map(|id| id.parse().ok()).collect()
}

/// Goes through the long tables of all sweeps, batch by batch and run by run. A run that an earlier sweep had is passed over.
fn each_piece<B>(
    tables: impl Iterator<Item = Result<Option<impl Iterator<Item = Result<B, StoreError>>>, StoreError>>,
    whose: fn(&B) -> &Words,
    mut see: impl FnMut(RunId, &B, Range<usize>),
) -> Result<(), StoreError> {
    let (mut earlier, mut own): (HashSet<RunId>, HashSet<RunId>) = Default::default();
    for batches in tables {
        earlier.extend(own.drain());
        for batch in batches?.into_iter().flatten() {
            let batch = batch?;
            let words = whose(&batch);
            let ids = parsed(words);
            own.extend(ids.iter().flatten());
            let mut first = 0;
            for piece in words.codes.chunk_by(|left, right| left == right) {
                let rows = first..first + piece.len();
                first = rows.end;
                let run = piece[0].and_then(|code| ids[code as usize]);
                if let Some(run) = run.filter(|run| !earlier.contains(run)) {
                    see(run, &batch, rows);
                }
            }
        }
    }
    Ok(())
}
