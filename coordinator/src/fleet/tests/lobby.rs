//! Connections of those who do not say who they are.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tonic::transport::server::Connected;

use super::super::lobby::{self, Connection, Limits};

const LIMITS: Limits = Limits {
    connections: 8,
    strangers: 3,
    stranger_interval: Duration::from_millis(1),
    patience: Duration::from_secs(3600),
    parting: Duration::from_secs(1800),
};

/// A lobby that takes connections, and where to find it.
async fn lobby(limits: Limits) -> (SocketAddr, mpsc::Receiver<io::Result<Connection>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connections, incoming) = mpsc::channel(1);
    tokio::spawn(lobby::receive(listener, limits, connections));
    (address, incoming)
}

/// Echoes until the connection ends, and says how it ended.
fn echo(mut connection: Connection) -> tokio::task::JoinHandle<io::Result<()>> {
    tokio::spawn(async move {
        let mut bytes = [0; 64];
        loop {
            let length = connection.read(&mut bytes).await?;
            if length == 0 {
                return Ok(());
            }
            connection.write_all(&bytes[..length]).await?;
        }
    })
}

/// Whether it is still answered.
async fn is_served(client: &mut TcpStream) -> bool {
    let mut byte = [0];
    client.write_all(b"x").await.is_ok() && client.read_exact(&mut byte).await.is_ok()
}

#[tokio::test]
async fn the_stranger_that_has_waited_longest_makes_room() {
    let (address, mut incoming) = lobby(LIMITS).await;
    let (mut clients, mut ends, mut guests) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        clients.push(TcpStream::connect(address).await.unwrap());
        let connection = incoming.recv().await.unwrap().unwrap();
        guests.push(connection.connect_info());
        ends.push(echo(connection));
        if clients.len() == 1 {
            guests[0].admit();
        }
    }
    // The first is known, the second had to go for the fifth.
    let dismissed = ends.remove(1).await.unwrap().unwrap_err();
    assert_eq!(dismissed.kind(), io::ErrorKind::ConnectionAborted);
    for (number, served) in [(0, true), (1, false), (2, true), (3, true), (4, true)] {
        assert_eq!(is_served(&mut clients[number]).await, served, "{number}");
    }
}

#[tokio::test]
async fn the_known_are_not_turned_out_for_strangers() {
    let (address, mut incoming) = lobby(Limits { connections: 2, ..LIMITS }).await;
    let mut known = Vec::new();
    for _ in 0..2 {
        let client = TcpStream::connect(address).await.unwrap();
        let connection = incoming.recv().await.unwrap().unwrap();
        connection.connect_info().admit();
        known.push((client, echo(connection)));
    }
    // There is no room: it is hung up on.
    let mut client = TcpStream::connect(address).await.unwrap();
    assert!(!is_served(&mut client).await);
    for (client, _) in &mut known {
        assert!(is_served(client).await);
    }
    // And when one of them goes, there is.
    let (client, end) = known.pop().unwrap();
    drop(client);
    end.await.unwrap().unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    let _served = echo(incoming.recv().await.unwrap().unwrap());
    assert!(is_served(&mut client).await);
}

#[tokio::test]
async fn when_all_room_is_taken_a_stranger_goes_first() {
    let (address, mut incoming) = lobby(Limits { connections: 2, ..LIMITS }).await;
    let mut clients = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..3 {
        clients.push(TcpStream::connect(address).await.unwrap());
        ends.push(echo(incoming.recv().await.unwrap().unwrap()));
    }
    assert_eq!(ends.remove(0).await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    assert!(is_served(&mut clients[2]).await);
}

#[tokio::test]
async fn patience_ends_and_ends_sooner_after_a_refusal() {
    let (short, long) = (Duration::from_millis(10), LIMITS.patience);
    // It would take the test an hour if the shorter of the two did not count.
    for (refused, patience, parting) in [(false, short, long), (true, short, long), (true, long, short)] {
        let (address, mut incoming) = lobby(Limits { patience, parting, ..LIMITS }).await;
        let _client = TcpStream::connect(address).await.unwrap();
        let connection = incoming.recv().await.unwrap().unwrap();
        let guest = connection.connect_info();
        let end = echo(connection);
        if refused {
            guest.refuse();
        }
        assert_eq!(end.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}

#[tokio::test]
async fn a_refusal_of_one_call_of_a_known_worker_changes_nothing() {
    let (address, mut incoming) = lobby(Limits { parting: Duration::ZERO, ..LIMITS }).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let connection = incoming.recv().await.unwrap().unwrap();
    let guest = connection.connect_info();
    let _served = echo(connection);
    guest.admit();
    guest.refuse();
    assert!(is_served(&mut client).await);
}

#[tokio::test]
async fn whoever_turns_out_to_be_a_worker_makes_room_for_the_next_at_once() {
    // One stranger an hour: workers do not wait for that.
    let (address, mut incoming) = lobby(Limits { strangers: 1, stranger_interval: LIMITS.patience, ..LIMITS }).await;
    for _ in 0..20 {
        let _client = TcpStream::connect(address).await.unwrap();
        let connection = incoming.recv().await.unwrap().unwrap();
        connection.connect_info().admit();
    }
}
