//! Compaction: sixteen parts of a level become one of the next, so that a long sweep is not a heap of small files.

use std::time::{Duration, SystemTime};

use engine::RunRecord;

use crate::decode;
use crate::encode::{self, GROUP_BYTES, PartWriter};
use crate::error::StoreError;
use crate::folder::Folder;
use crate::index::Place;
use crate::merge::Extent;
use crate::part::{self, Part, PartName, Trust};
use crate::store::Store;

/// How many parts of a level become one.
const FAN_IN: usize = 16;

/// A part whose records take so many bytes in memory or that has so many rows is large enough: reading its footer costs
/// nothing beside reading its rows, and to copy it again would only delay the results that wait to be stored.
const LARGE_BYTES: u64 = 8 << 20;
const LARGE_ROWS: u64 = 4096;

/// The slots of the parts to compact next, oldest first; `None` if there is nothing to do.
pub(crate) fn choose(parts: &[Option<Part>], first: usize) -> Option<Vec<u32>> {
    let mut by_level: Vec<Vec<(&PartName, u32)>> = Vec::new();
    for (slot, part) in parts.iter().enumerate().skip(first) {
        let Some(part) = part.as_ref().filter(|part| part.footprint < LARGE_BYTES && part.rows < LARGE_ROWS) else {
            continue;
        };
        let level = usize::from(part.name.level);
        if by_level.len() <= level {
            by_level.resize_with(level + 1, Vec::new);
        }
        by_level[level].push((&part.name, slot as u32));
    }
    let mut level = by_level.into_iter().find(|level| level.len() >= FAN_IN)?;
    level.sort();
    Some(level.into_iter().take(FAN_IN).map(|(_, slot)| slot).collect())
}

/// Writes the parts in `slots`, oldest first, as one, which will be in slot `target`; says where entries of the index
/// have moved. At most two row groups are in memory.
///
/// Rows that another one has superseded stay behind.
pub(crate) fn rewrite(store: &Store, slots: &[u32], target: u32) -> Result<(Part, Vec<(u32, Place)>), StoreError> {
    let old: Vec<&Part> = slots.iter().filter_map(|slot| store.part(*slot)).collect();
    let replaces: Vec<String> = old.iter().map(|part| part.name.file_name()).collect();
    let name = PartName::compacted(&old.iter().map(|part| &part.name).collect::<Vec<_>>());
    let key = name.key();
    let replaces = [(part::REPLACES, replaces.join(","))];
    let path = store.folder.path(&key);
    let broken = |error: polars::prelude::PolarsError| StoreError::damaged(&path, error.to_string());

    let mut upload = store.folder.upload(&key);
    let written = (|| {
        let mut writer = PartWriter::new(&mut upload, &store.footer, &replaces).map_err(broken)?;
        let (mut moves, mut footprint) = (Vec::new(), 0);
        let (mut group, mut bytes, mut places) = (Vec::<RunRecord>::new(), 0, 0_u16);
        for &slot in slots {
            // Its seal goes with it, and the new part's would vouch for whatever has become of its rows since it was
            // opened or written.
            let file = store.open_part(slot, Trust::Verify)?;
            for source in 0..file.groups() {
                let records = decode::records(&store.folder, &file, source, Extent::WHOLE)?;
                for (row, record) in records.into_iter().enumerate() {
                    let here = Place { part: slot, group: source as u16, row: row as u16 };
                    let number = store.index().entry_of(record.run_id).expect("every row was entered");
                    if store.index().entry(number).place != here {
                        continue;
                    }
                    let size = encode::footprint(&record);
                    if bytes + size > GROUP_BYTES && !group.is_empty() {
                        writer.write(&group.iter().collect::<Vec<_>>()).map_err(broken)?;
                        group.clear();
                        (bytes, places) = (0, places + 1);
                    }
                    moves.push((number, Place { part: target, group: places, row: group.len() as u16 }));
                    group.push(record);
                    bytes += size;
                    footprint += size;
                }
            }
        }
        writer.write(&group.iter().collect::<Vec<_>>()).map_err(broken)?;
        writer.finish().map_err(broken)?;
        Ok((moves, footprint))
    })();
    let (moves, footprint) = match written {
        Ok(done) => done,
        Err(error) => return Err(upload.fail(error)),
    };
    upload.finish()?;
    let size = store.folder.size(&key)?;
    Ok((Part { name, size, rows: moves.len() as u64, footprint }, moves))
}

/// Removes what uploads that a crash cut short have left: all that was not written to for so long, which whoever holds the
/// output alone need not wait for.
pub(crate) fn sweep_up_staging(folder: &Folder, untouched: Duration) {
    if folder.is_remote() {
        // A bucket shows no halves; the pieces of broken uploads are for its lifecycle rule.
        return;
    }
    for place in [folder.root().to_owned(), folder.path(part::FOLDER)] {
        let Ok(entries) = std::fs::read_dir(&place) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            // The local object store stages `name` in `name#1`.
            let staged = name.to_str().and_then(|name| name.rsplit_once('#')).is_some_and(|(name, digits)| {
                name.ends_with(".parquet") && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
            });
            let is_old = || {
                let modified = entry.metadata().and_then(|metadata| metadata.modified());
                let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
                untouched.is_zero() || age.is_some_and(|age| age >= untouched)
            };
            if staged
                && is_old()
                && let Err(error) = std::fs::remove_file(entry.path())
            {
                tracing::debug!(path = %entry.path().display(), %error, "a left-over file stays");
            }
        }
    }
}
