//! An object in the making.

use object_store::{MultipartUpload, ObjectStoreExt};

use crate::error::StoreError;
use crate::folder::Folder;
use crate::pieces::PIECE;

/// An object in the making: nothing is to be seen of it before [`Upload::finish`], and nothing stays if it is dropped.
///
/// A small one is written at once in the end, a larger one in pieces as they come.
pub(crate) struct Upload<'a> {
    folder: &'a Folder,
    key: String,
    pieces: Option<Box<dyn MultipartUpload>>,
    buffer: Vec<u8>,
    failure: Option<StoreError>,
}

impl<'a> Upload<'a> {
    pub(crate) fn new(folder: &'a Folder, key: &str) -> Upload<'a> {
        Upload { folder, key: key.to_owned(), pieces: None, buffer: Vec::new(), failure: None }
    }

    /// Publishes the object. A failure that a writer above has swallowed comes out here.
    pub(crate) fn finish(mut self) -> Result<(), StoreError> {
        if self.failure.is_none() {
            self.failure = self.publish().err();
        }
        match self.failure.take() {
            None => {
                self.folder.forget_copy(&self.key);
                Ok(())
            }
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

    fn publish(&mut self) -> Result<(), StoreError> {
        if self.pieces.is_none() {
            return self.folder.replace_at_once(&self.key, std::mem::take(&mut self.buffer).into());
        }
        if !self.buffer.is_empty() {
            self.send()?;
        }
        let Some(pieces) = &mut self.pieces else { return Ok(()) };
        let complete = pieces.complete();
        let (_, bridge) = self.folder.objects();
        bridge.wait(complete).map_err(|error| self.folder.error(&self.key, &error))?;
        self.pieces = None;
        Ok(())
    }

    fn send(&mut self) -> Result<(), StoreError> {
        if self.pieces.is_none() {
            let begin = self.folder.wait(&self.key, |objects, key| async move { objects.put_multipart(&key).await });
            self.pieces = Some(begin?);
        }
        let Some(pieces) = &mut self.pieces else { return Ok(()) };
        let piece = pieces.put_part(std::mem::take(&mut self.buffer).into());
        let (_, bridge) = self.folder.objects();
        bridge.wait(piece).map_err(|error| self.folder.error(&self.key, &error))
    }

    fn abort(&mut self) {
        if let Some(mut pieces) = self.pieces.take() {
            let (_, bridge) = self.folder.objects();
            // Without effect beyond a left-over staging file, which the next writer sweeps away; of a bucket's left-over
            // pieces its lifecycle rule does the same.
            let _ = bridge.wait(pieces.abort());
        }
    }
}

/// One of several uploads may be dropped because another has failed; a bucket would keep, and charge for, its pieces.
impl Drop for Upload<'_> {
    fn drop(&mut self) {
        self.abort();
    }
}

impl std::io::Write for Upload<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.failure.is_some() {
            return Err(std::io::Error::other("an earlier write failed"));
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            // S3 wants no piece but the last to be less than 5 MiB.
            let (now, later) = rest.split_at(rest.len().min(PIECE - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            rest = later;
            if self.buffer.len() == PIECE
                && let Err(error) = self.send()
            {
                let message = error.to_string();
                self.failure = Some(error);
                return Err(std::io::Error::other(message));
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use super::*;
    use crate::location::Location;

    #[test]
    fn it_appears_when_it_is_finished_and_not_before() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(&Location::folder(place.path())).unwrap();
        for length in [1, PIECE, PIECE + 1, 3 * PIECE] {
            let name = format!("table-{length}");
            let mut upload = folder.upload(&name);
            upload.write_all(&vec![7; length]).unwrap();
            assert!(!place.path().join(&name).exists());
            upload.finish().unwrap();
            assert_eq!(folder.size(&name).unwrap(), length as u64);
            std::fs::remove_file(place.path().join(&name)).unwrap();
        }
        for length in [1, PIECE + 1] {
            let mut upload = folder.upload("given-up");
            upload.write_all(&vec![7; length]).unwrap();
            upload.fail(StoreError::Missing { path: PathBuf::new() });
        }
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
