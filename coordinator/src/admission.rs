//! Who is admitted: the flags of `--listen` and `--dashboard`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::{ArgGroup, Args};
use worker::credentials::{Authorities, CredentialError, Identity, Token};

use crate::dashboard::Door;
use crate::exit::{Exit, Failure, OrExit};
use crate::fleet::{Gate, Tls};

/// Where remote workers and the dashboard's visitors are admitted, and what they have to show.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Remote workers and browsers", group = ArgGroup::new("doors").multiple(true))]
pub struct AdmissionArgs {
    /// Admit remote workers at this address, e.g. 127.0.0.1:4750; any other machine's need TLS, and a token or
    /// certificates of their own
    #[arg(long, value_name = "ADDR", group = "doors")]
    pub listen: Option<SocketAddr>,
    /// Show progress and the comparison so far to browsers at this address, e.g. 127.0.0.1:8080; those of other machines need
    /// TLS and the token
    #[arg(long, value_name = "ADDR", group = "doors")]
    pub dashboard: Option<SocketAddr>,
    /// The coordinator's certificate (PEM), with the chain that leads to its authority
    #[arg(long, value_name = "FILE", requires = "tls_key", requires = "doors")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Admit only workers with a certificate of one of these authorities (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert", requires = "listen")]
    pub client_ca: Option<PathBuf>,
    /// Admit only workers and browsers that know the token in this file: 16 to 512 characters, e.g. of openssl rand -hex 32
    #[arg(long, value_name = "FILE", requires = "doors")]
    pub token_file: Option<PathBuf>,
    /// Listen beyond this machine without TLS or token: anybody who reaches the address can read tasks and inject results
    #[arg(long, requires = "doors")]
    pub insecure: bool,
}

impl AdmissionArgs {
    /// The gate that these flags describe, with all files read and checked; none if nobody is admitted.
    ///
    /// # Errors
    /// [`Exit::Usage`] if a file cannot be used, or the gate would let strangers in.
    pub fn gate(&self) -> Result<Option<Gate>, Failure> {
        let Some(address) = self.listen else { return Ok(None) };
        let now = SystemTime::now();
        let authorities = self.client_ca.as_deref().map(|file| Authorities::read(file, now)).transpose();
        let client_authorities = authorities.or_exit(Exit::Usage)?;
        let tls = self.identity(now).or_exit(Exit::Usage)?.map(|identity| Tls { identity, client_authorities });
        Ok(Some(Gate::new(address, tls, self.token().or_exit(Exit::Usage)?, self.insecure)?))
    }

    /// The door to the dashboard that these flags describe; none if nobody may look.
    ///
    /// # Errors
    /// [`Exit::Usage`] if a file cannot be used, or the door would let strangers in.
    pub fn door(&self) -> Result<Option<Door>, Failure> {
        let Some(address) = self.dashboard else { return Ok(None) };
        let identity = self.identity(SystemTime::now()).or_exit(Exit::Usage)?;
        let token = self.token().or_exit(Exit::Usage)?;
        Ok(Some(Door::new(address, identity, token, self.insecure)?))
    }

    /// The coordinator's certificate and key, if there are any, valid at the time `now`.
    ///
    /// # Errors
    /// If one of the files cannot be used.
    pub fn identity(&self, now: SystemTime) -> Result<Option<Identity>, CredentialError> {
        let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        Identity::read(certificate, key, now).map(Some)
    }

    fn token(&self) -> Result<Option<Token>, CredentialError> {
        self.token_file.as_deref().map(Token::read).transpose()
    }
}
