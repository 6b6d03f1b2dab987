//! What runs in one process share: held-out sets and the classical hedges' scores, computed once per market cell.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that are kept at most beside what runs hold at the moment.
const CAPACITY_BYTES: u64 = 256 << 20;

/// Names what is shared: a digest of all that it depends on.
pub(crate) type Key = [u8; 16];

/// Whatever can be kept.
type Item = Arc<dyn Any + Send + Sync>;

/// A bounded cache that runs of one process share. It changes no number: what it holds is a function of its key.
///
/// When two runs want the same at once, one computes and the other waits.
#[derive(Default)]
pub struct Shared(Mutex<Cache>);

#[derive(Default)]
struct Cache {
    entries: HashMap<Key, Entry>,
    bytes: u64,
    clock: u64,
}

struct Entry {
    slot: Slot,
    /// `None` while it is computed.
    bytes: Option<u64>,
    last_use: u64,
}

/// What a key stands for, once it is computed. Whoever computes it holds the lock, and the others wait.
type Slot = Arc<Mutex<Option<Item>>>;

/// A lock whose holder panicked guards nothing half-done here: a slot is filled and the cache changed in one go.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// What the key stands for, computed unless it is kept.
    ///
    /// # Errors
    /// If the computation fails; the next to ask tries again.
    ///
    /// # Panics
    /// If one key stands for values of different types.
    pub(crate) fn get<T: Send + Sync + 'static, E>(
        &self,
        key: Key,
        bytes: impl FnOnce(&T) -> u64,
        compute: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let slot = lock(&self.0).slot(key);
        let mut item = lock(&slot);
        if let Some(known) = &*item {
            return Ok(Arc::clone(known).downcast::<T>().expect("a key stands for values of one type"));
        }
        let value = Arc::new(compute()?);
        *item = Some(Arc::clone(&value) as Item);
        lock(&self.0).weigh(key, bytes(&value));
        Ok(value)
    }
}

impl Cache {
    fn slot(&mut self, key: Key) -> Slot {
        self.clock += 1;
        let entry = self.entries.entry(key).or_insert_with(|| Entry { slot: Arc::default(), bytes: None, last_use: 0 });
        entry.last_use = self.clock;
        Arc::clone(&entry.slot)
    }

    /// Writes down how much an entry keeps, and drops those that were not used for longest.
    fn weigh(&mut self, key: Key, bytes: u64) {
        if let Some(entry) = self.entries.get_mut(&key) {
            self.bytes += bytes - entry.bytes.unwrap_or(0);
            entry.bytes = Some(bytes);
        }
        while self.bytes > CAPACITY_BYTES {
            let computed = self.entries.iter().filter(|(_, entry)| entry.bytes.is_some());
            let Some(oldest) = computed.min_by_key(|(_, entry)| entry.last_use).map(|(key, _)| *key) else { break };
            if let Some(entry) = self.entries.remove(&oldest) {
                self.bytes -= entry.bytes.unwrap_or(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gets a number of this weight, and says whether it was computed.
    fn get(shared: &Shared, key: u8, bytes: u64) -> (u64, bool) {
        let mut computed = false;
        let value = shared.get(
            [key; 16],
            |_| bytes,
            || {
                computed = true;
                Ok::<u64, ()>(u64::from(key))
            },
        );
        (*value.unwrap(), computed)
    }

    #[test]
    fn a_key_is_computed_once() {
        let shared = Shared::default();
        assert_eq!(get(&shared, 1, 8), (1, true));
        assert_eq!(get(&shared, 1, 8), (1, false));
        assert_eq!(get(&shared, 2, 8), (2, true));
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let shared = Shared::default();
        let is_new = |key| get(&shared, key, CAPACITY_BYTES / 2).1;
        assert!(is_new(1) && is_new(2));
        assert!(!is_new(1), "both fit");
        assert!(is_new(3), "2 made room");
        assert!(!is_new(1));
        assert!(is_new(2));
        assert!(lock(&shared.0).bytes <= CAPACITY_BYTES);
    }

    #[test]
    fn what_is_too_large_to_keep_is_still_had() {
        let shared = Shared::default();
        assert_eq!(get(&shared, 1, CAPACITY_BYTES + 1), (1, true));
        let cache = lock(&shared.0);
        assert_eq!((cache.bytes, cache.entries.len()), (0, 0));
    }

    #[test]
    fn a_computation_that_fails_or_panics_is_tried_again() {
        let shared = Shared::default();
        assert_eq!(shared.get::<u64, &str>([1; 16], |_| 8, || Err("no")), Err("no"));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            shared.get::<u64, ()>([1; 16], |_| 8, || panic!("no"))
        }));
        assert!(panicked.is_err());
        assert_eq!(get(&shared, 1, 8), (1, true));
    }
}
