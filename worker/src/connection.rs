//! How a coordinator is reached: its URL, whom to trust, and what to show.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use tonic::transport::{ClientTlsConfig, Endpoint, Uri};

use crate::credentials::{Authorities, CredentialError, Identity, Token};

/// How long connecting may take, and the TLS handshake in it.
const CONNECTING: Duration = Duration::from_secs(10);

/// A connection that is silent for so long is asked whether it is still there, and is given up if it does not answer in
/// as long again.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How to know the coordinator, and to be known by it.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Security")]
pub struct ConnectionArgs {
    /// Certificates (PEM) of who vouches for the coordinator [default: those that this machine trusts]
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// One's own certificate (PEM), for a coordinator with --client-ca
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// The name in the coordinator's certificate [default: the URL's host]
    #[arg(long, value_name = "NAME")]
    pub tls_domain: Option<String>,

    /// A file that holds the coordinator's token
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Reach another machine without TLS: whoever listens reads the tasks and the token
    #[arg(long)]
    pub insecure: bool,
}

/// Where a coordinator is and how to talk to it; nothing is connected yet.
#[derive(Clone, Debug)]
pub struct Connection {
    /// To be connected lazily.
    pub endpoint: Endpoint,
    /// What every call is to carry.
    pub token: Option<Token>,
}

/// Why there is no way to a coordinator.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The URL is none.
    #[error("not a URL, such as http://127.0.0.1:4750 or https://fleet.example:4750")]
    Url,
    /// The URL's scheme is of something else.
    #[error("the scheme {0} is not known; allowed: http, https")]
    Scheme(String),
    /// Another machine would be reached without encryption.
    #[error(
        "{0} is another machine, and without TLS a stranger could read tasks and inject results; use https://, or \
         --insecure if the network is trusted"
    )]
    Exposed(String),
    /// Something is to be shown or checked in a handshake that does not take place.
    #[error("{0} is of no use with http://; use https://")]
    NoHandshake(&'static str),
    /// A file cannot be used.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The transport finds a fault.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

impl ConnectionArgs {
    /// The way to the coordinator at `url`, with all files read and checked.
    ///
    /// # Errors
    /// If the URL, a file, or their combination makes no sense, or is not safe.
    pub fn connection(&self, url: &str) -> Result<Connection, ConnectionError> {
        let uri: Uri = url.parse().map_err(|_| ConnectionError::Url)?;
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else { return Err(ConnectionError::Url) };
        let token = self.token_file.as_deref().map(Token::read).transpose()?;
        let tls = match scheme {
            "https" => Some(self.tls()?),
            "http" => {
                let files = [("--tls-ca", &self.tls_ca), ("--tls-cert", &self.tls_cert)];
                let domain = self.tls_domain.is_some().then_some("--tls-domain");
                if let Some(flag) = files.iter().find(|(_, file)| file.is_some()).map(|(flag, _)| *flag).or(domain) {
                    return Err(ConnectionError::NoHandshake(flag));
                }
                if !is_loopback(host) {
                    if !self.insecure {
                        return Err(ConnectionError::Exposed(host.to_owned()));
                    }
                    tracing::warn!("{host} is reached without TLS: whoever listens reads the tasks and the token");
                }
                None
            }
            other => return Err(ConnectionError::Scheme(other.to_owned())),
        };
        let endpoint = Endpoint::from(uri)
            .connect_timeout(CONNECTING)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true);
        let endpoint = match tls {
            Some(tls) => endpoint.tls_config(tls).map_err(|error| ConnectionError::Tls(chain(&error)))?,
            None => endpoint,
        };
        Ok(Connection { endpoint, token })
    }

    fn tls(&self) -> Result<ClientTlsConfig, ConnectionError> {
        let now = SystemTime::now();
        let config = ClientTlsConfig::new().timeout(CONNECTING);
        let config = match &self.tls_ca {
            Some(file) => config.ca_certificate(Authorities::read(file, now)?.into_transport()),
            None => config.with_native_roots(),
        };
        let config = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => config.identity(Identity::read(certificate, key, now)?.into_transport()),
            _ => config,
        };
        Ok(match &self.tls_domain {
            Some(domain) => config.domain_name(domain),
            None => config,
        })
    }
}

/// An error with its causes, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_reached_without_tls() {
        let args = ConnectionArgs::default();
        for url in ["http://localhost:7070", "http://127.0.0.1:7070", "http://[::1]:7070"] {
            assert!(args.connection(url).is_ok(), "{url}");
        }
        let error = args.connection("http://fleet.example:7070").unwrap_err();
        assert!(matches!(&error, ConnectionError::Exposed(host) if host == "fleet.example"), "{error}");
        assert!(ConnectionArgs { insecure: true, ..args }.connection("http://fleet.example:7070").is_ok());
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for url in ["localhost:7070", "ftp://localhost", "", "http://", "fleet.example", "/path"] {
            assert!(ConnectionArgs::default().connection(url).is_err(), "{url}");
        }
    }

    #[test]
    fn what_a_handshake_would_need_is_not_taken_without_one() {
        let args = ConnectionArgs { tls_ca: Some("ca.pem".into()), ..ConnectionArgs::default() };
        let error = args.connection("http://127.0.0.1:1").unwrap_err().to_string();
        assert_eq!(error, "--tls-ca is of no use with http://; use https://");
        let args = ConnectionArgs { tls_domain: Some("fleet".into()), ..ConnectionArgs::default() };
        assert!(args.connection("http://127.0.0.1:1").is_err());
        let args = ConnectionArgs { tls_ca: Some("/nowhere/ca.pem".into()), ..ConnectionArgs::default() };
        let error = args.connection("https://127.0.0.1:1").unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/ca.pem: "), "{error}");
    }
}
