//! A coordinator that can be looked at while its workers are elsewhere.

use crate::{Background, Sandbox};

/// A coordinator whose workers are elsewhere.
pub struct Watched {
    /// The process.
    pub coordinator: Background,
    /// Where workers come in.
    pub fleet: String,
    /// Where it is looked at.
    pub address: String,
}

/// Starts one on a sweep file of the sandbox.
///
/// # Panics
/// If it does not start.
pub fn watched(sandbox: &Sandbox, sweep: &str) -> Watched {
    let arguments =
        ["--sweep", sweep, "--slots", "0", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--quiet"];
    let mut coordinator = Background::start(sandbox.command("coordinator", arguments));
    let line = coordinator.read_stderr_until(|line| line.starts_with("listening on "));
    let fleet = line["listening on ".len()..].split(": ").next().expect("an address").to_owned();
    let line = coordinator.read_stderr_until(|line| line.starts_with("operations at http://"));
    let address = line["operations at http://".len()..].split(": ").next().expect("an address").to_owned();
    Watched { coordinator, fleet: format!("http://{fleet}"), address }
}
