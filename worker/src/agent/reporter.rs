//! Delivers reports until they are acknowledged. A batch is whatever gathered while the one before was on its way.

use std::time::Duration;

use proto::chunk::BATCH_OVERHEAD_BYTES;
use proto::limits::MAX_BATCH_REPORTS;
use proto::{Acknowledgement, Reason, Verdict, Welcome, join_reports, pieces, v1};
use tonic::{Code, Status};

use super::desk::{Delivery, Outbox};
use super::session::{Context, End, describe, end_of, within};

/// How long the coordinator may take to make a batch durable before it is sent again.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);

/// Sends one batch after the other.
pub(super) async fn run(context: &Context, welcome: &Welcome) -> End {
    let mut waits = context.options.backoff.waits();
    let max_bytes = usize::try_from(welcome.max_batch_bytes).unwrap_or(usize::MAX).saturating_sub(BATCH_OVERHEAD_BYTES);
    let mut max_reports = MAX_BATCH_REPORTS;
    loop {
        let mut outbox = context.desk.batch(max_reports, max_bytes).await;
        if let [only] = outbox.deliveries()
            && only.report.len() > max_bytes
        {
            let message = format!(
                "the result takes {} bytes, and the coordinator accepts {max_bytes}: record fewer samples",
                only.report.len()
            );
            let refusal = give_up(context, only, message);
            outbox.replace(refusal);
        }
        match send(context, welcome, &outbox).await {
            Ok(response) => {
                let acknowledged = acknowledged(&outbox, response);
                let all = acknowledged.iter().all(|&acknowledged| acknowledged);
                outbox.acknowledge(&acknowledged);
                if all {
                    waits.reset();
                    max_reports = MAX_BATCH_REPORTS;
                    continue;
                }
                tracing::warn!("some reports were not acknowledged: sending them again");
            }
            Err(status) => {
                if let Some(end) = end_of(&status) {
                    return end;
                }
                tracing::info!("cannot deliver {} reports: {}", outbox.deliveries().len(), describe(&status));
                if is_refusal(&status) {
                    max_reports = narrow(context, &mut outbox, &status);
                    continue;
                }
            }
        }
        drop(outbox);
        tokio::time::sleep(waits.next()).await;
    }
}

async fn send(context: &Context, welcome: &Welcome, outbox: &Outbox) -> Result<v1::ReportResultsResponse, Status> {
    let reports = outbox.deliveries().iter().map(|delivery| &delivery.report);
    let batch = join_reports(welcome.worker_id, reports);
    let messages = pieces(batch).map(|piece| v1::ReportResultsRequest { piece });
    let call = async { context.client.clone().report_results(tokio_stream::iter(messages)).await };
    within(DELIVERY_TIMEOUT, call).await
}

/// Whether the batch is at fault, so that the same batch would be refused for ever.
fn is_refusal(status: &Status) -> bool {
    matches!(status.code(), Code::InvalidArgument | Code::OutOfRange | Code::ResourceExhausted)
}

/// Looks for the report that is at fault: sends fewer at a time, until there is one; that one is replaced by a failure,
/// and dropped if even that is refused. Returns how many to send at a time.
fn narrow(context: &Context, outbox: &mut Outbox, status: &Status) -> usize {
    if let [only] = outbox.deliveries() {
        if only.result {
            let message = format!("the coordinator does not accept the result: {}", status.message());
            let refusal = give_up(context, only, message);
            outbox.replace(refusal);
        } else {
            tracing::error!(run_id = %only.run_id, "the coordinator does not accept the report: {}", status.message());
            outbox.acknowledge(&[true]);
        }
    }
    outbox.deliveries().len().div_ceil(2).max(1)
}

fn give_up(context: &Context, delivery: &Delivery, message: String) -> Delivery {
    context.clerk.failure(delivery.run_id, delivery.attempt, Reason::Refused, message)
}

/// Which reports the coordinator has answered: each report's answer is in its place.
fn acknowledged(outbox: &Outbox, response: v1::ReportResultsResponse) -> Vec<bool> {
    let mut answers = response.acknowledgements.into_iter();
    let answered = |delivery: &Delivery| match answers.next().map(Acknowledgement::try_from) {
        Some(Ok(Acknowledgement { run_id, verdict })) if run_id == delivery.run_id => {
            match verdict {
                Verdict::Stored | Verdict::Noted => {}
                Verdict::Duplicate => tracing::debug!(%run_id, "another result was first"),
                Verdict::Unknown => tracing::warn!(%run_id, "the coordinator has no such task"),
                Verdict::Invalid => tracing::error!(%run_id, "the coordinator finds the result invalid"),
            }
            true
        }
        _ => false,
    };
    outbox.deliveries().iter().map(answered).collect()
}
