//! Which sweep an output belongs to, and what each file's footer says about it.

use engine::record::Record;
use polars::prelude::KeyValueMetadata;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::location::Folder;

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

#[derive(Serialize, Deserialize)]
struct Marker {
    sweep: String,
    format: u32,
}

/// The name of the sweep that an output holds; `None` for one that holds none.
pub(crate) fn held_sweep(folder: &Folder) -> Result<Option<String>, StoreError> {
    let content = match folder.read(MARKER) {
        Ok(content) => content,
        Err(StoreError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    match serde_json::from_slice::<Marker>(&content) {
        Ok(marker) => Ok(Some(marker.sweep)),
        Err(error) => Err(StoreError::damaged(&folder.path(MARKER), format!("does not name its sweep: {error}"))),
    }
}

/// Makes the output hold this sweep. The caller has made sure that it holds no other.
pub(crate) fn claim(folder: &Folder, sweep: &SweepIdentity) -> Result<(), StoreError> {
    let marker = Marker { sweep: sweep.name.clone(), format: FORMAT_VERSION };
    let text = serde_json::to_string(&marker).expect("a marker is plain data");
    folder.create(MARKER, text)?;
    folder.replace("sweep.yaml", sweep.text.clone())
}
