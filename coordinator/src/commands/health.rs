//! `coordinator health ADDR`: whether a coordinator is alive, for containers that hold nothing else to ask it with.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;

use crate::cli::HealthArgs;
use crate::exit::{Exit, Failure, OrExit, print};

/// How long connecting, asking and hearing may take, each.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whatever answers with more than this is no coordinator.
const LONGEST_ANSWER: u64 = 4096;

/// Asks `/healthz` of a coordinator with `--ops-listen`.
///
/// # Errors
/// [`Exit::Internal`] if nobody answers, or not as a coordinator that is well does.
pub fn health(args: &HealthArgs) -> Result<Exit, Failure> {
    let address = args.address;
    let answer = ask(address).with_context(|| format!("no answer from {address}")).or_exit(Exit::Internal)?;
    let status = answer.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        print("ok\n")?;
        return Ok(Exit::Success);
    }
    Err(anyhow::anyhow!("{address} answers {status:?}")).or_exit(Exit::Internal)
}

/// The whole answer to a GET, headers included.
fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
