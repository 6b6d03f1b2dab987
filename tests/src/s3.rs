//! An S3 server on this machine: moto's, from PyPI, if there is a Python that has it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{Background, skipped};

/// The bucket that is there.
pub const BUCKET: &str = "hedgesweep-tests";

/// The environment that would lead a command elsewhere.
const FOREIGN: [&str; 8] = [
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
    "AWS_CA_BUNDLE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "HTTP_PROXY",
    "http_proxy",
];

/// A server with one bucket, as long as the test lives.
pub struct S3 {
    address: SocketAddr,
    _server: Background,
}

impl S3 {
    /// Starts a server; `None`, saying so, where there is none.
    ///
    /// # Panics
    /// If it is there and does not start.
    pub fn start() -> Option<S3> {
        let Some(python) = std::env::var_os("HEDGESWEEP_PYTHON") else {
            skipped("HEDGESWEEP_PYTHON names no Python with moto[server,s3]");
            return None;
        };
        let imported = Command::new(&python).args(["-c", "import moto.server"]).stderr(Stdio::null()).status();
        if !imported.is_ok_and(|status| status.success()) {
            skipped("HEDGESWEEP_PYTHON has no moto[server,s3]");
            return None;
        }
        // A port that is free now; moto itself does not say which one it was given.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let mut command = Command::new(python);
        let port = address.port().to_string();
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Background::start_as_is(command);
        while TcpStream::connect(address).is_err() {
            let ended = server.child().try_wait().expect("the server can be looked at");
            assert!(ended.is_none(), "moto's server ended: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let s3 = S3 { address, _server: server };
        let (status, answer) = s3.request("PUT", &format!("/{BUCKET}"), "");
        assert_eq!(status, 200, "the bucket: {}", String::from_utf8_lossy(&answer));
        Some(s3)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The content of an object; `None` if there is none.
    ///
    /// # Panics
    /// If the server answers anything else.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        let (status, content) = self.request("GET", &format!("/{BUCKET}/{key}"), "");
        assert!(matches!(status, 200 | 404), "{key}: {status}");
        (status == 200).then_some(content)
    }

    /// Writes an object over what is there.
    ///
    /// # Panics
    /// If the server does not take it.
    pub fn put(&self, key: &str, content: &str) {
        let (status, answer) = self.request("PUT", &format!("/{BUCKET}/{key}"), content);
        assert_eq!(status, 200, "{key}: {}", String::from_utf8_lossy(&answer));
    }

    /// The keys of all objects that begin with a prefix. At most a thousand.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let (status, answer) = self.request("GET", &format!("/{BUCKET}?list-type=2&prefix={prefix}"), "");
        let answer = String::from_utf8(answer).expect("XML is text");
        assert_eq!(status, 200, "{answer}");
        let keys = answer.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        keys.map(|(key, _)| key.to_owned()).collect()
    }

    /// Lays all objects that begin with a prefix into a folder, each under what stands behind the prefix.
    ///
    /// # Panics
    /// If a file cannot be written.
    pub fn download(&self, prefix: &str, folder: &Path) {
        for key in self.keys(prefix) {
            let path = folder.join(key[prefix.len()..].trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("the folder can be made");
            std::fs::write(path, self.get(&key).unwrap_or_default()).expect("the file can be written");
        }
    }

    /// A request: moto wants a signature, and verifies none.
    fn request(&self, method: &str, target: &str, content: &str) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).expect("the server listens");
        let length = content.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nAuthorization: AWS key:any\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{content}",
            self.address
        );
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the server answers");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, answer[end + 4..].to_vec())
    }
}

/// Has a command use the server at `address`, and nothing else of its environment.
pub fn at(mut command: Command, address: SocketAddr) -> Command {
    for name in FOREIGN {
        command.env_remove(name);
    }
    command
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", "us-east-1");
    command
}
