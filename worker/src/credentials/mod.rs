//! What both ends of a connection show to prove who they are: certificates with their keys, and a token, read from files
//! and checked before anything is begun.

mod certificate;
mod error;
mod file;
mod token;

pub use certificate::{Authorities, Identity};
pub use error::CredentialError;
pub use token::Token;

/// Installs the process's one provider of cryptography, which every TLS connection takes. Call it first thing in `main`;
/// again is no harm.
pub fn install_crypto_provider() {
    // That there is one already is as well: it is the only one that is compiled in.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
