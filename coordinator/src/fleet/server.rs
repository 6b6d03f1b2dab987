//! The transports: one in memory for embedded workers, and a socket, guarded, if remote ones are admitted.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use proto::v1::fleet_server::FleetServer;
use proto::v1::watch_server::WatchServer;
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptorLayer;
use tonic::transport::{Channel, Endpoint, Server, Uri};

use super::gate::Gate;
use super::guard::Guard;
use super::lobby::{self, Limits};
use super::lookout::Lookout;
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

/// The longest that any call may take to be answered: more than a worker waits for tasks or for a part to be durable.
const LONGEST_CALL: Duration = Duration::from_secs(180);

/// How many calls may be under way on a connection. A worker has four or five.
const STREAMS: u32 = 256;

/// How long the headers of a call may be.
const HEADER_BYTES: u32 = 16 << 10;

/// How many calls a client may cancel before they were looked at, and how many of its errors are answered: then it is the
/// connection that ends ("rapid reset", CVE-2023-44487 and its kin).
const PENDING_RESETS: usize = 20;
const LOCAL_ERRORS: usize = 64;

/// How many connections may be there that have not shown who they are, and for how long. A worker needs a few round trips.
const STRANGERS: usize = 256;

/// How long it takes before another one is let in, once there have been so many: looking at 200 a second takes a few
/// hundredths of a core.
const STRANGER_INTERVAL: Duration = Duration::from_millis(5);

/// How many connections may wait in the system's queue: workers among strangers wait there for seconds.
const BACKLOG: u32 = 1024;

const PATIENCE: Duration = Duration::from_secs(10);
const PARTING: Duration = Duration::from_secs(1);

/// File descriptors that are not for connections: the store's, the lock's, the runtime's own.
const OTHER_FILES: u64 = 256;

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
pub(super) fn bind(gate: &Gate) -> Result<TcpListener, FleetError> {
    let address = gate.address();
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A coordinator that is started again must not wait for connections of the one before to be forgotten.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error| FleetError::Listen { address, error })
}

/// How many connections there may be: one for each worker, and the strangers. Never so many that the store would have no
/// file descriptors left.
fn connections(max_workers: usize) -> usize {
    let wanted = max_workers.saturating_add(STRANGERS);
    // The soft limit is often 1,024, for the sake of programs that are older than threads.
    match rlimit::increase_nofile_limit((wanted as u64).saturating_add(OTHER_FILES)) {
        Ok(files) => {
            let room = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).max(1);
            if room < wanted {
                tracing::info!(room, wanted, "this system's limit of open files leaves room for fewer connections");
            }
            room.min(wanted)
        }
        Err(error) => {
            tracing::debug!(%error, "the limit of open files is not known");
            wanted
        }
    }
}

/// Begins to serve: in memory, and at the gate if there is one.
pub(super) fn serve(
    service: Service,
    lookout: Lookout,
    remote: Option<(&Gate, TcpListener)>,
    max_workers: usize,
) -> Result<Servers, FleetError> {
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
        .max_decoding_message_size(proto::limits::MAX_REQUEST_BYTES)
        .max_encoding_message_size(proto::limits::MAX_MESSAGE_BYTES);
    let routes = Routes::new(fleet)
        .add_service(WatchServer::new(lookout))
        .add_service(health_service)
        .add_service(reflection)
        .prepare();

    let (stop, stopped) = watch::channel(false);
    let mut tasks = Vec::new();
    let mut local_addr = None;
    if let Some((gate, listener)) = remote {
        local_addr = Some(listener.local_addr().map_err(|error| internal(&error))?);
        tasks.push(admit(gate, listener, routes.clone(), connections(max_workers), stopped.clone())?);
    }
    let (connections, incoming) = mpsc::channel(16);
    tasks.push(spawn(builder(), Guard::none(), routes, incoming, stopped));
    Ok(Servers { connector: Connector { connections }, local_addr, stop, tasks })
}

/// Serves something else than a fleet at a gate of its own, until it is told to stop; says where.
///
/// # Errors
/// If the address cannot be had, or the transport finds a fault in the certificates.
pub fn serve_at(
    gate: &Gate,
    routes: Routes,
    connections: usize,
    stopped: watch::Receiver<bool>,
) -> Result<(SocketAddr, JoinHandle<()>), FleetError> {
    let listener = bind(gate)?;
    let address = listener.local_addr().map_err(|error| FleetError::Internal(error.to_string()))?;
    Ok((address, admit(gate, listener, routes, connections, stopped)?))
}

/// Serves those who come through a gate.
fn admit(
    gate: &Gate,
    listener: TcpListener,
    routes: Routes,
    connections: usize,
    stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, FleetError> {
    let server = match gate.tls_config() {
        Some(tls) => builder().tls_config(tls).map_err(|error| FleetError::Tls(describe(&error)))?,
        None => builder(),
    };
    let limits = Limits {
        connections,
        strangers: STRANGERS,
        stranger_interval: STRANGER_INTERVAL,
        patience: PATIENCE,
        parting: PARTING,
    };
    let (connections, incoming) = mpsc::channel(16);
    tokio::spawn(lobby::receive(listener, limits, connections));
    Ok(spawn(server, Guard::at(gate), routes, incoming, stopped))
}

/// A server with all its limits.
fn builder() -> Server {
    Server::builder()
        .timeout(LONGEST_CALL)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(LOCAL_ERRORS))
        .max_concurrent_streams(STREAMS)
}

fn spawn<IO>(
    server: Server,
    guard: Guard,
    routes: Routes,
    incoming: mpsc::Receiver<io::Result<IO>>,
    mut stopped: watch::Receiver<bool>,
) -> JoinHandle<()>
where
    IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + tonic::transport::server::Connected + Unpin + Send + 'static,
{
    // Around everything, so that what is not served is not told from what is.
    let router = server.layer(InterceptorLayer::new(guard)).add_routes(routes);
    tokio::spawn(async move {
        let stop = async move {
            // Whoever could say so being gone says it too.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        if let Err(error) = router.serve_with_incoming_shutdown(ReceiverStream::new(incoming), stop).await {
            tracing::error!("the server stopped: {error}");
        }
    })
}

/// An error with its causes.
fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", describe(cause)),
        None => error.to_string(),
    }
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
