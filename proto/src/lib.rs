//! The fleet protocol: the generated code in [`v1`], and beside it the one place where what arrives on the wire becomes
//! a domain type. Past this crate nothing is checked again.

mod census;
pub mod chunk;
mod codec;
pub mod convert;
mod error;
pub mod limits;
mod version;

pub use census::{Counted, Excess, Layout};
pub use chunk::{Assembler, AssemblyError, EncodedBatch, encode_report, join_reports, pieces};
pub use codec::{CountingCodec, CountingDecoder};
pub use convert::{
    Acknowledgement, Failure, Grant, Heartbeat, Held, Hello, Lease, Orders, Outcome, Reason, Report, Standing,
    TaskGrant, Verdict, Welcome,
};
pub use error::{Problem, WireError};
pub use version::{VersionMismatch, check_versions};

/// The version of this protocol: raised whenever an older coordinator or worker could misunderstand it.
pub const PROTOCOL_VERSION: u32 = 3;

/// The encoded descriptors of the protocol, for the server's reflection service.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("fleet_descriptor");

/// The generated messages, client and server.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code; the .proto file documents it"
)]
pub mod v1 {
    tonic::include_proto!("hedgesweep.v1");
}

/// What KEDA asks an external scaler: generated messages, client and server.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code; the .proto file documents it"
)]
pub mod keda {
    tonic::include_proto!("externalscaler");
}
