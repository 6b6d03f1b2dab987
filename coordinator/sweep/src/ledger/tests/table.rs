//! Every state of a task meets every event. The whole table is the specification: a change of it is a decision.

use super::super::*;
use super::{config, finish, join, run_id, task};

const STATES: [&str; 9] = [
    "unknown",
    "queued",
    "returned",
    "leased to a",
    "leased to b",
    "storing result",
    "storing failure",
    "done",
    "failed",
];

/// Reports and heartbeats are worker a's, of attempt 1.
const EVENTS: [&str; 18] = [
    "result",
    "other result",
    "panic",
    "refused",
    "unavailable",
    "handed back",
    "unavailable of attempt 9",
    "listed by a",
    "unlisted by a",
    "silence",
    "a leaves",
    "a leases",
    "a leases, draining",
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
    let mut scene = Scene { ledger, a, receipt: None, now: 0 };
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
    let (id, a) = (run_id(0), scene.a);
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
        "result" => report(&mut scene, 1, Reported::Finished(finish(0))),
        "other result" => report(&mut scene, 1, Reported::Finished(finish(1))),
        "panic" => report(&mut scene, 1, failure(FailureReason::Panic)),
        "refused" => report(&mut scene, 1, failure(FailureReason::Refused)),
        "unavailable" => report(&mut scene, 1, failure(FailureReason::Unavailable)),
        "handed back" => report(&mut scene, 1, failure(FailureReason::HandedBack)),
        "unavailable of attempt 9" => report(&mut scene, 9, failure(FailureReason::Unavailable)),
        "listed by a" => cancelled(beat(&mut scene, &[(id, 1)])),
        "closed, listed by a" => {
            scene.ledger.close();
            cancelled(beat(&mut scene, &[(id, 1)]))
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
        Some(Phase::Leased(holder)) => format!("leased to {}", scene.ledger.worker(holder).unwrap().name),
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
