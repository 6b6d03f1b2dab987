//! Where remote workers are admitted, and what they have to show. A gate that would let strangers in from other machines
//! cannot be made by mistake.

use std::net::{IpAddr, SocketAddr};

use tonic::transport::ServerTlsConfig;
use worker::credentials::{Authorities, Identity, Token};

use super::progress::FleetError;

/// An address to listen on, with what guards it.
#[derive(Clone, Debug)]
pub struct Gate {
    address: SocketAddr,
    tls: Option<Tls>,
    token: Option<Token>,
}

/// The coordinator's own certificate, and perhaps who vouches for workers.
#[derive(Clone, Debug)]
pub struct Tls {
    /// What the coordinator shows.
    pub identity: Identity,
    /// Workers have to show a certificate of one of these.
    pub client_authorities: Option<Authorities>,
}

impl Gate {
    /// A gate with all that guards it. With `insecure` it may be open: that is for a network that is trusted as a whole.
    ///
    /// # Errors
    /// [`FleetError::Exposed`] if workers of other machines could not be told from strangers: beyond loopback, TLS is
    /// required, and either a token or certificates of the workers' own.
    pub fn new(
        address: SocketAddr,
        tls: Option<Tls>,
        token: Option<Token>,
        insecure: bool,
    ) -> Result<Gate, FleetError> {
        let mutual = tls.as_ref().is_some_and(|tls| tls.client_authorities.is_some());
        let lacks = match (&tls, &token) {
            (None, _) => Some("TLS (--tls-cert and --tls-key, with --token-file or --client-ca)"),
            (Some(_), None) if !mutual => Some("a token (--token-file) or the workers' own certificates (--client-ca)"),
            _ => None,
        };
        if let Some(lacks) = lacks.filter(|_| !address.ip().is_loopback()) {
            if !insecure {
                return Err(FleetError::Exposed { address, lacks });
            }
            tracing::warn!("{address} is open to strangers, who can read tasks and inject results: it lacks {lacks}");
        }
        Ok(Gate { address, tls, token })
    }

    /// A gate for clients that show certificates and no tokens, and read how much work there is.
    ///
    /// # Errors
    /// [`FleetError::Exposed`] if those of other machines could not be told from strangers: beyond loopback, mutual TLS is
    /// required.
    pub fn for_certificates(address: SocketAddr, tls: Option<Tls>, insecure: bool) -> Result<Gate, FleetError> {
        let gate = Gate { address, tls, token: None };
        if !gate.is_mutual() && !address.ip().is_loopback() {
            let lacks =
                "TLS with certificates of its clients (--tls-cert, --tls-key, and --scaler-client-ca or --client-ca)";
            if !insecure {
                return Err(FleetError::Exposed { address, lacks });
            }
            tracing::warn!("{address} is open to strangers, who can read how many tasks are left: it lacks {lacks}");
        }
        Ok(gate)
    }

    /// Where to listen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The command by which a worker comes to this gate, which listens at `local_addr`.
    pub fn invitation(&self, local_addr: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let host = match local_addr.ip() {
            ip if ip.is_unspecified() => worker::platform::host_name(),
            IpAddr::V6(ip) => format!("[{ip}]"),
            IpAddr::V4(ip) => ip.to_string(),
        };
        let mut command = format!("worker --coordinator {scheme}://{host}:{}", local_addr.port());
        for (is_asked_for, flags) in [
            (self.tls.is_some(), " --tls-ca FILE"),
            (self.is_mutual(), " --tls-cert FILE --tls-key FILE"),
            (self.token.is_some(), " --token-file FILE"),
        ] {
            command.push_str(if is_asked_for { flags } else { "" });
        }
        command
    }

    /// What every call has to carry.
    pub(super) fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Whether workers have to show certificates.
    pub(super) fn is_mutual(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_authorities.is_some())
    }

    /// As the transport takes it.
    pub(super) fn tls_config(&self) -> Option<ServerTlsConfig> {
        let Tls { identity, client_authorities } = self.tls.clone()?;
        let config = ServerTlsConfig::new().identity(identity.into_transport()).ignore_client_order(true);
        Some(match client_authorities {
            // A certificate of somebody else ends the handshake. None at all does not: the guard then says why nothing is
            // answered, which an aborted handshake cannot.
            Some(authorities) => config.client_ca_root(authorities.into_transport()).client_auth_optional(true),
            None => config,
        })
    }
}
