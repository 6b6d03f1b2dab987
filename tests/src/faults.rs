//! A network and a service that fail: an HTTP proxy that answers for the server, or breaks off.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// What happens to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mood {
    /// They pass.
    Fair = 0,
    /// Every third one fails, in one of three ways by turns: it is answered with 503, its connection is cut before the
    /// server hears of it, or after the server has done it and before the answer.
    Moody = 1,
    /// Those about tables are answered with 503.
    NoTables = 2,
    /// Each is answered with 503.
    Busy = 3,
    /// Each is answered with 403, as S3 does to a key that it does not know.
    Denying = 4,
}

/// The proxy, in threads of its own, for as long as the test lives.
pub struct Faults {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    mood: AtomicU8,
    requests: AtomicU64,
    failed: AtomicU64,
}

impl Faults {
    /// Listens on a port of this machine, and asks `target` for whoever asks.
    ///
    /// # Panics
    /// If there is no port.
    pub fn before(target: SocketAddr) -> Faults {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            target,
            mood: AtomicU8::new(Mood::Fair as u8),
            requests: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        let ours = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&ours);
                // A client that goes away is its own business.
                std::thread::spawn(move || drop(shared.serve(client)));
            }
        });
        Faults { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens to requests from now on.
    pub fn set(&self, mood: Mood) {
        self.shared.mood.store(mood as u8, Ordering::Relaxed);
    }

    /// How many requests have failed so far.
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// One request, and the end of the connection.
    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let request = read_request(&mut client)?;
        let mood = self.mood.load(Ordering::Relaxed);
        let count = self.requests.fetch_add(1, Ordering::Relaxed);
        let way = if mood == Mood::Moody as u8 && count % 3 == 2 { Some(count / 3 % 3) } else { None };
        let is_busy = mood == Mood::Busy as u8 || mood == Mood::NoTables as u8 && is_about_a_table(&request);
        if is_busy || mood == Mood::Denying as u8 || way.is_some() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        if is_busy || way == Some(0) {
            answer(&mut client, "503 Slow Down", "SlowDown", "Please reduce your request rate.")
        } else if mood == Mood::Denying as u8 {
            let message = "The AWS Access Key Id you provided does not exist in our records.";
            answer(&mut client, "403 Forbidden", "InvalidAccessKeyId", message)
        } else if way == Some(1) {
            client.shutdown(Shutdown::Both)
        } else {
            let answer = self.ask(&request)?;
            if way.is_none() {
                client.write_all(&answer)?;
            }
            client.shutdown(Shutdown::Both)
        }
    }

    /// The server's whole answer.
    fn ask(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(self.target)?;
        server.write_all(request)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// A request as it is to be passed on: the last one of its connection, so that the answer ends where that does.
fn read_request(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0_u8; 64 << 10];
    let mut more = |bytes: &mut Vec<u8>| {
        let count = client.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..count]);
        if count == 0 { Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)) } else { Ok(()) }
    };
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        more(&mut bytes)?;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    while bytes.len() < end + 4 + length.unwrap_or(0) {
        more(&mut bytes)?;
    }
    Ok([head.as_bytes(), b"\r\nConnection: close\r\n\r\n", &bytes[end + 4..]].concat())
}

fn is_about_a_table(request: &[u8]) -> bool {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    line.contains(".parquet") && !line.contains("/parts/")
}

fn answer(client: &mut TcpStream, status: &str, code: &str, message: &str) -> std::io::Result<()> {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    client.write_all(format!("{head}{body}").as_bytes())?;
    client.shutdown(Shutdown::Both)
}
