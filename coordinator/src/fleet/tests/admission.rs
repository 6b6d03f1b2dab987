//! Who comes in through the gate, and what those hear who do not.

use std::time::{Duration, SystemTime};

use proto::v1;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tonic::body::Body;
use tonic::codegen::http;
use tonic::transport::{Channel, ClientTlsConfig};
use tower::Service;
use worker::credentials::{Authorities, Identity, Token};

use super::super::gate::{Gate, Tls};
use super::super::{Fleet, FleetError, FleetOptions, start};
use super::*;

const HERE: &str = "127.0.0.1:0";

/// Certificates and a token, in files.
struct Office {
    place: tempfile::TempDir,
}

impl Office {
    fn new() -> Office {
        let office = Office { place: tempfile::tempdir().unwrap() };
        for authority in ["fleet", "other"] {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, format!("the {authority} authority"));
            let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            office.write(&format!("{authority}-ca.pem"), &issuer.as_ref().pem());
            for name in ["coordinator", "worker"] {
                let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
                let pair = KeyPair::generate().unwrap();
                let certificate = params.signed_by(&pair, &issuer).unwrap();
                office.write(&format!("{authority}-{name}.pem"), &certificate.pem());
                office.write(&format!("{authority}-{name}-key.pem"), &pair.serialize_pem());
            }
        }
        office.write("token", "0123456789abcdef0123456789abcdef\n");
        office.write("wrong-token", "0123456789abcdef0123456789abcdeF\n");
        office
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.place.path().join(name), content).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.place.path().join(name)
    }

    fn identity(&self, name: &str) -> Identity {
        let (certificate, key) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}-key.pem")));
        Identity::read(&certificate, &key, SystemTime::now()).unwrap()
    }

    fn authorities(&self, name: &str) -> Authorities {
        Authorities::read(&self.path(&format!("{name}-ca.pem")), SystemTime::now()).unwrap()
    }

    fn token(&self, name: &str) -> Token {
        Token::read(&self.path(name)).unwrap()
    }

    fn gate(&self, kind: Kind) -> Gate {
        let identity = || self.identity("fleet-coordinator");
        let tls = match kind {
            Kind::Token => None,
            Kind::Tls => Some(Tls { identity: identity(), client_authorities: None }),
            Kind::Mutual | Kind::Both => {
                Some(Tls { identity: identity(), client_authorities: Some(self.authorities("fleet")) })
            }
        };
        let token = matches!(kind, Kind::Token | Kind::Tls | Kind::Both).then(|| self.token("token"));
        Gate::new(HERE.parse().unwrap(), tls, token, false).unwrap()
    }
}

/// The ways to guard a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A token, in the clear.
    Token,
    /// A token, encrypted.
    Tls,
    /// Certificates on both sides.
    Mutual,
    /// All of it.
    Both,
}

const KINDS: [Kind; 4] = [Kind::Token, Kind::Tls, Kind::Mutual, Kind::Both];

/// What a caller shows.
#[derive(Clone, Copy, Default)]
struct Shown<'a> {
    certificate: Option<&'a str>,
    token: Option<&'a str>,
}

fn fleet(gate: Gate, tasks: u64, sink: &Memory) -> Fleet {
    let options = FleetOptions {
        listen: Some(gate),
        store_interval: Duration::from_millis(20),
        farewell: Duration::from_secs(2),
        ..FleetOptions::default()
    };
    start(options, Arc::new(Source), numbers(tasks), sink.clone()).unwrap()
}

fn channel(fleet: &Fleet, office: &Office, kind: Kind, shown: Shown<'_>) -> Channel {
    let address = fleet.local_addr().unwrap();
    if kind == Kind::Token {
        return Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    }
    let tls = ClientTlsConfig::new().ca_certificate(office.authorities("fleet").into_transport());
    let tls = match shown.certificate {
        Some(name) => tls.identity(office.identity(name).into_transport()),
        None => tls,
    };
    Channel::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap().connect_lazy()
}

/// Everything that could be asked, and something that is not there.
const METHODS: [&str; 11] = [
    "/hedgesweep.v1.Fleet/Join",
    "/hedgesweep.v1.Fleet/LeaseTasks",
    "/hedgesweep.v1.Fleet/Heartbeat",
    "/hedgesweep.v1.Fleet/ReportResults",
    "/hedgesweep.v1.Fleet/Leave",
    "/hedgesweep.v1.Fleet/GetBlob",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/hedgesweep.v1.Fleet/None",
    "/",
];

/// The headers of the answer to a call with nothing in it, its date apart.
async fn answer(channel: &mut Channel, method: &str, token: Option<&Token>) -> Vec<(String, String)> {
    let mut request = http::Request::post(format!("http://fleet{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(token) = token {
        request = request.header("authorization", token.header().to_str().unwrap());
    }
    std::future::poll_fn(|context| channel.poll_ready(context)).await.unwrap();
    let response = channel.call(request.body(Body::empty()).unwrap()).await.unwrap();
    let headers = response.headers().iter().filter(|(name, _)| name.as_str() != "date");
    headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
}

fn status(answer: &[(String, String)]) -> Option<&str> {
    answer.iter().find(|(name, _)| name == "grpc-status").map(|(_, value)| value.as_str())
}

/// `UNAUTHENTICATED`.
const STRANGER: Option<&str> = Some("16");

#[tokio::test]
async fn a_stranger_hears_the_same_whatever_it_asks() {
    let office = Office::new();
    for kind in KINDS {
        let fleet = fleet(office.gate(kind), 1, &Memory::default());
        let worker = Some("fleet-worker");
        let strangers = match kind {
            Kind::Token | Kind::Tls => vec![
                Shown::default(),
                Shown { token: Some("wrong-token"), ..Shown::default() },
                // Nobody asked for it, and so it says nothing.
                Shown { certificate: worker, token: None },
            ],
            Kind::Mutual => vec![Shown::default(), Shown { token: Some("token"), certificate: None }],
            Kind::Both => vec![
                Shown { certificate: worker, token: None },
                Shown { certificate: worker, token: Some("wrong-token") },
                Shown { certificate: None, token: Some("token") },
            ],
        };
        for shown in strangers {
            let token = shown.token.map(|name| office.token(name));
            let mut first = None;
            for method in METHODS {
                // A connection each: after a refusal it is closed.
                let mut channel = channel(&fleet, &office, kind, shown);
                let heard = answer(&mut channel, method, token.as_ref()).await;
                assert_eq!(status(&heard), STRANGER, "{kind:?} {method}");
                assert_eq!(first.get_or_insert_with(|| heard.clone()), &heard, "{kind:?} {method}");
            }
        }
    }
}

#[tokio::test]
async fn who_shows_what_is_asked_for_works() {
    let office = Office::new();
    for kind in KINDS {
        let sink = Memory::default();
        let fleet = fleet(office.gate(kind), 20, &sink);
        let shown = Shown { certificate: Some("fleet-worker"), token: Some("token") };
        let mut channel = channel(&fleet, &office, kind, shown);
        let token = office.token("token");
        assert_eq!(status(&answer(&mut channel, "/none", Some(&token)).await), Some("12"), "no such method");
        let worker = tokio::spawn(transport::work(client_of(channel, Some(token)), 2));
        assert_eq!(fleet.join().await.unwrap().counts.ok, 20, "{kind:?}");
        assert_eq!(worker.await.unwrap().unwrap(), 20);
    }
}

#[tokio::test]
async fn a_certificate_of_somebody_else_ends_the_handshake() {
    let office = Office::new();
    let fleet = fleet(office.gate(Kind::Mutual), 1, &Memory::default());
    let shown = Shown { certificate: Some("other-worker"), token: None };
    let channel = channel(&fleet, &office, Kind::Mutual, shown);
    let mut client = client_of(channel, None);
    let refusal = format!("{:?}", client.heartbeat(v1::HeartbeatRequest::default()).await.unwrap_err());
    assert!(refusal.contains("fatal alert: UnknownCA"), "{refusal}");
}

#[tokio::test]
async fn a_coordinator_that_nobody_vouches_for_is_not_talked_to() {
    let office = Office::new();
    let tls = Tls { identity: office.identity("other-coordinator"), client_authorities: None };
    let gate = Gate::new(HERE.parse().unwrap(), Some(tls), Some(office.token("token")), false).unwrap();
    let fleet = fleet(gate, 1, &Memory::default());
    let channel = channel(&fleet, &office, Kind::Tls, Shown::default());
    let refusal = client_of(channel, None).heartbeat(v1::HeartbeatRequest::default()).await.unwrap_err();
    let mut causes = format!("{refusal:?}");
    causes.make_ascii_lowercase();
    assert!(causes.contains("invalid peer certificate"), "{causes}");
}

#[test]
fn beyond_loopback_strangers_can_be_told_from_workers() {
    let office = Office::new();
    let open = "0.0.0.0:4750".parse().unwrap();
    let (token, identity) = (office.token("token"), office.identity("fleet-coordinator"));
    let server = Tls { identity, client_authorities: None };
    let mutual = Tls { client_authorities: Some(office.authorities("fleet")), ..server.clone() };
    for (tls, token, fine) in [
        (None, None, false),
        (None, Some(&token), false),
        (Some(&server), None, false),
        (Some(&server), Some(&token), true),
        (Some(&mutual), None, true),
        (Some(&mutual), Some(&token), true),
    ] {
        let gate = |address, insecure| Gate::new(address, tls.cloned(), token.cloned(), insecure);
        match gate(open, false) {
            Ok(_) => assert!(fine),
            Err(FleetError::Exposed { address, lacks }) => {
                assert!(!fine && address == open);
                assert!(lacks.contains("--token-file") && lacks.contains("--client-ca"), "{lacks}");
                assert_eq!(lacks.contains("--tls-cert"), tls.is_none(), "{lacks}");
            }
            Err(error) => panic!("{error}"),
        }
        assert!(gate(open, true).is_ok());
        for loopback in ["127.0.0.1:0", "[::1]:0", "127.8.8.8:0"] {
            assert!(gate(loopback.parse().unwrap(), false).is_ok());
        }
    }
    assert!(matches!(Gate::new(open, None, None, false), Err(FleetError::Exposed { .. })));
}

#[test]
fn workers_are_told_how_to_come() {
    let office = Office::new();
    let here = "127.0.0.1:4750".parse().unwrap();
    let plain = Gate::new(here, None, None, false).unwrap();
    assert_eq!(plain.invitation(here), "worker --coordinator http://127.0.0.1:4750");
    let all = office.gate(Kind::Both).invitation("[::1]:1".parse().unwrap());
    assert_eq!(
        all,
        "worker --coordinator https://[::1]:1 --tls-ca FILE --tls-cert FILE --tls-key FILE --token-file FILE"
    );
    let anywhere = plain.invitation("0.0.0.0:2".parse().unwrap());
    assert_eq!(anywhere, format!("worker --coordinator http://{}:2", worker::platform::host_name()));
}

#[test]
fn secrets_are_not_shown() {
    let office = Office::new();
    let shown = format!("{:?}", office.gate(Kind::Both));
    assert!(!shown.contains("0123456789abcdef") && !shown.contains("BEGIN"), "{shown}");
}
