//! How browsers come in: through the lobby, which bounds how many strangers there are and for how long, and through TLS if the
//! door has a certificate.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustls::ServerConfig;
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tonic::transport::server::Connected as _;

use super::door::Door;
use super::error::DashboardError;
use crate::fleet::lobby::{self, Connection, Guest, Limits};

/// A browser has half a dozen connections.
const LIMITS: Limits = Limits {
    connections: 256,
    strangers: 64,
    stranger_interval: Duration::from_millis(5),
    patience: Duration::from_secs(10),
    // Time enough to read that a token is asked for.
    parting: Duration::from_secs(5),
};

/// Accepts connections that are ready to be spoken on.
pub(super) struct Doorway {
    local_addr: SocketAddr,
    ready: mpsc::Receiver<Visit>,
}

/// A connection of a visitor.
pub(super) struct Visit {
    stream: Box<dyn Duplex>,
    guest: Arc<Guest>,
}

/// Both ways.
trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Whose request it is.
#[derive(Clone)]
pub(super) struct Visitor(pub(super) Arc<Guest>);

impl Connected<IncomingStream<'_, Doorway>> for Visitor {
    fn connect_info(stream: IncomingStream<'_, Doorway>) -> Visitor {
        Visitor(Arc::clone(&stream.io().guest))
    }
}

impl Doorway {
    /// Opens a door. Must be called within a runtime.
    ///
    /// # Errors
    /// If the address cannot be had or TLS not be set up.
    pub(super) fn open(door: &Door) -> Result<Doorway, DashboardError> {
        let tls =
            door.identity().map(|identity| acceptor(SingleCertAndKey::from(identity.certified_key()))).transpose()?;
        let listener = door.bind()?;
        let failed = |error| DashboardError::Listen { address: door.address(), error };
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let (connections, incoming) = mpsc::channel(16);
        let (visits, ready) = mpsc::channel(16);
        tokio::spawn(lobby::receive(listener, LIMITS, connections));
        tokio::spawn(greet(incoming, tls, visits));
        Ok(Doorway { local_addr, ready })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.local_addr
    }
}

fn acceptor(certificate: SingleCertAndKey) -> Result<TlsAcceptor, DashboardError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| DashboardError::Tls(error.to_string()))?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(certificate));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Has every connection's handshake done, each in a task of its own: none waits for another. The lobby ends those that take too
/// long, or that nobody takes any more.
async fn greet(
    mut incoming: mpsc::Receiver<io::Result<Connection>>,
    tls: Option<TlsAcceptor>,
    visits: mpsc::Sender<Visit>,
) {
    loop {
        let connection = tokio::select! {
            connection = incoming.recv() => connection,
            () = visits.closed() => return,
        };
        let Some(connection) = connection else { return };
        let Ok(connection) = connection else { continue };
        let guest = connection.connect_info();
        let (tls, visits) = (tls.clone(), visits.clone());
        tokio::spawn(async move {
            let stream: Box<dyn Duplex> = match tls {
                None => Box::new(connection),
                Some(tls) => match tls.accept(connection).await {
                    Ok(stream) => Box::new(stream),
                    Err(error) => {
                        tracing::debug!(%error, "a visitor's handshake failed");
                        return;
                    }
                },
            };
            // Nobody serves any more if this fails.
            let _ = visits.send(Visit { stream, guest }).await;
        });
    }
}

impl Listener for Doorway {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visit, SocketAddr) {
        match self.ready.recv().await {
            Some(visit) => {
                let address = visit.guest.address();
                (visit, address)
            }
            // Nobody comes any more.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local_addr)
    }
}

impl AsyncRead for Visit {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Visit {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
