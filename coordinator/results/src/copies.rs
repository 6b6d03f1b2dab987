//! Copies of remote objects that are read in many pieces, so that each of them is asked for once.
//!
//! Parts, which never change, are kept in memory, the last few of them. Tables, which the analysis reads column by column,
//! are kept in files without a name, which are gone when this is, or when the process ends; whoever reads a table reads one
//! version of it. Larger objects are read where they are, by ranges.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::path::Path as Key;

use crate::part;
use crate::pieces::Pieces;

/// Bytes of parts in memory.
const PARTS_BYTES: u64 = 32 << 20;

/// Tables of more bytes are not copied.
const TABLE_BYTES: u64 = 1 << 30;

/// The copies.
#[derive(Default)]
pub(crate) struct Copies {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// The one that was used last is the last one.
    parts: VecDeque<(String, Bytes)>,
    /// Each with its size.
    tables: HashMap<String, (Arc<Mutex<File>>, u64)>,
    /// Of what there is no copy.
    left: HashSet<String>,
}

/// A copy of an object.
#[derive(Clone)]
pub(crate) enum Copy {
    Memory(Bytes),
    Disk(Arc<Mutex<File>>, u64),
}

impl Copy {
    /// The object's size in bytes.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Copy::Memory(content) => content.len() as u64,
            Copy::Disk(_, size) => *size,
        }
    }

    /// A range of its bytes, as far as there are any.
    pub(crate) fn range(&self, range: Range<u64>) -> std::io::Result<Bytes> {
        let end = range.end.min(self.size());
        let start = range.start.min(end);
        match self {
            Copy::Memory(content) => Ok(content.slice(start as usize..end as usize)),
            Copy::Disk(file, _) => {
                let mut content = vec![0; (end - start) as usize];
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(start))?;
                file.read_exact(&mut content)?;
                Ok(content.into())
            }
        }
    }
}

/// What kind of copy an object would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Part,
    Table,
}

fn kind(key: &str) -> Option<Kind> {
    if !key.ends_with(".parquet") {
        return None;
    }
    match key.split_once('/') {
        None => Some(Kind::Table),
        Some((folder, _)) => (folder == part::FOLDER).then_some(Kind::Part),
    }
}

impl Copies {
    /// The copy of an object, if it is known: `Some(None)` if it is known that there will be none.
    pub(crate) fn known(&self, key: &str) -> Option<Option<Copy>> {
        let mut held = self.held();
        if held.left.contains(key) {
            return Some(None);
        }
        match kind(key) {
            None => Some(None),
            Some(Kind::Table) => held.tables.get(key).map(|(file, size)| Some(Copy::Disk(Arc::clone(file), *size))),
            Some(Kind::Part) => {
                let place = held.parts.iter().position(|(held, _)| held == key)?;
                let part = held.parts.remove(place)?;
                let content = part.1.clone();
                held.parts.push_back(part);
                Some(Some(Copy::Memory(content)))
            }
        }
    }

    /// Makes a copy; `None` of an object that is too large, or for which there is no room here.
    pub(crate) async fn fetch(
        &self,
        objects: &dyn ObjectStore,
        key: &str,
    ) -> Result<Option<Copy>, object_store::Error> {
        let pieces = Pieces::of(objects, &Key::from(key)).await?;
        let size = pieces.size();
        match kind(key) {
            Some(Kind::Part) if size <= PARTS_BYTES => {
                let content = pieces.all().await?;
                self.keep_part(key, content.clone());
                return Ok(Some(Copy::Memory(content)));
            }
            Some(Kind::Table) if size <= TABLE_BYTES => {
                if let Some(file) = written(pieces).await? {
                    let file = Arc::new(Mutex::new(file));
                    self.held().tables.insert(key.to_owned(), (Arc::clone(&file), size));
                    return Ok(Some(Copy::Disk(file, size)));
                }
            }
            _ => {}
        }
        self.held().left.insert(key.to_owned());
        Ok(None)
    }

    /// Of these objects with their sizes the first ones that fit into memory together, and are not there.
    pub(crate) fn fit<'a>(&self, objects: impl Iterator<Item = (&'a str, u64)>) -> Vec<&'a str> {
        let mut total = 0;
        let fitting = objects.take_while(|(_, size)| {
            total += size;
            total <= PARTS_BYTES
        });
        let held = self.held();
        let is_there = |key: &str| held.parts.iter().any(|(held, _)| held == key);
        fitting.map(|(key, _)| key).filter(|key| kind(key) == Some(Kind::Part) && !is_there(key)).collect()
    }

    /// An object is no longer what it was.
    pub(crate) fn forget(&self, key: &str) {
        let mut held = self.held();
        held.parts.retain(|(held, _)| held != key);
        held.tables.remove(key);
        held.left.remove(key);
    }

    fn keep_part(&self, key: &str, content: Bytes) {
        let mut held = self.held();
        held.parts.retain(|(held, _)| held != key);
        held.parts.push_back((key.to_owned(), content));
        let mut total: u64 = held.parts.iter().map(|(_, content)| content.len() as u64).sum();
        while total > PARTS_BYTES
            && let Some((_, oldest)) = held.parts.pop_front()
        {
            total -= oldest.len() as u64;
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Every change is one step.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes an object into a file without a name; `None` if there is no room for it.
async fn written(mut pieces: Pieces<'_>) -> Result<Option<File>, object_store::Error> {
    let mut file = tempfile::tempfile();
    while let Some(piece) = pieces.next().await? {
        file = file.and_then(|mut file| file.write_all(&piece).map(|()| file));
        if let Err(error) = &file {
            tracing::debug!(%error, "a table is not copied, and read where it is");
            return Ok(None);
        }
    }
    Ok(file.ok())
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;
    use crate::line::Line;
    use crate::pieces::PIECE;

    async fn holding(objects: &[(&str, Vec<u8>)]) -> InMemory {
        let store = InMemory::new();
        for (key, content) in objects {
            store.put(&Key::from(*key), content.clone().into()).await.unwrap();
        }
        store
    }

    #[test]
    fn parts_and_tables_are_copied_and_nothing_else() {
        assert_eq!(kind("parts/1.parquet"), Some(Kind::Part));
        assert_eq!(kind("runs.parquet"), Some(Kind::Table));
        for other in ["sweep.yaml", "locks/sweep.json", "attempts/x.parquet", "blobs/1"] {
            assert_eq!(kind(other), None, "{other}");
            assert!(matches!(Copies::default().known(other), Some(None)));
        }
    }

    #[tokio::test]
    async fn a_copy_stays_what_it_was_until_it_is_forgotten() {
        for key in ["parts/1.parquet", "runs.parquet"] {
            let store = holding(&[(key, b"0123456789".to_vec())]).await;
            let copies = Copies::default();
            assert!(copies.known(key).is_none());
            copies.fetch(&store, key).await.unwrap().unwrap();
            store.delete(&Key::from(key)).await.unwrap();
            let copy = copies.known(key).unwrap().unwrap();
            assert_eq!(copy.size(), 10);
            assert_eq!(copy.range(2..4).unwrap(), "23");
            assert_eq!(copy.range(8..100).unwrap(), "89", "as far as there is any");
            copies.forget(key);
            assert!(copies.known(key).is_none());
            assert!(copies.fetch(&store, key).await.is_err());
        }
    }

    #[tokio::test]
    async fn memory_is_bounded_and_what_was_used_last_stays() {
        let third = vec![7; PARTS_BYTES as usize / 3];
        let parts = ["parts/0.parquet", "parts/1.parquet", "parts/2.parquet", "parts/3.parquet"];
        let objects: Vec<_> = parts.iter().map(|key| (*key, third.clone())).collect();
        let store = holding(&objects).await;
        let copies = Copies::default();
        for key in &parts[..3] {
            copies.fetch(&store, key).await.unwrap();
        }
        copies.known(parts[0]).unwrap();
        copies.fetch(&store, parts[3]).await.unwrap();
        let there: Vec<bool> = parts.iter().map(|key| copies.known(key).is_some()).collect();
        assert_eq!(there, [true, false, true, true]);
        let sizes = parts.iter().map(|key| (*key, third.len() as u64));
        assert_eq!(copies.fit(sizes), [parts[1]], "of the first three, one is not there");
    }

    #[tokio::test]
    async fn what_is_too_large_is_read_where_it_is() {
        let store = holding(&[("parts/1.parquet", vec![0; PARTS_BYTES as usize + 1])]).await;
        let copies = Copies::default();
        assert!(copies.fetch(&store, "parts/1.parquet").await.unwrap().is_none());
        assert!(copies.held().parts.is_empty());
        assert!(matches!(copies.known("parts/1.parquet"), Some(None)), "and it is not asked for again");
    }

    #[tokio::test]
    async fn a_table_is_copied_piece_by_piece() {
        let line = Line::default();
        let content: Vec<u8> = (0..2 * PIECE + 7).map(|place| (place / 1000) as u8).collect();
        let mut upload = line.put_multipart(&Key::from("runs.parquet")).await.unwrap();
        for piece in content.chunks(PIECE) {
            upload.put_part(piece.to_vec().into()).await.unwrap();
        }
        upload.complete().await.unwrap();
        let copy = Copies::default().fetch(&line, "runs.parquet").await.unwrap().unwrap();
        assert!(copy.range(0..copy.size()).unwrap() == content);
    }
}
