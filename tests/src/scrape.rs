//! What a coordinator answers at its operations' port.

use std::io::{Read, Write};
use std::net::TcpStream;

/// The status and body of a plain GET.
///
/// # Errors
/// If nobody listens there, or whoever does hangs up.
///
/// # Panics
/// If what answers is not HTTP.
pub fn get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    // By the older version, an answer is never in chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: ops\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no HTTP: {answer}"));
    Ok((status, answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned()))
}

/// A value of Prometheus's text format, by its name with its labels.
pub fn value(metrics: &str, name: &str) -> Option<f64> {
    let text = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    text.parse().ok()
}
