//! From one joining to the next: leaser, heart and reporter with one worker id.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use proto::limits::MAX_MESSAGE_BYTES;
use proto::v1::fleet_client::FleetClient;
use proto::{Hello, Welcome, v1};
use tokio::sync::Mutex;
use tokio::sync::watch;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::blobs::Blobs;
use super::desk::Desk;
use super::slot::Clerk;
use super::{AgentError, AgentOptions, heart, leaser, reporter};
use crate::credentials::Token;

/// How long a call may take that the coordinator answers at once.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// A client of the coordinator; cheap to clone.
pub(super) type Client = FleetClient<InterceptedService<Channel, Bearer>>;

/// Puts the token, if there is one, into every call.
#[derive(Clone)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.0 {
            request.metadata_mut().insert(Token::HEADER, header.clone());
        }
        Ok(request)
    }
}

/// What every part of the agent has.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) options: AgentOptions,
    pub(super) desk: Arc<Desk>,
    pub(super) clerk: Arc<Clerk>,
    pub(super) blobs: Mutex<Blobs>,
    /// The coordinator says that there will be no more tasks.
    pub(super) finished: watch::Sender<bool>,
}

/// Why a session ends.
#[derive(Debug)]
pub(super) enum End {
    /// The coordinator does not know the worker (any more).
    Unknown,
    /// It will never talk to it.
    Refused(AgentError),
}

/// A client with the protocol's limits.
pub(super) fn client(channel: Channel, token: Option<&Token>) -> Client {
    FleetClient::with_interceptor(channel, Bearer(token.map(Token::header)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// What a status says, down to its cause: `tcp connect error: Connection refused`.
pub(super) fn describe(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let message = error.to_string();
        // Wrappers repeat what they wrap.
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

/// Whether trying again is of no use.
pub(super) fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::FailedPrecondition | Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented
    )
}

/// What a failed call means for the session; `None` if it is to be tried again.
pub(super) fn end_of(status: &Status) -> Option<End> {
    if status.code() == Code::NotFound {
        return Some(End::Unknown);
    }
    is_final(status).then(|| End::Refused(AgentError::Refused { message: status.message().to_owned() }))
}

/// A call with a limit in time; a late answer is as good as none.
pub(super) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} s", limit.as_secs()))),
    }
}

/// Joins, works, and joins again whenever the coordinator has forgotten the worker. Ends when there is nothing left to do
/// and the worker was told to end then.
pub(super) async fn serve(context: &Context) -> Result<(), AgentError> {
    tokio::select! {
        error = sessions(context) => Err(error),
        () = done(context) => Ok(()),
    }
}

async fn sessions(context: &Context) -> AgentError {
    loop {
        let welcome = match join(context).await {
            Ok(welcome) => welcome,
            Err(error) => return error,
        };
        // What the worker still holds is told first: the coordinator then does not grant it to anybody else.
        if context.desk.len() > 0 {
            let _ = heart::beat(context, &welcome).await;
        }
        let end = tokio::select! {
            end = leaser::run(context, &welcome) => end,
            end = heart::run(context, &welcome) => end,
            end = reporter::run(context, &welcome) => end,
        };
        match end {
            End::Unknown => tracing::info!("the coordinator does not know this worker: joining again"),
            End::Refused(error) => return error,
        }
    }
}

/// Waits until the coordinator is finished and everything is acknowledged; for ever, if the worker is to outlive it.
async fn done(context: &Context) {
    if !context.options.exit_when_done {
        pending::<()>().await;
    }
    // The sender lives in the context: waiting cannot fail.
    let _ = context.finished.subscribe().wait_for(|finished| *finished).await;
    context.desk.settled().await;
}

async fn join(context: &Context) -> Result<Welcome, AgentError> {
    let hello = Hello {
        engine_version: engine::VERSION.to_owned(),
        host: context.options.host.clone(),
        name: context.options.name.clone(),
        slots: u32::try_from(context.options.slots).unwrap_or(u32::MAX),
    };
    let mut waits = context.options.backoff.waits();
    loop {
        let call = async { context.client.clone().join(v1::JoinRequest::from(&hello)).await };
        match within(CALL_TIMEOUT, call).await {
            Ok(response) => {
                let welcome = Welcome::try_from(response)?;
                tracing::info!(worker_id = welcome.worker_id, slots = hello.slots, "joined");
                return Ok(welcome);
            }
            Err(status) if is_final(&status) || status.code() == Code::InvalidArgument => {
                return Err(AgentError::Refused { message: status.message().to_owned() });
            }
            Err(status) => {
                let wait = waits.next();
                tracing::info!(?wait, "cannot join: {}", describe(&status));
                tokio::time::sleep(wait).await;
            }
        }
    }
}
