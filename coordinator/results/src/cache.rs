//! Decoded row groups that the merge may come back to, within a budget of memory.

use std::collections::HashMap;
use std::sync::Arc;

use engine::RunRecord;

use crate::decode;
use crate::encode::footprint;
use crate::error::StoreError;
use crate::merge::Extent;
use crate::parquet::Parquet;
use crate::part::Trust;
use crate::store::Store;

/// A row group's records.
pub(crate) type Group = Arc<Vec<Arc<RunRecord>>>;

struct Cached<T> {
    value: T,
    bytes: u64,
    used_at: u64,
}

/// The least recently used go first. What is in the cache never takes more than the budget.
pub(crate) struct Cache<'a> {
    store: &'a Store,
    groups: HashMap<(u32, u16), Cached<Group>>,
    footers: HashMap<u32, Cached<Parquet>>,
    budget: u64,
    extent: Extent,
    held: u64,
    /// The most that was ever held.
    pub(crate) peak: u64,
    /// Row groups decoded.
    pub(crate) decoded: u64,
    clock: u64,
}

impl<'a> Cache<'a> {
    /// Footers take a share of the budget of their own, an eighth.
    pub(crate) fn new(store: &'a Store, budget: u64, extent: Extent) -> Cache<'a> {
        Cache {
            store,
            groups: HashMap::new(),
            footers: HashMap::new(),
            budget,
            extent,
            held: 0,
            peak: 0,
            decoded: 0,
            clock: 0,
        }
    }

    /// The records of a row group.
    pub(crate) fn group(&mut self, part: u32, group: u16) -> Result<Group, StoreError> {
        self.clock += 1;
        if let Some(cached) = self.groups.get_mut(&(part, group)) {
            cached.used_at = self.clock;
            return Ok(Arc::clone(&cached.value));
        }
        let file = self.footer(part)?;
        let records = decode::records(&self.store.folder, &file, usize::from(group), self.extent)?;
        self.decoded += 1;
        let bytes = records.iter().map(footprint).sum::<u64>();
        let value: Group = Arc::new(records.into_iter().map(Arc::new).collect());
        if self.make_room(bytes) {
            self.held += bytes;
            self.peak = self.peak.max(self.held);
            self.groups.insert((part, group), Cached { value: Arc::clone(&value), bytes, used_at: self.clock });
        }
        Ok(value)
    }

    fn footer(&mut self, part: u32) -> Result<Parquet, StoreError> {
        if let Some(cached) = self.footers.get_mut(&part) {
            cached.used_at = self.clock;
            return Ok(cached.value.clone());
        }
        let file = self.store.open_part(part, Trust::Verified)?;
        let mut held: u64 = self.footers.values().map(|cached| cached.bytes).sum();
        while held + file.weight() > self.budget / 8
            && let Some((&oldest, _)) = self.footers.iter().min_by_key(|(_, cached)| cached.used_at)
        {
            held -= self.footers.remove(&oldest).map_or(0, |cached| cached.bytes);
        }
        let cached = Cached { value: file.clone(), bytes: file.weight(), used_at: self.clock };
        self.footers.insert(part, cached);
        Ok(file)
    }

    /// Drops row groups until there is room for so many bytes; says whether there ever will be.
    fn make_room(&mut self, bytes: u64) -> bool {
        if bytes > self.budget {
            return false;
        }
        while self.held + bytes > self.budget {
            let oldest = self.groups.iter().min_by_key(|(_, cached)| cached.used_at).map(|(key, _)| *key);
            let Some(cached) = oldest.and_then(|key| self.groups.remove(&key)) else { break };
            self.held -= cached.bytes;
        }
        true
    }
}
