//! The lobby: connections that have yet to show who they are. There are never more than a few of them, and never for long,
//! so that whoever connects and says nothing, or nonsense, or too slowly, takes nothing from the workers.
//!
//! A connection is a stranger's until a call on it satisfies the guard. The TLS handshake, the HTTP/2 preface and the first
//! call together have to come within [`Limits::patience`]; when there are too many strangers, the one that has waited
//! longest goes. How fast strangers come in is bounded as well ([`Turnstile`]). Those that are admitted are watched by
//! HTTP/2's own keep-alive.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, Sleep};
use tonic::transport::server::Connected;

use super::turnstile::Turnstile;

/// How long to wait when the system has no connections to give, such as for want of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How often it is said that strangers come too fast.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// What the lobby goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many connections there may be, admitted or not.
    pub(crate) connections: usize,
    /// How many of them may be strangers.
    pub(crate) strangers: usize,
    /// How long it takes before another stranger is let in, once there have been as many as there may be.
    pub(crate) stranger_interval: Duration,
    /// How long a stranger may stay.
    pub(crate) patience: Duration,
    /// How long a stranger may stay whose call was refused: time enough to hear it.
    pub(crate) parting: Duration,
}

/// What is known of who is at the other end.
#[derive(Debug)]
pub(crate) struct Guest {
    address: SocketAddr,
    standing: AtomicU8,
    waker: AtomicWaker,
    turnstile: Arc<Turnstile>,
}

/// Nothing was shown yet.
const STRANGER: u8 = 0;
/// A call was refused.
const REFUSED: u8 = 1;
/// There is no room.
const DISMISSED: u8 = 2;
/// A call was in order.
const ADMITTED: u8 = 3;

impl Guest {
    fn new(address: SocketAddr, turnstile: Arc<Turnstile>) -> Guest {
        Guest { address, standing: AtomicU8::new(STRANGER), waker: AtomicWaker::new(), turnstile }
    }

    /// Where it comes from.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its credentials are in order.
    pub(crate) fn admit(&self) {
        if self.standing.load(Ordering::Relaxed) != ADMITTED && self.become_(ADMITTED) {
            self.turnstile.give_back();
        }
    }

    /// It has shown no credentials, or wrong ones. Once admitted, others of its calls may be wrong.
    pub(crate) fn refuse(&self) {
        self.become_(REFUSED);
    }

    fn dismiss(&self) {
        self.become_(DISMISSED);
    }

    /// Takes a standing, unless it is admitted or dismissed already. Whether it did.
    fn become_(&self, standing: u8) -> bool {
        let change = |old| (old != ADMITTED && old != DISMISSED).then_some(standing);
        let changed = self.standing.fetch_update(Ordering::AcqRel, Ordering::Acquire, change).is_ok();
        if changed {
            self.waker.wake();
        }
        changed
    }

    fn is_stranger(&self) -> bool {
        self.standing.load(Ordering::Acquire) < DISMISSED
    }
}

/// A connection, which ends by itself if its guest is not admitted in time.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    guest: Arc<Guest>,
    /// When a stranger has to go; none for who was admitted.
    deadline: Option<Pin<Box<Sleep>>>,
    refused: bool,
    parting: Duration,
    _room: OwnedSemaphorePermit,
}

impl Connection {
    /// Whether the guest may go on; wakes the task when that changes.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let Some(deadline) = &mut self.deadline else { return Ok(()) };
        self.guest.waker.register(context.waker());
        match self.guest.standing.load(Ordering::Acquire) {
            ADMITTED => {
                self.deadline = None;
                return Ok(());
            }
            DISMISSED => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "there are too many strangers")),
            REFUSED if !self.refused => {
                self.refused = true;
                let parting = Instant::now() + self.parting;
                if parting < deadline.deadline() {
                    deadline.as_mut().reset(parting);
                }
            }
            _ => {}
        }
        match deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::TimedOut, "a stranger stayed too long")),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connected for Connection {
    type ConnectInfo = Arc<Guest>;

    fn connect_info(&self) -> Arc<Guest> {
        Arc::clone(&self.guest)
    }
}

/// The strangers, in the order in which they came.
#[derive(Clone, Debug, Default)]
struct Strangers(Arc<Mutex<VecDeque<Weak<Guest>>>>);

impl Strangers {
    /// Lets one more in, if need be in place of the one that has waited longest.
    fn enter(&self, guest: &Arc<Guest>, most: usize) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // As long as there are few, those that are gone or known by now do not matter.
        if waiting.len() >= most {
            waiting.retain(|guest| guest.upgrade().is_some_and(|guest| guest.is_stranger()));
        }
        if waiting.len() >= most {
            Strangers::dismiss_first(&mut waiting);
        }
        waiting.push_back(Arc::downgrade(guest));
    }

    /// Sends away the one that has waited longest; whether there was one.
    fn dismiss(&self) -> bool {
        Strangers::dismiss_first(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn dismiss_first(waiting: &mut VecDeque<Weak<Guest>>) -> bool {
        while let Some(guest) = waiting.pop_front() {
            if let Some(guest) = guest.upgrade().filter(|guest| guest.is_stranger()) {
                guest.dismiss();
                return true;
            }
        }
        false
    }
}

/// Accepts connections within the limits, for as long as somebody takes them.
pub(crate) async fn receive(listener: TcpListener, limits: Limits, connections: mpsc::Sender<io::Result<Connection>>) {
    let room = Arc::new(Semaphore::new(limits.connections));
    let strangers = Strangers::default();
    let turnstile = Arc::new(Turnstile::new(limits.strangers as u32, limits.stranger_interval));
    let mut told = false;
    let mut said: Option<Instant> = None;
    loop {
        if turnstile.is_closed() && said.is_none_or(|said| said.elapsed() >= SAID_AGAIN) {
            said = Some(Instant::now());
            // One line a minute at most, whatever they do.
            tracing::warn!(
                "connections that show no credentials come too fast: one each {:?} is looked at, and others wait",
                limits.stranger_interval
            );
        }
        let next = async {
            turnstile.open().await;
            listener.accept().await
        };
        let accepted = tokio::select! {
            accepted = next => accepted,
            () = connections.closed() => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_the_callers(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "connections cannot be accepted at the moment");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let permit = match Arc::clone(&room).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) if strangers.dismiss() => {
                // It goes as soon as its task runs.
                match Arc::clone(&room).acquire_owned().await {
                    Ok(permit) => permit,
                    Err(_) => return,
                }
            }
            Err(_) => {
                // Once: how often it happens is up to strangers.
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%address, limit = limits.connections, "there is no room for another connection");
                }
                continue;
            }
        };
        turnstile.pass();
        let guest = Arc::new(Guest::new(address, Arc::clone(&turnstile)));
        strangers.enter(&guest, limits.strangers);
        // Small messages must not wait for one another; who has hung up already shows that soon enough.
        let _ = stream.set_nodelay(true);
        let deadline = Some(Box::pin(tokio::time::sleep(limits.patience)));
        let (parting, refused) = (limits.parting, false);
        let connection = Connection { stream, guest, deadline, refused, parting, _room: permit };
        if connections.send(Ok(connection)).await.is_err() {
            return;
        }
    }
}

/// Whether only the connection at hand is lost.
fn is_the_callers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | WouldBlock)
}
