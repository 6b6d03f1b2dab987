//! Where the dashboard is, and what visitors have to show. A door that would let strangers in from other machines cannot be made
//! by mistake.

use std::net::{IpAddr, SocketAddr, TcpListener};

use worker::credentials::{Identity, Token};

use super::error::DashboardError;

/// An address to serve at, with what guards it.
#[derive(Clone, Debug)]
pub struct Door {
    address: SocketAddr,
    identity: Option<Identity>,
    token: Option<Token>,
}

impl Door {
    /// A door with what guards it. A token that there is is asked for, wherever the door is; TLS is for other machines: what goes
    /// over loopback nobody else can hear. With `insecure` both may be missing: that is for a network that is trusted as a
    /// whole.
    ///
    /// # Errors
    /// [`DashboardError::Exposed`] beyond loopback without TLS or without a token.
    pub fn new(
        address: SocketAddr,
        identity: Option<Identity>,
        token: Option<Token>,
        insecure: bool,
    ) -> Result<Door, DashboardError> {
        if address.ip().is_loopback() {
            return Ok(Door { address, identity: None, token });
        }
        let lacks = match (&identity, &token) {
            (Some(_), Some(_)) => None,
            (None, Some(_)) => Some("TLS (--tls-cert and --tls-key)"),
            (Some(_), None) => Some("a token (--token-file)"),
            (None, None) => Some("TLS and a token (--tls-cert, --tls-key and --token-file)"),
        };
        if let Some(lacks) = lacks {
            if !insecure {
                return Err(DashboardError::Exposed { address, lacks });
            }
            tracing::warn!("the dashboard on {address} is open to strangers, who can read results: it lacks {lacks}");
        }
        Ok(Door { address, identity, token })
    }

    /// Takes the address.
    ///
    /// # Errors
    /// If it cannot be had.
    pub fn bind(&self) -> Result<TcpListener, DashboardError> {
        let address = self.address;
        TcpListener::bind(address).map_err(|error| DashboardError::Listen { address, error })
    }

    /// What to type into a browser for this door, which is at `local_addr`.
    pub fn url(&self, local_addr: SocketAddr) -> String {
        let scheme = if self.identity.is_some() { "https" } else { "http" };
        let host = match local_addr.ip() {
            ip if ip.is_unspecified() => worker::platform::host_name(),
            IpAddr::V6(ip) => format!("[{ip}]"),
            IpAddr::V4(ip) => ip.to_string(),
        };
        format!("{scheme}://{host}:{}", local_addr.port())
    }

    /// Where it is to be.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether only this machine can come to it.
    pub(super) fn is_loopback(&self) -> bool {
        self.address.ip().is_loopback()
    }

    /// What the server shows; none for plain HTTP.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// What visitors have to know.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(place: &tempfile::TempDir) -> Token {
        let path = place.path().join("token");
        std::fs::write(&path, "0123456789abcdef").unwrap();
        Token::read(&path).unwrap()
    }

    fn identity(place: &tempfile::TempDir) -> Identity {
        let pair = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["fleet.example".to_owned()]).unwrap().self_signed(&pair);
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| place.path().join(name));
        std::fs::write(&cert, certificate.unwrap().pem()).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        Identity::read(&cert, &key, std::time::SystemTime::now()).unwrap()
    }

    #[test]
    fn beyond_loopback_strangers_stay_outside() {
        let place = tempfile::tempdir().unwrap();
        let (token, identity) = (token(&place), identity(&place));
        let everywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let refused = |identity: Option<&Identity>, token: Option<&Token>| {
            Door::new(everywhere, identity.cloned(), token.cloned(), false).unwrap_err().to_string()
        };
        let error = refused(None, None);
        for part in ["0.0.0.0:0", "--tls-cert", "--token-file", "--insecure", "ssh -L"] {
            assert!(error.contains(part), "no {part} in {error}");
        }
        assert!(refused(Some(&identity), None).contains("without a token (--token-file)"));
        assert!(refused(None, Some(&token)).contains("without TLS (--tls-cert and --tls-key)"));
        let open = Door::new(everywhere, None, None, true).unwrap();
        assert!(open.token().is_none() && open.url("10.0.0.1:80".parse().unwrap()) == "http://10.0.0.1:80");
        let guarded = Door::new(everywhere, Some(identity), Some(token), false).unwrap();
        assert!(guarded.token().is_some() && guarded.url("[fe80::1]:443".parse().unwrap()) == "https://[fe80::1]:443");
    }

    #[test]
    fn on_loopback_a_token_is_asked_for_if_there_is_one_and_nothing_is_encrypted() {
        let place = tempfile::tempdir().unwrap();
        let here: SocketAddr = "127.0.0.1:0".parse().unwrap();
        assert!(Door::new(here, None, None, false).unwrap().token().is_none());
        let door = Door::new(here, Some(identity(&place)), Some(token(&place)), false).unwrap();
        assert!(door.token().is_some() && door.identity().is_none());
        assert_eq!(door.url("127.0.0.1:8080".parse().unwrap()), "http://127.0.0.1:8080");
    }
}
