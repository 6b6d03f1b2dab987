//! The transports: one in memory for embedded workers, and a socket if remote ones are admitted.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use proto::v1::fleet_server::FleetServer;
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server, Uri};

use super::progress::FleetError;
use super::service::Service;

/// How much of a connection is buffered in memory.
const DUPLEX_BYTES: usize = 256 << 10;

/// How much may be under way without being taken in, on a stream and on a connection: results come in large batches.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// A connection that is silent for so long is asked whether it is still there...
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// ...and is closed if it does not answer in this time.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long calls may take to end when the server stops.
const STOPPING: Duration = Duration::from_secs(2);

/// Connects embedded workers to the fleet's server, in memory. Give it to
/// [`Endpoint::connect_with_connector`], or take a [`Connector::channel`].
#[derive(Clone, Debug)]
pub struct Connector {
    connections: mpsc::Sender<io::Result<DuplexStream>>,
}

impl Connector {
    /// A channel to the server. It connects when it is first used, and again whenever that is necessary.
    pub fn channel(&self) -> Channel {
        Endpoint::from_static("http://embedded.invalid")
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .connect_with_connector_lazy(self.clone())
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<DuplexStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<DuplexStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connections = self.connections.clone();
        Box::pin(async move {
            let (client, server) = tokio::io::duplex(DUPLEX_BYTES);
            connections
                .send(Ok(server))
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::ConnectionRefused, "the coordinator has ended"))?;
            Ok(TokioIo::new(client))
        })
    }
}

/// The running servers.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) connector: Connector,
    pub(super) local_addr: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Takes the address, so that errors show before anything has begun.
pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, FleetError> {
    if !address.ip().is_loopback() {
        return Err(FleetError::NotLoopback(address));
    }
    let listener = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    listener.map_err(|error| FleetError::Listen { address, error })
}

/// Begins to serve.
pub(super) fn serve(service: Service, listener: Option<TcpListener>) -> Result<Servers, FleetError> {
    let internal = |error: &dyn std::error::Error| FleetError::Internal(error.to_string());
    let (health, health_service) = tonic_health::server::health_reporter();
    // The reporter's only call is asynchronous, and this is not; the service is there from the first connection on.
    tokio::spawn(async move { health.set_serving::<FleetServer<Service>>().await });
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(|error| internal(&error))?;
    let fleet = FleetServer::new(service)
        .max_decoding_message_size(proto::limits::MAX_MESSAGE_BYTES)
        .max_encoding_message_size(proto::limits::MAX_MESSAGE_BYTES);
    let routes = Routes::new(fleet).add_service(health_service).add_service(reflection).prepare();

    let (stop, stopped) = watch::channel(false);
    let mut tasks = Vec::new();
    let local_addr = match &listener {
        Some(listener) => Some(listener.local_addr().map_err(|error| internal(&error))?),
        None => None,
    };
    if let Some(listener) = listener {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(KEEPALIVE_INTERVAL));
        tasks.push(spawn(routes.clone(), incoming, stopped.clone()));
    }
    let (connections, incoming) = mpsc::channel(16);
    tasks.push(spawn(routes, ReceiverStream::new(incoming), stopped));
    Ok(Servers { connector: Connector { connections }, local_addr, stop, tasks })
}

fn spawn<I, IO>(routes: Routes, incoming: I, mut stopped: watch::Receiver<bool>) -> JoinHandle<()>
where
    I: futures::Stream<Item = io::Result<IO>> + Send + 'static,
    IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + tonic::transport::server::Connected + Unpin + Send + 'static,
{
    let router = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(256)
        .add_routes(routes);
    tokio::spawn(async move {
        let stop = async move {
            // Whoever could say so being gone says it too.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        if let Err(error) = router.serve_with_incoming_shutdown(incoming, stop).await {
            tracing::error!("the server stopped: {error}");
        }
    })
}

impl Servers {
    /// Lets calls end, and then stops.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        let deadline = tokio::time::Instant::now() + STOPPING;
        for mut task in self.tasks {
            // A connection that is never closed by its client would keep the server for ever.
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}
