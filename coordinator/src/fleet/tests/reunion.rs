//! A coordinator that follows on one that did not end in order: nobody is granted what another holds.

use results::Handover;
use sweep::ledger::{Millis, Phase};
use tokio::sync::oneshot::error::TryRecvError;

use super::decisions::{World, finished, indices, world, world_after};
use super::*;
use proto::Verdict;

/// Four tasks; workers a and b were at work.
fn restarted() -> World {
    let workers = ["a on host", "b on host"].map(str::to_owned).into();
    world_after(numbers(4), Handover { workers, ..Handover::default() })
}

#[test]
fn who_comes_back_first_is_not_granted_what_another_has_finished() {
    let mut world = restarted();
    let a = world.join_as("a", 2, true);
    let mut asked = world.ask(a, 9);
    let embedded = world.join(2);
    let mut at_once = world.ask(embedded, 9);
    assert_eq!(world.advance().1, Some(Millis(15_000)));
    assert!(matches!(asked.try_recv(), Err(TryRecvError::Empty)), "b has yet to say what it holds");
    assert!(matches!(at_once.try_recv(), Err(TryRecvError::Empty)), "and the slots of this process wait, too");
    world.now = Millis(3_000);
    let b = world.join_as("b", 2, true);
    world.beat(b, &[0, 1]);
    let mut acknowledged = world.report(b, vec![finished(0, 0.5), finished(1, 0.5)]);
    assert_eq!(world.advance().0, Some(vec![0, 1]));
    assert_eq!(indices(&mut asked), [2, 3], "all that nobody holds, and at once");
    world.stored();
    assert_eq!(acknowledged.try_recv(), Ok(vec![Verdict::Stored; 2]));
    let counts = world.dispatcher.progress().counts;
    assert_eq!((counts.ok, counts.duplicates), (2, 0));
}

#[test]
fn who_does_not_come_back_is_not_waited_for_for_ever() {
    let mut world = restarted();
    let a = world.join_as("a", 2, true);
    let mut asked = world.ask(a, 9);
    world.now = Millis(14_999);
    world.beat(a, &[]);
    let _ = world.advance();
    assert!(matches!(asked.try_recv(), Err(TryRecvError::Empty)));
    world.now = Millis(15_000);
    let _ = world.advance();
    assert_eq!(indices(&mut asked), [0, 1]);
    // What it holds is still its own if it comes after all.
    let b = world.join_as("b", 1, true);
    world.beat(b, &[2]);
    let phase = world.dispatcher.ledger().phase(task(2).run_id);
    assert_eq!(phase, Some(Phase::Leased(b)));
}

#[test]
fn a_process_of_the_same_name_that_holds_nothing_is_the_one_that_was_waited_for() {
    let mut world = restarted();
    let (a, b) = (world.join_as("a", 1, true), world.join_as("b", 1, true));
    let (mut first, mut second) = (world.ask(a, 9), world.ask(b, 9));
    let _ = world.advance();
    assert_eq!((indices(&mut first), indices(&mut second)), (vec![0], vec![1]));
}

#[test]
fn nobody_waits_after_an_end_in_order() {
    let mut world = world(1);
    let worker = world.join_as("a", 1, true);
    let mut asked = world.ask(worker, 9);
    let _ = world.advance();
    assert_eq!(indices(&mut asked), [0]);
}
