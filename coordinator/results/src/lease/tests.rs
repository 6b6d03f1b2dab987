//! A bucket's lock, on objects in memory.

use object_store::memory::InMemory;

use super::*;

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
