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
mod door;
mod doorway;
mod error;
mod pass;
mod refresh;
mod server;
#[cfg(test)]
mod tests;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;

pub use board::{Board, Sweep};
pub use door::Door;
pub use error::DashboardError;

use doorway::Doorway;

/// A running dashboard; it ends when this is dropped.
pub struct Dashboard {
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

impl Dashboard {
    /// Begins to serve a board behind a door. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the address cannot be had or TLS not be set up.
    pub fn start(door: Door, board: Board) -> Result<Dashboard, DashboardError> {
        let doorway = Doorway::open(&door)?;
        let address = doorway.address();
        let board = Arc::new(board);
        let serving = tokio::spawn(server::serve(doorway, door, Arc::clone(&board)));
        Ok(Dashboard { address, tasks: [serving, tokio::spawn(refresh::refresh(board))] })
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
