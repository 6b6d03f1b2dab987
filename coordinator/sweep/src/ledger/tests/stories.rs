//! What must hold, told one story at a time.

use std::time::Duration;

use engine::Status;

use super::super::*;
use super::{config, finish, info, join, ledger, run_id, task};

fn numbers(leases: &[Lease]) -> Vec<u64> {
    leases.iter().map(|lease| lease.task.index).collect()
}

fn store(ledger: &mut Ledger, worker: WorkerId, number: u64, attempt: u32) -> Option<Status> {
    match ledger.report(worker, run_id(number), attempt, Reported::Finished(finish(number))) {
        Decision::Store(receipt) => ledger.stored(receipt),
        other => panic!("{other:?}"),
    }
}

fn failed(reason: FailureReason) -> Reported {
    Reported::Failed { reason, message: "no luck".into() }
}

#[test]
fn tasks_are_granted_in_the_order_of_submission_and_what_returns_goes_first() {
    let mut ledger = ledger(6);
    let (a, b) = (join(&mut ledger, 0, "a"), join(&mut ledger, 0, "b"));
    assert_eq!(numbers(&ledger.lease(Millis(0), a, 2).unwrap()), [0, 1]);
    assert_eq!(numbers(&ledger.lease(Millis(0), b, 2).unwrap()), [2, 3]);
    assert_eq!(ledger.leave(a), 2);
    let again = ledger.lease(Millis(0), b, 3).unwrap();
    assert_eq!(numbers(&again), [0, 1, 4]);
    assert_eq!(again.iter().map(|lease| lease.attempt).collect::<Vec<_>>(), [2, 2, 1]);
}

#[test]
fn a_known_task_is_not_submitted_again() {
    let mut ledger = ledger(1);
    assert!(!ledger.submit(task(0)));
    assert_eq!(ledger.counts().submitted, 1);
}

#[test]
fn a_sweep_ends_when_the_plan_is_closed_and_every_task_has_ended() {
    let mut ledger = ledger(1);
    let worker = join(&mut ledger, 0, "a");
    assert!(!ledger.is_finished());
    ledger.lease(Millis(0), worker, 9).unwrap();
    assert_eq!(store(&mut ledger, worker, 0, 1), Some(Status::Ok));
    assert!(ledger.is_settled() && !ledger.is_finished());
    ledger.close();
    assert!(ledger.is_finished());
}

#[test]
fn a_silent_worker_loses_its_leases_at_the_deadline_and_not_before() {
    let mut ledger = ledger(2);
    let worker = join(&mut ledger, 0, "a");
    ledger.lease(Millis(0), worker, 2).unwrap();
    ledger.heartbeat(Millis(5_000), worker, &[(run_id(0), 1), (run_id(1), 1)]).unwrap();
    assert_eq!(ledger.poll_timeout(), Some(Millis(15_000)));
    ledger.handle_timeout(Millis(14_999));
    assert_eq!(ledger.counts().leased, 2);
    ledger.handle_timeout(Millis(15_000));
    assert_eq!((ledger.counts().queued, ledger.counts().lost_leases), (2, 2));
    assert_eq!(ledger.poll_timeout(), None);
    assert_eq!(ledger.heartbeat(Millis(15_001), worker, &[]), Err(UnknownWorker(worker)));
    let facts: Vec<Event> = std::iter::from_fn(|| ledger.poll_event()).collect();
    assert!(matches!(facts[1], Event::LeaseLost { attempt: 1, strikes: 1, .. }), "{facts:?}");
    assert!(matches!(facts[3], Event::WorkerLost { leases: 2, .. }), "{facts:?}");
}

#[test]
fn silence_while_the_coordinator_slept_is_excused() {
    let mut ledger = ledger(1);
    let worker = join(&mut ledger, 0, "a");
    ledger.lease(Millis(0), worker, 1).unwrap();
    ledger.excuse(Millis(3_600_000));
    ledger.handle_timeout(Millis(3_600_000));
    assert_eq!(ledger.counts().leased, 1);
    ledger.check().unwrap();
}

#[test]
fn a_late_result_of_a_lost_lease_wins_and_the_second_worker_is_told() {
    let mut ledger = ledger(1);
    let a = join(&mut ledger, 0, "a");
    ledger.lease(Millis(0), a, 1).unwrap();
    ledger.handle_timeout(Millis(10_000));
    let b = join(&mut ledger, 10_000, "b");
    assert_eq!(ledger.lease(Millis(10_000), b, 1).unwrap()[0].attempt, 2);
    assert_eq!(store(&mut ledger, a, 0, 1), Some(Status::Ok));
    let directives = ledger.heartbeat(Millis(11_000), b, &[(run_id(0), 2)]).unwrap();
    assert_eq!(directives.cancel, [run_id(0)]);
    assert_eq!(ledger.report(b, run_id(0), 2, Reported::Finished(finish(0))), Decision::Duplicate);
    assert_eq!(ledger.counts().duplicates, 1);
}

#[test]
fn a_second_result_that_differs_is_a_conflict_and_the_first_stays() {
    let mut ledger = ledger(1);
    let a = join(&mut ledger, 0, "a");
    assert_eq!(store(&mut ledger, a, 0, 1), Some(Status::Ok));
    assert_eq!(ledger.report(a, run_id(0), 1, Reported::Finished(finish(99))), Decision::Conflict);
    assert_eq!(ledger.phase(run_id(0)), Some(Phase::Done(finish(0))));
    assert_eq!(ledger.counts().conflicts, 1);
}

#[test]
fn a_task_that_loses_three_workers_is_given_up_and_a_late_result_still_supersedes_that() {
    let mut ledger = ledger(1);
    let mut first = None;
    for round in 0..3 {
        let worker = join(&mut ledger, round * 10_000, "a");
        first.get_or_insert(worker);
        assert_eq!(ledger.lease(Millis(round * 10_000), worker, 1).unwrap().len(), 1);
        ledger.handle_timeout(Millis(round * 10_000 + 10_000));
    }
    let gave_up = std::iter::from_fn(|| ledger.poll_event()).find_map(|event| match event {
        Event::GaveUp { receipt, attempt, message } => Some((receipt, attempt, message)),
        _ => None,
    });
    let (receipt, attempt, message) = gave_up.unwrap();
    assert_eq!((receipt.task(), attempt), (task(0), 3));
    assert!(message.contains("3 attempts") && message.contains("a on host"), "{message}");
    assert!(!ledger.is_settled());
    assert_eq!(ledger.stored(receipt), Some(Status::Failed));
    assert_eq!(ledger.counts().failed, 1);
    assert_eq!(store(&mut ledger, first.unwrap(), 0, 1), Some(Status::Ok));
    assert_eq!((ledger.counts().failed, ledger.counts().ok), (0, 1));
}

#[test]
fn a_result_that_comes_while_the_failure_is_being_stored_wins() {
    let mut ledger = ledger(1);
    let a = join(&mut ledger, 0, "a");
    ledger.lease(Millis(0), a, 1).unwrap();
    let Decision::GiveUp { receipt: failure, message } = ledger.report(a, run_id(0), 1, failed(FailureReason::Panic))
    else {
        panic!("a panic is not retried")
    };
    assert_eq!(message, "panicked: no luck");
    let Decision::Store(result) = ledger.report(a, run_id(0), 1, Reported::Finished(finish(0))) else {
        panic!("a result is better than a failure")
    };
    assert_eq!(ledger.stored(failure), None);
    assert_eq!(ledger.phase(run_id(0)), Some(Phase::Storing));
    assert_eq!(ledger.stored(result), Some(Status::Ok));
}

#[test]
fn unavailable_counts_and_handing_back_does_not() {
    let mut ledger = ledger(1);
    let a = join(&mut ledger, 0, "a");
    for attempt in 1..=5 {
        ledger.lease(Millis(0), a, 1).unwrap();
        assert_eq!(ledger.report(a, run_id(0), attempt, failed(FailureReason::HandedBack)), Decision::Retry);
    }
    for attempt in 6..=8 {
        ledger.lease(Millis(0), a, 1).unwrap();
        let decision = ledger.report(a, run_id(0), attempt, failed(FailureReason::Unavailable));
        match decision {
            Decision::GiveUp { message, .. } => {
                assert_eq!((attempt, &*message), (8, "given up after 3 attempts: no luck"));
            }
            other => assert_eq!((attempt < 8, other), (true, Decision::Retry)),
        }
    }
}

#[test]
fn strikes_survive_a_restart() {
    let mut ledger = Ledger::new(config());
    ledger.submit_with_strikes(task(0), 2);
    let a = join(&mut ledger, 0, "a");
    assert_eq!(ledger.lease(Millis(0), a, 1).unwrap()[0].attempt, 3);
    ledger.handle_timeout(Millis(10_000));
    assert_eq!(ledger.phase(run_id(0)), Some(Phase::Storing));
}

#[test]
fn a_lease_that_the_worker_does_not_know_of_returns_at_the_second_heartbeat_after_its_grace() {
    let mut ledger = ledger(2);
    let a = join(&mut ledger, 0, "a");
    ledger.lease(Millis(0), a, 2).unwrap();
    let held = [(run_id(1), 1)];
    for now in [2_000, 3_999, 4_000] {
        ledger.heartbeat(Millis(now), a, &held).unwrap();
        assert_eq!(ledger.phase(run_id(0)), Some(Phase::Leased(a)), "{now}");
    }
    ledger.heartbeat(Millis(6_000), a, &held).unwrap();
    assert_eq!(ledger.phase(run_id(0)), Some(Phase::Queued));
    assert_eq!(ledger.phase(run_id(1)), Some(Phase::Leased(a)));
}

#[test]
fn a_worker_that_comes_back_with_its_work_keeps_it() {
    // Its lease was lost, and nobody else has begun.
    let mut ledger = ledger(2);
    let a = join(&mut ledger, 0, "a");
    ledger.lease(Millis(0), a, 1).unwrap();
    ledger.handle_timeout(Millis(10_000));
    let again = join(&mut ledger, 11_000, "a");
    // Task 1 was never granted here: an earlier coordinator did that.
    ledger.heartbeat(Millis(11_000), again, &[(run_id(0), 1), (run_id(1), 4)]).unwrap();
    assert_eq!(ledger.phase(run_id(0)), Some(Phase::Leased(again)));
    assert_eq!(ledger.phase(run_id(1)), Some(Phase::Leased(again)));
    assert_eq!(ledger.lease(Millis(11_000), again, 9).unwrap(), []);
    ledger.leave(again);
    let b = join(&mut ledger, 11_000, "b");
    let attempts: Vec<u32> = ledger.lease(Millis(11_000), b, 9).unwrap().iter().map(|lease| lease.attempt).collect();
    assert_eq!(attempts, [2, 5]);
    ledger.check().unwrap();
}

#[test]
fn a_worker_that_holds_only_the_report_of_a_failure_gets_no_lease_for_that() {
    let mut ledger = ledger(1);
    let a = join(&mut ledger, 0, "a");
    ledger.lease(Millis(0), a, 1).unwrap();
    assert_eq!(ledger.report(a, run_id(0), 1, failed(FailureReason::HandedBack)), Decision::Retry);
    ledger.heartbeat(Millis(0), a, &[(run_id(0), 1)]).unwrap();
    assert_eq!(ledger.phase(run_id(0)), Some(Phase::Queued));
}

#[test]
fn an_attempt_older_than_the_latest_gets_no_lease() {
    let mut ledger = ledger(1);
    let (a, b) = (join(&mut ledger, 0, "a"), join(&mut ledger, 0, "b"));
    ledger.lease(Millis(0), a, 1).unwrap();
    ledger.heartbeat(Millis(5_000), a, &[]).unwrap();
    ledger.heartbeat(Millis(9_000), a, &[]).unwrap();
    assert_eq!(ledger.lease(Millis(9_000), b, 1).unwrap()[0].attempt, 2);
    ledger.leave(b);
    ledger.heartbeat(Millis(9_000), a, &[(run_id(0), 1)]).unwrap();
    assert_eq!(ledger.phase(run_id(0)), Some(Phase::Queued));
}

#[test]
fn a_result_that_lacks_what_an_earlier_coordinator_did_not_record_costs_no_attempt() {
    let mut ledger = ledger(1);
    let worker = join(&mut ledger, 0, "a");
    // It comes with what it did for another coordinator...
    ledger.heartbeat(Millis(0), worker, &[(run_id(0), 1)]).unwrap();
    assert_eq!(ledger.report(worker, run_id(0), 1, failed(FailureReason::Incomplete)), Decision::Retry);
    assert_eq!(ledger.strikes().count(), 0);
    // ...and is now told what is wanted. A worker that goes on like that is not to go on for ever.
    for attempt in 2..4 {
        assert_eq!(ledger.lease(Millis(0), worker, 1).unwrap()[0].attempt, attempt);
        assert_eq!(ledger.report(worker, run_id(0), attempt, failed(FailureReason::Incomplete)), Decision::Retry);
        assert_eq!(ledger.strikes().next(), Some((run_id(0), attempt as u16 - 1)));
    }
    ledger.lease(Millis(0), worker, 1).unwrap();
    let last = ledger.report(worker, run_id(0), 4, failed(FailureReason::Incomplete));
    assert!(matches!(last, Decision::GiveUp { .. }), "{last:?}");
}

#[test]
fn attempts_have_numbers_of_their_own_whatever_workers_make_up() {
    let mut ledger = ledger(1);
    let worker = join(&mut ledger, 0, "a");
    ledger.heartbeat(Millis(0), worker, &[(run_id(0), u32::MAX)]).unwrap();
    assert_eq!(ledger.leave(worker), 1);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let worker = join(&mut ledger, 0, "b");
        seen.extend(ledger.lease(Millis(0), worker, 1).unwrap().iter().map(|lease| lease.attempt));
        ledger.leave(worker);
    }
    seen.dedup();
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn what_the_finished_plan_does_not_have_is_cancelled() {
    let mut ledger = ledger(0);
    let a = join(&mut ledger, 0, "a");
    assert!(ledger.heartbeat(Millis(0), a, &[(run_id(9), 1)]).unwrap().cancel.is_empty());
    ledger.close();
    assert_eq!(ledger.heartbeat(Millis(0), a, &[(run_id(9), 1)]).unwrap().cancel, [run_id(9)]);
}

#[test]
fn a_draining_ledger_grants_nothing_and_settles() {
    let mut ledger = ledger(2);
    let a = join(&mut ledger, 0, "a");
    ledger.lease(Millis(0), a, 1).unwrap();
    ledger.drain();
    assert_eq!(ledger.lease(Millis(0), a, 1), Ok(Vec::new()));
    let told = ledger.heartbeat(Millis(0), a, &[(run_id(0), 1)]).unwrap();
    assert!(told.drain && !told.finished);
    assert!(!ledger.is_settled());
    assert_eq!(store(&mut ledger, a, 0, 1), Some(Status::Ok));
    assert!(ledger.is_settled() && !ledger.is_finished());
}

#[test]
fn a_report_that_could_not_be_stored_is_stored_when_it_comes_again() {
    let mut ledger = ledger(1);
    let a = join(&mut ledger, 0, "a");
    ledger.lease(Millis(0), a, 1).unwrap();
    let report = Reported::Finished(finish(0));
    let Decision::Store(receipt) = ledger.report(a, run_id(0), 1, report.clone()) else { panic!() };
    assert_eq!(ledger.report(a, run_id(0), 1, report), Decision::Wait);
    ledger.store_failed(Millis(0), receipt);
    assert_eq!(ledger.phase(run_id(0)), Some(Phase::Leased(a)));
    assert_eq!(ledger.stored(receipt), None, "the receipt has had its day");
    assert_eq!(store(&mut ledger, a, 0, 1), Some(Status::Ok));
}

#[test]
fn a_late_result_that_could_not_be_stored_leaves_the_failure_in_place() {
    let mut ledger = ledger(1);
    let a = join(&mut ledger, 0, "a");
    ledger.lease(Millis(0), a, 1).unwrap();
    let Decision::GiveUp { receipt, .. } = ledger.report(a, run_id(0), 1, failed(FailureReason::Refused)) else {
        panic!()
    };
    ledger.stored(receipt);
    let Decision::Store(receipt) = ledger.report(a, run_id(0), 1, Reported::Finished(finish(0))) else { panic!() };
    ledger.store_failed(Millis(0), receipt);
    assert_eq!(ledger.phase(run_id(0)), Some(Phase::Failed));
    assert_eq!(store(&mut ledger, a, 0, 1), Some(Status::Ok));
}

#[test]
fn workers_and_their_leases_are_bounded() {
    let mut ledger = ledger(100);
    let a = join(&mut ledger, 0, "a");
    assert_eq!(ledger.lease(Millis(0), a, usize::MAX).unwrap().len(), 64);
    for _ in 1..8 {
        join(&mut ledger, 0, "b");
    }
    assert_eq!(ledger.join(Millis(0), info("one too many")), Err(TooManyWorkers { limit: 8 }));
}

#[test]
fn worker_ids_are_not_another_coordinators() {
    let ids = [7, 8].map(|incarnation| {
        let mut ledger = Ledger::new(LedgerConfig { incarnation, ..config() });
        join(&mut ledger, 0, "a")
    });
    assert_ne!(ids[0], ids[1]);
}

/// A million tasks go through: not a benchmark, but neither quadratic time nor unbounded memory would pass.
#[test]
fn a_million_tasks_are_no_effort() {
    let mut ledger = ledger(1_000_000);
    ledger.close();
    let workers: Vec<WorkerId> = (0..8).map(|_| join(&mut ledger, 0, "a")).collect();
    let mut now = 0;
    while !ledger.is_finished() {
        now += 1;
        for &worker in &workers {
            let leases = ledger.lease(Millis(now), worker, 64).unwrap();
            let held: Vec<_> = leases.iter().map(|lease| (lease.task.run_id, lease.attempt)).collect();
            ledger.heartbeat(Millis(now), worker, &held).unwrap();
            ledger.handle_timeout(Millis(now));
            for lease in leases {
                store(&mut ledger, worker, lease.task.index, lease.attempt);
            }
        }
    }
    assert_eq!(ledger.counts().ok, 1_000_000);
}

#[test]
fn the_slowest_lease_is_backed_up_by_another_worker_and_the_first_to_finish_wins() {
    let mut ledger = ledger(2);
    let (a, b) = (join(&mut ledger, 0, "a"), join(&mut ledger, 0, "b"));
    ledger.lease(Millis(0), a, 1).unwrap();
    ledger.lease(Millis(5_000), a, 1).unwrap();
    let slow = |ledger: &Ledger, age| ledger.slow(Millis(8_000), |_, lease| lease >= Duration::from_millis(age));
    assert_eq!(slow(&ledger, 1_000), [(run_id(0), a), (run_id(1), a)], "the oldest first");
    assert_eq!(slow(&ledger, 4_000), [(run_id(0), a)]);
    assert_eq!(ledger.back_up(Millis(8_000), a, run_id(0)), Ok(None), "it is its own");
    assert_eq!(ledger.back_up(Millis(8_000), b, run_id(0)).unwrap().unwrap().attempt, 2);
    assert_eq!(slow(&ledger, 4_000), [], "one backup is enough");
    assert_eq!(store(&mut ledger, b, 0, 2), Some(Status::Ok));
    let directives = ledger.heartbeat(Millis(9_000), a, &[(run_id(0), 1), (run_id(1), 1)]).unwrap();
    assert_eq!(directives.cancel, [run_id(0)], "the loser is cancelled");
    ledger.check().unwrap();
}

#[test]
fn a_backups_failure_costs_nothing_and_a_lost_lease_leaves_its_place_to_the_backup() {
    let mut ledger = ledger(1);
    let (a, b) = (join(&mut ledger, 0, "a"), join(&mut ledger, 0, "b"));
    ledger.lease(Millis(0), a, 1).unwrap();
    for attempt in [2, 3] {
        assert_eq!(ledger.back_up(Millis(0), b, run_id(0)).unwrap().unwrap().attempt, attempt);
        assert_eq!(ledger.report(b, run_id(0), attempt, failed(FailureReason::Panic)), Decision::Retry);
        assert_eq!((ledger.phase(run_id(0)), ledger.strikes().count()), (Some(Phase::Leased(a)), 0));
    }
    ledger.back_up(Millis(0), b, run_id(0)).unwrap().unwrap();
    ledger.heartbeat(Millis(8_000), b, &[(run_id(0), 4)]).unwrap();
    ledger.handle_timeout(Millis(10_000));
    assert_eq!(ledger.phase(run_id(0)), Some(Phase::Leased(b)));
    assert_eq!(ledger.strikes().collect::<Vec<_>>(), [(run_id(0), 1)], "the lost one counts");
    ledger.check().unwrap();
    assert_eq!(ledger.report(b, run_id(0), 4, failed(FailureReason::HandedBack)), Decision::Retry);
    assert_eq!(ledger.phase(run_id(0)), Some(Phase::Queued));
}

#[test]
fn strikes_are_told_until_the_task_has_ended() {
    let mut ledger = Ledger::new(config());
    ledger.submit_with_strikes(task(0), 1);
    ledger.submit(task(1));
    let told = |ledger: &Ledger| ledger.strikes().collect::<Vec<_>>();
    assert_eq!((told(&ledger), ledger.strike_changes()), (vec![(run_id(0), 1)], 0));
    let a = join(&mut ledger, 0, "a");
    ledger.lease(Millis(0), a, 2).unwrap();
    assert_eq!(ledger.report(a, run_id(1), 1, failed(FailureReason::TimedOut)), Decision::Retry);
    assert_eq!((told(&ledger), ledger.strike_changes()), (vec![(run_id(0), 1), (run_id(1), 1)], 1));
    assert_eq!(store(&mut ledger, a, 0, 2), Some(Status::Ok));
    assert_eq!((told(&ledger), ledger.strike_changes()), (vec![(run_id(1), 1)], 2));
}

#[test]
fn a_task_that_times_out_on_whoever_runs_it_is_given_up_backups_or_not() {
    let mut ledger = ledger(1);
    let workers = [join(&mut ledger, 0, "a"), join(&mut ledger, 0, "b")];
    let mut attempt = ledger.lease(Millis(0), workers[0], 1).unwrap()[0].attempt;
    for round in 0..3 {
        let [first, second] = [workers[round % 2], workers[(round + 1) % 2]];
        let backup = ledger.back_up(Millis(0), second, run_id(0)).unwrap().unwrap();
        let decision = ledger.report(first, run_id(0), attempt, failed(FailureReason::TimedOut));
        assert_eq!(matches!(decision, Decision::GiveUp { .. }), round == 2, "round {round}: {decision:?}");
        attempt = backup.attempt;
    }
}

#[test]
fn when_everything_has_ended_whoever_is_still_at_work_is_told_to_stop() {
    let mut ledger = ledger(1);
    ledger.close();
    let (a, b) = (join(&mut ledger, 0, "a"), join(&mut ledger, 0, "b"));
    ledger.lease(Millis(0), a, 1).unwrap();
    ledger.back_up(Millis(0), b, run_id(0)).unwrap().unwrap();
    let Decision::GiveUp { receipt, .. } = ledger.report(a, run_id(0), 1, failed(FailureReason::Panic)) else {
        panic!()
    };
    let before = ledger.heartbeat(Millis(0), b, &[(run_id(0), 2)]).unwrap();
    assert!(!before.drain && before.cancel.is_empty(), "its result would still be better than a failure");
    ledger.stored(receipt);
    let after = ledger.heartbeat(Millis(0), b, &[(run_id(0), 2)]).unwrap();
    assert!(after.drain && after.finished && after.cancel == [run_id(0)]);
}
