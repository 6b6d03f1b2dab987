//! Parts: their names, and opening them.
//!
//! A part is called `<order>.<unique>.l<level>.parquet`. The order is the time at which it, or the oldest part that was
//! compacted into it, was written: readers that find two rows of one id and no other reason to prefer one take the
//! first in this order, before and after compaction alike.
//!
//! A part is a Parquet file of the one [`schema`], sealed: its footer says which sweep it belongs to, which parts it
//! replaces if any, and last the digest of the whole file (see [`seal`](crate::seal)).

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::StoreError;
use crate::folder::{Folder, Object};
use crate::identity::FORMAT_VERSION;
use crate::parquet::Parquet;
use crate::schema;
use crate::unique::unique;

/// The folder of the parts.
pub(crate) const FOLDER: &str = "parts";

/// The key of a part's footer that names the parts that it replaces, by commas.
pub(crate) const REPLACES: &str = "hedgesweep.replaces";

/// The name of a part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartName {
    /// Microseconds since 1970.
    pub(crate) order: u64,
    /// Random, so that no two parts are ever called the same, whoever writes them.
    unique: u128,
    /// How often it was compacted.
    pub(crate) level: u8,
}

impl PartName {
    /// A name for a part that is written now.
    pub(crate) fn new() -> PartName {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_micros());
        PartName { order: u64::try_from(micros).unwrap_or(u64::MAX), unique: unique(), level: 0 }
    }

    /// A name for what these parts are compacted into; the oldest comes first.
    pub(crate) fn compacted(oldest: &PartName) -> PartName {
        PartName { order: oldest.order, unique: unique(), level: oldest.level.saturating_add(1) }
    }

    /// The object's key.
    pub(crate) fn key(&self) -> String {
        format!("{FOLDER}/{}", self.file_name())
    }

    /// The object's name in its folder.
    pub(crate) fn file_name(&self) -> String {
        format!("{:016x}.{:032x}.l{}.parquet", self.order, self.unique, self.level)
    }

    /// The name behind a key; `None` if no part is called so.
    pub(crate) fn parse(key: &str) -> Option<PartName> {
        let rest = key.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(".parquet")?;
        let mut words = rest.split('.');
        let name = PartName {
            order: u64::from_str_radix(words.next()?, 16).ok()?,
            unique: u128::from_str_radix(words.next()?, 16).ok()?,
            level: words.next()?.strip_prefix('l')?.parse().ok()?,
        };
        (name.key() == key).then_some(name)
    }
}

/// A part as it lies in the store.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) name: PartName,
    pub(crate) size: u64,
    pub(crate) rows: u64,
    /// Bytes that its records take in memory.
    pub(crate) footprint: u64,
}

/// Whether a part's seal is still to be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Nothing is known of the part, or much depends on it.
    Verify,
    /// This process has written the part, or has verified it before.
    Verified,
}

/// Opens a part and makes sure that it is one.
///
/// The seal comes before the format's version: what a file says of itself is looked at only once it is known to be what
/// was written. So a part without a seal is damaged, whatever its format. Programs of before there were seals have
/// written such parts, as format 1 too; none of them was released, and to take their word would mean to decode what
/// nobody vouches for. A reader of before reads sealed parts as well as ever, which is why the format keeps its number.
pub(crate) fn open(folder: &Folder, object: &Object, trust: Trust) -> Result<Parquet, StoreError> {
    let file = match trust {
        Trust::Verify => Parquet::open_sealed(folder, &object.key, object.size)?,
        Trust::Verified => Parquet::open(folder, &object.key, object.size)?,
    };
    let damaged = |reason: String| StoreError::damaged(&folder.path(&object.key), reason);
    let Some(footer) = file.footer() else {
        return Err(damaged("is not one of this program's files".to_owned()));
    };
    if footer.format > FORMAT_VERSION {
        let reason = format!("has format {}, which is newer than this program's {FORMAT_VERSION}", footer.format);
        return Err(damaged(reason));
    }
    schema::check(&file.schema()).map_err(damaged)?;
    let most = (0..file.groups()).map(|group| file.rows(group)).max().unwrap_or(0).max(file.groups());
    if most > usize::from(u16::MAX) {
        return Err(damaged("its row groups are larger or more than this program writes".to_owned()));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_never_repeat() {
        let (one, two) = (PartName::new(), PartName::new());
        assert_ne!(one.key(), two.key());
        assert_eq!(PartName::parse(&one.key()), Some(one.clone()));
        let compacted = PartName::compacted(&one);
        assert_eq!((compacted.order, compacted.level), (one.order, 1));
        for other in ["parts/x.parquet", "parts/.DS_Store", "runs.parquet", "parts/1.2.l0.parquet"] {
            assert_eq!(PartName::parse(other), None, "{other}");
        }
    }
}
