//! What can go wrong with stored results.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use engine::RunId;

use crate::holder::Holder;

/// Why results could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No results can be kept at a place of this name: a usage error.
    #[error("{location}: {reason}")]
    Unsupported {
        /// The location as given.
        location: String,
        /// What is wrong with it, and what is allowed.
        reason: String,
    },
    /// The output holds the results of another sweep: a usage error.
    #[error("{}: this output holds the sweep \"{found}\", not \"{wanted}\"; choose another --out", path.display())]
    OtherSweep {
        /// The output folder.
        path: PathBuf,
        /// The name of the sweep that it holds.
        found: String,
        /// The name of the sweep that was to be stored.
        wanted: String,
    },
    /// The folder holds no sweep's results: a usage error.
    #[error("{}: holds no sweep's results; give a folder that a sweep has written, such as results/NAME", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// Another coordinator is at work on the output.
    #[error("{}: the output is locked by {holder}", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it.
        holder: Holder,
    },
    /// Another coordinator has taken the output over, since nothing was heard of this one for as long as its lock lasts.
    #[error("{}: the lock was lost to {holder}: it was not renewed in time", path.display())]
    LockLost {
        /// The output.
        path: PathBuf,
        /// Who holds it now.
        holder: Holder,
    },
    /// The object storage cannot be used as it is set up, which only people can mend.
    #[error("{}: {message}", path.display())]
    Misconfigured {
        /// What was being read or written.
        path: PathBuf,
        /// What is wrong, and what to set.
        message: String,
    },
    /// The disk or the quota is full. What was stored before is intact; the call can be repeated.
    #[error("{}: no space left: {message}", path.display())]
    NoSpace {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// The place is read-only or permission is missing.
    #[error("{}: permission denied: {message}", path.display())]
    Denied {
        /// What was being read or written.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// There is nothing at the place.
    #[error("{}: not found", path.display())]
    Missing {
        /// What was being read.
        path: PathBuf,
    },
    /// Any other failure to read or write.
    #[error("{}: {message}", path.display())]
    Unreachable {
        /// What was being read or written.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// A file is not what its name says: torn, foreign, or damaged since it was written.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A record contradicts itself and was not stored.
    #[error("run {run_id}: {reason}")]
    Record {
        /// Whose record.
        run_id: RunId,
        /// What is wrong with it.
        reason: String,
    },
    /// The results were opened without the right to do this.
    #[error("{}: opened {access}, which does not allow to {what}", path.display())]
    Access {
        /// The output folder.
        path: PathBuf,
        /// How it was opened.
        access: &'static str,
        /// What was asked for.
        what: &'static str,
    },
}

impl StoreError {
    /// Whether trying again later may help, with nothing done but making room or mending the network: what is wrong is
    /// wrong with the place, not with what is asked of it.
    pub fn is_transient(&self) -> bool {
        matches!(self, StoreError::NoSpace { .. } | StoreError::Unreachable { .. })
    }

    /// The error of a system call on `path`.
    pub(crate) fn io(path: impl Into<PathBuf>, error: &io::Error) -> StoreError {
        StoreError::of_kind(path.into(), error.kind(), error.to_string())
    }

    /// The error of an operation of the object store on `path`.
    pub(crate) fn object(path: impl Into<PathBuf>, error: &object_store::Error) -> StoreError {
        let path = path.into();
        if matches!(error, object_store::Error::NotFound { .. }) {
            return StoreError::Missing { path };
        }
        match io_cause(error) {
            Some(cause) => StoreError::io(path, cause),
            None => StoreError::Unreachable { path, message: error.to_string() },
        }
    }

    /// A file that is not what it should be.
    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> StoreError {
        StoreError::Damaged { path: path.to_owned(), reason: reason.into() }
    }

    fn of_kind(path: PathBuf, kind: ErrorKind, message: String) -> StoreError {
        match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                StoreError::NoSpace { path, message }
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreError::Denied { path, message },
            ErrorKind::NotFound => StoreError::Missing { path },
            _ => StoreError::Unreachable { path, message },
        }
    }
}

/// The system's error behind one of the object store's.
fn io_cause(error: &object_store::Error) -> Option<&io::Error> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io);
        }
        cause = error.source();
    }
    None
}
