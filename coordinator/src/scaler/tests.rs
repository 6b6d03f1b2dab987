//! KEDA's side, by the generated client: what it is told through a sweep's life, and who is told anything.

use std::path::PathBuf;
use std::time::SystemTime;

use proto::keda::external_scaler_client::ExternalScalerClient;
use proto::keda::{GetMetricsRequest, ScaledObjectRef};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::sync::watch;
use tonic::Code;
use tonic::transport::{Channel, ClientTlsConfig};
use worker::credentials::{Authorities, Identity};

use super::*;
use crate::fleet::Tls;

fn at(planned: bool, submitted: u64, ok: u64) -> Progress {
    let mut progress = Progress { planned, ..Progress::default() };
    (progress.counts.submitted, progress.counts.ok) = (submitted, ok);
    progress
}

fn of(metadata: &[(&str, &str)]) -> ScaledObjectRef {
    let scaler_metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ScaledObjectRef { name: "worker".to_owned(), namespace: "hedgesweep".to_owned(), scaler_metadata }
}

/// A scaler that whoever is on this machine may ask.
fn scaler(progress: watch::Receiver<Progress>, total: u64) -> (Scaler, ExternalScalerClient<Channel>) {
    let gate = Gate::for_certificates("127.0.0.1:0".parse().unwrap(), None, false).unwrap();
    let scaler = Scaler::start(&gate, progress, total).unwrap();
    let channel = Channel::from_shared(format!("http://{}", scaler.local_addr())).unwrap().connect_lazy();
    (scaler, ExternalScalerClient::new(channel))
}

async fn value(client: &mut ExternalScalerClient<Channel>) -> (i64, f64) {
    let request = GetMetricsRequest { scaled_object_ref: Some(of(&[])), metric_name: "hedgesweep-tasks".to_owned() };
    let values = client.get_metrics(request).await.unwrap().into_inner().metric_values;
    assert_eq!(values.len(), 1);
    (values[0].metric_value, values[0].metric_value_float)
}

#[tokio::test]
async fn a_sweep_is_active_until_its_last_task_has_ended_and_stays_answered() {
    let (driver, progress) = watch::channel(Progress::default());
    let (_scaler, mut client) = scaler(progress, 100);
    let mut activity = client.stream_is_active(of(&[])).await.unwrap().into_inner();
    assert!(activity.message().await.unwrap().unwrap().result);
    assert_eq!(value(&mut client).await, (100, 100.0));
    driver.send_replace(at(false, 60, 40));
    assert_eq!(value(&mut client).await, (60, 60.0));
    assert!(client.is_active(of(&[])).await.unwrap().into_inner().result);
    driver.send_replace(at(true, 100, 100));
    assert!(!activity.message().await.unwrap().unwrap().result, "the next message is the change");
    // The driver ends with the sweep; who lingers goes on answering.
    drop(driver);
    assert!(!client.is_active(of(&[])).await.unwrap().into_inner().result);
    assert_eq!(value(&mut client).await, (0, 0.0));
}

#[tokio::test]
async fn a_worker_gets_as_many_tasks_as_the_trigger_says() {
    let (_driver, progress) = watch::channel(Progress::default());
    let (_scaler, mut client) = scaler(progress, 1);
    for (metadata, target) in [(&[][..], 100), (&[("tasksPerWorker", "40"), ("scalerAddress", "coordinator:1")], 40)] {
        let specs = client.get_metric_spec(of(metadata)).await.unwrap().into_inner().metric_specs;
        assert_eq!(specs.len(), 1);
        assert_eq!(specs[0].metric_name, "hedgesweep-tasks");
        assert_eq!((specs[0].target_size, specs[0].target_size_float), (target, target as f64));
    }
    for bad in ["0", "-1", "many", "1.5", "", "4294967296"] {
        let metadata = of(&[("tasksPerWorker", bad)]);
        let refusals = [
            client.get_metric_spec(metadata.clone()).await.unwrap_err(),
            client.is_active(metadata.clone()).await.unwrap_err(),
            client.stream_is_active(metadata.clone()).await.unwrap_err(),
            client
                .get_metrics(GetMetricsRequest { scaled_object_ref: Some(metadata), metric_name: String::new() })
                .await
                .unwrap_err(),
        ];
        for refusal in refusals {
            assert_eq!(refusal.code(), Code::InvalidArgument, "{bad}");
            assert!(refusal.message().contains(&format!("tasksPerWorker: {bad:?}")), "{refusal}");
        }
    }
    let other = GetMetricsRequest { scaled_object_ref: None, metric_name: "cpu".to_owned() };
    assert_eq!(client.get_metrics(other).await.unwrap_err().code(), Code::NotFound);
}

/// Certificates in files: those of `ours` are vouched for by one authority, those of `others` by another.
struct Office {
    place: tempfile::TempDir,
}

impl Office {
    fn new() -> Office {
        let office = Office { place: tempfile::tempdir().unwrap() };
        for authority in ["ours", "others"] {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            let pair = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            let certificate = params.signed_by(&pair, &issuer).unwrap();
            let files = [("ca", issuer.as_ref().pem()), ("crt", certificate.pem()), ("key", pair.serialize_pem())];
            for (kind, pem) in files {
                std::fs::write(office.path(authority, kind), pem).unwrap();
            }
        }
        office
    }

    fn path(&self, authority: &str, kind: &str) -> PathBuf {
        self.place.path().join(format!("{authority}.{kind}"))
    }

    fn identity(&self, authority: &str) -> Identity {
        Identity::read(&self.path(authority, "crt"), &self.path(authority, "key"), SystemTime::now()).unwrap()
    }

    fn authorities(&self, authority: &str) -> Authorities {
        Authorities::read(&self.path(authority, "ca"), SystemTime::now()).unwrap()
    }

    fn tls(&self, mutual: bool) -> Tls {
        Tls { identity: self.identity("ours"), client_authorities: mutual.then(|| self.authorities("ours")) }
    }
}

#[tokio::test]
async fn beyond_this_machine_only_certificates_are_answered() {
    worker::credentials::install_crypto_provider();
    let office = Office::new();
    let everywhere = "0.0.0.0:0".parse().unwrap();
    for tls in [None, Some(office.tls(false))] {
        let refusal = Gate::for_certificates(everywhere, tls.clone(), false).unwrap_err().to_string();
        assert!(refusal.contains("0.0.0.0:0") && refusal.contains("--scaler-client-ca"), "{refusal}");
        assert!(Gate::for_certificates(everywhere, tls, true).is_ok(), "it can be insisted on");
    }

    let gate = Gate::for_certificates(everywhere, Some(office.tls(true)), false).unwrap();
    let (_driver, progress) = watch::channel(Progress::default());
    let scaler = Scaler::start(&gate, progress, 7).unwrap();
    let url = format!("https://localhost:{}", scaler.local_addr().port());
    let client = |shown: Option<&str>| {
        let tls = ClientTlsConfig::new().ca_certificate(office.authorities("ours").into_transport());
        let tls = match shown {
            Some(authority) => tls.identity(office.identity(authority).into_transport()),
            None => tls,
        };
        let channel = Channel::from_shared(url.clone()).unwrap().tls_config(tls).unwrap().connect_lazy();
        ExternalScalerClient::new(channel)
    };
    assert!(client(Some("ours")).is_active(of(&[])).await.unwrap().into_inner().result);
    assert_eq!(client(None).is_active(of(&[])).await.unwrap_err().code(), Code::Unauthenticated);
    // Its handshake is aborted, so that there is no answer at all.
    let aborted = client(Some("others")).is_active(of(&[])).await.unwrap_err();
    assert!(matches!(aborted.code(), Code::Unavailable | Code::Unknown), "{aborted}");
}
