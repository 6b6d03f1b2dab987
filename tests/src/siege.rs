//! Clients that a server on a network meets: silent ones, slow ones, ones that talk nonsense or too much. Each does one
//! thing, over and over, until the siege is raised.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long to wait for an answer, and how long before it is tried again after the server has hung up.
const PAUSE: Duration = Duration::from_millis(500);

/// Connection attempts and what is written end after this time.
const PATIENCE: Duration = Duration::from_secs(5);

/// What every HTTP/2 client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types of HTTP/2's frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

/// The flag that ends headers.
const END_HEADERS: u8 = 4;

/// One way to be a bad client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nuisance {
    /// Says nothing.
    Silence,
    /// Says the first half of the preface and no more.
    HalfPreface,
    /// Says a byte of the preface whenever it would be taken for dead.
    Drip,
    /// Says the preface and leaves it at that.
    Idle,
    /// Talks no HTTP/2.
    Garbage,
    /// Talks HTTP/1.
    Http1,
    /// Begins a TLS handshake, and breaks off.
    TlsHello,
    /// Announces a frame of 16 MiB.
    OversizedFrame,
    /// Sends headers without end.
    HeaderFlood,
    /// Begins calls and cancels them at once (CVE-2023-44487).
    RapidReset,
    /// Wants to hear every ping back.
    PingFlood,
    /// Changes its settings all the time.
    SettingsFlood,
    /// Announces a message of 4 GiB to a method that is there, and begins to send it.
    OversizedMessage,
    /// Sends a message that is none.
    MalformedMessage,
}

impl Nuisance {
    /// All of them.
    pub const ALL: [Nuisance; 14] = [
        Nuisance::Silence,
        Nuisance::HalfPreface,
        Nuisance::Drip,
        Nuisance::Idle,
        Nuisance::Garbage,
        Nuisance::Http1,
        Nuisance::TlsHello,
        Nuisance::OversizedFrame,
        Nuisance::HeaderFlood,
        Nuisance::RapidReset,
        Nuisance::PingFlood,
        Nuisance::SettingsFlood,
        Nuisance::OversizedMessage,
        Nuisance::MalformedMessage,
    ];

    /// What is said at first.
    fn opening(self) -> Vec<u8> {
        let begun = || [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        let repeated = |frame: &[u8], times: usize| [begun(), frame.repeat(times)].concat();
        match self {
            Nuisance::Silence => Vec::new(),
            Nuisance::HalfPreface => PREFACE[..12].to_vec(),
            Nuisance::Drip => PREFACE[..1].to_vec(),
            Nuisance::Idle => begun(),
            Nuisance::Garbage => (0..4096_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
            Nuisance::Http1 => b"GET /hedgesweep.v1.Fleet/Join HTTP/1.1\r\nHost: fleet\r\n\r\n".to_vec(),
            Nuisance::TlsHello => [&[0x16, 3, 1, 0x3f, 0xff, 1, 0, 0x3f, 0xfb, 3, 3][..], &[7; 1000]].concat(),
            Nuisance::OversizedFrame => {
                [begun(), vec![0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1], vec![0; 64 << 10]].concat()
            }
            Nuisance::HeaderFlood => {
                // A name and a value that are in no table, again and again.
                let header = [&[0, 8][..], b"x-nothing"[..8].as_ref(), &[100], &[b'v'; 100]].concat();
                let block = header.repeat(100);
                let first = frame(HEADERS, 0, 1, &[&call_headers("/hedgesweep.v1.Fleet/Join")[..], &block].concat());
                [begun(), first, frame(CONTINUATION, 0, 1, &block).repeat(100)].concat()
            }
            Nuisance::RapidReset => {
                let headers = call_headers("/hedgesweep.v1.Fleet/LeaseTasks");
                let call = |stream: u32| {
                    let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
                    [frame(HEADERS, END_HEADERS, stream, &headers), reset].concat()
                };
                [begun(), (0..2000).flat_map(|call_number| call(2 * call_number + 1)).collect()].concat()
            }
            Nuisance::PingFlood => repeated(&frame(PING, 0, 0, &[1; 8]), 2000),
            Nuisance::SettingsFlood => repeated(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]), 2000),
            Nuisance::OversizedMessage => message("/hedgesweep.v1.Fleet/ReportResults", &[0, 0xff, 0xff, 0xff, 0xff]),
            Nuisance::MalformedMessage => message("/hedgesweep.v1.Fleet/Heartbeat", &[0, 0, 0, 0x3f, 0]),
        }
    }

    /// What is said after a pause, if the server is still there.
    fn more(self) -> &'static [u8] {
        match self {
            Nuisance::Drip => b"R",
            _ => b"",
        }
    }
}

/// A call that sends `prefix` and then bytes without meaning.
fn message(path: &str, prefix: &[u8]) -> Vec<u8> {
    let headers = frame(HEADERS, END_HEADERS, 1, &call_headers(path));
    let data = [prefix, &vec![0xee; 16_000]].concat();
    [PREFACE, &frame(SETTINGS, 0, 0, &[]), &headers, &frame(DATA, 0, 1, &data)].concat()
}

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a gRPC call, each written out: RFC 7541's entries 3 (`:method: POST`), 6 (`:scheme: http`), then names 4
/// (`:path`) and 31 (`content-type`) with values of our own.
fn call_headers(path: &str) -> Vec<u8> {
    let kind = b"application/grpc";
    let path = [&[0x04, path.len() as u8], path.as_bytes()].concat();
    [&[0x83, 0x86][..], &path, &[0x0f, 0x10, kind.len() as u8], kind].concat()
}

/// Bad clients at work.
pub struct Siege {
    raised: Arc<AtomicBool>,
    connections: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Siege {
    /// Sends so many clients against a server, of each sort in turn. Each keeps one connection, and opens another half a
    /// second after the server has hung up.
    pub fn lay(server: SocketAddr, clients: usize) -> Siege {
        let (raised, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let client = |nuisance: Nuisance| {
            let (raised, connections) = (Arc::clone(&raised), Arc::clone(&connections));
            // They need next to no stack, and there are many.
            let thread = std::thread::Builder::new().stack_size(64 << 10);
            thread.spawn(move || besiege(server, nuisance, &raised, &connections)).expect("a thread can be started")
        };
        let clients = Nuisance::ALL.into_iter().cycle().take(clients).map(client).collect();
        Siege { raised, connections, clients }
    }

    /// How many connections there have been.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Calls all clients back.
    pub fn raise(self) {
        self.raised.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client does not panic");
        }
    }
}

/// How much processor time a process has taken so far, in user and system mode; `None` where the system does not say.
pub fn processor_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program is in parentheses, and may have anything in it; `utime` is the twelfth field after it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11..13)?.iter().map(|field| field.parse::<u64>().ok()).sum::<Option<u64>>()?;
    // Linux counts in hundredths of a second, for programs at least.
    Some(Duration::from_millis(10 * ticks))
}

/// One client. That the server hangs up, or is gone, is what it is there for.
fn besiege(server: SocketAddr, nuisance: Nuisance, raised: &AtomicBool, connections: &AtomicU64) {
    let opening = nuisance.opening();
    while !raised.load(Ordering::Relaxed) {
        if let Ok(mut stream) = TcpStream::connect_timeout(&server, PATIENCE) {
            connections.fetch_add(1, Ordering::Relaxed);
            let _ = stream.set_write_timeout(Some(PATIENCE));
            let _ = stream.set_read_timeout(Some(PAUSE));
            let mut said = stream.write_all(&opening);
            let mut heard = [0; 4096];
            while said.is_ok() && !raised.load(Ordering::Relaxed) {
                match stream.read(&mut heard) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        said = stream.write_all(nuisance.more());
                    }
                    Err(_) => break,
                }
            }
        }
        std::thread::sleep(PAUSE);
    }
}
