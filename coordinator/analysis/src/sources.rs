//! The tables behind an answer: one sweep's, or several sweeps' side by side.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::{ControlFlow, Range};

use engine::RunId;
use results::{CurveBatch, Footer, PathBatch, SampleBatch, StoreError, Tables, TrainingBatch, Words};

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
            let of_source = |source: &Source<'_>| match self.lacks(source, metric) {
                true => Ok(vec![None; source.tables.rows()]),
                false => source.tables.numbers(metric),
            };
            columns.insert(metric.to_owned(), self.chained(of_source)?);
        }
        Ok(Runs {
            arm: self.words("arm", |source, word| format!("{}{word}", source.prefix))?,
            variant: self.words("variant", |_, word| word)?,
            cell: self.words("cell", |_, word| word)?,
            seed: self.chained(|source| source.tables.integers("seed"))?,
            metrics: columns,
        })
    }

    /// What the footers say, sweep by sweep.
    pub(crate) fn footers(&self) -> impl Iterator<Item = &'a Footer> {
        self.all.iter().map(|source| source.tables.footer())
    }

    /// Whether the runs of any sweep have a column of this name.
    pub(crate) fn has(&self, column: &str) -> bool {
        self.all.iter().any(|source| source.tables.has(column))
    }

    /// The names of the parameters that some sweep swept.
    pub fn swept(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for name in self.all.iter().flat_map(|source| source.tables.swept()) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        all
    }

    /// A column of runs as words; null in sweeps that do not have it, as long as one does.
    ///
    /// # Errors
    /// If a table cannot be read.
    pub fn column(&self, name: &str) -> Result<Words, StoreError> {
        self.words(name, |_, word| word)
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

    /// The config of every run, one after the other.
    pub(crate) fn each_config(&self, mut see: impl FnMut(Option<&str>)) -> Result<(), StoreError> {
        self.all.iter().try_for_each(|source| source.tables.each_text("config", &mut see))
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
        each_piece(tables, |batch| &batch.run_id, to_the_end(see))
    }

    /// Shows each piece of what happened in a run's training, in order. A run may come in several pieces.
    pub(crate) fn each_training(&self, see: impl FnMut(RunId, &TrainingBatch, Range<usize>)) -> Result<(), StoreError> {
        let tables = self.all.iter().map(|source| source.tables.training_curves());
        each_piece(tables, |batch| &batch.run_id, to_the_end(see))
    }

    /// Shows each piece of a run's first test path, in order, until there is enough. A run may come in several pieces.
    pub(crate) fn each_path(
        &self,
        see: impl FnMut(RunId, &PathBatch, Range<usize>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let tables = self.all.iter().map(|source| source.tables.paths());
        each_piece(tables, |batch| &batch.run_id, see)
    }

    /// Shows each piece of a run's samples, in order. A run may come in several pieces.
    pub(crate) fn each_sample(&self, see: impl FnMut(RunId, &SampleBatch, Range<usize>)) -> Result<(), StoreError> {
        let tables = self.all.iter().map(|source| source.tables.samples());
        each_piece(tables, |batch| &batch.run_id, to_the_end(see))
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
            if self.lacks(source, column) {
                all.codes.resize(all.codes.len() + source.tables.rows(), None);
                continue;
            }
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

    /// Whether a sweep has no such column though another one has.
    fn lacks(&self, source: &Source<'_>, column: &str) -> bool {
        !source.tables.has(column) && self.has(column)
    }
}

fn to_the_end<B>(
    mut see: impl FnMut(RunId, &B, Range<usize>),
) -> impl FnMut(RunId, &B, Range<usize>) -> ControlFlow<()> {
    move |run, batch, rows| {
        see(run, batch, rows);
        ControlFlow::Continue(())
    }
}

fn any(mut all: impl Iterator<Item = Result<bool, StoreError>>) -> Result<bool, StoreError> {
    all.try_fold(false, |any, one| Ok(any || one?))
}

fn parsed(words: &Words) -> Vec<Option<RunId>> {
    words.distinct.iter().map(|id| id.parse().ok()).collect()
}

/// Goes through the long tables of all sweeps, batch by batch and run by run, until `see` breaks off. A run that an earlier sweep
/// had is passed over.
fn each_piece<B>(
    tables: impl Iterator<Item = Result<Option<impl Iterator<Item = Result<B, StoreError>>>, StoreError>>,
    whose: fn(&B) -> &Words,
    mut see: impl FnMut(RunId, &B, Range<usize>) -> ControlFlow<()>,
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
                if let Some(run) = run.filter(|run| !earlier.contains(run))
                    && see(run, &batch, rows).is_break()
                {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}
