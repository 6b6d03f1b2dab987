//! Bad clients in a process of their own, so that what they cost themselves is not taken for what they cost the server:
//! `besieger ADDRESS CLIENTS`. Says so when all of them have come, goes on until its standard input ends, and prints how
//! many connections there were.

use std::io::Read;
use std::net::SocketAddr;

use hedgesweep_tests::siege::Siege;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let server: SocketAddr = arguments.next().and_then(|text| text.parse().ok()).expect("an address");
    let clients: usize = arguments.next().and_then(|text| text.parse().ok()).expect("a number of clients");
    let siege = Siege::lay(server, clients);
    while siege.connections() < clients as u64 {
        std::thread::yield_now();
    }
    println!("all have come");
    // Whatever is said, or if nothing can be heard any more: that is the end.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    println!("{}", siege.connections());
    siege.raise();
}
