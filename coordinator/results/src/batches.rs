//! Reading the long tables, one row group at a time, so that memory does not grow with them.

use std::collections::HashMap;

use polars::prelude::{PolarsError, PolarsResult, Series, polars_bail};

use crate::error::StoreError;
use crate::folder::Folder;
use crate::merge::{CURVES, PATHS, SAMPLES};
use crate::parquet::Parquet;
use crate::tables::{Tables, Words};

/// A piece of the table of samples. All columns are equally long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SampleBatch {
    /// Whose samples, as the places in `distinct` of a run's id.
    pub run_id: Words,
    /// Which set: `train`, `validation` or `test`.
    pub set: Words,
    /// After which epoch.
    pub epoch: Vec<u32>,
    /// P&L gross of costs; NaN for null.
    pub pnl: Vec<f32>,
    /// Cost; NaN for null.
    pub cost: Vec<f32>,
}

/// A piece of the table of curves, as far as a comparison of convergence needs it. All columns are equally long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CurveBatch {
    /// Whose epochs, as the places in `distinct` of a run's id.
    pub run_id: Words,
    /// Which epoch, from 1, in the run's order.
    pub epoch: Vec<u32>,
    /// Loss on the validation set after it; NaN for null.
    pub validation_loss: Vec<f64>,
    /// Seconds from the run's begin to the epoch's end; NaN for null.
    pub seconds: Vec<f64>,
}

/// A piece of the table of curves, as far as a picture of training needs it. All columns are equally long; NaN stands for null.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingBatch {
    /// Whose epochs, as the places in `distinct` of a run's id.
    pub run_id: Words,
    /// Which epoch, from 1, in the run's order.
    pub epoch: Vec<u32>,
    /// Training loss.
    pub loss: Vec<f64>,
    /// Mean P&L over the epoch's training paths, gross of costs.
    pub pnl_mean: Vec<f64>,
    /// Mean cost over the epoch's training paths.
    pub mean_cost: Vec<f64>,
    /// Loss on the validation set after it.
    pub validation_loss: Vec<f64>,
}

/// A piece of the table of paths. All columns are equally long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PathBatch {
    /// Whose test path, as the places in `distinct` of a run's id.
    pub run_id: Words,
    /// Which step, from 0, in order.
    pub step: Vec<u32>,
    /// Price.
    pub price: Vec<f64>,
    /// Variance, per year.
    pub variance: Vec<f64>,
    /// Position held from this step on.
    pub position: Vec<f64>,
}

/// A table in pieces, one row group at a time, in order.
pub struct Batches<'a, B> {
    folder: &'a Folder,
    file: Parquet,
    columns: &'static [&'static str],
    make: fn(&[Series]) -> PolarsResult<B>,
    next: usize,
}

impl Tables {
    /// The recorded samples, in pieces; `None` if none were recorded.
    pub fn samples(&self) -> Result<Option<Batches<'_, SampleBatch>>, StoreError> {
        self.batches(SAMPLES, &["run_id", "set", "epoch", "pnl", "cost"], |columns| {
            Ok(SampleBatch {
                run_id: batch_words(&columns[0])?,
                set: batch_words(&columns[1])?,
                epoch: epochs(&columns[2])?,
                pnl: columns[3].f32()?.iter().map(|value| value.unwrap_or(f32::NAN)).collect(),
                cost: columns[4].f32()?.iter().map(|value| value.unwrap_or(f32::NAN)).collect(),
            })
        })
    }

    /// The recorded curves, in pieces; `None` if none were recorded.
    pub fn curves(&self) -> Result<Option<Batches<'_, CurveBatch>>, StoreError> {
        self.batches(CURVES, &["run_id", "epoch", "validation_loss", "seconds"], |columns| {
            Ok(CurveBatch {
                run_id: batch_words(&columns[0])?,
                epoch: epochs(&columns[1])?,
                validation_loss: numbers(&columns[2])?,
                seconds: numbers(&columns[3])?,
            })
        })
    }

    /// The recorded curves with what happened in training, in pieces; `None` if none were recorded.
    pub fn training_curves(&self) -> Result<Option<Batches<'_, TrainingBatch>>, StoreError> {
        let columns = &["run_id", "epoch", "loss", "pnl_mean", "mean_cost", "validation_loss"];
        self.batches(CURVES, columns, |columns| {
            Ok(TrainingBatch {
                run_id: batch_words(&columns[0])?,
                epoch: epochs(&columns[1])?,
                loss: numbers(&columns[2])?,
                pnl_mean: numbers(&columns[3])?,
                mean_cost: numbers(&columns[4])?,
                validation_loss: numbers(&columns[5])?,
            })
        })
    }

    /// The first test path of each run, in pieces; `None` if there are none.
    pub fn paths(&self) -> Result<Option<Batches<'_, PathBatch>>, StoreError> {
        self.batches(PATHS, &["run_id", "step", "price", "variance", "position"], |columns| {
            Ok(PathBatch {
                run_id: batch_words(&columns[0])?,
                step: epochs(&columns[1])?,
                price: numbers(&columns[2])?,
                variance: numbers(&columns[3])?,
                position: numbers(&columns[4])?,
            })
        })
    }

    fn batches<B>(
        &self,
        table: &str,
        columns: &'static [&'static str],
        make: fn(&[Series]) -> PolarsResult<B>,
    ) -> Result<Option<Batches<'_, B>>, StoreError> {
        let folder = self.folder();
        let size = match folder.size(table) {
            Ok(size) => size,
            Err(StoreError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let file = Parquet::open(folder, table, size)?;
        Ok((file.total_rows() > 0).then_some(Batches { folder, file, columns, make, next: 0 }))
    }
}

impl<B> Batches<'_, B> {
    fn read(&self, group: usize) -> Result<B, StoreError> {
        let read = self.file.read(self.folder, group, self.columns)?;
        let made = (|| {
            let mut all = Vec::with_capacity(read.len());
            for (series, name) in read.into_iter().zip(self.columns) {
                let Some(series) = series else { polars_bail!(ColumnNotFound: "has no column {name}") };
                all.push(series);
            }
            (self.make)(&all)
        })();
        made.map_err(|error: PolarsError| self.file.damage(self.folder, &error))
    }
}

impl<B> Iterator for Batches<'_, B> {
    type Item = Result<B, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.file.groups() {
            return None;
        }
        self.next += 1;
        Some(self.read(self.next - 1))
    }
}

fn epochs(series: &Series) -> PolarsResult<Vec<u32>> {
    Ok(series.u32()?.iter().map(|epoch| epoch.unwrap_or(0)).collect())
}

fn numbers(series: &Series) -> PolarsResult<Vec<f64>> {
    Ok(series.f64()?.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

/// Neighbouring rows are of one run, so most words are the one before.
fn batch_words(series: &Series) -> PolarsResult<Words> {
    let mut words = Words::default();
    let mut known: HashMap<String, u32> = HashMap::new();
    let mut last: Option<(String, u32)> = None;
    for word in series.str()?.iter() {
        let code = word.map(|word| match &last {
            Some((same, code)) if same == word => *code,
            _ => {
                let code = *known.entry(word.to_owned()).or_insert_with(|| {
                    words.distinct.push(word.to_owned());
                    words.distinct.len() as u32 - 1
                });
                last = Some((word.to_owned(), code));
                code
            }
        });
        words.codes.push(code);
    }
    Ok(words)
}
