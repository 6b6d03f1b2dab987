//! `--ops-listen`: health, readiness and metrics over plain HTTP, for probes and Prometheus. It says how many tasks are where
//! and how long things take, and nothing of what the tasks are.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::exit::{Exit, Failure, OrExit};
use crate::fleet::Progress;
use crate::meter::{Histogram, Meter};

/// The content type of Prometheus's text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is looked at.
#[derive(Clone)]
struct Watched {
    progress: watch::Receiver<Progress>,
    meter: Arc<Meter>,
}

/// Serves until the process ends; returns where, with the port that was given out if none was asked for. Must be called
/// within a runtime.
///
/// # Errors
/// [`Exit::Usage`] if the address cannot be had.
pub fn serve(
    address: SocketAddr,
    progress: watch::Receiver<Progress>,
    meter: Arc<Meter>,
) -> Result<SocketAddr, Failure> {
    let listener = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    let failed = |error: std::io::Error| anyhow::anyhow!("cannot listen on {address} for --ops-listen: {error}");
    let listener = listener.map_err(failed).or_exit(Exit::Usage)?;
    let local = listener.local_addr().map_err(failed).or_exit(Exit::Internal)?;
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Watched { progress, meter });
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!("the operations' server stopped: {error}");
        }
    });
    Ok(local)
}

/// Ready is who takes workers in: not while the sweep drains, and not after its end.
async fn ready(State(watched): State<Watched>) -> impl IntoResponse {
    let draining = watched.progress.borrow().draining;
    match (draining, watched.progress.has_changed()) {
        (false, Ok(_)) => (StatusCode::OK, "ready\n"),
        (true, Ok(_)) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        (_, Err(_)) => (StatusCode::SERVICE_UNAVAILABLE, "ended\n"),
    }
}

async fn metrics(State(watched): State<Watched>) -> impl IntoResponse {
    let progress = *watched.progress.borrow();
    ([(header::CONTENT_TYPE, TEXT)], exposition(&progress, &watched.meter))
}

/// Everything, in Prometheus's text format.
fn exposition(progress: &Progress, meter: &Meter) -> String {
    let counts = &progress.counts;
    let mut text = String::new();
    family(&mut text, "hedgesweep_tasks", "gauge", "Tasks by state.");
    for (state, count) in [
        ("queued", counts.queued),
        ("leased", counts.leased),
        ("storing", counts.storing),
        ("ok", counts.ok),
        ("diverged", counts.diverged),
        ("failed", counts.failed),
    ] {
        let _ = writeln!(text, "hedgesweep_tasks{{state=\"{state}\"}} {count}");
    }
    for (name, kind, help, value) in [
        ("hedgesweep_tasks_submitted_total", "counter", "Tasks that were planned so far.", counts.submitted),
        ("hedgesweep_lost_leases_total", "counter", "Leases whose worker was not heard of.", counts.lost_leases),
        ("hedgesweep_parts_total", "counter", "Parts that were stored.", progress.parts),
        ("hedgesweep_duplicates_total", "counter", "Results that came once more.", counts.duplicates),
        ("hedgesweep_conflicts_total", "counter", "Results that differ from the first of their run.", counts.conflicts),
        ("hedgesweep_workers", "gauge", "Workers that are known.", progress.workers as u64),
        ("hedgesweep_slots", "gauge", "Tasks that they run at a time.", progress.slots),
        ("hedgesweep_draining", "gauge", "Whether no more tasks are begun.", u64::from(progress.draining)),
        ("hedgesweep_attempts_total", "counter", "Attempts behind the records that were stored.", meter.attempts()),
        ("hedgesweep_store_failures_total", "counter", "Parts that could not be stored.", meter.store_failures()),
    ] {
        family(&mut text, name, kind, help);
        let _ = writeln!(text, "{name} {value}");
    }
    histogram(&mut text, "hedgesweep_store_seconds", "Time to make a part durable.", &meter.store);
    histogram(&mut text, "hedgesweep_task_seconds", "Time that a run was computed for.", &meter.task);
    text
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn histogram(text: &mut String, name: &str, help: &str, histogram: &Histogram) {
    family(text, name, "histogram", help);
    let (buckets, count, sum) = histogram.read();
    for (bound, below) in buckets {
        let _ = writeln!(text, "{name}_bucket{{le=\"{}\"}} {below}", Duration::as_secs_f64(&bound));
    }
    let _ =
        writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {}\n{name}_count {count}", sum.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exposed_is_prometheuss_text() {
        let mut progress = Progress { workers: 3, slots: 6, ..Progress::default() };
        (progress.counts.ok, progress.counts.queued, progress.counts.submitted) = (5, 2, 7);
        let meter = Meter::default();
        meter.store.observe(Duration::from_millis(3));
        meter.store.observe(Duration::from_secs(100));
        let text = exposition(&progress, &meter);
        for line in [
            "hedgesweep_tasks{state=\"ok\"} 5",
            "hedgesweep_tasks{state=\"queued\"} 2",
            "hedgesweep_tasks_submitted_total 7",
            "hedgesweep_workers 3",
            "# TYPE hedgesweep_store_seconds histogram",
            "hedgesweep_store_seconds_bucket{le=\"0.001\"} 0",
            "hedgesweep_store_seconds_bucket{le=\"0.004\"} 1",
            "hedgesweep_store_seconds_bucket{le=\"+Inf\"} 2",
            "hedgesweep_store_seconds_sum 100.003",
            "hedgesweep_store_seconds_count 2",
            "hedgesweep_task_seconds_count 0",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with("hedgesweep_") && value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
