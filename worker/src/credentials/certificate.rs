//! Certificates and their keys.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::der::{DateTime, Decode};

use super::{CredentialError, file};

/// The longest PEM file that is read, in bytes: room for every authority that browsers trust.
const LONGEST_PEM: u64 = 1 << 20;

/// Who is trusted to vouch for the other end.
#[derive(Clone)]
pub struct Authorities(tonic::transport::Certificate);

/// A certificate with its chain, and the key that belongs to it.
#[derive(Clone)]
pub struct Identity {
    transport: tonic::transport::Identity,
    certified: Arc<CertifiedKey>,
}

impl Authorities {
    /// Reads certificates from a PEM file. Those of a bundle that are not valid at the time `now` are left out, with a
    /// warning: an authority that is being replaced stays in bundles beyond its time.
    ///
    /// # Errors
    /// If there is none that is valid now, or one that cannot be used.
    pub fn read(path: &Path, now: SystemTime) -> Result<Authorities, CredentialError> {
        let pem = file::read(path, "certificate", LONGEST_PEM)?;
        let text = String::from_utf8_lossy(&pem);
        let blocks = blocks(&text);
        let all = parse(path, &pem)?;
        if all.len() != blocks.len() {
            return Err(unusable(path, "is no PEM file".to_owned()));
        }
        let mut roots = rustls::RootCertStore::empty();
        let (mut valid, mut untimely) = (String::new(), None);
        for (place, (certificate, block)) in all.into_iter().zip(blocks).enumerate() {
            match check_time(path, place + 1, &certificate, now) {
                Ok(()) => {
                    valid.push_str(block);
                    valid.push('\n');
                    let added = roots.add(certificate);
                    added.map_err(|error| unusable(path, format!("no certificate authority: {error}")))?;
                }
                Err(error @ CredentialError::Untimely { .. }) => untimely = untimely.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        match untimely {
            Some(error) if roots.is_empty() => return Err(error),
            Some(error) => tracing::warn!("{error}; the other authorities in the file are trusted"),
            None => {}
        }
        Ok(Authorities(tonic::transport::Certificate::from_pem(valid)))
    }

    /// As the transport takes them.
    pub fn into_transport(self) -> tonic::transport::Certificate {
        self.0
    }
}

impl Identity {
    /// Reads a certificate, with the chain that leads to its authority, and its private key, from PEM files.
    ///
    /// # Errors
    /// If one of them is not there, does not belong to the other, or cannot be used at the time `now`.
    pub fn read(certificate: &Path, key: &Path, now: SystemTime) -> Result<Identity, CredentialError> {
        let certificate_pem = file::read(certificate, "certificate", LONGEST_PEM)?;
        let chain = certificates(certificate, &certificate_pem, now)?;
        let key_pem = file::read_secret(key, "private key", LONGEST_PEM)?;
        let private = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                CredentialError::Absent { path: key.to_owned(), what: "private key", marker: "PRIVATE KEY" }
            }
            // Of a malformed key nothing is repeated.
            _ => unusable(key, "is no PEM file".to_owned()),
        })?;
        match CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()) {
            Ok(certified) => Ok(Identity {
                transport: tonic::transport::Identity::from_pem(certificate_pem, key_pem),
                certified: Arc::new(certified),
            }),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(CredentialError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() })
            }
            Err(rustls::Error::InvalidCertificate(error)) => Err(unusable(certificate, format!("{error:?}"))),
            Err(error) => Err(unusable(key, format!("a private key that cannot be used: {error}"))),
        }
    }

    /// As the transport takes it.
    pub fn into_transport(self) -> tonic::transport::Identity {
        self.transport
    }

    /// As a server without that transport takes it.
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorities(…)")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

fn unusable(path: &Path, problem: String) -> CredentialError {
    CredentialError::Unusable { path: path.to_owned(), problem }
}

/// The certificates of a PEM file, at least one, all of them valid now.
fn certificates(path: &Path, pem: &[u8], now: SystemTime) -> Result<Vec<CertificateDer<'static>>, CredentialError> {
    let all = parse(path, pem)?;
    for (place, certificate) in all.iter().enumerate() {
        check_time(path, place + 1, certificate, now)?;
    }
    Ok(all)
}

/// The certificates of a PEM file, at least one.
fn parse(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CredentialError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|_| unusable(path, "is no PEM file".to_owned()))?;
    if all.is_empty() {
        return Err(CredentialError::Absent { path: path.to_owned(), what: "certificate", marker: "CERTIFICATE" });
    }
    Ok(all)
}

/// The certificates of a PEM file as they are written there.
fn blocks(text: &str) -> Vec<&str> {
    let pieces = text.split_inclusive("-----END CERTIFICATE-----");
    pieces.filter_map(|piece| piece.find("-----BEGIN CERTIFICATE-----").map(|begin| &piece[begin..])).collect()
}

fn check_time(path: &Path, number: usize, der: &[u8], now: SystemTime) -> Result<(), CredentialError> {
    let certificate = x509_cert::Certificate::from_der(der)
        .map_err(|error| unusable(path, format!("its certificate number {number} is malformed: {error}")))?;
    let validity = certificate.tbs_certificate.validity;
    let problem = if now < validity.not_before.to_system_time() {
        format!("is not valid before {}", validity.not_before)
    } else if now > validity.not_after.to_system_time() {
        format!("expired on {}", validity.not_after)
    } else {
        return Ok(());
    };
    let now = DateTime::from_system_time(now).map_or_else(|_| "nothing sensible".to_owned(), |now| now.to_string());
    Err(CredentialError::Untimely { path: path.to_owned(), number, problem, now })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    struct Files {
        _place: tempfile::TempDir,
        certificate: PathBuf,
        key: PathBuf,
        certificate_pem: String,
        key_pem: String,
    }

    /// A certificate of its own, valid in the years 2020 to 2029, and its key.
    fn files() -> Files {
        let place = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(vec!["fleet.example".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2030, 1, 1));
        let pair = KeyPair::generate().unwrap();
        let certificate_pem = params.self_signed(&pair).unwrap().pem();
        let files = Files {
            certificate: place.path().join("cert.pem"),
            key: place.path().join("key.pem"),
            certificate_pem,
            key_pem: pair.serialize_pem(),
            _place: place,
        };
        std::fs::write(&files.certificate, &files.certificate_pem).unwrap();
        std::fs::write(&files.key, &files.key_pem).unwrap();
        files
    }

    /// The first of January of a year, nearly.
    fn new_year(year: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs((year - 1970) * 31_556_952 + 86_400)
    }

    impl Files {
        fn identity(&self, now: SystemTime) -> Result<Identity, String> {
            Identity::read(&self.certificate, &self.key, now).map_err(|error| error.to_string())
        }

        #[track_caller]
        fn refused(&self, wanted: &[&str]) {
            let error = self.identity(new_year(2025)).unwrap_err();
            for part in wanted {
                assert!(error.contains(part), "{error}");
            }
            assert!(!error.contains(&self.key_pem[40..60]), "a key is not repeated: {error}");
        }
    }

    #[test]
    fn a_pair_is_an_identity_and_a_certificate_an_authority() {
        let files = files();
        files.identity(new_year(2025)).unwrap();
        Authorities::read(&files.certificate, new_year(2025)).unwrap();
    }

    #[test]
    fn a_key_of_another_pair_is_refused_by_name() {
        let files = files();
        std::fs::write(&files.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        files.refused(&["key.pem: is not the key of the certificate in ", "cert.pem"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let files = files();
        std::fs::write(&files.key, &files.certificate_pem).unwrap();
        files.refused(&["key.pem: holds no private key", "BEGIN PRIVATE KEY"]);
        std::fs::write(&files.certificate, &files.key_pem).unwrap();
        files.refused(&["cert.pem: holds no certificate", "BEGIN CERTIFICATE"]);
        std::fs::remove_file(&files.certificate).unwrap();
        files.refused(&["cert.pem: No such file"]);
        let error = Authorities::read(&files.certificate, new_year(2025)).unwrap_err().to_string();
        assert!(error.contains("cert.pem: No such file"), "{error}");
    }

    #[test]
    fn torn_files_are_refused() {
        let files = files();
        std::fs::write(&files.key, &files.key_pem[..files.key_pem.len() / 2]).unwrap();
        files.refused(&["key.pem: "]);
        std::fs::write(&files.certificate, &files.certificate_pem[..files.certificate_pem.len() / 2]).unwrap();
        files.refused(&["cert.pem: "]);
        std::fs::write(&files.certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        files.refused(&["cert.pem: its certificate number 1 is malformed"]);
    }

    #[test]
    fn certificates_have_their_time() {
        let files = files();
        let early = files.identity(new_year(2019)).unwrap_err();
        assert!(early.contains("number 1 is not valid before 2020-01-01T00:00:00Z; this machine's clock says 2019-"));
        let late = files.identity(new_year(2031)).unwrap_err();
        assert!(late.contains("number 1 expired on 2030-01-01T00:00:00Z"), "{late}");
        let authority = Authorities::read(&files.certificate, new_year(2031)).unwrap_err().to_string();
        assert!(authority.contains("expired"), "{authority}");
    }

    #[test]
    fn an_authority_that_has_expired_is_left_out_of_a_bundle() {
        let files = files();
        let mut params = CertificateParams::new(vec!["later.example".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2028, 1, 1), date_time_ymd(2040, 1, 1));
        let later = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        std::fs::write(&files.certificate, format!("# before\n{}# after\n{later}", files.certificate_pem)).unwrap();
        let trusted = |year| {
            let authorities = Authorities::read(&files.certificate, new_year(year)).unwrap();
            let pem = String::from_utf8(authorities.into_transport().into_inner()).unwrap();
            (pem.contains(files.certificate_pem.trim()), pem.contains(later.trim()))
        };
        assert_eq!(trusted(2025), (true, false));
        assert_eq!(trusted(2029), (true, true));
        assert_eq!(trusted(2031), (false, true));
        assert!(Authorities::read(&files.certificate, new_year(2041)).is_err());
    }
}
