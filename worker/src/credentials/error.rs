//! Why a file is no credential.

use std::path::PathBuf;

/// Why a file is no credential: which file, and what is wrong with it. Never what is in it.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is too long to be what it should be.
    #[error("{}: longer than {limit} bytes, which no {what} is", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// The longest that is read.
        limit: u64,
    },
    /// The file has none of what it should have.
    #[error("{}: holds no {what}; a PEM file with -----BEGIN {marker}----- is wanted", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
        /// What is wanted.
        what: &'static str,
        /// How it begins.
        marker: &'static str,
    },
    /// What is in the file cannot be used.
    #[error("{}: {problem}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The certificate is not valid at this time.
    #[error("{}: its certificate number {number} {problem}; this machine's clock says {now}", path.display())]
    Untimely {
        /// The file.
        path: PathBuf,
        /// Which of its certificates, from 1.
        number: usize,
        /// Since or until when.
        problem: String,
        /// The time now.
        now: String,
    },
    /// Certificate and key are of different pairs.
    #[error("{}: is not the key of the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}
