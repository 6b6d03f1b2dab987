//! Weights files, kept under their content's digest beside the results that were computed from them.

use bytes::Bytes;

use crate::error::StoreError;
use crate::folder::Folder;
use crate::location::Location;
use crate::store::Store;

/// The folder.
const FOLDER: &str = "blobs";

/// The blobs of an output.
pub struct Blobs {
    folder: Folder,
}

impl Blobs {
    /// Opens the blobs of an output.
    ///
    /// # Errors
    /// If the output cannot be reached.
    pub fn at(location: &Location) -> Result<Blobs, StoreError> {
        Ok(Blobs { folder: Folder::open(location)? })
    }

    /// The content of a blob.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none of the name, and others if it cannot be read.
    pub fn read(&self, name: &str) -> Result<Bytes, StoreError> {
        self.folder.read(&key(name))
    }
}

impl Store {
    /// Keeps a blob, durably. One that is there already is the same: names are digests.
    ///
    /// # Errors
    /// If the results are open for reading alone, or it cannot be written.
    pub fn keep_blob(&self, name: &str, content: &Bytes) -> Result<(), StoreError> {
        self.allow_writing("keep weights")?;
        self.folder.create(&key(name), content.clone()).map(drop)
    }
}

fn key(name: &str) -> String {
    format!("{FOLDER}/{name}")
}
