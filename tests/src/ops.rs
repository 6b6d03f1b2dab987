//! A coordinator with its operations port, and questions to it over plain HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;

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

/// The status and body of a plain GET.
///
/// # Errors
/// If nobody answers.
pub fn get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: ops\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no answer in HTTP: {answer}")))?;
    Ok((status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
}
