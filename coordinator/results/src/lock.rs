//! The lock that keeps a second coordinator from wasting work.
//!
//! It is the kernel's lock on a file, so a coordinator that crashes leaves none behind. No guarantee of the results rests
//! on it: parts have unique names, and readers keep one row an id.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::StoreError;

/// Who holds a lock, as it wrote into the lock file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process's number on its machine; 0 if the file does not say.
    pub pid: u32,
    /// The machine's name.
    pub host: String,
    /// Since when, as `2026-01-31T12:00:00Z`.
    pub since: String,
}

impl Holder {
    fn this_process() -> Holder {
        Holder { pid: std::process::id(), host: host_name(), since: now_utc() }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return f.write_str("another process");
        }
        write!(f, "process {} on {} since {}", self.pid, self.host, self.since)
    }
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
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock in `path`, or says who holds it.
    pub(crate) fn take(path: &Path, mode: Mode) -> Result<Lock, StoreError> {
        let failed = |error: std::io::Error| StoreError::io(path, &error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let attempt = match mode {
            Mode::Exclusive => file.try_lock(),
            Mode::Shared => file.try_lock_shared(),
        };
        match attempt {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { path: path.to_owned(), holder: read_holder(&mut file) });
            }
            Err(TryLockError::Error(error)) if is_without_locks(&error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "no locks on this file system: see to it that no two coordinators compute the same");
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let holder = serde_json::to_string(&Holder::this_process()).expect("a holder is plain data");
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()))
            .map_err(failed)?;
        Ok(Lock { _file: file })
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

fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kernel.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "an unnamed host".to_owned() } else { name.to_owned() }
}

fn now_utc() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    utc(seconds)
}

/// Seconds since 1970 as a date and time, by Howard Hinnant's `civil_from_days`.
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_civil() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(utc(1_767_225_599), "2025-12-31T23:59:59Z");
    }

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
}
