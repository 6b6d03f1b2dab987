//! Where results are kept, and the one way to read and write there.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::StoreError;

/// Where results are kept: so far a local folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    folder: PathBuf,
}

impl Location {
    /// A local folder, which need not exist yet.
    pub fn folder(path: impl Into<PathBuf>) -> Location {
        Location { folder: path.into() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl FromStr for Location {
    type Err = StoreError;

    /// A folder, or a `file://` URL of one; any other scheme is refused.
    fn from_str(text: &str) -> Result<Location, StoreError> {
        if let Some(path) = text.strip_prefix("file://") {
            return Ok(Location::folder(path));
        }
        match text.split_once("://") {
            Some(_) => Err(StoreError::Unsupported { location: text.to_owned() }),
            None => Ok(Location::folder(text)),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.folder.display().fmt(f)
    }
}

/// Creates a folder and those above it, so that they are there after a crash of the machine too: an entry is durable when
/// the folder that holds it is fsynced.
pub(crate) fn create_folder(path: &Path) -> Result<(), StoreError> {
    let absolute = std::path::absolute(path).map_err(|error| StoreError::io(path, &error))?;
    let missing: Vec<&Path> = absolute.ancestors().take_while(|folder| !folder.exists()).collect();
    std::fs::create_dir_all(&absolute).map_err(|error| StoreError::io(path, &error))?;
    for folder in missing.into_iter().rev() {
        if let Some(parent) = folder.parent() {
            sync_folder(parent)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let synced = std::fs::File::open(folder).and_then(|file| file.sync_all());
    synced.map_err(|error| StoreError::io(folder, &error))
}

/// Other systems open no folders.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// One object in a folder.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// Its key from the root, with slashes.
    pub(crate) key: String,
    /// Its size in bytes.
    pub(crate) size: u64,
}

/// An existing location, opened. Every call blocks until it is done, and what it wrote is on the disk: file and folder
/// entry, since the local object store fsyncs both before it returns.
pub(crate) struct Folder {
    objects: Arc<dyn ObjectStore>,
    root: PathBuf,
    bridge: Bridge,
}

impl Folder {
    /// Opens a folder that exists.
    pub(crate) fn open(location: &Location) -> Result<Folder, StoreError> {
        let root = location.path().canonicalize().map_err(|error| StoreError::io(location.path(), &error))?;
        let local = LocalFileSystem::new_with_prefix(&root).map_err(|error| StoreError::object(&root, &error))?;
        let bridge = Bridge::new().map_err(|error| StoreError::io(&root, &error))?;
        Ok(Folder { objects: Arc::new(local.with_fsync(true)), root, bridge })
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The path of an object, for messages.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// The size of an object.
    pub(crate) fn size(&self, key: &str) -> Result<u64, StoreError> {
        Ok(self.wait(key, |objects, key| async move { objects.head(&key).await })?.size)
    }

    /// The whole of an object.
    pub(crate) fn read(&self, key: &str) -> Result<Bytes, StoreError> {
        self.wait(key, |objects, key| async move { objects.get(&key).await?.bytes().await })
    }

    /// A range of an object's bytes.
    pub(crate) fn read_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        self.wait(key, |objects, key| async move { objects.get_range(&key, range).await })
    }

    /// The last `length` bytes of an object, or all of a shorter one.
    pub(crate) fn read_tail(&self, key: &str, length: u64) -> Result<Bytes, StoreError> {
        let options = GetOptions::new().with_range(Some(GetRange::Suffix(length)));
        self.wait(key, |objects, key| async move { objects.get_opts(&key, options).await?.bytes().await })
    }

    /// Writes an object at once, over what is there.
    pub(crate) fn replace(&self, key: &str, content: impl Into<PutPayload>) -> Result<(), StoreError> {
        let content = content.into();
        self.wait(key, |objects, key| async move { objects.put(&key, content).await }).map(drop)
    }

    /// Writes an object at once if there is none of the name; says whether there was none.
    pub(crate) fn create(&self, key: &str, content: impl Into<PutPayload>) -> Result<bool, StoreError> {
        let content = content.into();
        self.wait(key, |objects, key| async move {
            match objects.put_opts(&key, content, PutMode::Create.into()).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    /// Begins an object that appears all at once when it is finished.
    pub(crate) fn upload(&self, key: &str) -> Result<Upload<'_>, StoreError> {
        let inner = self.wait(key, |objects, key| async move { objects.put_multipart(&key).await })?;
        Ok(Upload { folder: self, key: key.to_owned(), inner, buffer: Vec::new(), failure: None })
    }

    /// Removes an object; there may be none.
    pub(crate) fn delete(&self, key: &str) -> Result<(), StoreError> {
        match self.wait(key, |objects, key| async move { objects.delete(&key).await }) {
            Ok(()) | Err(StoreError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives an object another name.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let target = Key::from(to);
        self.wait(from, |objects, from| async move { objects.rename(&from, &target).await })
    }

    /// The objects directly in a folder, by name.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<Object>, StoreError> {
        let prefix = Key::from(folder);
        let mut all: Vec<Object> = self.wait(folder, |objects, key| async move {
            objects
                .list(Some(&key))
                .map_ok(|meta| Object { key: meta.location.to_string(), size: meta.size })
                .try_collect()
                .await
        })?;
        all.retain(|object| Key::from(object.key.as_str()).parts_count() == prefix.parts_count() + 1);
        all.sort_by(|left, right| left.key.cmp(&right.key));
        Ok(all)
    }

    fn wait<T: Send, F>(&self, key: &str, call: impl FnOnce(Arc<dyn ObjectStore>, Key) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, object_store::Error>> + Send,
    {
        let future = call(Arc::clone(&self.objects), Key::from(key));
        self.bridge.wait(future).map_err(|error| StoreError::object(self.path(key), &error))
    }
}

/// An object in the making: nothing is to be seen of it before [`Upload::finish`], and nothing stays if it is dropped.
pub(crate) struct Upload<'a> {
    folder: &'a Folder,
    key: String,
    inner: Box<dyn object_store::MultipartUpload>,
    buffer: Vec<u8>,
    failure: Option<StoreError>,
}

impl Upload<'_> {
    /// Bytes that are collected before they are sent off; S3 wants no less than 5 MiB.
    const CHUNK: usize = 8 << 20;

    /// Publishes the object. A failure that a writer above has swallowed comes out here.
    pub(crate) fn finish(mut self) -> Result<(), StoreError> {
        if self.failure.is_none() {
            let sent = self.send();
            let done = sent.and_then(|()| {
                let complete = self.inner.complete();
                self.folder.bridge.wait(complete).map_err(|error| self.error(&error))
            });
            self.failure = done.err();
        }
        match self.failure.take() {
            None => Ok(()),
            Some(error) => {
                self.abort();
                Err(error)
            }
        }
    }

    /// Gives the object up. `reason` is what made the writer above fail, unless this upload did.
    pub(crate) fn fail(mut self, reason: StoreError) -> StoreError {
        self.abort();
        self.failure.take().unwrap_or(reason)
    }

    fn send(&mut self) -> Result<(), StoreError> {
        let chunk = std::mem::take(&mut self.buffer);
        let part = self.inner.put_part(chunk.into());
        self.folder.bridge.wait(part).map_err(|error| self.error(&error))
    }

    fn error(&self, error: &object_store::Error) -> StoreError {
        StoreError::object(self.folder.path(&self.key), error)
    }

    fn abort(&mut self) {
        // Without effect beyond a left-over staging file, which the next writer sweeps away.
        let abort = self.inner.abort();
        let _ = self.folder.bridge.wait(abort);
    }
}

impl std::io::Write for Upload<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.failure.is_some() {
            return Err(std::io::Error::other("an earlier write failed"));
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= Upload::CHUNK
            && let Err(error) = self.send()
        {
            let message = error.to_string();
            self.failure = Some(error);
            return Err(std::io::Error::other(message));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// From the blocking calls of this crate to the object store's asynchronous ones.
///
/// It has a runtime of its own, so that results can be read and written from any thread: a plain one, one of
/// `spawn_blocking`, or (blocking it) one of an asynchronous runtime.
struct Bridge {
    runtime: Option<Runtime>,
}

impl Bridge {
    fn new() -> std::io::Result<Bridge> {
        Ok(Bridge { runtime: Some(Builder::new_current_thread().enable_all().build()?) })
    }

    fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        let runtime = self.runtime.as_ref().expect("taken only when dropped");
        if Handle::try_current().is_err() {
            return runtime.block_on(future);
        }
        // A runtime must not be entered from within another one; another thread may.
        let outcome = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(future)).join());
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // The plain drop of a runtime panics within another one's asynchronous context.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn schemes_other_than_file_are_refused() {
        assert_eq!("results/smoke".parse::<Location>().unwrap().path(), Path::new("results/smoke"));
        assert_eq!("file:///a/b".parse::<Location>().unwrap().path(), Path::new("/a/b"));
        let error = "s3://bucket/x".parse::<Location>().unwrap_err();
        assert!(matches!(error, StoreError::Unsupported { .. }));
        assert_eq!(error.to_string(), "s3://bucket/x: only local folders can hold results so far");
    }

    #[test]
    fn what_is_there_is_not_created_again() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(&Location::folder(place.path())).unwrap();
        assert!(folder.create("a/b", "first").unwrap());
        assert!(!folder.create("a/b", "second").unwrap());
        assert_eq!(folder.read("a/b").unwrap(), "first");
        assert_eq!(folder.read_tail("a/b", 2).unwrap(), "st");
        assert_eq!(folder.list("a").unwrap().len(), 1);
        assert!(folder.list("").unwrap().is_empty());
        assert!(folder.list("nowhere").unwrap().is_empty());
    }

    #[test]
    fn an_upload_appears_when_it_is_finished_and_not_before() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(&Location::folder(place.path())).unwrap();
        let mut upload = folder.upload("table").unwrap();
        upload.write_all(&vec![7; Upload::CHUNK + 1]).unwrap();
        assert!(!place.path().join("table").exists());
        upload.finish().unwrap();
        assert_eq!(folder.size("table").unwrap(), Upload::CHUNK as u64 + 1);
        let mut upload = folder.upload("table").unwrap();
        upload.write_all(b"other").unwrap();
        upload.fail(StoreError::Missing { path: PathBuf::new() });
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn it_works_from_within_a_runtime() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(&Location::folder(place.path())).unwrap();
        folder.replace("x", "y").unwrap();
        assert_eq!(folder.read("x").unwrap(), "y");
    }
}
