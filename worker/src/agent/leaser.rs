//! Keeps tasks in store.

use std::collections::HashMap;
use std::time::Duration;

use engine::network::WeightsDigest;
use proto::{Grant, Lease, Reason, TaskGrant, Welcome, v1};

use super::blobs::BlobError;
use super::desk::{Delivery, Job};
use super::session::{CALL_TIMEOUT, Context, End, describe, end_of, within};
use super::terms::Terms;

/// How long to wait for the answer to a lease call that is not wanted any more. Tasks that are on their way would be
/// lost until their leases end.
const LAST_CALL: Duration = Duration::from_millis(250);

/// Leases tasks whenever there is room for some.
pub(super) async fn run(context: &Context, welcome: &Welcome) -> End {
    let mut waits = context.options.backoff.waits();
    loop {
        let (max_tasks, leasing) = context.desk.room().await;
        let request = v1::LeaseTasksRequest {
            worker_id: welcome.worker_id,
            max_tasks: u32::try_from(max_tasks).unwrap_or(u32::MAX),
            wait_ms: u64::try_from(context.options.lease_wait.as_millis()).unwrap_or(u64::MAX),
        };
        let limit = context.options.lease_wait + CALL_TIMEOUT;
        let call = within(limit, async { context.client.clone().lease_tasks(request).await });
        tokio::pin!(call);
        let answer = tokio::select! {
            answer = &mut call => answer,
            () = leasing.unwanted() => match tokio::time::timeout(LAST_CALL, call).await {
                Ok(answer) => answer,
                Err(_) => continue,
            },
        };
        match answer {
            Ok(response) => match Lease::try_from(response) {
                Ok(Lease::Granted(grant)) => {
                    waits.reset();
                    admit(context, grant).await;
                    continue;
                }
                Ok(Lease::Nothing) => {
                    waits.reset();
                    continue;
                }
                Ok(Lease::Finished) => {
                    context.finished.send_replace(true);
                }
                Err(error) => tracing::error!("a grant that cannot be read: {error}"),
            },
            Err(status) => {
                if let Some(end) = end_of(&status) {
                    return end;
                }
                tracing::info!("cannot lease tasks: {}", describe(&status));
            }
        }
        drop(leasing);
        tokio::time::sleep(waits.next()).await;
    }
}

async fn admit(context: &Context, grant: Grant) {
    let (terms, tasks) = Terms::split(grant);
    let mut weights = HashMap::new();
    let mut jobs = Vec::with_capacity(tasks.len());
    for task in tasks {
        let needed = match terms.weights_of(&task) {
            Some(digest) => {
                if let std::collections::hash_map::Entry::Vacant(vacant) = weights.entry(digest) {
                    vacant.insert(fetch(context, digest).await);
                }
                Some(&weights[&digest])
            }
            None => None,
        };
        match needed.cloned().transpose() {
            Ok(weights) => jobs.push(Job { task, terms: terms.clone(), weights }),
            Err(error) => context.desk.reject(rejection(context, &task, &error)),
        }
    }
    context
        .desk
        .admit(jobs, |task| context.clerk.hand_back(task.run_id, task.attempt, "the worker takes no more tasks"));
}

async fn fetch(
    context: &Context,
    digest: WeightsDigest,
) -> Result<std::sync::Arc<engine::network::InitialWeights>, BlobError> {
    context.blobs.lock().await.get(&context.client, digest, context.options.backoff).await
}

fn rejection(context: &Context, task: &TaskGrant, error: &BlobError) -> Delivery {
    let reason = match error {
        BlobError::Unavailable { .. } => Reason::Unavailable,
        BlobError::Unusable { .. } => Reason::Refused,
    };
    context.clerk.failure(task.run_id, task.attempt, reason, error.to_string())
}
