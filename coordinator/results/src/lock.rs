//! The lock that keeps a second coordinator from wasting work.
//!
//! In a folder it is the kernel's lock on a file, so a coordinator that crashes leaves none behind; in a bucket it is a
//! [lease](crate::lease). No guarantee of the results rests on either: parts have unique names, and readers keep one row
//! an id.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;

use tokio::sync::watch;

use crate::error::StoreError;
use crate::folder::Folder;
use crate::holder::Holder;
use crate::lease::{self, Lease, Terms};
use crate::store::Access;

/// The folder of the locks.
pub(crate) const FOLDER: &str = "locks";

/// Takes what `access` needs. A whole sweep excludes everyone; shards exclude the whole sweep and themselves, but not each
/// other.
pub(crate) fn take_locks(folder: &Folder, access: Access) -> Result<Vec<Lock>, StoreError> {
    if folder.is_remote() {
        return take_leases(folder, access, Terms::USUAL);
    }
    let sweep = folder.path(&format!("{FOLDER}/sweep.lock"));
    match access {
        Access::Write => Ok(vec![Lock::take(&sweep, Mode::Exclusive)?]),
        Access::Shard { index, count } => {
            let shard = folder.path(&format!("{FOLDER}/shard-{index}-of-{count}.lock"));
            Ok(vec![Lock::take(&sweep, Mode::Shared)?, Lock::take(&shard, Mode::Exclusive)?])
        }
        Access::Read => Ok(Vec::new()),
    }
}

/// The same where there is no kernel. Everyone takes a lease of its own, and then looks at those of whom it excludes: of two
/// that begin at once, one at least sees the other.
fn take_leases(folder: &Folder, access: Access, terms: Terms) -> Result<Vec<Lock>, StoreError> {
    let sweep = format!("{FOLDER}/sweep.json");
    let (lease, others) = match access {
        Access::Write => {
            let lease = Lease::take(folder, &sweep, terms)?;
            let all = folder.list(FOLDER)?.into_iter().map(|object| object.key);
            (lease, all.filter(|key| *key != sweep).collect())
        }
        Access::Shard { index, count } => {
            let shard = format!("{FOLDER}/shard-{index}-of-{count}.json");
            (Lease::take(folder, &shard, terms)?, vec![sweep])
        }
        Access::Read => return Ok(Vec::new()),
    };
    lease::none_is_held(folder, others, terms)?;
    Ok(vec![Lock::Lease(lease)])
}

/// How a lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Alone.
    Exclusive,
    /// With others that take it shared.
    Shared,
}

/// A lock held until it is dropped.
#[derive(Debug)]
pub(crate) enum Lock {
    /// The kernel's, on a file.
    Kernel {
        /// The file.
        _file: File,
    },
    /// An object that is renewed.
    Lease(Lease),
    /// None: the file system has no locks, and nobody knows who else is at work.
    Absent,
}

impl Lock {
    /// Who has taken the lock over, once somebody has: no kernel lets that happen.
    pub(crate) fn lost(&self) -> Option<watch::Receiver<Option<Holder>>> {
        match self {
            Lock::Kernel { .. } | Lock::Absent => None,
            Lock::Lease(lease) => Some(lease.lost()),
        }
    }

    /// Whether it keeps anybody out.
    pub(crate) fn excludes(&self) -> bool {
        !matches!(self, Lock::Absent)
    }

    /// Takes the kernel's lock on the file in `path`, or says who holds it. There is none on a file system without locks.
    pub(crate) fn take(path: &Path, mode: Mode) -> Result<Lock, StoreError> {
        let failed = |error: std::io::Error| StoreError::io(path, &error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let attempt = match mode {
            Mode::Exclusive => file.try_lock(),
            Mode::Shared => file.try_lock_shared(),
        };
        let excludes = match attempt {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { path: path.to_owned(), holder: read_holder(&mut file) });
            }
            Err(TryLockError::Error(error)) if is_without_locks(&error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "no locks on this file system: see to it that no two coordinators compute the same");
                false
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        };
        let holder = serde_json::to_string(&Holder::this_process()).expect("a holder is plain data");
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()))
            .map_err(failed)?;
        Ok(if excludes { Lock::Kernel { _file: file } } else { Lock::Absent })
    }
}

/// Whether a file system refuses all locks, as Lustre does unless it is mounted with `flock`, and NFS without a lock
/// daemon. Since safety does not rest on locks, results are stored there all the same.
fn is_without_locks(error: &std::io::Error) -> bool {
    /// Linux's number of "No locks available", for which the standard library has no name.
    const ENOLCK: i32 = 37;
    error.kind() == ErrorKind::Unsupported || (cfg!(target_os = "linux") && error.raw_os_error() == Some(ENOLCK))
}

fn read_holder(file: &mut File) -> Holder {
    let mut text = String::new();
    // Who holds the lock is a courtesy: a file that does not say is no error.
    let read = file.take(4096).read_to_string(&mut text);
    read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_second_taker_hears_who_holds_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lock");
        let first = Lock::take(&path, Mode::Exclusive).unwrap();
        let error = Lock::take(&path, Mode::Shared).unwrap_err();
        let StoreError::Locked { holder, .. } = error else { panic!("{error}") };
        assert_eq!(holder.pid, std::process::id());
        assert!(holder.since.ends_with('Z'));
        drop(first);
        let _one = Lock::take(&path, Mode::Shared).unwrap();
        let _two = Lock::take(&path, Mode::Shared).unwrap();
        assert!(Lock::take(&path, Mode::Exclusive).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_system_without_locks_is_told_from_one_that_fails() {
        let says = |number| is_without_locks(&std::io::Error::from_raw_os_error(number));
        let (enosys, eopnotsupp, enolck) = (38, 95, 37);
        assert!(says(enosys) && says(eopnotsupp) && says(enolck));
        let (eio, eacces, eintr) = (5, 13, 4);
        assert!(!says(eio) && !says(eacces) && !says(eintr));
    }

    #[test]
    fn a_lock_file_that_says_nothing_is_no_error() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("lock");
        let held = File::create(&path).unwrap();
        held.lock().unwrap();
        let error = Lock::take(&path, Mode::Exclusive).unwrap_err();
        assert!(error.to_string().ends_with("locked by another process"), "{error}");
    }

    #[test]
    fn a_whole_sweep_and_shards_exclude_each_other_where_there_are_leases_too() {
        let brisk =
            Terms { ttl: Duration::from_secs(600), renewal: Duration::from_millis(2), look: Duration::from_millis(1) };
        let objects = Arc::default();
        let take = |access| take_leases(&Folder::in_memory(Arc::clone(&objects)), access, brisk);
        let shard = |index| Access::Shard { index, count: 2 };
        let refused = |access| assert!(matches!(take(access), Err(StoreError::Locked { .. })), "{access:?}");
        assert!(take(Access::Read).unwrap().is_empty());
        let whole = take(Access::Write).unwrap();
        refused(Access::Write);
        refused(shard(0));
        drop(whole);
        let shards = [take(shard(0)).unwrap(), take(shard(1)).unwrap()];
        refused(shard(1));
        refused(Access::Write);
        drop(shards);
        take(Access::Write).unwrap();
    }
}
