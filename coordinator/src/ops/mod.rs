//! `--ops-listen`: health, readiness and metrics over plain HTTP, for probes and Prometheus. It says how many tasks are where
//! and how long things take, and nothing of what the tasks are.

mod exposition;
mod metrics;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::watch;

use crate::exit::{Exit, Failure, OrExit};
use crate::fleet::{Progress, Roster};
use crate::meter::Meter;

/// The content type of Prometheus's text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is looked at.
#[derive(Clone)]
pub struct Watched {
    /// How far the fleet is.
    pub progress: watch::Receiver<Progress>,
    /// Who works; asked for how long things have been as they are.
    pub roster: watch::Receiver<Roster>,
    /// What was measured.
    pub meter: Arc<Meter>,
    /// How many tasks there are to do, those that are not planned yet among them.
    pub total: u64,
}

/// An address that was taken, where nobody is answered yet.
#[derive(Debug)]
pub struct Ops {
    listener: std::net::TcpListener,
    local: SocketAddr,
}

impl Ops {
    /// Takes an address, so that errors show before anything has begun.
    ///
    /// # Errors
    /// [`Exit::Usage`] if it cannot be had.
    pub fn bind(address: SocketAddr) -> Result<Ops, Failure> {
        let bound = std::net::TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let local = listener.local_addr()?;
            Ok(Ops { listener, local })
        });
        let failed = |error: std::io::Error| anyhow::anyhow!("cannot listen on {address} for --ops-listen: {error}");
        bound.map_err(failed).or_exit(Exit::Usage)
    }

    /// Where it is, with the port that was given out if none was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves until the process ends. Must be called within a runtime.
    ///
    /// # Errors
    /// [`Exit::Internal`] if the runtime does not take the listener.
    pub fn serve(self, watched: Watched) -> Result<(), Failure> {
        let listener = tokio::net::TcpListener::from_std(self.listener).or_exit(Exit::Internal)?;
        let router = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(exposed))
            .with_state(watched);
        tokio::spawn(server::serve(listener, router, server::LIMITS));
        Ok(())
    }
}

/// Ready is who takes workers in: not while the sweep drains, and not after its end.
async fn ready(State(watched): State<Watched>) -> impl IntoResponse {
    let draining = watched.progress.borrow().draining;
    match (draining, watched.progress.has_changed()) {
        (false, Ok(_)) => (StatusCode::OK, "ready\n"),
        (true, Ok(_)) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        (_, Err(_)) => (StatusCode::SERVICE_UNAVAILABLE, "ended\n"),
    }
}

async fn exposed(State(watched): State<Watched>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, TEXT)], metrics::text(&watched))
}
