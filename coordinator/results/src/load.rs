//! Finding all parts and reading their index columns, while others may write.

use std::collections::{BTreeMap, HashSet};

use crate::decode::{self, IndexRows};
use crate::error::StoreError;
use crate::folder::{Folder, Object};
use crate::part::{self, Part, PartName, ShardName, Trust};

/// How often the parts are listed, at most, until a listing was read without one of its parts vanishing. From the second
/// time on, only parts that are new since then are read.
const LISTINGS: u32 = 32;

/// So many parts are fetched at a time from another machine.
const PARTS_AT_A_TIME: usize = 16;

/// A part and the index columns of its row groups.
pub(crate) struct Loaded {
    pub(crate) part: Part,
    pub(crate) groups: Vec<IndexRows>,
}

/// What was found among the parts.
#[derive(Default)]
pub(crate) struct Found {
    /// The parts in their order, without those whose rows are in another one.
    pub(crate) parts: Vec<Loaded>,
    /// Parts whose rows are in another one: a crash has cut their compaction short, or it goes on at this moment.
    pub(crate) replaced: Vec<PartName>,
    /// Keys of files that are no parts, or damaged ones, and what is wrong with them.
    pub(crate) set_aside: Vec<(String, String)>,
}

/// Finds the parts that can hold a run of `shard`, or all of them, and reads their index columns.
///
/// # Errors
/// If the folder cannot be read, or parts kept vanishing.
pub(crate) fn load(folder: &Folder, shard: Option<ShardName>) -> Result<Found, StoreError> {
    let mut reading = Reading { folder, shard, met: HashSet::new(), parts: BTreeMap::new(), found: Found::default() };
    let mut replaced: HashSet<String> = HashSet::new();
    // While others write, a part may vanish between being listed and being read: it was compacted, and the listing after
    // that has its successor. Or it vanishes while the listing goes on, which then leaves it out without a word, and may have
    // been past the place of its successor: so what was found is believed to be all when another listing brings nothing more.
    for listing in 1.. {
        match reading.list(&mut replaced) {
            Ok(Brought::Nothing) if listing > 1 => break,
            Ok(_) | Err(StoreError::Missing { .. }) if listing < LISTINGS => {}
            Ok(_) => break,
            Err(error) => return Err(error),
        }
    }
    let Reading { parts, mut found, .. } = reading;
    for (name, loaded) in parts {
        if replaced.contains(&name.file_name()) {
            found.replaced.push(name);
        } else {
            found.parts.push(loaded);
        }
    }
    Ok(found)
}

/// What a listing has added to those before.
enum Brought {
    Something,
    Nothing,
}

struct Reading<'a> {
    folder: &'a Folder,
    shard: Option<ShardName>,
    /// Keys of what was read, or set aside.
    met: HashSet<String>,
    parts: BTreeMap<PartName, Loaded>,
    found: Found,
}

impl Reading<'_> {
    /// Reads what is listed and was not met before. If something of it has vanished, all else is read, and the error says
    /// what it was.
    fn list(&mut self, replaced: &mut HashSet<String>) -> Result<Brought, StoreError> {
        let mut wanted: Vec<(PartName, Object)> = Vec::new();
        for object in self.folder.list(part::FOLDER)? {
            if self.met.contains(&object.key) {
                continue;
            }
            match PartName::parse(&object.key) {
                None => self.put_aside(object.key, "is not called as a part is".to_owned()),
                Some(name) if self.shard.is_some_and(|shard| !name.may_hold_runs_of(shard)) => {}
                Some(name) => wanted.push((name, object)),
            }
        }
        let mut outcome = Ok(if wanted.is_empty() { Brought::Nothing } else { Brought::Something });
        for (place, (name, object)) in wanted.iter().enumerate() {
            if place % PARTS_AT_A_TIME == 0 {
                let next = wanted[place..].iter().take(PARTS_AT_A_TIME);
                self.folder.fetch_ahead(&next.map(|(_, object)| object.clone()).collect::<Vec<_>>());
            }
            match self.read(name, object) {
                Ok((loaded, replaces)) => {
                    replaced.extend(replaces);
                    self.parts.insert(name.clone(), loaded);
                    self.met.insert(object.key.clone());
                }
                Err(StoreError::Damaged { reason, .. }) => self.put_aside(object.key.clone(), reason),
                Err(error @ StoreError::Missing { .. }) => outcome = Err(error),
                Err(error) => return Err(error),
            }
        }
        outcome
    }

    /// Reads a part, and which others it replaces.
    fn read(&self, name: &PartName, object: &Object) -> Result<(Loaded, Vec<String>), StoreError> {
        let file = part::open(self.folder, object, Trust::Verify)?;
        // All groups before the first entry: a part that is damaged enters with no row.
        let groups: Vec<IndexRows> =
            (0..file.groups()).map(|group| decode::index_rows(self.folder, &file, group)).collect::<Result<_, _>>()?;
        let footprint = groups.iter().flat_map(|rows| &rows.footprints).map(|bytes| u64::from(*bytes)).sum();
        let rows = file.total_rows() as u64;
        let part = Part { name: name.clone(), size: object.size, rows, footprint };
        let replaces = file.value(part::REPLACES).unwrap_or_default();
        Ok((Loaded { part, groups }, replaces.split(',').map(str::to_owned).collect()))
    }

    fn put_aside(&mut self, key: String, reason: String) {
        self.met.insert(key.clone());
        self.found.set_aside.push((key, reason));
    }
}
