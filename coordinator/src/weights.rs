//! Initial weights that a sweep file names by path, read relative to that file.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use engine::network::InitialWeights;
use results::{Blobs, Location};
use sweep::spec::WeightsSource;

/// Larger files are no hedger's weights.
const MAX_BYTES: u64 = 256 << 20;

/// Reads each weights file once, and keeps its content for the workers.
#[derive(Debug)]
pub struct WeightFiles {
    folder: PathBuf,
    by_path: HashMap<String, Arc<InitialWeights>>,
    blobs: HashMap<String, Bytes>,
}

impl WeightFiles {
    /// Files relative to the folder of `sweep_file`.
    pub fn beside(sweep_file: &Path) -> WeightFiles {
        let folder = sweep_file.parent().map(Path::to_path_buf).unwrap_or_default();
        WeightFiles { folder, by_path: HashMap::new(), blobs: HashMap::new() }
    }

    /// The digest of every file that was read, by the path that the sweep file has for it.
    pub fn digests(&self) -> BTreeMap<String, String> {
        self.by_path.iter().map(|(path, weights)| (path.clone(), weights.digest().to_string())).collect()
    }

    /// The content of every file that was read, by digest.
    pub fn into_blobs(self) -> HashMap<String, Bytes> {
        self.blobs
    }
}

impl WeightsSource for WeightFiles {
    fn load(&mut self, path: &str) -> Result<Arc<InitialWeights>, String> {
        if let Some(weights) = self.by_path.get(path) {
            return Ok(Arc::clone(weights));
        }
        let file = self.folder.join(path);
        let unreadable = |error: std::io::Error| format!("cannot read {}: {error}", file.display());
        let size = std::fs::metadata(&file).map_err(unreadable)?.len();
        if size > MAX_BYTES {
            return Err(format!("{} has {size} bytes; allowed: at most {MAX_BYTES}", file.display()));
        }
        let content = Bytes::from(std::fs::read(&file).map_err(unreadable)?);
        let weights = InitialWeights::parse(&content).map_err(|error| format!("{}: {error}", file.display()))?;
        let weights = Arc::new(weights);
        self.blobs.insert(weights.digest().to_string(), content);
        self.by_path.insert(path.to_owned(), Arc::clone(&weights));
        Ok(weights)
    }
}

/// The weights that lie beside results, under the digests that their paths had when the sweep ran.
#[derive(Debug)]
pub struct StoredWeights {
    location: Location,
    digests: BTreeMap<String, String>,
}

impl StoredWeights {
    /// The blobs of an output.
    pub fn of(output: &Location, digests: BTreeMap<String, String>) -> StoredWeights {
        StoredWeights { location: output.clone(), digests }
    }
}

impl WeightsSource for StoredWeights {
    fn load(&mut self, path: &str) -> Result<Arc<InitialWeights>, String> {
        let Some(digest) = self.digests.get(path) else {
            return Err("it was not among the files when the sweep was run; run the sweep again".to_owned());
        };
        let name = blob_name(digest);
        let read = Blobs::at(&self.location).and_then(|blobs| blobs.read(name));
        let content = read.map_err(|error| format!("cannot be read: {error}"))?;
        let weights = InitialWeights::parse(&content).map_err(|error| format!("blob {name}: {error}"))?;
        if weights.digest().to_string() != *digest {
            return Err(format!("blob {name} is not what its name says"));
        }
        Ok(Arc::new(weights))
    }
}

/// The name of the blob that holds the weights of a digest.
pub fn blob_name(digest: &str) -> &str {
    digest.strip_prefix("blake3:").unwrap_or(digest)
}
