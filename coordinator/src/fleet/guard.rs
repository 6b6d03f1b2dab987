//! The guard: every call of a remote worker shows its credentials, whatever it is for. Who has none learns nothing, not
//! even which services and methods there are.

use std::sync::Arc;

use tonic::service::Interceptor;
use tonic::transport::server::TlsConnectInfo;
use tonic::{Request, Status};
use worker::credentials::Token;

use super::gate::Gate;
use super::lobby::Guest;

/// What every stranger hears, whatever was asked and whatever is missing.
const REFUSAL: &str = "not admitted: show the token of this coordinator (--token-file) or a certificate that it trusts \
                       (--tls-cert, --tls-key)";

/// Checks the credentials of each call.
#[derive(Clone, Debug)]
pub(super) struct Guard(Arc<Demands>);

#[derive(Debug)]
struct Demands {
    token: Option<Token>,
    certificate: bool,
}

impl Guard {
    /// The guard at a gate.
    pub(super) fn at(gate: &Gate) -> Guard {
        Guard(Arc::new(Demands { token: gate.token().cloned(), certificate: gate.is_mutual() }))
    }

    /// For callers within this process.
    pub(super) fn none() -> Guard {
        Guard(Arc::new(Demands { token: None, certificate: false }))
    }

    fn is_satisfied(&self, request: &Request<()>) -> bool {
        let Demands { token, certificate } = &*self.0;
        let shows_token = token.as_ref().is_none_or(|token| {
            request.metadata().get(Token::HEADER).is_some_and(|header| token.is_in(header.as_encoded_bytes()))
        });
        let shows_certificate = || {
            // The handshake has verified it if there is one.
            let connection = request.extensions().get::<TlsConnectInfo<Arc<Guest>>>();
            connection.is_some_and(|connection| connection.peer_certs().is_some())
        };
        shows_token && (!certificate || shows_certificate())
    }
}

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let guest = request.extensions().get::<Arc<Guest>>();
        if self.is_satisfied(&request) {
            if let Some(guest) = guest {
                guest.admit();
            }
            return Ok(request);
        }
        if let Some(guest) = guest {
            guest.refuse();
            tracing::debug!(address = %guest.address(), "a stranger was refused");
        }
        Err(Status::unauthenticated(REFUSAL))
    }
}
