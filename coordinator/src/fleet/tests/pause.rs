//! A store that fails for a while: the fleet waits, tells nobody that anything is durable, and goes on.

use tokio::sync::oneshot::error::TryRecvError;

use super::super::progress::FleetError;
use super::decisions::{World, finished, indices, world};
use super::*;
use proto::Verdict;
use sweep::ledger::{Millis, WorkerId};

fn full() -> SinkError {
    SinkError::transient("no space left on device")
}

/// A fleet whose only worker has reported two tasks of four, and whose store was full.
fn full_disk() -> (World, WorkerId) {
    let mut world = world(4);
    let worker = world.join(2);
    let mut grant = world.ask(worker, 9);
    let _ = world.advance();
    assert_eq!(indices(&mut grant), [0, 1]);
    let mut acknowledged = world.report(worker, vec![finished(0, 0.5), finished(1, 0.5)]);
    assert_eq!(world.advance().0, Some(vec![0, 1]));
    world.store_failed(full()).unwrap();
    assert_eq!(acknowledged.try_recv(), Err(TryRecvError::Closed), "it is to report again");
    (world, worker)
}

#[test]
fn a_full_disk_pauses_the_sweep_and_it_goes_on_when_there_is_room() {
    let (mut world, worker) = full_disk();
    let mut asked = world.ask(worker, 9);
    let mut again = world.report(worker, vec![finished(0, 0.5), finished(1, 0.5)]);
    assert_eq!(world.advance(), (None, Some(Millis(1_000))), "no part before its time");
    assert!(matches!(asked.try_recv(), Err(TryRecvError::Empty)), "and no tasks");
    world.now = Millis(1_000);
    assert_eq!(world.advance().0, Some(vec![0, 1]));
    assert_eq!(indices(&mut asked), [2, 3]);
    world.stored();
    assert_eq!(again.try_recv(), Ok(vec![Verdict::Stored; 2]));
    assert_eq!(world.dispatcher.progress().counts.ok, 2);
}

#[test]
fn it_may_fail_often_and_every_result_is_stored_once() {
    let (mut world, worker) = full_disk();
    let mut waits = Vec::new();
    for _ in 0..7 {
        let _pending = world.report(worker, vec![finished(0, 0.5), finished(1, 0.5)]);
        let (none, wake) = world.advance();
        assert_eq!(none, None);
        waits.push(wake.unwrap().since(world.now).as_secs());
        world.now = wake.unwrap();
        // Workers are heard of in the meantime.
        world.beat(worker, &[0, 1]);
        assert_eq!(world.advance().0, Some(vec![0, 1]));
        world.store_failed(full()).unwrap();
    }
    // Heartbeats and leases end some waits sooner, never later.
    assert_eq!(waits[..4], [1, 2, 4, 8]);
    world.now = world.now.after(std::time::Duration::from_secs(30));
    world.beat(worker, &[0, 1]);
    let mut acknowledged = world.report(worker, vec![finished(0, 0.5), finished(1, 0.5)]);
    assert_eq!(world.advance().0, Some(vec![0, 1]));
    world.stored();
    assert_eq!(acknowledged.try_recv(), Ok(vec![Verdict::Stored; 2]));
}

#[test]
fn who_waits_for_a_part_that_fails_is_not_told_that_it_is_durable() {
    let mut world = world(4);
    let (worker, other) = (world.join(2), world.join(1));
    let mut grant = world.ask(worker, 9);
    let _ = world.advance();
    assert_eq!(indices(&mut grant), [0, 1]);
    let mut first = world.report(worker, vec![finished(0, 0.5)]);
    assert_eq!(world.advance().0, Some(vec![0]));
    // While the part is being stored, the same result comes again, and another one that belongs to the next part.
    let mut same = world.report(other, vec![finished(0, 0.5)]);
    let mut next = world.report(worker, vec![finished(0, 0.5), finished(1, 0.5)]);
    world.store_failed(full()).unwrap();
    for answer in [&mut first, &mut same, &mut next] {
        assert_eq!(answer.try_recv(), Err(TryRecvError::Closed));
    }
    world.now = Millis(1_000);
    assert_eq!(world.advance().0, Some(vec![1]), "what was gathered is stored; what failed comes again");
    let mut again = world.report(worker, vec![finished(0, 0.5), finished(1, 0.5)]);
    world.stored();
    assert!(matches!(again.try_recv(), Err(TryRecvError::Empty)));
    world.now = Millis(2_000);
    assert_eq!(world.advance().0, Some(vec![0]));
    world.stored();
    assert_eq!(again.try_recv(), Ok(vec![Verdict::Stored, Verdict::Duplicate]));
}

#[test]
fn what_will_not_pass_ends_the_fleet() {
    let mut world = world(1);
    let worker = world.join(1);
    let mut grant = world.ask(worker, 9);
    let _ = world.advance();
    indices(&mut grant);
    let _pending = world.report(worker, vec![finished(0, 0.5)]);
    let _ = world.advance();
    let error = world.store_failed(SinkError::new("permission denied")).unwrap_err();
    assert!(matches!(error, FleetError::Sink(_)), "{error}");
}

#[test]
fn whoever_leaves_does_not_wait_for_room() {
    let (mut world, worker) = full_disk();
    let _pending = world.report(worker, vec![finished(0, 0.5), finished(1, 0.5)]);
    assert_eq!(world.advance().0, None);
    world.dispatcher.control(super::super::message::Control::Drain);
    assert_eq!(world.advance().0, Some(vec![0, 1]), "once more, at once");
    let error = world.store_failed(full()).unwrap_err();
    assert_eq!(error.to_string(), "the results cannot be stored: no space left on device");
}

#[test]
fn a_worker_that_goes_during_a_pause_leaves_its_tasks_to_others() {
    let (mut world, _) = full_disk();
    let other = world.join(2);
    let mut asked = world.ask(other, 9);
    // The first worker's leases run out while nobody has results to try the store with.
    world.now = Millis(120_000);
    world.beat(other, &[]);
    let _ = world.advance();
    let granted = indices(&mut asked);
    assert!(!granted.is_empty());
    let mut acknowledged = world.report(other, granted.iter().map(|index| finished(*index, 0.5)).collect());
    assert_eq!(world.advance().0, Some(granted));
    world.stored();
    assert_eq!(acknowledged.try_recv(), Ok(vec![Verdict::Stored; 2]));
}
