//! What is left to a later coordinator: who works, and what counts against tasks that have not ended.

use std::time::Duration;

use proto::Reason;
use results::Handover;
use sweep::ledger::Millis;

use super::super::dispatcher::Step;
use super::super::group::Kept;
use super::super::message::LeaseReply;
use super::decisions::{World, failed, finished, indices, world, world_after, world_waiting};
use super::*;
use proto::Verdict;

fn handover(strikes: &[(u64, u16)], workers: &[&str]) -> Handover {
    Handover {
        strikes: strikes.iter().map(|(index, count)| (task(*index).run_id, *count)).collect(),
        workers: workers.iter().map(|worker| format!("{worker} on host")).collect(),
    }
}

impl World {
    /// What the next part has for a later coordinator.
    fn handed_over(&mut self) -> Option<Handover> {
        match self.dispatcher.advance(self.now).unwrap() {
            Step::Go { part, .. } => part.and_then(|mut part| part.take_handover()),
            Step::End => panic!("it is not over"),
        }
    }
}

#[test]
fn workers_that_outlive_the_coordinator_are_known_until_they_go_or_all_is_done() {
    let mut world = world(2);
    world.join(2);
    assert_eq!(world.handed_over(), None, "its own slots end with it");
    let a = world.join_as("a", 1, true);
    let mut asked = world.ask(a, 9);
    assert_eq!(world.handed_over(), Some(handover(&[], &["a"])));
    world.stored();
    assert_eq!(indices(&mut asked), [0]);
    world.join_as("b", 1, true);
    assert_eq!(world.handed_over(), None, "at most once a second");
    world.now = Millis(1_000);
    assert_eq!(world.handed_over(), Some(handover(&[], &["a", "b"])));
    world.stored();
    // Nobody hears of b again.
    for second in 2..31 {
        world.now = Millis(second * 1_000);
        world.beat(a, &[0]);
    }
    assert_eq!(world.handed_over(), Some(handover(&[], &["a"])));
    world.stored();
    drop(world.report(a, vec![finished(0, 0.5), finished(1, 0.5)]));
    world.now = Millis(40_000);
    assert_eq!(world.handed_over(), None);
    world.stored();
    assert_eq!(world.handed_over(), Some(Handover::default()), "nobody holds anything now");
    world.stored();
}

#[test]
fn an_earlier_coordinators_strikes_go_when_their_tasks_are_in_no_plan() {
    // Tasks 7 and 8 are done, so that they are not planned again.
    let mut world = world_after(numbers(2), handover(&[(1, 1), (7, 2), (8, 1)], &[]));
    world.join(1);
    assert_eq!(world.handed_over(), Some(handover(&[(1, 1)], &[])));
}

#[test]
fn who_cannot_come_to_this_coordinator_stays_known_to_the_next_until_all_is_done() {
    let mut world = world_waiting(numbers(1), handover(&[], &["a"]), Duration::ZERO);
    let worker = world.join(1);
    let mut asked = world.ask(worker, 9);
    assert_eq!(world.handed_over(), None, "nothing has changed");
    assert_eq!(indices(&mut asked), [0], "nobody is waited for");
    drop(world.report(worker, vec![failed(0, 1, Reason::Unavailable)]));
    assert_eq!(world.handed_over(), Some(handover(&[(0, 1)], &["a"])));
    world.stored();
    let mut asked = world.ask(worker, 9);
    let _ = world.advance();
    assert_eq!(indices(&mut asked), [0]);
    drop(world.report(worker, vec![finished(0, 0.5)]));
    assert_eq!(world.handed_over(), None, "the result first");
    world.stored();
    assert_eq!(world.handed_over(), Some(Handover::default()));
}

#[test]
fn what_will_not_be_kept_ends_nothing_and_is_tried_again() {
    let mut world = world(3);
    let worker = world.join_as("a", 1, true);
    let refused = || Kept { records: Ok(()), handover: Err(SinkError::new("permission denied")) };
    assert_eq!(world.handed_over(), Some(handover(&[], &["a"])));
    world.dispatcher.part_ended(world.now, refused()).unwrap();
    let mut asked = world.ask(worker, 9);
    let _ = world.advance();
    assert_eq!(indices(&mut asked), [0], "no pause");
    let mut acknowledged = world.report(worker, vec![finished(0, 0.5)]);
    world.now = Millis(999);
    assert_eq!(world.advance().0, None);
    world.now = Millis(1_000);
    let Step::Go { part: Some(mut part), .. } = world.dispatcher.advance(world.now).unwrap() else { panic!() };
    assert_eq!(part.take_handover(), Some(handover(&[], &["a"])), "once more, with what there is to store");
    world.dispatcher.part_ended(world.now, refused()).unwrap();
    assert_eq!(acknowledged.try_recv(), Ok(vec![Verdict::Stored]), "results go on");
    let reports = vec![finished(1, 0.5), finished(2, 0.5)];
    let mut last = world.report(worker, reports);
    world.now = Millis(2_000);
    assert_eq!(world.advance().0, Some(vec![1, 2]));
    world.dispatcher.part_ended(world.now, refused()).unwrap();
    assert_eq!(last.try_recv(), Ok(vec![Verdict::Stored; 2]));
    assert!(matches!(world.ask(worker, 9).try_recv(), Ok(LeaseReply::Finished)));
    assert!(matches!(world.dispatcher.advance(world.now), Ok(Step::End)), "the end does not wait for it");
}

#[test]
fn the_end_waits_until_strikes_that_are_past_are_dropped() {
    let mut world = world(1);
    let worker = world.join(1);
    let mut asked = world.ask(worker, 9);
    let _ = world.advance();
    assert_eq!(indices(&mut asked), [0]);
    drop(world.report(worker, vec![failed(0, 1, Reason::Unavailable)]));
    assert_eq!(world.handed_over(), Some(handover(&[(0, 1)], &[])));
    world.stored();
    let mut asked = world.ask(worker, 9);
    let _ = world.advance();
    assert_eq!(indices(&mut asked), [0]);
    drop(world.report(worker, vec![finished(0, 0.5)]));
    assert_eq!(world.handed_over(), None, "the result first");
    world.stored();
    assert_eq!(world.handed_over(), Some(Handover::default()));
    world.stored();
    assert!(matches!(world.ask(worker, 9).try_recv(), Ok(LeaseReply::Finished)));
    assert!(matches!(world.dispatcher.advance(world.now), Ok(Step::End)));
}
