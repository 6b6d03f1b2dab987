//! Reading Parquet by ranges: footers and single row groups, through the object store.
//!
//! Polars' own reader wants a whole file in memory or mapped into it. Results are read column by column and row group
//! by row group instead, from any store, and a file that is cut off under a reader is an error and no signal.
//!
//! The decoder must not be trusted with damaged bytes: it meets some damage with a panic, which is caught here, and some
//! by asking for more memory than there is, which ends the process and which nothing can catch. Parts, which hold what
//! cannot be had again cheaply, are therefore verified before they are decoded. Tables carry no seal: they are made from
//! the parts, and can be at any time.

use std::io::Cursor;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use polars::io::parquet::metadata::FileMetadataRef;
use polars::io::parquet::read::_internal::to_deserializer;
use polars::io::parquet::read::{ParquetReader, infer_schema};
use polars::prelude::{ArrowSchema, PolarsError, Schema, SchemaExt, SerReader, Series};

use crate::error::StoreError;
use crate::folder::Folder;
use crate::identity::Footer;
use crate::seal;

/// Bytes read from the end of a file at first: enough for the footers of most.
const TAIL: u64 = 64 << 10;

/// A Parquet file whose footer has been read and found sound.
#[derive(Clone)]
pub(crate) struct Parquet {
    key: String,
    metadata: FileMetadataRef,
    schema: Arc<ArrowSchema>,
}

impl Parquet {
    /// Reads the footer of `key`, whose size is `size`.
    ///
    /// A file that is torn or is no Parquet file at all is [`StoreError::Damaged`].
    pub(crate) fn open(folder: &Folder, key: &str, size: u64) -> Result<Parquet, StoreError> {
        let footer = footer(folder, key, size)?;
        Parquet::parse(folder, key, size, &footer)
    }

    /// Reads the footer of `key`, whose size is `size`, once the whole file is known to be as it was sealed.
    ///
    /// A file that is not is [`StoreError::Damaged`].
    pub(crate) fn open_sealed(folder: &Folder, key: &str, size: u64) -> Result<Parquet, StoreError> {
        let footer = footer(folder, key, size)?;
        seal::verify(folder, key, size, &footer)?;
        Parquet::parse(folder, key, size, &footer)
    }

    fn parse(folder: &Folder, key: &str, size: u64, footer: &[u8]) -> Result<Parquet, StoreError> {
        let damaged = |reason: &str| StoreError::damaged(&folder.path(key), reason);
        let parsed = guarded(|| {
            let mut reader = ParquetReader::new(Cursor::new(footer));
            let metadata = reader.get_metadata()?.clone();
            let schema = infer_schema(&metadata)?;
            Ok((metadata, schema))
        });
        let (metadata, schema) = parsed.map_err(|reason| damaged(&reason))?;
        let groups = &metadata.row_groups;
        // Row groups follow each other from the file's first magic to the footer, with little between them: a file of
        // which a piece is missing ends too early.
        let mut end = 4;
        for group in groups {
            let range = group.full_byte_range();
            if range.start < end || range.end < range.start {
                return Err(damaged("its row groups do not follow each other"));
            }
            end = range.end;
        }
        if end > size - footer.len() as u64 {
            return Err(damaged("its row groups reach into the footer"));
        }
        Ok(Parquet { key: key.to_owned(), metadata, schema: Arc::new(schema) })
    }

    /// What the footer says of the sweep; `None` if the file is none of ours.
    pub(crate) fn footer(&self) -> Option<Footer> {
        Footer::parse(|wanted| self.value(wanted))
    }

    /// The value of a key of the footer.
    pub(crate) fn value(&self, wanted: &str) -> Option<String> {
        let pairs = self.metadata.key_value_metadata().as_ref()?;
        pairs.iter().find(|pair| pair.key == wanted)?.value.clone()
    }

    /// The columns.
    pub(crate) fn schema(&self) -> Schema {
        Schema::from_arrow_schema(&self.schema)
    }

    /// Number of row groups.
    pub(crate) fn groups(&self) -> usize {
        self.metadata.row_groups.len()
    }

    /// Number of rows of a row group.
    pub(crate) fn rows(&self, group: usize) -> usize {
        self.metadata.row_groups[group].num_rows()
    }

    /// Number of rows of the file.
    pub(crate) fn total_rows(&self) -> usize {
        self.metadata.num_rows
    }

    /// Bytes of memory that the footer takes, roughly.
    pub(crate) fn weight(&self) -> u64 {
        (self.groups() as u64 + 1) * self.schema.len() as u64 * 256
    }

    /// Decodes columns of a row group; `None` stands for a column that the file does not have.
    ///
    /// Every series that comes back has exactly as many rows as the row group, in one chunk.
    pub(crate) fn read(
        &self,
        folder: &Folder,
        group: usize,
        names: &[&str],
    ) -> Result<Vec<Option<Series>>, StoreError> {
        let metadata = &self.metadata.row_groups[group];
        let ranges = names.iter().filter_map(|name| metadata.columns_under_root_iter(name));
        let span = ranges.flatten().map(|chunk| chunk.byte_range()).reduce(hull).unwrap_or(0..0);
        let bytes = folder.read_range(&self.key, span.clone())?;
        let decoded = guarded(|| {
            let mut series = Vec::with_capacity(names.len());
            for name in names {
                let (Some(field), Some(chunks)) = (self.schema.get(name), metadata.columns_under_root_iter(name))
                else {
                    series.push(None);
                    continue;
                };
                let chunks = chunks.map(|chunk| {
                    let range = chunk.byte_range();
                    let piece = &bytes[(range.start - span.start) as usize..(range.end - span.start) as usize];
                    (chunk, piece.to_vec().into())
                });
                let (arrays, _) = to_deserializer(chunks.collect(), field.clone(), None)?;
                let column = Series::try_from((field, arrays))?.rechunk();
                if column.len() != metadata.num_rows() {
                    polars::prelude::polars_bail!(ComputeError: "column {name} has {} rows", column.len());
                }
                series.push(Some(column));
            }
            Ok(series)
        });
        decoded.map_err(|reason| {
            StoreError::damaged(&folder.path(&self.key), format!("row group {group} does not decode: {reason}"))
        })
    }
}

impl Parquet {
    /// The error of a row group whose columns decode but make no sense.
    pub(crate) fn damage(&self, folder: &Folder, error: &PolarsError) -> StoreError {
        StoreError::damaged(&folder.path(&self.key), error.to_string())
    }
}

/// A file's footer as it lies there: its description in Thrift, the length of that, and the magic.
pub(crate) fn footer(folder: &Folder, key: &str, size: u64) -> Result<Bytes, StoreError> {
    let damaged = |reason: &str| StoreError::damaged(&folder.path(key), reason);
    let mut tail = folder.read_tail(key, TAIL)?;
    if size < 12 || tail.len() < 12 || !tail.ends_with(b"PAR1") {
        return Err(damaged("does not end as a Parquet file does; it may be cut off"));
    }
    let at = tail.len() - 8;
    let length = u32::from_le_bytes([tail[at], tail[at + 1], tail[at + 2], tail[at + 3]]);
    let footer = u64::from(length) + 8;
    if footer + 4 > size {
        return Err(damaged("its footer is longer than the file"));
    }
    if footer > tail.len() as u64 {
        tail = folder.read_tail(key, footer)?;
    }
    match (tail.len() as u64).checked_sub(footer) {
        Some(before) => Ok(tail.slice(before as usize..)),
        None => Err(damaged("has become shorter while it was read")),
    }
}

fn hull(left: Range<u64>, right: Range<u64>) -> Range<u64> {
    left.start.min(right.start)..left.end.max(right.end)
}

/// Runs a decoder over bytes that may not be what was written: Polars reports some damage as an error and meets other
/// damage with a panic, which must not take a sweep down with it. This is the second line only: see the top of the file
/// for what it cannot catch.
fn guarded<T>(decode: impl FnOnce() -> Result<T, PolarsError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the decoder gave up on it".to_owned()),
    }
}
