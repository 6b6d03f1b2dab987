//! Carries the session's calls to the coordinator over gRPC, and the answers back.

use std::collections::HashMap;
use std::sync::Arc;

use engine::network::{InitialWeights, WeightsDigest, WeightsError};
use proto::limits::{MAX_BLOB_BYTES, MAX_MESSAGE_BYTES};
use proto::v1::fleet_client::FleetClient;
use proto::{Acknowledgement, Assembler, Lease, Orders, Welcome, WireError, join_reports, pieces, v1};
use tokio::task::{AbortHandle, JoinSet};
use tonic::Status;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::AgentError;
use super::office::Office;
use super::session::{Answer, Call, Request};
use super::slot::Slots;
use crate::credentials::Token;

/// A client of the coordinator; cheap to clone.
pub(super) type Client = FleetClient<InterceptedService<Channel, Bearer>>;

/// Puts the token, if there is one, into every call.
#[derive(Clone)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        if let Some(header) = &self.0 {
            request.metadata_mut().insert(Token::HEADER, header.clone());
        }
        Ok(request)
    }
}

/// A client with the protocol's limits.
pub(super) fn client(channel: Channel, token: Option<&Token>) -> Client {
    FleetClient::with_interceptor(channel, Bearer(token.map(Token::header)))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// Makes the calls that the session asks for, until the session has ended.
pub(super) async fn serve(client: Client, office: &Office, slots: &mut Slots) -> Result<(), AgentError> {
    let mut calls: JoinSet<(u64, Result<Answer, Status>)> = JoinSet::new();
    let mut under_way: HashMap<u64, AbortHandle> = HashMap::new();
    let mut next = Vec::new();
    loop {
        let (replacements, wake, ended) = office.with(|session, now| {
            next.extend(std::iter::from_fn(|| session.poll(now)));
            // What is not waited for any more is withdrawn, so that the coordinator sees that it was not received.
            under_way.retain(|number, call| {
                let expected = session.expects(*number);
                if !expected {
                    call.abort();
                }
                expected
            });
            (session.take_replacements(), session.poll_timeout(), session.ended())
        });
        if let Some(ended) = ended {
            return ended;
        }
        slots.add(replacements)?;
        for Call { number, request } in next.drain(..) {
            let client = client.clone();
            let handle = calls.spawn(async move { (number, answer(client, request).await) });
            under_way.insert(number, handle);
        }
        let wake = wake.map(|wake| office.instant(wake));
        tokio::select! {
            Some(ended) = calls.join_next() => {
                // An aborted call has no answer; one that panicked is late in time.
                if let Ok((number, answer)) = ended {
                    under_way.remove(&number);
                    office.with(|session, now| session.answered(now, number, answer));
                }
            }
            () = office.changed() => {}
            () = sleep_until(wake) => {}
        }
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn answer(mut client: Client, request: Request) -> Result<Answer, Status> {
    Ok(match request {
        Request::Join(hello) => {
            let response = client.join(v1::JoinRequest::from(&hello)).await?.into_inner();
            // It would be no other the next time.
            let strange = |error: WireError| {
                Status::failed_precondition(format!("the coordinator's answer to joining cannot be read: {error}"))
            };
            Answer::Joined(Welcome::try_from(response).map_err(strange)?)
        }
        Request::Lease { worker_id, max_tasks, wait } => {
            let request = v1::LeaseTasksRequest {
                worker_id,
                max_tasks: u32::try_from(max_tasks).unwrap_or(u32::MAX),
                wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            };
            Answer::Leased(read(Lease::try_from(client.lease_tasks(request).await?.into_inner()))?)
        }
        Request::Heartbeat(heartbeat) => {
            let response = client.heartbeat(v1::HeartbeatRequest::from(heartbeat)).await?.into_inner();
            Answer::Ordered(read(Orders::try_from(response))?)
        }
        Request::Report { worker_id, reports } => {
            let batch = join_reports(worker_id, &reports);
            let messages = pieces(batch).map(|piece| v1::ReportResultsRequest { piece });
            let response = client.report_results(tokio_stream::iter(messages)).await?.into_inner();
            let acknowledgements = response.acknowledgements.into_iter();
            Answer::Acknowledged(acknowledgements.map(|one| Acknowledgement::try_from(one).ok()).collect())
        }
        Request::Leave { worker_id } => {
            client.leave(v1::LeaveRequest { worker_id }).await?;
            Answer::Left
        }
        Request::Blob(digest) => Answer::Blob(fetch(client, digest).await?),
    })
}

/// A message that makes no sense is as good as none.
fn read<T>(message: Result<T, WireError>) -> Result<T, Status> {
    message.map_err(|error| {
        tracing::error!("an answer that cannot be read: {error}");
        Status::internal(error.to_string())
    })
}

async fn fetch(mut client: Client, digest: WeightsDigest) -> Result<Result<Arc<InitialWeights>, WeightsError>, Status> {
    let request = v1::GetBlobRequest { digest: digest.to_string() };
    let mut pieces = client.get_blob(request).await?.into_inner();
    let mut assembler = Assembler::new(MAX_BLOB_BYTES);
    while let Some(message) = pieces.message().await? {
        assembler.push(message.piece)?;
    }
    let content = assembler.finish();
    let arrived = WeightsDigest::of(&content);
    if arrived != digest {
        return Err(Status::data_loss(format!("what arrived has the digest {arrived}")));
    }
    Ok(InitialWeights::parse(&content).map(Arc::new))
}
