//! Reading a file that should be short, and perhaps secret.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::CredentialError;

/// The content of a file of at most `limit` bytes.
pub(super) fn read(path: &Path, what: &'static str, limit: u64) -> Result<Vec<u8>, CredentialError> {
    let mut content = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut content));
    read.map_err(|error| CredentialError::Read { path: path.to_owned(), error })?;
    if content.len() as u64 > limit {
        return Err(CredentialError::TooLong { path: path.to_owned(), what, limit });
    }
    Ok(content)
}

/// The content of a file that others should not read; that they can is a warning, since some mounts know no better.
pub(super) fn read_secret(path: &Path, what: &'static str, limit: u64) -> Result<Vec<u8>, CredentialError> {
    let content = read(path, what, limit)?;
    if is_open_to_all(path) {
        tracing::warn!("{}: everybody on this machine can read this {what}; chmod 600 it", path.display());
    }
    Ok(content)
}

#[cfg(unix)]
fn is_open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_open_to_all(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_not_read() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        std::fs::write(&path, [b'x'; 11]).unwrap();
        assert_eq!(read(&path, "thing", 11).unwrap().len(), 11);
        let error = read(&path, "thing", 10).unwrap_err().to_string();
        assert!(error.ends_with("file: longer than 10 bytes, which no thing is"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn secrets_that_all_can_read_are_noticed() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("secret");
        std::fs::write(&path, "x").unwrap();
        for (mode, open) in [(0o600, false), (0o640, false), (0o644, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_open_to_all(&path), open, "{mode:o}");
        }
    }
}
