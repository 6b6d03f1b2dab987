//! A plain HTTP/1 server for a few short questions: whoever asks nothing, or slowly, or too often, is let go.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What the server puts up with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many connections there may be; those beyond are closed at once.
    connections: usize,
    /// How long a request's headers may take, from the first moment on, and how long a connection may be idle.
    headers: Duration,
    /// How long a connection may last at all, however it is used.
    connection: Duration,
    /// How long to wait when the system has no connections to give, such as for want of file descriptors.
    accept_again: Duration,
}

/// More than Prometheus and the probes of a cluster need.
pub(super) const LIMITS: Limits = Limits {
    connections: 64,
    headers: Duration::from_secs(10),
    connection: Duration::from_secs(120),
    accept_again: Duration::from_millis(100),
};

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, router: Router, limits: Limits) {
    let room = Arc::new(Semaphore::new(limits.connections));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "an operations connection cannot be accepted");
                tokio::time::sleep(limits.accept_again).await;
                continue;
            }
        };
        if let Ok(permit) = Arc::clone(&room).try_acquire_owned() {
            tokio::spawn(answer(stream, router.clone(), limits, permit));
        }
    }
}

async fn answer(stream: TcpStream, router: Router, limits: Limits, _room: OwnedSemaphorePermit) {
    let mut server = Builder::new(TokioExecutor::new()).http1_only();
    server.http1().timer(TokioTimer::new()).header_read_timeout(limits.headers);
    let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // What goes wrong on a connection is the caller's business.
    let _ = tokio::time::timeout(limits.connection, connection).await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    async fn start(limits: Limits) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Router::new().route("/", get(|| async { "yes" })), limits));
        address
    }

    /// What comes after this was sent, up to the end of the connection, which has to come.
    async fn said(mut stream: TcpStream, request: &str) -> String {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut answer)).await;
        // A connection that is closed with something unread in it is reset.
        let _ = read.expect("the connection ends");
        answer
    }

    #[tokio::test]
    async fn who_says_nothing_or_never_ends_is_let_go() {
        let address = start(Limits { headers: SHORT, ..LIMITS }).await;
        for request in ["", "GET / HTTP/1.1\r\nHost: ops\r\nX-Slow: "] {
            let answer = said(TcpStream::connect(address).await.unwrap(), request).await;
            assert!(!answer.contains("200 OK"), "{answer}");
        }
        let idle = said(TcpStream::connect(address).await.unwrap(), "GET / HTTP/1.1\r\nHost: ops\r\n\r\n").await;
        assert!(idle.ends_with("yes"), "answered, then closed: {idle}");
        let address = start(Limits { connection: SHORT, ..LIMITS }).await;
        said(TcpStream::connect(address).await.unwrap(), "").await;
    }

    #[tokio::test]
    async fn there_are_no_more_connections_than_allowed() {
        let address = start(Limits { connections: 1, ..LIMITS }).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        first.write_all(b"GET / HTTP/1.1\r\nHost: ops\r\n\r\n").await.unwrap();
        let mut answer = [0; 15];
        first.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        // A connection that is let go may be reset before the request is written.
        let mut second = TcpStream::connect(address).await.unwrap();
        let mut nothing = Vec::new();
        let _ = second.read_to_end(&mut nothing).await;
        assert!(nothing.is_empty());
        drop(first);
        // Its end is noticed after a while.
        loop {
            let mut next = TcpStream::connect(address).await.unwrap();
            let mut answer = Vec::new();
            if next.write_all(b"GET / HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n").await.is_ok()
                && next.read_to_end(&mut answer).await.is_ok()
                && answer.ends_with(b"yes")
            {
                break;
            }
        }
    }
}
