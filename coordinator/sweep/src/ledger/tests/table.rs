//! Every state of a task meets every event. The whole table is the specification: a change of it is a decision.

use super::super::*;
use super::{config, finish, join, run_id, task};

const STATES: [&str; 11] = [
    "unknown",
    "queued",
    "returned",
    "leased to a",
    "leased to b",
    "leased to a, backed up by b",
    "leased to b, backed up by a",
    "storing result",
    "storing failure",
    "done",
    "failed",
];

/// Reports and heartbeats are worker a's, of its own attempt.
const EVENTS: [&str; 21] = [
    "result",
    "other result",
    "panic",
    "refused",
    "unavailable",
    "timed out",
    "incomplete",
    "handed back",
    "unavailable of attempt 9",
    "listed by a",
    "unlisted by a",
    "silence",
    "a leaves",
    "a leases",
    "a leases, draining",
    "a backs up",
    "stored",
    "store failed",
    "a leaves, store failed",
    "submitted",
    "closed, listed by a",
];

struct Scene {
    ledger: Ledger,
    a: WorkerId,
    receipt: Option<Receipt>,
    now: u64,
    attempt: u32,
}

fn beat(scene: &mut Scene, held: &[(RunId, u32)]) -> Vec<RunId> {
    scene.now += 5_000;
    scene.ledger.heartbeat(Millis(scene.now), scene.a, held).unwrap().cancel
}

fn panicked() -> Reported {
    Reported::Failed { reason: FailureReason::Panic, message: String::new() }
}

fn scene(state: &str) -> Scene {
    let mut ledger = Ledger::new(config());
    let a = join(&mut ledger, 0, "a");
    let mut scene = Scene { ledger, a, receipt: None, now: 0, attempt: 1 };
    if state == "unknown" {
        return scene;
    }
    scene.ledger.submit(task(0));
    if state == "queued" {
        return scene;
    }
    scene.ledger.lease(Millis(0), a, 1).unwrap();
    match state {
        "leased to a" => {}
        "leased to a, backed up by b" => {
            let b = join(&mut scene.ledger, 0, "b");
            scene.ledger.back_up(Millis(0), b, run_id(0)).unwrap().unwrap();
        }
        "leased to b, backed up by a" => {
            let b = join(&mut scene.ledger, 0, "b");
            scene.ledger.back_up(Millis(0), b, run_id(0)).unwrap().unwrap();
            scene.ledger.leave(a);
            let again = join(&mut scene.ledger, 0, "a");
            let lease = scene.ledger.back_up(Millis(0), again, run_id(0)).unwrap().unwrap();
            (scene.a, scene.attempt) = (again, lease.attempt);
        }
        "returned" | "leased to b" => {
            beat(&mut scene, &[]);
            beat(&mut scene, &[]);
            if state == "leased to b" {
                let b = join(&mut scene.ledger, scene.now, "b");
                scene.ledger.lease(Millis(scene.now), b, 1).unwrap();
            }
        }
        "storing result" | "done" | "storing failure" | "failed" => {
            let report =
                if state.ends_with("result") || state == "done" { Reported::Finished(finish(0)) } else { panicked() };
            let (Decision::Store(receipt) | Decision::GiveUp { receipt, .. }) =
                scene.ledger.report(a, run_id(0), 1, report)
            else {
                panic!("{state}")
            };
            scene.receipt = Some(receipt);
            if state == "done" || state == "failed" {
                scene.ledger.stored(receipt);
            }
        }
        other => panic!("no state {other}"),
    }
    scene
}

/// What is answered, and where the task is then.
fn outcome(state: &str, event: &str) -> String {
    let mut scene = scene(state);
    let (id, a, own) = (run_id(0), scene.a, scene.attempt);
    let failure = |reason| Reported::Failed { reason, message: String::new() };
    let report = |scene: &mut Scene, attempt, reported| {
        let answer = match scene.ledger.report(a, id, attempt, reported) {
            Decision::Store(_) => "store",
            Decision::GiveUp { .. } => "give up",
            Decision::Wait => "wait",
            Decision::Duplicate => "duplicate",
            Decision::Conflict => "conflict",
            Decision::Retry => "retry",
            Decision::Stale => "stale",
            Decision::Unknown => "unknown",
        };
        answer.to_owned()
    };
    let cancelled = |cancel: Vec<RunId>| if cancel.is_empty() { "" } else { "cancel" }.to_owned();
    let answer = match event {
        "result" => report(&mut scene, own, Reported::Finished(finish(0))),
        "other result" => report(&mut scene, own, Reported::Finished(finish(1))),
        "panic" => report(&mut scene, own, failure(FailureReason::Panic)),
        "refused" => report(&mut scene, own, failure(FailureReason::Refused)),
        "unavailable" => report(&mut scene, own, failure(FailureReason::Unavailable)),
        "timed out" => report(&mut scene, own, failure(FailureReason::TimedOut)),
        "incomplete" => report(&mut scene, own, failure(FailureReason::Incomplete)),
        "handed back" => report(&mut scene, own, failure(FailureReason::HandedBack)),
        "unavailable of attempt 9" => report(&mut scene, 9, failure(FailureReason::Unavailable)),
        "listed by a" => cancelled(beat(&mut scene, &[(id, own)])),
        "closed, listed by a" => {
            scene.ledger.close();
            cancelled(beat(&mut scene, &[(id, own)]))
        }
        "unlisted by a" => {
            beat(&mut scene, &[]);
            cancelled(beat(&mut scene, &[]))
        }
        "silence" => {
            scene.ledger.handle_timeout(Millis(1_000_000));
            String::new()
        }
        "a leaves" => {
            scene.ledger.leave(a);
            String::new()
        }
        "a leases" => format!("{} granted", scene.ledger.lease(Millis(scene.now), a, 9).unwrap().len()),
        "a leases, draining" => {
            scene.ledger.drain();
            format!("{} granted", scene.ledger.lease(Millis(scene.now), a, 9).unwrap().len())
        }
        "a backs up" => match scene.ledger.back_up(Millis(scene.now), a, id).unwrap() {
            Some(_) => "granted",
            None => "no",
        }
        .to_owned(),
        "stored" => match scene.receipt {
            Some(receipt) => scene.ledger.stored(receipt).map_or("no", |status| status.word()).to_owned(),
            None => "-".to_owned(),
        },
        "store failed" | "a leaves, store failed" => {
            if event.starts_with('a') {
                scene.ledger.leave(a);
            }
            scene.receipt.into_iter().for_each(|receipt| scene.ledger.store_failed(Millis(scene.now), receipt));
            String::new()
        }
        "submitted" => if scene.ledger.submit(task(0)) { "new" } else { "known" }.to_owned(),
        other => panic!("no event {other}"),
    };
    scene.ledger.check().unwrap_or_else(|broken| panic!("{state}, {event}: {broken}"));
    let phase = match scene.ledger.phase(id) {
        None => "nowhere".to_owned(),
        Some(Phase::Leased(holder)) => {
            let name = |worker| &scene.ledger.worker(worker).unwrap().name;
            let backup = scene.ledger.backups.values().next().map(|second| format!(", backed up by {}", name(*second)));
            format!("leased to {}{}", name(holder), backup.unwrap_or_default())
        }
        Some(Phase::Queued) => "queued".to_owned(),
        Some(Phase::Storing) => "storing".to_owned(),
        Some(Phase::Done(_)) => "done".to_owned(),
        Some(Phase::Failed) => "failed".to_owned(),
    };
    format!("{answer}{}→ {phase}", if answer.is_empty() { "" } else { " " })
}

#[test]
fn every_state_meets_every_event() {
    let mut table = String::new();
    for state in STATES {
        table += &format!("{state}\n");
        for event in EVENTS {
            table += &format!("    {event:25} {}\n", outcome(state, event));
        }
    }
    let expected = include_str!("table.txt");
    if table != expected {
        let wrong = table.lines().zip(expected.lines()).find(|(is, should)| is != should);
        panic!("the table differs, first in {wrong:?}:\n{table}");
    }
}
