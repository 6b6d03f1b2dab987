//! The dashboard: the report of a sweep that still runs, with its progress, served to a browser.
//!
//! ```text
//! driver ──watch──▶ board (what is known) ◀── refresher (reads parts, makes the report, only while somebody looks)
//!                     └──▶ server ──▶ browser, which asks every second and outlives the coordinator
//! ```
//!
//! Nothing here is asked of the driver: it publishes what it knows anyway, and results are read from the parts, as any other reader
//! would.

mod board;
mod error;
mod refresh;
mod server;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;

pub use board::{Board, Sweep};
pub use error::DashboardError;
pub use server::bind;

/// A running dashboard; it ends when this is dropped.
pub struct Dashboard {
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

impl Dashboard {
    /// Begins to serve a board. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the address is not allowed or cannot be had.
    pub fn start(address: SocketAddr, board: Board) -> Result<Dashboard, DashboardError> {
        let listener = bind(address)?;
        let failed = |error| DashboardError::Listen { address, error };
        let address = listener.local_addr().map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        let board = Arc::new(board);
        let tasks = [tokio::spawn(server::serve(listener, Arc::clone(&board))), tokio::spawn(refresh::refresh(board))];
        Ok(Dashboard { address, tasks })
    }

    /// Where it is, with the port that was given out if none was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
