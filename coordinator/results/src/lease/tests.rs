//! A bucket's lock, on objects in memory.

use object_store::memory::InMemory;

use super::*;
use crate::line::{Fault, Line};

const KEY: &str = "locks/sweep.json";

/// Time enough for every test, renewals one after the other.
const BRISK: Terms =
    Terms { ttl: Duration::from_secs(600), renewal: Duration::from_millis(2), look: Duration::from_millis(1) };

/// A lease of whose holder nothing is heard any more is over at once.
const OVER: Terms = Terms { ttl: Duration::from_millis(20), renewal: Duration::from_secs(600), ..BRISK };

fn folder(objects: &Arc<InMemory>) -> Folder {
    Folder::in_memory(Arc::clone(objects))
}

fn claim(folder: &Folder) -> Claim {
    serde_json::from_slice(&folder.read(KEY).unwrap()).unwrap()
}

#[test]
fn who_comes_while_it_is_renewed_hears_who_holds_it() {
    let objects = Arc::default();
    let (first, second) = (folder(&objects), folder(&objects));
    let held = Lease::take(&first, KEY, BRISK).unwrap();
    let error = Lease::take(&second, KEY, BRISK).unwrap_err();
    let StoreError::Locked { holder, .. } = error else { panic!("{error}") };
    assert_eq!(holder.pid, std::process::id());
    let error = none_is_held(&second, vec![KEY.to_owned()], BRISK).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    drop(held);
    assert_eq!(claim(&first).token, "", "it was given back");
    none_is_held(&second, vec![KEY.to_owned()], BRISK).unwrap();
    drop(Lease::take(&second, KEY, BRISK).unwrap());
}

#[test]
fn a_lease_that_nobody_renews_is_taken_over_and_its_holder_hears_of_it() {
    let objects = Arc::default();
    let (first, second) = (folder(&objects), folder(&objects));
    let sleepy = Terms { renewal: Duration::from_millis(100), ..BRISK };
    let crashed = Lease::take(&first, KEY, sleepy).unwrap();
    let mut lost = crashed.lost();
    // Somebody overwrites it, as if a whole lease had passed between two renewals.
    let taken = Claim { token: "another".to_owned(), ..Claim::default() };
    second.replace(KEY, serde_json::to_string(&taken).unwrap()).unwrap();
    first.objects().1.wait(async { lost.wait_for(Option::is_some).await.map(drop) }).unwrap();
    let _over = Lease::take(&second, KEY, OVER).unwrap();
    let before = claim(&second);
    drop(crashed);
    assert_eq!(claim(&second), before, "whoever has lost it does not give it back");
}

#[test]
fn a_lock_that_cannot_be_read_is_waited_for_like_any_other() {
    let objects = Arc::default();
    let folder = folder(&objects);
    folder.replace(KEY, "nonsense").unwrap();
    drop(Lease::take(&folder, KEY, OVER).unwrap());
}

#[test]
fn a_lock_that_somebody_removes_is_written_again() {
    let objects = Arc::default();
    let folder = folder(&objects);
    let held = Lease::take(&folder, KEY, BRISK).unwrap();
    folder.delete(KEY).unwrap();
    while matches!(folder.read(KEY), Err(StoreError::Missing { .. })) {
        std::thread::yield_now();
    }
    assert!(held.lost().borrow().is_none());
}

/// Renewals far enough apart for something to happen between them.
const CALM: Terms = Terms { renewal: Duration::from_millis(100), ..BRISK };

fn at_the_end_of_a_bad_line() -> (Arc<Line>, Folder) {
    let line: Arc<Line> = Arc::default();
    let folder = Folder::of(Arc::clone(&line) as Arc<dyn ObjectStore>);
    (line, folder)
}

fn await_renewal(folder: &Folder, renewals: u64) {
    while claim(folder).renewals < renewals {
        std::thread::yield_now();
    }
}

#[test]
fn a_renewal_that_hangs_is_left_and_the_next_one_comes() {
    let (line, folder) = at_the_end_of_a_bad_line();
    let held = Lease::take(&folder, KEY, BRISK).unwrap();
    line.fault(Fault::Stuck);
    line.fault(Fault::AnswerAwaited);
    await_renewal(&folder, 3);
    assert!(held.lost().borrow().is_none());
}

#[test]
fn a_lease_is_given_back_even_if_the_last_renewal_got_through_unheard() {
    let (line, folder) = at_the_end_of_a_bad_line();
    let held = Lease::take(&folder, KEY, CALM).unwrap();
    line.fault(Fault::AnswerAwaited);
    await_renewal(&folder, 1);
    drop(held);
    assert_eq!(claim(&folder).token, "");
}

#[test]
fn a_lease_that_was_given_back_unheard_is_not_lost() {
    let (line, folder) = at_the_end_of_a_bad_line();
    let held = Lease::take(&folder, KEY, Terms { renewal: Duration::from_secs(600), ..BRISK }).unwrap();
    let lost = held.lost();
    // The client sends it again by itself, and finds the condition broken.
    line.fault(Fault::AnswerLost);
    drop(held);
    assert_eq!(claim(&folder).token, "");
    assert!(lost.borrow().is_none());
}

/// Leases that their holders have left behind.
fn leave_behind(folder: &Folder, count: u64) -> Vec<String> {
    let keys: Vec<String> = (0..count).map(|shard| format!("locks/shard-{shard}-of-{count}.json")).collect();
    for key in &keys {
        let dead = Claim { token: "dead".to_owned(), ..Claim::default() };
        folder.replace(key, serde_json::to_string(&dead).unwrap()).unwrap();
    }
    keys
}

#[test]
fn dead_holders_are_waited_for_all_at_once_and_only_once() {
    let (line, folder) = at_the_end_of_a_bad_line();
    let keys = leave_behind(&folder, 40);
    none_is_held(&folder, keys.clone(), OVER).unwrap();
    let mut first_looks = line.take_reads();
    first_looks.truncate(keys.len());
    assert_eq!(first_looks, keys, "all of them before any again");
    // Whoever waits would wait for longer than any test lasts.
    none_is_held(&folder, keys.clone(), BRISK).unwrap();
    assert_eq!(line.take_reads(), keys);
}

#[test]
fn of_many_leases_one_that_is_renewed_is_enough() {
    let (_, folder) = at_the_end_of_a_bad_line();
    let mut keys = leave_behind(&folder, 3);
    let held = Lease::take(&folder, KEY, BRISK).unwrap();
    keys.push(KEY.to_owned());
    let error = none_is_held(&folder, keys, BRISK).unwrap_err();
    assert!(matches!(&error, StoreError::Locked { path, .. } if path.ends_with(KEY)), "{error}");
    drop(held);
}

#[test]
fn a_lease_that_is_renewed_at_the_last_moment_is_not_ended() {
    let (_, folder) = at_the_end_of_a_bad_line();
    let keys = leave_behind(&folder, 1);
    let desk = Desk::at(&folder, &keys[0]);
    let (_, bridge) = folder.objects();
    let seen = bridge.wait(desk.read()).unwrap().unwrap();
    let renewed = Claim { renewals: 1, ..seen.claim.clone() };
    folder.replace(&keys[0], serde_json::to_string(&renewed).unwrap()).unwrap();
    let (_, refusal) = bridge.wait(desk.bury(&seen)).unwrap_err();
    assert!(matches!(refusal, Refusal::Held(_)));
    assert!(bridge.wait(desk.read()).unwrap().unwrap().claim == renewed);
}
