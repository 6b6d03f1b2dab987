//! Which sweep an output belongs to, and what each file's footer says about it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use engine::record::Record;
use polars::prelude::KeyValueMetadata;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::folder::Folder;
use crate::location::Location;

/// The version of the files' layout: raised when an older reader would misread them.
pub const FORMAT_VERSION: u32 = 1;

/// The file that says which sweep an output holds. It lies beside the tables and apart from `sweep.yaml`, so that the
/// name is known without a parser of sweep files, and whatever a user does to the copy of the file.
const MARKER: &str = ".hedgesweep.json";

/// The sweep whose results are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepIdentity {
    /// The sweep's name: an output holds one sweep.
    pub name: String,
    /// The sweep file as it was given.
    pub text: String,
    /// A digest of what the file means; recorded, never compared.
    pub hash: String,
    /// The versions that the results are computed with.
    pub versions: Versions,
    /// What this version of the file asks to keep of each run: of two results that are as good otherwise, the one that
    /// holds it counts.
    pub record: Record,
}

/// The versions behind results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The engine's version, as [`engine::VERSION`].
    pub engine: String,
    /// The version of the numbers, as [`engine::NUMERIC_VERSION`].
    pub numeric: u32,
}

impl Versions {
    /// The versions of the engine in this program.
    pub fn current() -> Versions {
        Versions { engine: engine::VERSION.to_owned(), numeric: engine::NUMERIC_VERSION }
    }
}

/// What the footer of a table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The sweep's name.
    pub sweep: String,
    /// The sweep's hash.
    pub hash: String,
    /// The versions behind the numbers.
    pub versions: Versions,
    /// The layout's version.
    pub format: u32,
}

const SWEEP: &str = "hedgesweep.sweep";
const HASH: &str = "hedgesweep.sweep_hash";
const ENGINE: &str = "hedgesweep.engine_version";
const NUMERIC: &str = "hedgesweep.numeric_version";
const FORMAT: &str = "hedgesweep.format_version";

impl Footer {
    /// The footer of this sweep's files, as this program writes them.
    pub fn of(sweep: &SweepIdentity) -> Footer {
        Footer {
            sweep: sweep.name.clone(),
            hash: sweep.hash.clone(),
            versions: sweep.versions.clone(),
            format: FORMAT_VERSION,
        }
    }

    /// As Parquet's key-value pairs, with others behind them.
    pub(crate) fn pairs(&self, others: &[(&str, String)]) -> KeyValueMetadata {
        let own = [
            (SWEEP, self.sweep.clone()),
            (HASH, self.hash.clone()),
            (ENGINE, self.versions.engine.clone()),
            (NUMERIC, self.versions.numeric.to_string()),
            (FORMAT, self.format.to_string()),
        ];
        let all = own.iter().chain(others).map(|(key, value)| ((*key).to_owned(), value.clone()));
        KeyValueMetadata::from_static(all.collect())
    }

    /// From Parquet's key-value pairs; `None` if the file is none of ours.
    pub(crate) fn parse(get: impl Fn(&str) -> Option<String>) -> Option<Footer> {
        Some(Footer {
            sweep: get(SWEEP)?,
            hash: get(HASH)?,
            versions: Versions { engine: get(ENGINE)?, numeric: get(NUMERIC)?.parse().ok()? },
            format: get(FORMAT)?.parse().ok()?,
        })
    }
}

/// How a sweep file was read: what it means beyond its own text. With it the file beside the results says its question again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The keys that were set over the file, with their values as YAML, in order.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
    /// The digests of the weights files that it names by path.
    #[serde(default)]
    pub weights: BTreeMap<String, String>,
}

/// A sweep file as it lies beside the results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepFile {
    /// Its place.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// How it was read.
    pub reading: Reading,
}

impl SweepFile {
    /// Reads the sweep file of an output.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if the folder does not exist, [`StoreError::Foreign`] if it holds no sweep's results.
    pub fn of(location: &Location) -> Result<SweepFile, StoreError> {
        let folder = Folder::open(location)?;
        let Some(marker) = marker(&folder)? else { return Err(StoreError::Foreign { path: folder.root().to_owned() }) };
        let path = folder.path(SWEEP_FILE);
        let text = String::from_utf8(folder.read(SWEEP_FILE)?.to_vec())
            .map_err(|error| StoreError::damaged(&path, format!("is not UTF-8: {error}")))?;
        Ok(SweepFile { path, text, reading: marker.reading })
    }
}

/// The copy of the sweep file.
const SWEEP_FILE: &str = "sweep.yaml";

#[derive(Serialize, Deserialize)]
struct Marker {
    sweep: String,
    format: u32,
    #[serde(flatten)]
    reading: Reading,
}

fn marker(folder: &Folder) -> Result<Option<Marker>, StoreError> {
    let content = match folder.read(MARKER) {
        Ok(content) => content,
        Err(StoreError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let marker = serde_json::from_slice(&content)
        .map_err(|error| StoreError::damaged(&folder.path(MARKER), format!("does not name its sweep: {error}")))?;
    Ok(Some(marker))
}

/// The name of the sweep that an output holds; `None` for one that holds none.
pub(crate) fn held_sweep(folder: &Folder) -> Result<Option<String>, StoreError> {
    Ok(marker(folder)?.map(|marker| marker.sweep))
}

/// Makes the output hold this sweep. The caller has made sure that it holds no other.
pub(crate) fn claim(folder: &Folder, sweep: &SweepIdentity) -> Result<(), StoreError> {
    let reading = Reading::default();
    folder.create(MARKER, text(Marker { sweep: sweep.name.clone(), format: FORMAT_VERSION, reading }))?;
    replace_if_other(folder, SWEEP_FILE, &sweep.text)
}

/// Notes how the file of the sweep that an output holds was read.
pub(crate) fn note(folder: &Folder, sweep: &str, reading: &Reading) -> Result<(), StoreError> {
    let marker = Marker { sweep: sweep.to_owned(), format: FORMAT_VERSION, reading: reading.clone() };
    replace_if_other(folder, MARKER, &text(marker))
}

/// Writes an object over what is there, unless that says the same: hundreds of shards that begin at once would all write.
fn replace_if_other(folder: &Folder, key: &str, text: &str) -> Result<(), StoreError> {
    match folder.read(key) {
        Ok(content) if content == text.as_bytes() => Ok(()),
        Ok(_) | Err(StoreError::Missing { .. }) => folder.replace(key, text.to_owned()),
        Err(error) => Err(error),
    }
}

fn text(marker: Marker) -> String {
    serde_json::to_string(&marker).expect("a marker is plain data")
}
