//! Keeps leases alive, and hears what the coordinator wants.

use proto::{Heartbeat, Orders, Welcome, v1};
use tonic::Status;

use super::session::{CALL_TIMEOUT, Context, End, describe, end_of, within};

/// Beats as often as the coordinator asks for.
pub(super) async fn run(context: &Context, welcome: &Welcome) -> End {
    let mut waits = context.options.backoff.waits();
    // Joining was a sign of life.
    let mut next = welcome.heartbeat_interval;
    loop {
        tokio::time::sleep(next).await;
        match beat(context, welcome).await {
            Ok(orders) => {
                waits.reset();
                next = orders.next;
            }
            Err(status) => {
                if let Some(end) = end_of(&status) {
                    return end;
                }
                next = waits.next().min(welcome.heartbeat_interval);
                tracing::info!(?next, "heartbeat not answered: {}", describe(&status));
            }
        }
    }
}

/// One heartbeat; its orders are carried out.
pub(super) async fn beat(context: &Context, welcome: &Welcome) -> Result<Orders, Status> {
    let heartbeat = Heartbeat { worker_id: welcome.worker_id, held: context.desk.held() };
    let call = async { context.client.clone().heartbeat(v1::HeartbeatRequest::from(heartbeat)).await };
    let response = within(CALL_TIMEOUT, call).await?;
    let orders = Orders::try_from(response).map_err(|error| Status::internal(error.to_string()))?;
    let hand_back = |message| move |run_id, attempt| context.clerk.hand_back(run_id, attempt, message);
    context.desk.cancel(&orders.cancel, hand_back("cancelled by the coordinator before it began"));
    context.desk.order_drain(orders.drain, hand_back("the coordinator drains"));
    if orders.drain {
        context.finished.send_replace(true);
    }
    Ok(orders)
}
