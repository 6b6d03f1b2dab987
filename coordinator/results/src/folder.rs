//! The one way to read and write where results are kept.

use std::future::Future;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutPayload};

use crate::bridge::Bridge;
use crate::copies::Copies;
use crate::error::StoreError;
use crate::location::{Location, Place};
use crate::pieces::{PIECE, Pieces};
use crate::s3::{self, Service};
use crate::upload::Upload;

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

/// An existing location, opened: a folder of this machine, or the objects of a bucket that have a prefix.
///
/// Every call blocks until it is done, and what it wrote is durable: the local object store fsyncs file and folder entry
/// before it returns, a bucket answers when it has the object.
pub(crate) struct Folder {
    objects: Arc<dyn ObjectStore>,
    location: Location,
    root: PathBuf,
    remote: Option<Remote>,
    bridge: Arc<Bridge>,
}

/// What only a bucket has.
struct Remote {
    service: Service,
    copies: Copies,
}

impl Folder {
    /// Opens a folder that exists, or a bucket that can be reached.
    pub(crate) fn open(location: &Location) -> Result<Folder, StoreError> {
        match location.place() {
            Place::Folder(path) => {
                let root = path.canonicalize().map_err(|error| StoreError::io(path, &error))?;
                let local =
                    LocalFileSystem::new_with_prefix(&root).map_err(|error| StoreError::object(&root, &error))?;
                let bridge = Bridge::calling().map_err(|error| StoreError::io(&root, &error))?;
                Ok(Folder {
                    objects: Arc::new(local.with_fsync(true)),
                    location: Location::folder(&root),
                    root,
                    remote: None,
                    bridge: Arc::new(bridge),
                })
            }
            Place::Bucket(bucket) => {
                let (objects, service) = s3::connect(bucket)?;
                let folder = Folder::remote(objects, service, location)?;
                // Whether there is such a bucket, and whether it may be read, is known before anything else is done.
                folder.wait("", |objects, _| async move { objects.list_with_delimiter(None).await })?;
                Ok(folder)
            }
        }
    }

    /// Objects somewhere else, which `location` names.
    pub(crate) fn remote(
        objects: Arc<dyn ObjectStore>,
        service: Service,
        location: &Location,
    ) -> Result<Folder, StoreError> {
        let root = location.shown();
        let bridge = Bridge::working().map_err(|error| StoreError::io(&root, &error))?;
        let remote = Some(Remote { service, copies: Copies::default() });
        Ok(Folder { objects, location: location.clone(), root, remote, bridge: Arc::new(bridge) })
    }

    /// Objects in memory, which several folders may share: a bucket for tests.
    #[cfg(test)]
    pub(crate) fn in_memory(objects: Arc<object_store::memory::InMemory>) -> Folder {
        Folder::of(objects)
    }

    /// The same of any objects.
    #[cfg(test)]
    pub(crate) fn of(objects: Arc<dyn ObjectStore>) -> Folder {
        let location = "s3://bucket/sweep".parse().expect("a location");
        Folder::remote(objects, Service::for_tests(), &location).expect("a runtime")
    }

    /// Where it is.
    pub(crate) fn location(&self) -> &Location {
        &self.location
    }

    /// Its path or URL, for messages.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The path or URL of an object, for messages.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        if key.is_empty() { self.root.clone() } else { self.root.join(key) }
    }

    /// Whether it is on another machine.
    pub(crate) fn is_remote(&self) -> bool {
        self.remote.is_some()
    }

    /// The objects, and what runs calls on them.
    pub(crate) fn objects(&self) -> (&Arc<dyn ObjectStore>, &Arc<Bridge>) {
        (&self.objects, &self.bridge)
    }

    /// What a failure of a call about `key` means.
    pub(crate) fn error(&self, key: &str, error: &object_store::Error) -> StoreError {
        match &self.remote {
            Some(remote) => remote.service.error(self.path(key), error),
            None => StoreError::object(self.path(key), error),
        }
    }

    /// The size of an object.
    pub(crate) fn size(&self, key: &str) -> Result<u64, StoreError> {
        if let Some(copy) = self.copy(key)? {
            return Ok(copy.size());
        }
        Ok(self.wait(key, |objects, key| async move { objects.head(&key).await })?.size)
    }

    /// The whole of an object.
    pub(crate) fn read(&self, key: &str) -> Result<Bytes, StoreError> {
        self.wait(key, |objects, key| async move { Pieces::of(&*objects, &key).await?.all().await })
    }

    /// A range of an object's bytes.
    pub(crate) fn read_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        if let Some(copy) = self.copy(key)? {
            return copy.range(range).map_err(|error| StoreError::io(self.path(key), &error));
        }
        let get = |range| self.wait(key, |objects, key| async move { objects.get_range(&key, range).await });
        let length = range.end - range.start;
        if !self.is_remote() || length <= PIECE as u64 {
            return get(range);
        }
        let mut content = Vec::with_capacity(length as usize);
        for start in range.clone().step_by(PIECE) {
            content.extend_from_slice(&get(start..range.end.min(start + PIECE as u64))?);
        }
        Ok(content.into())
    }

    /// The last `length` bytes of an object, or all of a shorter one.
    pub(crate) fn read_tail(&self, key: &str, length: u64) -> Result<Bytes, StoreError> {
        if let Some(copy) = self.copy(key)? {
            let end = copy.size();
            return self.read_range(key, end.saturating_sub(length)..end);
        }
        let options = GetOptions::new().with_range(Some(GetRange::Suffix(length)));
        self.wait(key, |objects, key| async move { objects.get_opts(&key, options).await?.bytes().await })
    }

    /// Has objects at hand before they are read, several at a time. What goes wrong comes out when they are read.
    pub(crate) fn fetch_ahead(&self, objects: &[Object]) {
        let Some(remote) = &self.remote else { return };
        let wanted = remote.copies.fit(objects.iter().map(|object| (object.key.as_str(), object.size)));
        self.bridge.wait(async {
            let fetch = |key: &str| {
                let (objects, key) = (Arc::clone(&self.objects), key.to_owned());
                async move {
                    // An error comes again when the object is read.
                    let _ = remote.copies.fetch(&*objects, &key).await;
                }
            };
            futures::stream::iter(wanted).map(fetch).buffer_unordered(CONNECTIONS).collect::<()>().await;
        });
    }

    /// Writes an object at once, over what is there.
    pub(crate) fn replace(&self, key: &str, content: impl Into<PutPayload>) -> Result<(), StoreError> {
        let content = content.into();
        if self.is_for_pieces(&content) { self.send(key, &content) } else { self.replace_at_once(key, content) }
    }

    /// The same in one request.
    pub(crate) fn replace_at_once(&self, key: &str, content: PutPayload) -> Result<(), StoreError> {
        self.wait(key, |objects, key| async move { objects.put(&key, content).await }).map(drop)?;
        self.forget_copy(key);
        Ok(())
    }

    /// Writes an object at once if there is none of the name; says whether there was none.
    ///
    /// Nothing keeps that condition for an object that goes to a bucket in pieces: that there is none is only looked at
    /// first. The name of whatever may be so large has to stand for its content, as a digest or a random number does, so
    /// that whoever else writes it then writes the same.
    pub(crate) fn create(&self, key: &str, content: impl Into<PutPayload>) -> Result<bool, StoreError> {
        let content = content.into();
        if self.is_for_pieces(&content) {
            return self.create_in_pieces(key, &content);
        }
        self.wait(key, |objects, key| async move {
            match s3::put(&*objects, &key, content, PutMode::Create).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    /// Writes an object of a name that nobody else ever gives; says whether it is there. `false` asks for another name.
    pub(crate) fn create_unique(&self, key: &str, content: &Bytes) -> Result<bool, StoreError> {
        // What is there may be our own: a request got through, and its answer did not.
        Ok(self.create(key, content.clone())? || self.read(key)? == *content)
    }

    fn create_in_pieces(&self, key: &str, content: &PutPayload) -> Result<bool, StoreError> {
        let size = || self.wait(key, |objects, key| async move { objects.head(&key).await }).map(|meta| meta.size);
        match size() {
            Ok(_) => return Ok(false),
            Err(StoreError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
        self.send(key, content).map(|()| true).or_else(|error| match size() {
            // The last request got through, and its answer did not.
            Ok(size) if size == content.content_length() as u64 => Ok(true),
            _ => Err(error),
        })
    }

    /// Whether an object is too large for one request to a bucket.
    fn is_for_pieces(&self, content: &PutPayload) -> bool {
        self.is_remote() && content.content_length() > PIECE
    }

    /// Writes an object in pieces.
    fn send(&self, key: &str, content: &PutPayload) -> Result<(), StoreError> {
        let mut upload = self.upload(key);
        // Its own error says more than the writer's, and comes out in the end.
        let _ = content.iter().try_for_each(|bytes| upload.write_all(bytes));
        upload.finish()
    }

    /// Begins an object that appears all at once when it is finished.
    pub(crate) fn upload(&self, key: &str) -> Upload<'_> {
        Upload::new(self, key)
    }

    /// Removes an object; there may be none.
    pub(crate) fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.forget_copy(key);
        match self.wait(key, |objects, key| async move { objects.delete(&key).await }) {
            Ok(()) | Err(StoreError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes objects, in as few requests as there is a way to; there may be none.
    pub(crate) fn delete_all(&self, keys: &[String]) -> Result<(), StoreError> {
        keys.iter().for_each(|key| self.forget_copy(key));
        let keys: Vec<Result<Key, object_store::Error>> = keys.iter().map(|key| Ok(Key::from(key.as_str()))).collect();
        self.wait("", |objects, _| async move {
            let mut deleted = objects.delete_stream(futures::stream::iter(keys).boxed());
            while let Some(each) = deleted.next().await {
                match each {
                    Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
    }

    /// Gives an object another name.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let target = Key::from(to);
        self.forget_copy(from);
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

    /// Waits for a call about `key`.
    pub(crate) fn wait<T: Send, F>(
        &self,
        key: &str,
        call: impl FnOnce(Arc<dyn ObjectStore>, Key) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, object_store::Error>> + Send,
    {
        let future = call(Arc::clone(&self.objects), Key::from(key));
        self.bridge.wait(future).map_err(|error| self.error(key, &error))
    }

    /// The copy of a remote object that is read in many pieces.
    fn copy(&self, key: &str) -> Result<Option<crate::copies::Copy>, StoreError> {
        let Some(remote) = &self.remote else { return Ok(None) };
        if let Some(known) = remote.copies.known(key) {
            return Ok(known);
        }
        let fetched = self.bridge.wait(remote.copies.fetch(&*self.objects, key));
        fetched.map_err(|error| self.error(key, &error))
    }

    /// An object is about to be, or was, another one.
    pub(crate) fn forget_copy(&self, key: &str) {
        if let Some(remote) = &self.remote {
            remote.copies.forget(key);
        }
    }
}

/// So many objects are fetched at a time.
const CONNECTIONS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{Fault, Line};

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
    fn of_a_name_that_nobody_else_gives_what_is_there_is_ones_own() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(&Location::folder(place.path())).unwrap();
        let content = Bytes::from_static(b"content");
        assert!(folder.create_unique("a", &content).unwrap());
        assert!(folder.create_unique("a", &content).unwrap());
        assert!(!folder.create_unique("a", &Bytes::from_static(b"another")).unwrap());
    }

    #[tokio::test]
    async fn it_works_from_within_a_runtime() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(&Location::folder(place.path())).unwrap();
        folder.replace("x", "y").unwrap();
        assert_eq!(folder.read("x").unwrap(), "y");
    }

    fn at_the_end_of_a_bad_line() -> (Arc<Line>, Folder) {
        let line: Arc<Line> = Arc::default();
        let folder = Folder::of(Arc::clone(&line) as Arc<dyn ObjectStore>);
        (line, folder)
    }

    fn large(length: usize) -> Bytes {
        (0..length).map(|place| (place / 1000) as u8).collect::<Vec<u8>>().into()
    }

    #[test]
    fn no_request_to_a_bucket_carries_more_than_a_piece() {
        let (line, folder) = at_the_end_of_a_bad_line();
        for length in [0, 1, PIECE, PIECE + 1, 3 * PIECE] {
            // The last two are copied when they are read, in memory and in a file.
            for name in ["blobs/1", "parts/1.parquet", "runs.parquet"] {
                let (key, content) = (format!("{length}/{name}"), large(length));
                assert!(folder.create_unique(&key, &content).unwrap());
                assert!(!folder.create(&key, content.clone()).unwrap());
                assert!(folder.create_unique(&key, &content).unwrap(), "it is one's own");
                assert_eq!(folder.read(&key).unwrap(), content);
                assert_eq!(folder.read_range(&key, 0..length as u64).unwrap(), content);
                folder.replace(&key, large(length + 1)).unwrap();
                assert_eq!(folder.size(&key).unwrap(), length as u64 + 1);
            }
        }
        assert_eq!(line.uploads(), 0);
    }

    #[test]
    fn a_large_object_whose_last_answer_was_lost_is_there() {
        let (line, folder) = at_the_end_of_a_bad_line();
        line.fault(Fault::AnswerLost);
        assert!(folder.create_unique("parts/1", &large(PIECE + 1)).unwrap());
    }

    #[test]
    fn an_upload_that_is_dropped_leaves_no_pieces() {
        let (line, folder) = at_the_end_of_a_bad_line();
        let mut upload = folder.upload("table");
        upload.write_all(&large(PIECE + 1)).unwrap();
        assert_eq!(line.uploads(), 1);
        drop(upload);
        assert_eq!(line.uploads(), 0);
        assert!(folder.list("").unwrap().is_empty());
    }
}
