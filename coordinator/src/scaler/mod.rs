//! `--scaler-listen`: KEDA's external scaler, which says how many tasks are left, so that workers are scaled from zero and back.
//!
//! It has a port of its own, with mutual TLS, since KEDA shows certificates and no tokens; who is admitted here can read
//! how much work there is, and nothing else.

mod args;
mod demand;
mod service;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use proto::keda::external_scaler_server::ExternalScalerServer;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::service::Routes;

use crate::fleet::{self, FleetError, Gate, Progress};

pub use args::ScalerArgs;
pub use demand::Demand;
use service::Service;

/// How many connections there may be. KEDA has one or two for a ScaledObject.
const CONNECTIONS: usize = 64;

/// The longest message, in bytes: a ScaledObject's metadata.
const MESSAGE_BYTES: usize = 64 << 10;

/// A running scaler; it ends when this is dropped.
#[derive(Debug)]
pub struct Scaler {
    address: SocketAddr,
    server: JoinHandle<()>,
    // The server goes on for as long as this is there.
    _stop: watch::Sender<bool>,
}

impl Scaler {
    /// Begins to answer at a gate, from the progress towards `total` tasks. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the address cannot be had, or the transport finds a fault in the certificates.
    pub fn start(gate: &Gate, progress: watch::Receiver<Progress>, total: u64) -> Result<Scaler, FleetError> {
        let service = ExternalScalerServer::new(Service::new(progress, total)).max_decoding_message_size(MESSAGE_BYTES);
        let (stop, stopped) = watch::channel(false);
        let (address, server) = fleet::serve_at(gate, Routes::new(service), CONNECTIONS, stopped)?;
        Ok(Scaler { address, server, _stop: stop })
    }

    /// Where it is, with the port that was given out if none was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        self.server.abort();
    }
}
