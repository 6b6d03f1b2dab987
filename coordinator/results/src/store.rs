//! The store: the durable state of a sweep.

use std::path::PathBuf;
use std::time::Duration;

use engine::RunRecord;
use tokio::sync::watch;

use crate::compact;
use crate::encode;
use crate::error::StoreError;
use crate::folder::{self, Folder, Object};
use crate::holder::Holder;
use crate::identity::{self, Footer, Reading, SweepIdentity};
use crate::index::{Index, Place};
use crate::load::{self, Found, Loaded};
use crate::location::Location;
use crate::lock::{self, Lock, take_locks};
use crate::parquet::Parquet;
use crate::part::{self, Part, PartName, ShardName, Trust};

/// How many parts are stored before compacting is tried again that has failed, for want of space perhaps.
const REST_PARTS: u32 = 64;

/// Where there are no locks, whoever writes a part or a table does not leave it alone for so long.
const UNTOUCHED: Duration = Duration::from_secs(3600);

/// What results are opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To compute and store the sweep, alone.
    Write,
    /// To compute and store one shard of the sweep, those runs with `run_id mod count = index`, beside other shards but not
    /// beside a whole sweep. Parts that can hold none of its runs are not looked at.
    Shard {
        /// Number of the shard, from 0.
        index: u64,
        /// Number of shards.
        count: u64,
    },
    /// To look. Nothing is locked, created or removed.
    Read,
}

impl Access {
    fn word(self) -> &'static str {
        match self {
            Access::Write => "for writing",
            Access::Shard { .. } => "for a shard",
            Access::Read => "for reading",
        }
    }

    /// The shard that parts are named after.
    pub(crate) fn shard_name(self) -> Option<ShardName> {
        match self {
            Access::Shard { index, count } => Some(ShardName { index, count }),
            Access::Write | Access::Read => None,
        }
    }
}

/// A file among the parts that is none, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The file, left as it is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Whether the lock of an open store is still its own.
#[derive(Clone, Debug)]
pub struct Custody {
    locks: Vec<watch::Receiver<Option<Holder>>>,
}

impl Custody {
    /// Who has taken the lock over, if it is lost. Nothing is in danger then: whoever goes on only wastes work.
    pub fn lost_to(&self) -> Option<Holder> {
        self.locks.iter().find_map(|lock| lock.borrow().clone())
    }

    /// Waits until the lock is lost, for ever if that never happens; says who has it.
    pub async fn lost(mut self) -> Holder {
        for lock in &mut self.locks {
            // There is one at most: a kernel's is never lost. An error means that the store was closed in the meantime.
            if let Ok(holder) = lock.wait_for(Option::is_some).await
                && let Some(holder) = holder.clone()
            {
                return holder;
            }
        }
        std::future::pending().await
    }
}

/// The stored results of one sweep.
///
/// All calls block; from asynchronous code make them on a thread of `spawn_blocking` or one of their own.
pub struct Store {
    pub(crate) folder: Folder,
    pub(crate) footer: Footer,
    access: Access,
    /// Slots of parts; a part that was compacted away leaves its slot empty.
    parts: Vec<Option<Part>>,
    index: Index,
    set_aside: Vec<SetAside>,
    /// After compacting has failed, how many parts are to come before it is tried again: results come first.
    compacting_rests: u32,
    /// For who may not be alone, the first slot of its own parts: it compacts no other's.
    own_parts: usize,
    locks: Vec<Lock>,
}

impl Store {
    /// Opens the results of `sweep` at `location`.
    ///
    /// For writing, folders are created, the lock is taken, the sweep file is laid beside the results, and what a crash
    /// has left behind is swept up. For reading, a location that does not exist is [`StoreError::Missing`].
    ///
    /// # Errors
    /// [`StoreError::OtherSweep`] for an output that holds a sweep of another name, [`StoreError::Locked`] if another
    /// coordinator is at work on it, and others if it cannot be read or written.
    pub fn open(location: &Location, sweep: &SweepIdentity, access: Access) -> Result<Store, StoreError> {
        if let Some(path) = location.as_folder().filter(|_| access != Access::Read) {
            for path in [path.to_owned(), path.join(lock::FOLDER), path.join(part::FOLDER)] {
                folder::create_folder(&path)?;
            }
        }
        Store::open_in(Folder::open(location)?, sweep, access)
    }

    /// The same in a folder that is open.
    pub(crate) fn open_in(folder: Folder, sweep: &SweepIdentity, access: Access) -> Result<Store, StoreError> {
        // Before the lock, since which sweep an output holds is no matter of who is at work on it.
        refuse_other_sweep(&folder, sweep)?;
        let locks = take_locks(&folder, access)?;
        Store::open_locked(folder, sweep, access, locks)
    }

    /// The same for who holds these locks.
    pub(crate) fn open_locked(
        folder: Folder,
        sweep: &SweepIdentity,
        access: Access,
        locks: Vec<Lock>,
    ) -> Result<Store, StoreError> {
        if access != Access::Read {
            // Two coordinators of different sweeps may have found the output empty at once.
            refuse_other_sweep(&folder, sweep)?;
            identity::claim(&folder, sweep)?;
            refuse_other_sweep(&folder, sweep)?;
        }
        let mut store = Store {
            folder,
            footer: Footer::of(sweep),
            access,
            parts: Vec::new(),
            index: Index::preferring(sweep.record.clone()),
            set_aside: Vec::new(),
            compacting_rests: 0,
            own_parts: 0,
            locks,
        };
        if access == Access::Write {
            let untouched = if store.is_alone() { Duration::ZERO } else { UNTOUCHED };
            compact::sweep_up_staging(&store.folder, untouched);
        }
        store.load()?;
        Ok(store)
    }

    /// Whether nobody else writes, as far as locks tell.
    pub(crate) fn is_alone(&self) -> bool {
        let excludes = self.locks.iter().all(Lock::excludes) && self.custody().lost_to().is_none();
        self.access == Access::Write && excludes
    }

    /// Whoever has it hears when the lock is lost.
    pub fn custody(&self) -> Custody {
        Custody { locks: self.locks.iter().filter_map(Lock::lost).collect() }
    }

    /// What it was opened for.
    pub(crate) fn access(&self) -> Access {
        self.access
    }

    /// Notes how the sweep file was read, so that the results say their question without it: see
    /// [`SweepFile`](crate::SweepFile).
    ///
    /// # Errors
    /// If the results are open for reading alone, or it cannot be written.
    pub fn note(&self, reading: &Reading) -> Result<(), StoreError> {
        self.allow_writing("note how the sweep file was read")?;
        identity::note(&self.folder, &self.footer.sweep, reading)
    }

    /// Which runs are stored.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Files among the parts that are torn, foreign or damaged. Their runs count as not stored.
    pub fn set_aside(&self) -> &[SetAside] {
        &self.set_aside
    }

    /// Stores records durably: when this returns, they survive a crash of the program and of the machine.
    ///
    /// They become one part. After an error nothing of them is counted as stored, what was stored before is intact, and
    /// the call can be repeated; a repetition that stores a record twice does no harm.
    pub fn append(&mut self, records: &[RunRecord]) -> Result<(), StoreError> {
        self.allow_writing("store results")?;
        if records.is_empty() {
            return Ok(());
        }
        records.iter().try_for_each(encode::check)?;
        let bytes = encode::part_bytes(records, &self.footer);
        let bytes = bytes.map_err(|error| StoreError::damaged(self.folder.root(), error.to_string()))?;
        let size = bytes.len() as u64;
        let bytes = bytes::Bytes::from(bytes);
        // A name tells the truth whatever is stored: other shards go by it.
        let shard = self.access.shard_name();
        let shard = shard.filter(|shard| records.iter().all(|record| shard.contains(record.run_id)));
        let name = loop {
            let name = PartName::new(shard);
            if self.folder.create_unique(&name.key(), &bytes)? {
                break name;
            }
        };
        let slot = self.parts.len() as u32;
        for (group, records) in encode::groups(records).enumerate() {
            self.index.add_records(Place { part: slot, group: group as u16, row: 0 }, records);
        }
        let footprint = records.iter().map(encode::footprint).sum();
        self.parts.push(Some(Part { name, size, rows: records.len() as u64, footprint }));
        self.tidy();
        Ok(())
    }

    /// The part in a slot.
    pub(crate) fn part(&self, slot: u32) -> Option<&Part> {
        self.parts[slot as usize].as_ref()
    }

    /// Opens the part in a slot.
    pub(crate) fn open_part(&self, slot: u32, trust: Trust) -> Result<Parquet, StoreError> {
        let part = self.part(slot).expect("entries point to parts that are there");
        part::open(&self.folder, &Object { key: part.name.key(), size: part.size }, trust)
    }

    pub(crate) fn allow_writing(&self, what: &'static str) -> Result<(), StoreError> {
        if self.access == Access::Read {
            let path = self.folder.root().to_owned();
            return Err(StoreError::Access { path, access: self.access.word(), what });
        }
        Ok(())
    }

    pub(crate) fn allow_merging(&self) -> Result<(), StoreError> {
        if self.access != Access::Write {
            let path = self.folder.root().to_owned();
            return Err(StoreError::Access { path, access: self.access.word(), what: "write tables" });
        }
        Ok(())
    }

    /// Compacts if there is enough to compact. The results are durable without it, so that its failure is only told.
    fn tidy(&mut self) {
        if self.custody().lost_to().is_some() {
            // Another one compacts now, and two would only be in each other's way.
            return;
        }
        if self.compacting_rests > 0 {
            self.compacting_rests -= 1;
            return;
        }
        while let Some(slots) = compact::choose(&self.parts, self.own_parts) {
            if let Err(error) = self.compact(&slots) {
                tracing::warn!(%error, "parts could not be compacted; results are stored all the same");
                self.compacting_rests = REST_PARTS;
                return;
            }
        }
    }

    /// Makes one part of several: first it is written, then the others go, so that a crash between the two leaves every
    /// row at least once.
    fn compact(&mut self, slots: &[u32]) -> Result<(), StoreError> {
        let slot = self.parts.len() as u32;
        let (part, moves) = compact::rewrite(self, slots, slot)?;
        self.parts.push(Some(part));
        for (number, place) in moves {
            self.index.relocate(number, place);
        }
        let old = slots.iter().filter_map(|slot| self.parts[*slot as usize].take());
        let old: Vec<String> = old.map(|part| part.name.key()).collect();
        self.folder.delete_all(&old)
    }

    /// Finds the parts and enters their rows; what was known of them before is forgotten.
    pub(crate) fn load(&mut self) -> Result<(), StoreError> {
        (self.parts, self.index) = (Vec::new(), self.index.emptied());
        self.set_aside.clear();
        let Found { parts, replaced, set_aside } = load::load(&self.folder, self.access.shard_name())?;
        for (key, reason) in set_aside {
            let path = self.folder.path(&key);
            tracing::warn!(path = %path.display(), reason, "set aside: the runs in it count as not stored");
            self.set_aside.push(SetAside { path, reason });
        }
        for Loaded { part, groups } in parts {
            let slot = self.parts.len() as u32;
            for (group, rows) in groups.iter().enumerate() {
                self.index.add_rows(Place { part: slot, group: group as u16, row: 0 }, rows);
            }
            self.parts.push(Some(part));
        }
        self.own_parts = if self.is_alone() { 0 } else { self.parts.len() };
        if self.is_alone() {
            // A crash has cut their compaction short.
            self.folder.delete_all(&replaced.iter().map(PartName::key).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

fn refuse_other_sweep(folder: &Folder, sweep: &SweepIdentity) -> Result<(), StoreError> {
    match identity::held_sweep(folder)? {
        Some(found) if found != sweep.name => {
            Err(StoreError::OtherSweep { path: folder.root().to_owned(), found, wanted: sweep.name.clone() })
        }
        _ => Ok(()),
    }
}
