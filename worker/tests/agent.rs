//! The agent against a coordinator that loses, withholds, forgets, cancels and refuses.

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use engine::network::WeightsDigest;
use engine::record::Epoch;
use engine::{EngineError, Observer, RunConfig, RunId, RunResult, Value};
use proto::{Failure, Outcome, Reason, Report};
use support::{Coordinator, Pretend, nothing, options, task, tasks};
use tokio::task::JoinHandle;
use worker::{AgentError, AgentOptions, AgentSummary, Runner, Shutdown, ShutdownHandle};

type Agent = JoinHandle<Result<AgentSummary, AgentError>>;

fn start(coordinator: &Coordinator, options: AgentOptions, runner: impl Runner) -> (Agent, ShutdownHandle) {
    let (handle, shutdown): (ShutdownHandle, Shutdown) = ShutdownHandle::new();
    let agent = worker::run(coordinator.channel(), options, Arc::new(runner), shutdown);
    (tokio::spawn(agent), handle)
}

async fn ended(agent: Agent) -> Result<AgentSummary, AgentError> {
    tokio::time::timeout(Duration::from_secs(30), agent).await.expect("it ends within 30 s").expect("no panic")
}

fn no_op() -> impl Runner {
    Pretend(|_: &RunConfig, _: &mut dyn Observer| nothing())
}

/// Runs until it is cancelled.
fn endless(_: &RunConfig, observer: &mut dyn Observer) -> Result<RunResult, EngineError> {
    for epoch in 1.. {
        if observer.epoch(&Epoch { epoch, ..Epoch::default() }).is_break() {
            return Err(EngineError::Cancelled { epoch });
        }
        std::thread::yield_now();
    }
    unreachable!("epochs do not run out")
}

fn failure(report: &Report) -> &Failure {
    match &report.outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Finished(output) => panic!("it did not fail: {output:?}"),
    }
}

fn failure_of(coordinator: &Coordinator, run_id: RunId) -> Failure {
    let books = coordinator.books();
    let (_, report) = books.reports.iter().find(|(_, report)| report.run_id == run_id).expect("it was reported");
    failure(report).clone()
}

#[tokio::test]
async fn every_task_is_run_and_reported_once() {
    let coordinator = Coordinator::new();
    let granted = tasks(0..500);
    let ids: HashSet<RunId> = granted.iter().map(|task| task.run_id).collect();
    coordinator.change(|books| {
        books.tasks.extend(granted);
        books.finished = true;
    });
    let (agent, _handle) = start(&coordinator, options(2), no_op());
    let summary = ended(agent).await.unwrap();
    assert_eq!(summary, AgentSummary { ok: 500, ..AgentSummary::default() });
    let books = coordinator.books();
    assert_eq!(books.reports.len(), 500);
    assert_eq!(books.reports.iter().map(|(_, report)| report.run_id).collect::<HashSet<_>>(), ids);
    let Outcome::Finished(output) = &books.reports[0].1.outcome else { panic!("it finished") };
    assert_eq!(output.provenance.host, "host");
    assert_eq!(output.provenance.worker, "worker");
    assert_eq!(output.provenance.attempt, 1);
    assert!(output.provenance.train_s.is_some());
}

#[tokio::test]
async fn a_result_whose_acknowledgement_is_lost_is_sent_again() {
    let coordinator = Coordinator::new();
    coordinator.change(|books| {
        books.tasks.extend(tasks(0..3));
        books.finished = true;
        books.lost_acknowledgements = 2;
    });
    let (agent, _handle) = start(&coordinator, options(1), no_op());
    let summary = ended(agent).await.unwrap();
    assert_eq!((summary.ok, summary.undelivered), (3, 0));
    let books = coordinator.books();
    assert!(books.reports.len() >= 5, "two batches came twice");
    assert_eq!(books.reports.iter().map(|(_, report)| report.run_id).collect::<HashSet<_>>().len(), 3);
}

#[tokio::test]
async fn a_forgotten_worker_joins_again_and_delivers_what_it_has() {
    let coordinator = Coordinator::new();
    coordinator.change(|books| {
        books.tasks.extend(tasks(0..2));
        books.withhold = true;
    });
    let (agent, _handle) = start(&coordinator, options(2), no_op());
    coordinator.until(|books| !books.reports.is_empty()).await;
    // The coordinator is another one now.
    coordinator.change(|books| {
        books.workers.clear();
        books.withhold = false;
        books.finished = true;
        books.heartbeats.clear();
    });
    let summary = ended(agent).await.unwrap();
    assert_eq!(summary, AgentSummary { ok: 2, ..AgentSummary::default() });
    let books = coordinator.books();
    assert_eq!(books.joined, 2);
    let second: HashSet<RunId> =
        books.reports.iter().filter(|(worker, _)| *worker == 2).map(|(_, report)| report.run_id).collect();
    assert_eq!(second.len(), 2, "both results are the second worker's");
    let first = &books.heartbeats[0];
    assert_eq!((first.worker_id, first.held.len()), (2, 2), "what is held is told before anything else");
}

#[tokio::test]
async fn a_panic_is_a_failure_with_its_place_and_the_slot_goes_on() {
    let coordinator = Coordinator::new();
    let granted = tasks(0..3);
    let bad = granted[1].run_id;
    coordinator.change(|books| {
        books.tasks.extend(granted);
        books.finished = true;
    });
    let runner = |config: &RunConfig, _: &mut dyn Observer| {
        assert!(config.seed != 1, "seed {} is bad", config.seed);
        nothing()
    };
    let (agent, _handle) = start(&coordinator, options(1), Pretend(runner));
    let summary = ended(agent).await.unwrap();
    assert_eq!((summary.ok, summary.failed), (2, 1));
    let failure = failure_of(&coordinator, bad);
    assert_eq!(failure.reason, Reason::Panic);
    assert!(failure.message.contains("agent.rs:") && failure.message.ends_with("seed 1 is bad"), "{}", failure.message);
}

#[tokio::test]
async fn a_cancelled_task_is_handed_back() {
    let coordinator = Coordinator::new();
    let granted = tasks(0..2);
    let [running, queued] = [granted[0].run_id, granted[1].run_id];
    coordinator.change(|books| books.tasks.extend(granted));
    let (agent, _handle) = start(&coordinator, options(1), Pretend(endless));
    coordinator
        .until(|books| {
            let last = books.heartbeats.last();
            last.is_some_and(|last| last.held.len() == 2 && last.held.iter().any(|held| held.epoch > 0))
        })
        .await;
    coordinator.change(|books| {
        books.cancel = vec![queued, running];
        books.finished = true;
    });
    let summary = ended(agent).await.unwrap();
    assert_eq!(summary, AgentSummary { handed_back: 2, ..AgentSummary::default() });
    for run_id in [running, queued] {
        let failure = failure_of(&coordinator, run_id);
        assert_eq!(failure.reason, Reason::HandedBack);
        assert!(failure.message.contains("by the coordinator"), "{}", failure.message);
    }
}

/// A runner that lets go of a run when it is told to, and not before.
fn gated() -> (impl Runner, std::sync::mpsc::SyncSender<()>) {
    let (open, gate) = std::sync::mpsc::sync_channel(100);
    let gate = std::sync::Mutex::new(gate);
    let run = move |_: &RunConfig, _: &mut dyn Observer| {
        let _ = gate.lock().unwrap().recv();
        nothing()
    };
    (Pretend(run), open)
}

#[tokio::test]
async fn a_coordinator_that_drains_gets_back_what_waits() {
    let coordinator = Coordinator::new();
    let granted = tasks(0..2);
    let queued = granted[1].run_id;
    coordinator.change(|books| books.tasks.extend(granted));
    let (runner, open) = gated();
    let (agent, _handle) = start(&coordinator, options(1), runner);
    coordinator.until(|books| books.heartbeats.last().is_some_and(|last| last.held.len() == 2)).await;
    coordinator.change(|books| {
        books.drain = true;
        books.tasks.extend(tasks(5..9));
    });
    coordinator.until(|books| !books.reports.is_empty()).await;
    open.send(()).unwrap();
    coordinator.until(|books| books.reports.len() == 2).await;
    coordinator.heartbeats(3).await;
    assert_eq!(failure_of(&coordinator, queued).message, "the coordinator drains");
    assert_eq!(coordinator.books().tasks.len(), 4, "no more were taken");
    // Another coordinator has the others done.
    coordinator.change(|books| {
        books.tasks.clear();
        books.finished = true;
    });
    let summary = ended(agent).await.unwrap();
    assert_eq!(summary, AgentSummary { ok: 1, handed_back: 1, ..AgentSummary::default() });
}

#[tokio::test]
async fn with_too_much_unacknowledged_no_more_is_leased() {
    let coordinator = Coordinator::new();
    coordinator.change(|books| {
        books.tasks.extend(tasks(0..50));
        books.withhold = true;
    });
    let options = AgentOptions { unacknowledged_bytes: 1, ..options(1) };
    let (agent, _handle) = start(&coordinator, options, no_op());
    coordinator.until(|books| !books.reports.is_empty()).await;
    coordinator.heartbeats(10).await;
    // The first call asks for a task to run and one to have in store; the next would ask for all.
    assert!(coordinator.books().granted.len() <= 2);
    coordinator.change(|books| {
        books.withhold = false;
        books.finished = true;
    });
    assert_eq!(ended(agent).await.unwrap().ok, 50);
}

#[tokio::test]
async fn a_refused_worker_says_why() {
    let coordinator = Coordinator::new();
    coordinator.change(|books| books.refusal = Some("upgrade the worker".into()));
    let (agent, _handle) = start(&coordinator, options(1), no_op());
    let error = ended(agent).await.unwrap_err();
    assert!(matches!(&error, AgentError::Refused { message } if message == "upgrade the worker"), "{error}");
}

#[tokio::test]
async fn a_worker_that_is_told_to_go_hands_back_and_ends() {
    let coordinator = Coordinator::new();
    coordinator.change(|books| books.tasks.extend(tasks(0..2)));
    let options = AgentOptions { grace: Duration::from_millis(200), exit_when_done: false, ..options(1) };
    let (agent, handle) = start(&coordinator, options, Pretend(endless));
    coordinator.until(|books| books.heartbeats.last().is_some_and(|last| last.held.len() == 2)).await;
    handle.drain();
    let summary = ended(agent).await.unwrap();
    assert_eq!(summary, AgentSummary { handed_back: 2, left_early: true, ..AgentSummary::default() });
    assert_eq!(coordinator.books().reports.len(), 2);
}

#[tokio::test]
async fn a_run_that_does_not_end_is_left_behind() {
    let coordinator = Coordinator::new();
    coordinator.change(|books| books.tasks.extend(tasks(0..1)));
    let options = AgentOptions { grace: Duration::from_millis(200), ..options(1) };
    let (runner, open) = gated();
    let (agent, handle) = start(&coordinator, options, runner);
    coordinator.until(|books| books.heartbeats.last().is_some_and(|last| last.held.len() == 1)).await;
    handle.drain();
    let summary = ended(agent).await.unwrap();
    assert_eq!(summary, AgentSummary { handed_back: 1, left_early: true, ..AgentSummary::default() });
    drop(open);
}

#[tokio::test]
async fn a_stopped_agent_waits_for_nothing() {
    let coordinator = Coordinator::new();
    coordinator.change(|books| {
        books.tasks.extend(tasks(0..1));
        books.withhold = true;
    });
    let (agent, handle) = start(&coordinator, options(1), no_op());
    coordinator.until(|books| !books.reports.is_empty()).await;
    handle.stop();
    assert_eq!(ended(agent).await.unwrap().undelivered, 1);
}

#[tokio::test]
async fn a_task_that_is_not_what_it_says_is_refused_and_never_run() {
    let coordinator = Coordinator::new();
    let mut other = task(0, &[]);
    other.run_id = RunId([7; 16]);
    let mut invalid = task(1, &[]);
    invalid.overrides = vec![("market.xl".into(), Value::Int(1))];
    let ids = [other.run_id, invalid.run_id];
    coordinator.change(|books| {
        books.tasks.extend([other, invalid]);
        books.finished = true;
    });
    let runs = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&runs);
    let runner = move |_: &RunConfig, _: &mut dyn Observer| {
        counter.fetch_add(1, Ordering::Relaxed);
        nothing()
    };
    let (agent, _handle) = start(&coordinator, options(1), Pretend(runner));
    assert_eq!(ended(agent).await.unwrap().failed, 2);
    assert_eq!(runs.load(Ordering::Relaxed), 0);
    let [other, invalid] = ids.map(|run_id| failure_of(&coordinator, run_id));
    assert_eq!((other.reason, invalid.reason), (Reason::Refused, Reason::Refused));
    assert!(other.message.contains("was granted as 0707"), "{}", other.message);
    assert!(invalid.message.contains("did you mean `market.xi`?"), "{}", invalid.message);
}

#[tokio::test]
async fn blobs_are_fetched_once_and_checked() {
    let coordinator = Coordinator::new();
    // An empty safetensors file.
    let content: &[u8] = b"\x02\0\0\0\0\0\0\0{}";
    let good = WeightsDigest::of(content);
    let missing = WeightsDigest::of(b"missing");
    let forged = WeightsDigest::of(b"forged");
    let with = |seed, digest: WeightsDigest| task(seed, &[("network.init", Value::Text(digest.to_string()))]);
    let granted = [with(0, good), with(1, good), with(2, missing), with(3, forged)];
    let ids: Vec<RunId> = granted.iter().map(|task| task.run_id).collect();
    coordinator.change(|books| {
        books.blobs.insert(good.to_string(), content.into());
        books.blobs.insert(forged.to_string(), content.into());
        books.tasks.extend(granted);
        books.finished = true;
    });
    let runner = |config: &RunConfig, _: &mut dyn Observer| {
        let engine::network::Network::Lstm(lstm) = &config.network;
        assert!(matches!(lstm.init, engine::network::Init::Weights { tensors: Some(_), .. }));
        nothing()
    };
    let (agent, _handle) = start(&coordinator, options(4), Pretend(runner));
    let summary = ended(agent).await.unwrap();
    assert_eq!((summary.ok, summary.failed), (2, 2));
    assert_eq!(coordinator.books().blob_calls, 1 + 1 + 4, "once; no such blob; tried again");
    assert_eq!(failure_of(&coordinator, ids[2]).reason, Reason::Unavailable);
    let forged = failure_of(&coordinator, ids[3]);
    assert_eq!(forged.reason, Reason::Unavailable);
    assert!(forged.message.contains("what arrived has the digest"), "{}", forged.message);
}

#[tokio::test]
async fn what_is_held_already_is_not_done_twice() {
    let coordinator = Coordinator::new();
    coordinator.change(|books| books.tasks.extend(tasks(0..1)));
    let (runner, open) = gated();
    let (agent, _handle) = start(&coordinator, options(1), runner);
    coordinator.until(|books| books.heartbeats.last().is_some_and(|last| last.held.len() == 1)).await;
    let again = proto::TaskGrant { attempt: 2, ..task(0, &[]) };
    coordinator.change(|books| books.tasks.push_back(again));
    coordinator.until(|books| books.heartbeats.last().is_some_and(|last| last.held[0].attempt == 2)).await;
    coordinator.change(|books| books.finished = true);
    open.send(()).unwrap();
    assert_eq!(ended(agent).await.unwrap().ok, 1);
    assert_eq!(coordinator.books().reports[0].1.attempt, 2);
}

#[tokio::test]
async fn a_result_that_is_too_large_is_a_refusal() {
    let coordinator = Coordinator::new();
    coordinator.change(|books| {
        books.tasks.extend(tasks(0..1));
        books.finished = true;
        books.max_batch_bytes = 2000;
    });
    let runner = |_: &RunConfig, _: &mut dyn Observer| {
        let curves = (1..1000).map(|epoch| Epoch { epoch, loss: Some(0.5), ..Epoch::default() }).collect();
        nothing().map(|result| RunResult { curves, ..result })
    };
    let (agent, _handle) = start(&coordinator, options(1), Pretend(runner));
    ended(agent).await.unwrap();
    let failure = failure(&coordinator.books().reports[0].1).clone();
    assert_eq!(failure.reason, Reason::Refused);
    assert!(failure.message.contains("record fewer samples"), "{}", failure.message);
}

#[tokio::test]
async fn a_worker_that_is_to_stay_outlives_the_sweep() {
    let coordinator = Coordinator::new();
    coordinator.change(|books| books.finished = true);
    let options = AgentOptions { exit_when_done: false, ..options(1) };
    let (agent, handle) = start(&coordinator, options, no_op());
    coordinator.heartbeats(3).await;
    coordinator.change(|books| books.tasks.extend(tasks(0..1)));
    coordinator.until(|books| !books.reports.is_empty()).await;
    handle.drain();
    assert_eq!(ended(agent).await.unwrap().ok, 1);
}

#[tokio::test]
async fn a_task_that_takes_too_long_is_ended_and_says_so() {
    let coordinator = Coordinator::new();
    let granted = tasks(0..1);
    let slow = granted[0].run_id;
    coordinator.change(|books| {
        books.tasks.extend(granted);
        books.task_timeout = Some(Duration::from_millis(30));
        books.finished = true;
    });
    let (agent, _handle) = start(&coordinator, options(1), Pretend(endless));
    assert_eq!(ended(agent).await.unwrap(), AgentSummary { failed: 1, ..AgentSummary::default() });
    let failure = failure_of(&coordinator, slow);
    assert_eq!(failure.reason, Reason::TimedOut);
    assert!(failure.message.contains("longer than a task may"), "{}", failure.message);
}

#[tokio::test]
async fn a_task_that_does_not_end_is_left_behind_and_another_thread_has_its_slot() {
    let coordinator = Coordinator::new();
    let granted = tasks(0..3);
    let stuck = granted[0].run_id;
    coordinator.change(|books| {
        books.tasks.extend(granted);
        books.task_timeout = Some(Duration::from_millis(30));
        books.finished = true;
    });
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let runner = move |config: &RunConfig, _: &mut dyn Observer| {
        if config.seed == 0 {
            // Looks at nothing.
            let _ = gate.lock().unwrap().recv();
        }
        nothing()
    };
    let options = AgentOptions { patience: Duration::from_millis(10), ..options(1) };
    let (agent, _handle) = start(&coordinator, options, Pretend(runner));
    assert_eq!(ended(agent).await.unwrap(), AgentSummary { ok: 2, failed: 1, ..AgentSummary::default() });
    let failure = failure_of(&coordinator, stuck);
    assert_eq!(failure.reason, Reason::TimedOut);
    assert!(failure.message.contains("its thread is left behind"), "{}", failure.message);
    drop(open);
}

#[tokio::test]
async fn a_heartbeat_says_how_far_a_run_is_and_its_last_loss() {
    let coordinator = Coordinator::new();
    coordinator.change(|books| books.tasks.extend(tasks(0..1)));
    let runner = |_: &RunConfig, observer: &mut dyn Observer| {
        for epoch in 1.. {
            if observer.epoch(&Epoch { epoch, loss: Some(0.25), ..Epoch::default() }).is_break() {
                return Err(EngineError::Cancelled { epoch });
            }
            std::thread::yield_now();
        }
        unreachable!("epochs do not run out")
    };
    let (agent, handle) = start(&coordinator, options(1), Pretend(runner));
    coordinator
        .until(|books| {
            let held = books.heartbeats.last().and_then(|last| last.held.first());
            held.is_some_and(|held| held.epoch > 0 && held.epochs > 0 && held.loss == Some(0.25))
        })
        .await;
    handle.stop();
    ended(agent).await.unwrap();
}
