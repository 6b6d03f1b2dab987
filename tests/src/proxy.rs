//! A wire between processes that a test can cut: a TCP proxy.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What happens to bytes and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Wire {
    /// They pass.
    Whole = 0,
    /// Connections are closed, and new ones too.
    Cut = 1,
    /// Nothing passes, and nobody is told.
    Silent = 2,
}

/// A proxy in threads of its own, for as long as the test lives.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<AtomicU8>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// Listens on a port of this machine, and connects to `target` for whoever connects.
    ///
    /// # Panics
    /// If there is no port.
    pub fn to(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(AtomicU8::new(Wire::Whole as u8));
        let connections: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let proxy = Proxy { address, state: Arc::clone(&state), connections: Arc::clone(&connections) };
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if state.load(Ordering::Relaxed) == Wire::Cut as u8 {
                    continue;
                }
                // Nobody listens while the coordinator is dead: the client sees its connection closed.
                let Ok(server) = TcpStream::connect(target) else { continue };
                let both = [client.try_clone(), server.try_clone()];
                connections.lock().unwrap_or_else(PoisonError::into_inner).extend(both.into_iter().flatten());
                for (from, to) in [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))] {
                    if let (Ok(from), Ok(to)) = (from, to) {
                        let state = Arc::clone(&state);
                        std::thread::spawn(move || forward(from, to, &state));
                    }
                }
            }
        });
        proxy
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts the wire, or makes it whole again.
    pub fn set(&self, wire: Wire) {
        self.state.store(wire as u8, Ordering::Relaxed);
        if wire == Wire::Cut {
            for connection in self.connections.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                // It may be closed already.
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, state: &AtomicU8) {
    let mut buffer = [0_u8; 64 << 10];
    while let Ok(count) = from.read(&mut buffer) {
        while state.load(Ordering::Relaxed) == Wire::Silent as u8 {
            std::thread::sleep(Duration::from_millis(5));
        }
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // The other direction ends with this one.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
