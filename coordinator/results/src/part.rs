//! Parts: their names, and opening them.
//!
//! A part is called `<order>.<unique>.l<level>.parquet`, or `….l<level>.s<index>-<count>.parquet` if a shard has written it:
//! other shards know by the name that it holds none of their runs, and do not read it. The order is the time at which it, or the oldest part that was
//! compacted into it, was written: readers that find two rows of one id and no other reason to prefer one take the
//! first in this order, before and after compaction alike.
//!
//! A part is a Parquet file of the one [`schema`], sealed: its footer says which sweep it belongs to, which parts it
//! replaces if any, and last the digest of the whole file (see [`seal`](crate::seal)).

use std::time::{SystemTime, UNIX_EPOCH};

use engine::RunId;

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

/// The shard that has written a part: all its runs have `run_id mod count = index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShardName {
    pub(crate) index: u64,
    pub(crate) count: u64,
}

/// The name of a part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartName {
    /// Microseconds since 1970.
    pub(crate) order: u64,
    /// Random, so that no two parts are ever called the same, whoever writes them.
    unique: u128,
    /// How often it was compacted.
    pub(crate) level: u8,
    /// Whose runs it holds alone, if it is one shard's.
    shard: Option<ShardName>,
}

impl PartName {
    /// A name for a part that is written now.
    pub(crate) fn new(shard: Option<ShardName>) -> PartName {
        let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_micros());
        PartName { order: u64::try_from(micros).unwrap_or(u64::MAX), unique: unique(), level: 0, shard }
    }

    /// A name for what these parts are compacted into; the oldest comes first.
    ///
    /// # Panics
    /// If there are none.
    pub(crate) fn compacted(parts: &[&PartName]) -> PartName {
        let oldest = parts.first().expect("there is something to compact");
        let shard = oldest.shard.filter(|_| parts.iter().all(|part| part.shard == oldest.shard));
        PartName { order: oldest.order, unique: unique(), level: oldest.level.saturating_add(1), shard }
    }

    /// Whether a run of `other` can be in the part: an id can have both remainders if they agree modulo what divides both
    /// counts.
    pub(crate) fn may_hold_runs_of(&self, other: ShardName) -> bool {
        let common = |own: ShardName| greatest_common_divisor(own.count, other.count);
        self.shard.is_none_or(|own| own.index % common(own) == other.index % common(own))
    }

    /// The object's key.
    pub(crate) fn key(&self) -> String {
        format!("{FOLDER}/{}", self.file_name())
    }

    /// The object's name in its folder.
    pub(crate) fn file_name(&self) -> String {
        let shard = self.shard.map_or_else(String::new, |shard| format!(".s{}-{}", shard.index, shard.count));
        format!("{:016x}.{:032x}.l{}{shard}.parquet", self.order, self.unique, self.level)
    }

    /// The name behind a key; `None` if no part is called so.
    pub(crate) fn parse(key: &str) -> Option<PartName> {
        let rest = key.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(".parquet")?;
        let mut words = rest.split('.');
        let name = PartName {
            order: u64::from_str_radix(words.next()?, 16).ok()?,
            unique: u128::from_str_radix(words.next()?, 16).ok()?,
            level: words.next()?.strip_prefix('l')?.parse().ok()?,
            shard: match words.next() {
                Some(word) => Some(ShardName::parse(word)?),
                None => None,
            },
        };
        (name.key() == key).then_some(name)
    }
}

impl ShardName {
    /// Whether a run is one of the shard's.
    pub(crate) fn contains(self, run_id: RunId) -> bool {
        run_id.as_u128() % u128::from(self.count) == u128::from(self.index)
    }

    /// The shard behind a word of a part's name; `None` if it means none.
    fn parse(word: &str) -> Option<ShardName> {
        let (index, count) = word.strip_prefix('s')?.split_once('-')?;
        let shard = ShardName { index: index.parse().ok()?, count: count.parse().ok()? };
        (shard.index < shard.count).then_some(shard)
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
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
        let shard = Some(ShardName { index: 3, count: 8 });
        let (one, two, sharded) = (PartName::new(None), PartName::new(None), PartName::new(shard));
        assert_ne!(one.key(), two.key());
        for name in [&one, &sharded] {
            assert_eq!(PartName::parse(&name.key()).as_ref(), Some(name));
        }
        let compacted = PartName::compacted(&[&one, &sharded]);
        assert_eq!((compacted.order, compacted.level, compacted.shard), (one.order, 1, None));
        assert_eq!(PartName::compacted(&[&sharded, &sharded]).shard, shard);
        let beyond = sharded.key().replace(".s3-8.", ".s8-8.");
        for other in ["parts/x.parquet", "parts/.DS_Store", "runs.parquet", "parts/1.2.l0.parquet", &beyond] {
            assert_eq!(PartName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_part_may_hold_what_can_be_in_both_shards() {
        for (own, other) in (1..=12_u64).flat_map(|own| (1..=12_u64).map(move |other| (own, other))) {
            for (index, wanted) in (0..own).flat_map(|index| (0..other).map(move |wanted| (index, wanted))) {
                let part = PartName::new(Some(ShardName { index, count: own }));
                let is_shared = (0..own * other).any(|id| id % own == index && id % other == wanted);
                let wanted = ShardName { index: wanted, count: other };
                assert_eq!(part.may_hold_runs_of(wanted), is_shared, "{index}/{own} and {wanted:?}");
                assert!(PartName::new(None).may_hold_runs_of(wanted));
            }
        }
    }
}
