//! Why there is no dashboard.

use std::net::SocketAddr;

/// Why a dashboard could not begin.
#[derive(Debug, thiserror::Error)]
pub enum DashboardError {
    /// Strangers must not read results.
    #[error(
        "cannot show the dashboard on {address}, which is not a loopback address (127.0.0.1, [::1]), without {lacks}: everybody \
         who reaches it could read the results. --insecure does without, on a network that is trusted as a whole; or look at it \
         through a tunnel (ssh -L)"
    )]
    Exposed {
        /// The address.
        address: SocketAddr,
        /// What is missing.
        lacks: &'static str,
    },
    /// The address cannot be had.
    #[error("cannot show the dashboard on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// The certificate or its key is not fit for TLS.
    #[error("TLS cannot be set up for the dashboard: {0}")]
    Tls(String),
}
