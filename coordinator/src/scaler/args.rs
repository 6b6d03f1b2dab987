//! The flags of `--scaler-listen`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use worker::credentials::Authorities;

use crate::admission::AdmissionArgs;
use crate::exit::{Exit, Failure, OrExit};
use crate::fleet::{Gate, Tls};

/// Where an autoscaler asks how much work there is, and what it has to show.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Autoscaling")]
pub struct ScalerArgs {
    /// Answer KEDA (external scaler, gRPC) at this address; any other machine's needs --tls-cert, --tls-key and
    /// certificates of its own
    #[arg(long, value_name = "ADDR", requires = "listen")]
    pub scaler_listen: Option<SocketAddr>,
    /// Answer only autoscalers with a certificate of one of these authorities (PEM) [default: those of --client-ca]
    #[arg(long, value_name = "FILE", requires = "scaler_listen", requires = "tls_cert")]
    pub scaler_client_ca: Option<PathBuf>,
}

impl ScalerArgs {
    /// The gate that these flags describe, with all files read and checked; none if nobody is answered. The certificate is
    /// the fleet's.
    ///
    /// # Errors
    /// [`Exit::Usage`] if a file cannot be used, or strangers would be answered.
    pub fn gate(&self, admission: &AdmissionArgs) -> Result<Option<Gate>, Failure> {
        let Some(address) = self.scaler_listen else { return Ok(None) };
        let now = SystemTime::now();
        let identity = admission.identity(now).or_exit(Exit::Usage)?;
        let authorities = self.scaler_client_ca.as_deref().or(admission.client_ca.as_deref());
        let client_authorities =
            authorities.map(|file| Authorities::read(file, now)).transpose().or_exit(Exit::Usage)?;
        let tls = identity.map(|identity| Tls { identity, client_authorities });
        Ok(Some(Gate::for_certificates(address, tls, admission.insecure)?))
    }
}
