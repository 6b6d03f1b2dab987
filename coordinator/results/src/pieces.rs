//! Reading large objects piece by piece: a request has a limit of time, its body included.

use bytes::Bytes;
use object_store::path::Path as Key;
use object_store::{Error, GetOptions, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt};

/// The most bytes that one request carries. With the limit of a request's time it says how slow a line may be.
pub(crate) const PIECE: usize = 8 << 20;

/// The content of an object, one request for each [`PIECE`], all of them from one version of it.
pub(crate) struct Pieces<'a> {
    objects: &'a dyn ObjectStore,
    key: Key,
    meta: ObjectMeta,
    /// The whole of a small object, which the first request has brought.
    whole: Option<GetResult>,
    /// So many bytes were read.
    read: u64,
}

impl<'a> Pieces<'a> {
    /// Asks for an object.
    pub(crate) async fn of(objects: &'a dyn ObjectStore, key: &Key) -> Result<Pieces<'a>, Error> {
        let found = objects.get(key).await?;
        let meta = found.meta.clone();
        // The body of a larger one is not waited for.
        let whole = Some(found).filter(|_| meta.size <= PIECE as u64);
        Ok(Pieces { objects, key: key.clone(), meta, whole, read: 0 })
    }

    /// The object's size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.meta.size
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Precondition`] if the object has become another one in the meantime.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.read == self.meta.size {
            return Ok(None);
        }
        let end = self.meta.size.min(self.read + PIECE as u64);
        let found = match self.whole.take() {
            Some(found) => found,
            None => {
                let options = GetOptions::new().with_range(Some(self.read..end));
                let options = options.with_if_match(self.meta.e_tag.clone());
                self.objects.get_opts(&self.key, options).await?
            }
        };
        let piece = found.bytes().await?;
        self.read = end;
        Ok(Some(piece))
    }

    /// All of it.
    pub(crate) async fn all(mut self) -> Result<Bytes, Error> {
        let first = self.next().await?.unwrap_or_default();
        if self.read == self.meta.size {
            return Ok(first);
        }
        let mut content = Vec::with_capacity(self.meta.size as usize);
        content.extend_from_slice(&first);
        while let Some(piece) = self.next().await? {
            content.extend_from_slice(&piece);
        }
        Ok(content.into())
    }
}
