//! Reading the final tables, column by column.

use std::collections::HashMap;

use polars::prelude::{DataType, PolarsError, PolarsResult, Series, polars_bail};

use crate::error::StoreError;
use crate::folder::Folder;
use crate::identity::Footer;
use crate::location::Location;
use crate::merge::RUNS;
use crate::parquet::Parquet;

/// A column of words, each distinct one once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// The distinct words, in the order in which they first appear.
    pub distinct: Vec<String>,
    /// For each row the place of its word; `None` for null.
    pub codes: Vec<Option<u32>>,
}

impl Words {
    /// The word of a row.
    pub fn get(&self, row: usize) -> Option<&str> {
        self.codes[row].map(|code| self.distinct[code as usize].as_str())
    }

    /// The place of a word among the distinct ones.
    pub fn code_of(&self, word: &str) -> Option<u32> {
        self.distinct.iter().position(|known| known == word).map(|place| place as u32)
    }
}

/// The tables of a sweep that was merged.
pub struct Tables {
    folder: Folder,
    runs: Parquet,
    footer: Footer,
    /// Where answers are written, if not beside the tables, and their footer.
    elsewhere: Option<(Folder, Footer)>,
}

impl Tables {
    /// Opens the tables at `location`.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is no `runs.parquet`, [`StoreError::Damaged`] if it is not one of this program's.
    pub fn open(location: &Location) -> Result<Tables, StoreError> {
        let folder = Folder::open(location)?;
        let runs = Parquet::open(&folder, RUNS, folder.size(RUNS)?)?;
        let footer = runs.footer().ok_or_else(|| {
            StoreError::damaged(&folder.path(RUNS), "does not say of which sweep it is; the sweep did not write it")
        })?;
        Ok(Tables { folder, runs, footer, elsewhere: None })
    }

    /// The same tables, with their answers written into another folder, which is created, and with another footer.
    ///
    /// # Errors
    /// If the folder cannot be created.
    pub fn answering_at(self, location: &Location, footer: Footer) -> Result<Tables, StoreError> {
        if let Some(path) = location.as_folder() {
            std::fs::create_dir_all(path).map_err(|error| StoreError::io(path, &error))?;
        }
        Ok(Tables { elsewhere: Some((Folder::open(location)?, footer)), ..self })
    }

    /// Where they lie.
    pub fn location(&self) -> &Location {
        self.folder.location()
    }

    /// What the footer of `runs.parquet` says.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Number of runs.
    pub fn rows(&self) -> usize {
        self.runs.total_rows()
    }

    /// The names of the columns of runs, in order.
    pub fn columns(&self) -> Vec<String> {
        self.runs.schema().iter_names().map(ToString::to_string).collect()
    }

    /// The names of the swept parameters, in order: the columns between `error` and `config`.
    pub fn swept(&self) -> Vec<String> {
        let columns = self.columns();
        let behind = columns.iter().skip_while(|name| *name != "error").skip(1);
        behind.take_while(|name| *name != "config").cloned().collect()
    }

    /// Whether runs have a column of this name.
    pub fn has(&self, column: &str) -> bool {
        self.runs.schema().get(column).is_some()
    }

    /// A column of numbers; integers and booleans count as numbers.
    pub fn numbers(&self, column: &str) -> Result<Vec<Option<f64>>, StoreError> {
        self.collect(column, append_numbers)
    }

    /// A column of whole numbers that has no nulls, such as `seed`.
    pub fn integers(&self, column: &str) -> Result<Vec<u64>, StoreError> {
        self.collect(column, |series, all: &mut Vec<u64>| {
            let before = all.len();
            all.extend(series.u64()?.iter().flatten());
            if all.len() - before != series.len() {
                polars_bail!(ComputeError: "there are nulls");
            }
            Ok(())
        })
    }

    /// A column as words; numbers and booleans as JSON writes them.
    pub fn words(&self, column: &str) -> Result<Words, StoreError> {
        let mut words = Words::default();
        let mut known: HashMap<String, u32> = HashMap::new();
        words.codes = self.collect(column, |series, codes| {
            append_words(series, codes, |word| match known.get(word) {
                Some(code) => *code,
                None => {
                    let code = words.distinct.len() as u32;
                    words.distinct.push(word.to_owned());
                    known.insert(word.to_owned(), code);
                    code
                }
            })
        })?;
        Ok(words)
    }

    /// Shows a column of text row by row, `None` for null, and keeps none of it: of long texts that are all different.
    pub fn each_text(&self, column: &str, mut see: impl FnMut(Option<&str>)) -> Result<(), StoreError> {
        self.each_series(column, |series| {
            series.str()?.iter().for_each(&mut see);
            Ok(())
        })
    }

    /// Lays a text beside the tables, at once, over one of the same name.
    pub fn write_text(&self, name: &str, text: String) -> Result<(), StoreError> {
        self.answers().0.replace(name, text)
    }

    /// Removes a text that was laid beside the tables, if there is one.
    pub fn remove_text(&self, name: &str) -> Result<(), StoreError> {
        self.answers().0.delete(name)
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Where answers are written, and their footer.
    pub(crate) fn answers(&self) -> (&Folder, &Footer) {
        self.elsewhere.as_ref().map_or((&self.folder, &self.footer), |(folder, footer)| (folder, footer))
    }

    fn collect<T>(
        &self,
        column: &str,
        mut append: impl FnMut(&Series, &mut Vec<T>) -> PolarsResult<()>,
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::with_capacity(self.rows());
        self.each_series(column, |series| append(series, &mut all))?;
        Ok(all)
    }

    /// Shows a column, one row group after the other.
    fn each_series(&self, column: &str, mut see: impl FnMut(&Series) -> PolarsResult<()>) -> Result<(), StoreError> {
        let path = self.folder.path(RUNS);
        for group in 0..self.runs.groups() {
            let read = self.runs.read(&self.folder, group, &[column])?.pop().flatten();
            let series = read.ok_or_else(|| StoreError::damaged(&path, format!("has no column {column}")))?;
            see(&series)
                .map_err(|error: PolarsError| StoreError::damaged(&path, format!("column {column}: {error}")))?;
        }
        Ok(())
    }
}

fn append_numbers(series: &Series, all: &mut Vec<Option<f64>>) -> PolarsResult<()> {
    match series.dtype() {
        DataType::Float64 => all.extend(series.f64()?.iter()),
        DataType::Int64 => all.extend(series.i64()?.iter().map(|value| value.map(|number| number as f64))),
        DataType::UInt64 => all.extend(series.u64()?.iter().map(|value| value.map(|number| number as f64))),
        DataType::UInt32 => all.extend(series.u32()?.iter().map(|value| value.map(f64::from))),
        DataType::Boolean => all.extend(series.bool()?.iter().map(|value| value.map(|flag| f64::from(u8::from(flag))))),
        other => polars_bail!(ComputeError: "is of type {other:?}, not a number"),
    }
    Ok(())
}

fn append_words(series: &Series, codes: &mut Vec<Option<u32>>, mut code: impl FnMut(&str) -> u32) -> PolarsResult<()> {
    match series.dtype() {
        DataType::String => codes.extend(series.str()?.iter().map(|word| word.map(&mut code))),
        DataType::Float64 => {
            let word = |number: f64| serde_json::Value::from(number).to_string();
            codes.extend(series.f64()?.iter().map(|value| value.map(|number| code(&word(number)))));
        }
        DataType::Int64 => {
            codes.extend(series.i64()?.iter().map(|value| value.map(|number| code(&number.to_string()))))
        }
        DataType::UInt64 => {
            codes.extend(series.u64()?.iter().map(|value| value.map(|number| code(&number.to_string()))));
        }
        DataType::Boolean => {
            codes.extend(series.bool()?.iter().map(|value| value.map(|flag| code(&flag.to_string()))));
        }
        other => polars_bail!(ComputeError: "is of type {other:?}, not words"),
    }
    Ok(())
}
