//! The answers.

use std::collections::HashMap;
use std::pin::Pin;

use futures::{Stream, StreamExt, stream};
use proto::keda::external_scaler_server::ExternalScaler;
use proto::keda::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec, MetricValue,
    ScaledObjectRef,
};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::demand::Demand;
use crate::fleet::Progress;

/// The only metric: tasks that a worker has to run or is running.
const METRIC: &str = "hedgesweep-tasks";

/// The key of a trigger's metadata that says how many of them one worker is to have.
const TASKS_PER_WORKER: &str = "tasksPerWorker";

/// Of a worker with a few slots and tasks of seconds: minutes of work, so that starting it pays.
const DEFAULT_TASKS_PER_WORKER: u32 = 100;

/// Answers from what the fleet publishes anyway; nothing is asked of the driver.
#[derive(Debug)]
pub(super) struct Service {
    progress: watch::Receiver<Progress>,
    total: u64,
}

impl Service {
    pub(super) fn new(progress: watch::Receiver<Progress>, total: u64) -> Service {
        Service { progress, total }
    }

    fn demand(&self) -> Demand {
        Demand::of(&self.progress.borrow(), self.total)
    }
}

/// How many tasks one worker is to have, by a trigger's metadata. All calls check it, so that a mistake shows wherever
/// KEDA reports errors.
fn tasks_per_worker(metadata: &HashMap<String, String>) -> Result<u32, Status> {
    let Some(text) = metadata.get(TASKS_PER_WORKER) else { return Ok(DEFAULT_TASKS_PER_WORKER) };
    match text.trim().parse() {
        Ok(tasks) if tasks >= 1 => Ok(tasks),
        _ => {
            let problem = format!(
                "metadata {TASKS_PER_WORKER}: {text:?} is not a whole number from 1 to {}; it is how many tasks one \
                 worker is to have [default: {DEFAULT_TASKS_PER_WORKER}]",
                u32::MAX
            );
            Err(Status::invalid_argument(problem))
        }
    }
}

/// Whether the sweep is active: now, and whenever that changes. Without an end: who has heard of the last change has heard
/// all there is, and would only connect again.
fn activity(progress: watch::Receiver<Progress>, total: u64) -> impl Stream<Item = bool> + Send {
    stream::unfold((progress, None), move |(mut progress, last)| async move {
        loop {
            let active = Demand::of(&progress.borrow_and_update(), total).active;
            if last != Some(active) {
                return Some((active, (progress, Some(active))));
            }
            if progress.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    })
}

#[tonic::async_trait]
impl ExternalScaler for Service {
    type StreamIsActiveStream = Pin<Box<dyn Stream<Item = Result<IsActiveResponse, Status>> + Send>>;

    async fn is_active(&self, request: Request<ScaledObjectRef>) -> Result<Response<IsActiveResponse>, Status> {
        tasks_per_worker(&request.get_ref().scaler_metadata)?;
        Ok(Response::new(IsActiveResponse { result: self.demand().active }))
    }

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        tasks_per_worker(&request.get_ref().scaler_metadata)?;
        let activity = activity(self.progress.clone(), self.total).map(|result| Ok(IsActiveResponse { result }));
        Ok(Response::new(Box::pin(activity)))
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let tasks = tasks_per_worker(&request.get_ref().scaler_metadata)?;
        let spec =
            MetricSpec { metric_name: METRIC.to_owned(), target_size: tasks.into(), target_size_float: tasks.into() };
        Ok(Response::new(GetMetricSpecResponse { metric_specs: vec![spec] }))
    }

    async fn get_metrics(&self, request: Request<GetMetricsRequest>) -> Result<Response<GetMetricsResponse>, Status> {
        let GetMetricsRequest { scaled_object_ref, metric_name } = request.into_inner();
        tasks_per_worker(&scaled_object_ref.unwrap_or_default().scaler_metadata)?;
        if metric_name != METRIC {
            return Err(Status::not_found(format!("there is no metric {metric_name:?}, only {METRIC}")));
        }
        let tasks = self.demand().outstanding;
        let value = MetricValue {
            metric_name,
            metric_value: i64::try_from(tasks).unwrap_or(i64::MAX),
            metric_value_float: tasks as f64,
        };
        Ok(Response::new(GetMetricsResponse { metric_values: vec![value] }))
    }
}
