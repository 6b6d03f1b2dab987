//! Who is let in: over real connections, with and without TLS.

use std::sync::Arc;
use std::time::SystemTime;

use results::{Location, SweepIdentity, Versions};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use sweep::plan::Plan;
use sweep::spec::NoWeights;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use worker::credentials::{Identity, Token};

use super::{Board, Dashboard, Door, Sweep};
use crate::fleet::{Progress, Roster};

const TOKEN: &str = "0123456789abcdef+0";

/// A board of a sweep that has not begun.
fn board() -> Board {
    let text = "name: secret\npreset: paper\nseeds: 2\n";
    let (spec, _) =
        sweep::spec::parse(text, "secret.yaml", &[], &mut NoWeights).unwrap_or_else(|_| panic!("it parses"));
    let plan = Arc::new(Plan::build(&spec).unwrap_or_else(|_| panic!("it can be planned")));
    let identity = SweepIdentity {
        name: "secret".into(),
        hash: String::new(),
        text: text.into(),
        versions: Versions::current(),
        record: spec.record.clone(),
    };
    let location = Location::folder(std::path::Path::new("/nowhere"));
    let sweep = Sweep { spec, plan, location, identity, total: 2, done_before: 0 };
    let (_, progress) = watch::channel(Progress::default());
    let (_, roster) = watch::channel(Roster::default());
    Board::new(sweep, progress, roster)
}

fn token(place: &tempfile::TempDir) -> Token {
    let path = place.path().join("token");
    std::fs::write(&path, TOKEN).unwrap();
    Token::read(&path).unwrap()
}

/// Sends one request, and reads all that is answered until the connection is closed.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that ends TLS without a farewell has said all, too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str, host: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n")
}

fn post(body: &str) -> String {
    let length = body.len();
    format!("POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// The value of a header; empty if there is none.
fn header<'a>(answer: &'a str, name: &str) -> &'a str {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
    line.map_or("", |line| &line[name.len() + 2..])
}

#[tokio::test]
async fn the_token_is_asked_for_once_and_then_a_cookie_stands_for_it() {
    let place = tempfile::tempdir().unwrap();
    let here = "127.0.0.1:0".parse().unwrap();
    let dashboard = Dashboard::start(Door::new(here, None, Some(token(&place)), false).unwrap(), board()).unwrap();
    let ask =
        async |request: String| exchange(TcpStream::connect(dashboard.local_addr()).await.unwrap(), &request).await;
    // A stranger learns nothing, not even which paths there are; and not by guessing.
    for path in ["/", "/live", "/report", "/nothing", "/?token=0123456789abcdef", "/?token="] {
        let answer = ask(get(path, "localhost", "")).await;
        assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("secret"), "{path}: {answer}");
        assert!(header(&answer, "content-security-policy").contains("form-action 'self'"), "{answer}");
        assert!(answer.contains("<form") && header(&answer, "set-cookie").is_empty(), "{answer}");
    }
    assert!(ask(post("token=wrong")).await.contains("That is not the token"));
    let flood = format!("token={}", "x".repeat(10_000));
    assert!(ask(post(&flood)).await.starts_with("HTTP/1.1 401"));
    assert!(ask(get("/", "localhost", "Authorization: Bearer 0123456789abcdef\r\n")).await.starts_with("HTTP/1.1 401"));

    // A link with the token, or the token typed in, is answered with a cookie, and the address is without it.
    for request in [get("/report?token=0123456789abcdef%2B0", "localhost", ""), post("token=0123456789abcdef%2B0")] {
        let answer = ask(request).await;
        assert!(answer.starts_with("HTTP/1.1 303") && header(&answer, "location") == "/", "{answer}");
        let cookie = header(&answer, "set-cookie");
        assert!(cookie.contains("HttpOnly; SameSite=Lax") && !cookie.contains("0123456789abcdef"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap();
        let answer = ask(get("/", "localhost", &format!("Cookie: other=1; {cookie}\r\n"))).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("secret"), "{answer}");
        assert!(header(&answer, "content-security-policy").contains("form-action 'none'"), "{answer}");
        // The link once more, or one with an older token, while there is the cookie: the address is without it again.
        for (token, is_right) in [("0123456789abcdef%2B0", true), ("older", false)] {
            let answer = ask(get(&format!("/?token={token}"), "localhost", &format!("Cookie: {cookie}\r\n"))).await;
            assert!(answer.starts_with("HTTP/1.1 303") && header(&answer, "location") == "/", "{answer}");
            assert_eq!(header(&answer, "set-cookie").starts_with(cookie), is_right, "{answer}");
            assert_eq!(header(&answer, "set-cookie").is_empty(), !is_right, "{answer}");
        }
        // The cookie lets one look from here alone.
        let answer = ask(get("/", "evil.example", &format!("Cookie: {cookie}\r\n"))).await;
        assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("secret"), "{answer}");
    }
    let answer = ask(get("/live", "localhost", &format!("Authorization: Bearer {TOKEN}\r\n"))).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("secret"), "{answer}");
}

#[tokio::test]
async fn beyond_loopback_it_is_https_under_any_name() {
    let place = tempfile::tempdir().unwrap();
    let pair = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["fleet.example".to_owned()]).unwrap().self_signed(&pair).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| place.path().join(name));
    std::fs::write(&cert, certificate.pem()).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    let identity = Identity::read(&cert, &key, SystemTime::now()).unwrap();
    let door = Door::new("0.0.0.0:0".parse().unwrap(), Some(identity), Some(token(&place)), false).unwrap();
    let dashboard = Dashboard::start(door, board()).unwrap();
    let address = ("127.0.0.1", dashboard.local_addr().port());

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(certificate.der().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let ask = async |request: String| {
        let name = ServerName::try_from("fleet.example").unwrap();
        let stream = tls.connect(name, TcpStream::connect(address).await.unwrap()).await.unwrap();
        exchange(stream, &request).await
    };
    let answer = ask(get("/", "fleet.example", "")).await;
    assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("secret"), "{answer}");
    let answer = ask(get("/?token=0123456789abcdef%2B0", "fleet.example", "")).await;
    assert!(header(&answer, "set-cookie").ends_with("; Secure"), "{answer}");
    let answer = ask(get("/", "fleet.example", &format!("Authorization: Bearer {TOKEN}\r\n"))).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("secret"), "{answer}");
    // Who speaks plainly is not answered.
    let plain = exchange(TcpStream::connect(address).await.unwrap(), &get("/", "fleet.example", "")).await;
    assert!(!plain.contains("HTTP/1.1"), "{plain}");
}
