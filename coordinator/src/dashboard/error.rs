//! Why there is no dashboard.

use std::net::SocketAddr;

/// Why a dashboard could not begin.
#[derive(Debug, thiserror::Error)]
pub enum DashboardError {
    /// Strangers must not read results.
    #[error(
        "cannot show the dashboard on {0}: only loopback addresses (127.0.0.1, [::1]) are allowed, because everybody who \
         reaches it can read the results; tunnel it (ssh -L) to look at it from elsewhere"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("cannot show the dashboard on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
}
