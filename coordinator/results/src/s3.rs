//! S3-compatible storage: how it is reached, and what its errors mean to who runs a sweep.
//!
//! Settings are those of every AWS program, from the environment. Short troubles are mended here by trying again; a longer
//! one comes out as [`StoreError::Unreachable`], and the fleet pauses (a full disk is treated alike).

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, ObjectStore, PutMode, PutPayload, PutResult, RetryConfig,
};

use crate::error::StoreError;
use crate::location::Bucket;

/// How long one request is tried again, before it counts as failed.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits between tries grow up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A request that takes longer has failed, its body included, which is a [`PIECE`](crate::pieces::PIECE) at most: a line
/// has to carry a megabit a second and a little more.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Longer messages of a server are cut.
const MESSAGE_CHARS: usize = 300;

/// The environment variable that names a file of certificates to trust beside the system's.
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// A bucket at a service, as messages name it.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    bucket: String,
    endpoint: String,
    region: String,
    /// Whether credentials come from the environment, rather than from a role of the machine.
    has_credentials: bool,
}

/// Connects to a bucket; nothing is asked of it yet. The objects' keys begin behind the location's prefix.
pub(crate) fn connect(bucket: &Bucket) -> Result<(Arc<dyn ObjectStore>, Service), StoreError> {
    let path = || PathBuf::from(bucket.to_string());
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(&bucket.name);
    let value = |key: &AmazonS3ConfigKey| builder.get_config_value(key).filter(|value| !value.is_empty());
    let region = value(&AmazonS3ConfigKey::Region).unwrap_or_else(|| "us-east-1".to_owned());
    let endpoint = value(&AmazonS3ConfigKey::S3Endpoint).or_else(|| value(&AmazonS3ConfigKey::Endpoint));
    let has_key = value(&AmazonS3ConfigKey::AccessKeyId).is_some();
    let roles = [
        AmazonS3ConfigKey::WebIdentityTokenFile,
        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
        AmazonS3ConfigKey::ContainerCredentialsFullUri,
    ];
    let service = Service {
        bucket: bucket.name.clone(),
        endpoint: endpoint.clone().unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com")),
        region,
        has_credentials: has_key || roles.iter().any(|key| value(key).is_some()),
    };
    let wrong = |message: String| StoreError::Misconfigured { path: path(), message };
    let is_plain = service.endpoint.starts_with("http://");
    if !is_plain && !service.endpoint.starts_with("https://") {
        return Err(wrong(format!("AWS_ENDPOINT_URL is {:?}, not an http:// or https:// URL", service.endpoint)));
    }
    let has_secret = value(&AmazonS3ConfigKey::SecretAccessKey).is_some();
    if has_key != has_secret {
        let (given, wanted) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
        let (given, wanted) = if has_key { (given, wanted) } else { (wanted, given) };
        return Err(wrong(service.told(&format!("{given} is set and {wanted} is not; set both"))));
    }
    let retry = RetryConfig {
        backoff: BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: LONGEST_WAIT, base: 2.0 },
        max_retries: usize::MAX,
        retry_timeout: RETRY_TIMEOUT,
    };
    let mut options = ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_allow_http(is_plain);
    if is_plain && has_key {
        // Nobody is asked for a certificate, so that an image without any will do.
        options = options.with_no_system_certificates(true);
    }
    for certificate in own_certificates().map_err(wrong)? {
        options = options.with_root_certificate(certificate);
    }
    builder = builder.with_client_options(options).with_retry(retry);
    let objects = builder.build().map_err(|error| wrong(service.told(&root_cause(&error))))?;
    Ok((Arc::new(PrefixStore::new(objects, bucket.prefix.clone())), service))
}

/// Writes an object under a condition; what has become of a request whose connection was cut is for the caller to find out.
///
/// The client does not send such a request again by itself. All of ours may be: whoever finds the condition broken looks
/// whether it was by himself.
pub(crate) async fn put(
    objects: &dyn ObjectStore,
    key: &Key,
    content: PutPayload,
    mode: PutMode,
) -> Result<PutResult, object_store::Error> {
    let began = Instant::now();
    let first = objects.put_opts(key, content.clone(), mode.clone().into()).await;
    // What takes longer was tried again already.
    let was_cut = matches!(first, Err(object_store::Error::Generic { .. })) && began.elapsed() < RETRY_TIMEOUT / 2;
    if was_cut { objects.put_opts(key, content, mode.into()).await } else { first }
}

/// The certificates that the environment names, for a service with an authority of its own.
fn own_certificates() -> Result<Vec<Certificate>, String> {
    let Some(file) = std::env::var_os(CA_BUNDLE).filter(|file| !file.is_empty()) else { return Ok(Vec::new()) };
    let shown = file.display();
    let content = std::fs::read(&file).map_err(|error| format!("{CA_BUNDLE} is {shown}: {error}"))?;
    Certificate::from_pem_bundle(&content).map_err(|error| format!("{CA_BUNDLE} is {shown}: {}", root_cause(&error)))
}

impl Service {
    /// A service that nobody asks.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Service {
        Service {
            bucket: "bucket".into(),
            endpoint: "http://127.0.0.1:5000".into(),
            region: "us-east-1".into(),
            has_credentials: true,
        }
    }

    /// What a failure at `path` means.
    pub(crate) fn error(&self, path: impl Into<PathBuf>, error: &object_store::Error) -> StoreError {
        use object_store::Error as Failure;
        let path = path.into();
        let cause = root_cause(error);
        let answer = Answer::parse(&cause);
        let code = answer.code.unwrap_or_default();
        let message = self.told(&answer.to_string());
        match error {
            _ if code == "NoSuchBucket" => StoreError::Misconfigured {
                path,
                message: format!(
                    "there is no bucket {:?} at {}: create it, or set AWS_ENDPOINT_URL (now {}) and AWS_REGION (now {})",
                    self.bucket, self.endpoint, self.endpoint, self.region
                ),
            },
            _ if is_elsewhere(code, &cause) => StoreError::Misconfigured {
                path,
                message: format!("{message}; is it in another region? Set AWS_REGION, which is {}", self.region),
            },
            _ if !self.has_credentials && is_about_the_machine(error) => StoreError::Unreachable {
                path,
                message: format!(
                    "no credentials for {} at {}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; no role of this \
                     machine could be had either ({})",
                    self.bucket, self.endpoint, answer
                ),
            },
            Failure::NotFound { .. } => StoreError::Missing { path },
            // Of a listing the client says no more than what was answered.
            _ if answer.status.starts_with("403") || answer.status.starts_with("401") => self.denied(path, &message),
            Failure::PermissionDenied { .. } | Failure::Unauthenticated { .. } => self.denied(path, &message),
            _ if matches!(code, "ExpiredToken" | "InvalidToken") => self.denied(path, &message),
            Failure::NotImplemented { .. } | Failure::NotSupported { .. } => {
                StoreError::Misconfigured { path, message }
            }
            _ => StoreError::Unreachable { path, message },
        }
    }

    fn denied(&self, path: PathBuf, message: &str) -> StoreError {
        let message = format!(
            "{message}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN for temporary ones) to \
             credentials that may s3:ListBucket {:?}, and s3:GetObject, s3:PutObject and s3:DeleteObject in it",
            self.bucket
        );
        StoreError::Denied { path, message }
    }

    /// What was said, and by whom.
    fn told(&self, what: &str) -> String {
        format!("bucket {:?} at {}: {what}", self.bucket, self.endpoint)
    }
}

/// Whether the service says that the bucket is served by another region.
fn is_elsewhere(code: &str, cause: &str) -> bool {
    matches!(
        code,
        "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
    ) || cause.contains("redirect without LOCATION")
}

/// The innermost of an error's causes: those around it tell which request it was, of which the path says enough.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Whether it was the machine's metadata service that was asked, which knows the credentials of its role.
fn is_about_the_machine(error: &(dyn Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    causes.map(ToString::to_string).any(|text| text.contains("/latest/api/token") || text.contains("/latest/meta-data"))
}

/// What a service answered, taken out of its XML.
struct Answer<'a> {
    /// What stands before it: the status, or all there is.
    status: &'a str,
    code: Option<&'a str>,
    message: Option<&'a str>,
}

impl<'a> Answer<'a> {
    fn parse(text: &'a str) -> Answer<'a> {
        let element = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            Some(rest.split_once(&format!("</{name}>"))?.0)
        };
        let status = text.split('<').next().unwrap_or_default();
        let status = status.trim_start_matches("Server returned non-2xx status code:");
        Answer { status: status.trim().trim_end_matches(':'), code: element("Code"), message: element("Message") }
    }
}

impl std::fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let said = [Some(self.status), self.code, self.message].into_iter().flatten().filter(|word| !word.is_empty());
        let said: Vec<&str> = said.collect();
        said.join(", ")
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(MESSAGE_CHARS)
            .collect::<String>()
            .fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(String);

    fn said(status: &str, code: &str) -> Box<Said> {
        let xml = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>because</Message></Error>");
        Box::new(Said(format!("Server returned non-2xx status code: {status}: {xml}")))
    }

    fn generic(status: &str, code: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: said(status, code) }
    }

    #[test]
    fn a_busy_service_is_a_trouble_that_may_pass() {
        let error =
            Service::for_tests().error("s3://bucket/x/parts/1", &generic("503 Service Unavailable", "SlowDown"));
        assert!(error.is_transient());
        let expected = "s3://bucket/x/parts/1: bucket \"bucket\" at http://127.0.0.1:5000: 503 Service Unavailable, SlowDown, because";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn what_only_people_can_mend_is_not_waited_for_and_says_what_to_set() {
        let missing = |code| object_store::Error::NotFound { path: "x".into(), source: said("404 Not Found", code) };
        let denied = object_store::Error::PermissionDenied { path: "x".into(), source: said("403", "AccessDenied") };
        let told = |error: &object_store::Error, word: &str| {
            let error = Service::for_tests().error("s3://bucket/x", error);
            assert!(!error.is_transient(), "{error}");
            assert!(error.to_string().contains(word), "{error}");
        };
        told(&missing("NoSuchBucket"), "there is no bucket \"bucket\" at http://127.0.0.1:5000");
        told(&missing("NoSuchKey"), "not found");
        told(&denied, "AWS_SECRET_ACCESS_KEY");
        told(&generic("403 Forbidden", "InvalidAccessKeyId"), "AWS_SECRET_ACCESS_KEY");
        told(&generic("400 Bad Request", "ExpiredToken"), "AWS_SESSION_TOKEN");
        told(&generic("301 Moved", "PermanentRedirect"), "AWS_REGION");
        assert!(matches!(Service::for_tests().error("x", &missing("NoSuchKey")), StoreError::Missing { .. }));
    }

    #[test]
    fn who_has_no_credentials_hears_what_to_set() {
        let service = Service { has_credentials: false, ..Service::for_tests() };
        let text = "Error performing PUT http://169.254.169.254/latest/api/token";
        let error = object_store::Error::Generic { store: "S3", source: Box::new(Said(text.into())) };
        let error = service.error("s3://bucket/x", &error);
        assert!(
            error.to_string().contains("no credentials for bucket at http://127.0.0.1:5000: set AWS_ACCESS_KEY_ID")
        );
    }

    #[test]
    fn pages_of_a_server_are_one_short_line() {
        let page = format!("502 Bad Gateway:\n{}", "x".repeat(10_000));
        let answer = Answer::parse(&page).to_string();
        assert!(answer.len() <= MESSAGE_CHARS && !answer.contains('\n'), "{answer}");
    }
}
