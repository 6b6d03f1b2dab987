//! After a coordinator that did not end in order, the next one waits for the workers that were at work before it grants
//! anything: what they run, and what they have finished and could not deliver, is theirs to say, and is not to be given to
//! whoever comes back first.
//!
//! It is over when all of them have said what they hold, and at the latest when those that live must have come back. Where
//! no worker can come, nobody is waited for, and who was at work remains known to the coordinator after.

use std::collections::BTreeSet;
use std::time::Duration;

use sweep::ledger::Millis;

/// See the [module](self).
#[derive(Clone, Debug)]
pub(super) struct Reunion {
    /// Those that have not been heard of, by name.
    awaited: BTreeSet<String>,
    until: Millis,
    /// Those that cannot come.
    out_of_reach: BTreeSet<String>,
}

impl Reunion {
    /// Waits for these workers, for so long at most; zero: none of them can come.
    pub(super) fn of(workers: BTreeSet<String>, longest: Duration) -> Reunion {
        let (awaited, out_of_reach) =
            if longest.is_zero() { (BTreeSet::new(), workers) } else { (workers, BTreeSet::new()) };
        Reunion { awaited, until: Millis(0).after(longest), out_of_reach }
    }

    /// Whether anybody is waited for.
    pub(super) fn is_on(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// A worker has said what it holds. Whether it was waited for.
    pub(super) fn came(&mut self, worker: &str) -> bool {
        self.awaited.remove(worker)
    }

    /// Those that have not come when the time is over; nobody is waited for any more then.
    pub(super) fn missing(&mut self, now: Millis) -> BTreeSet<String> {
        if now < self.until { BTreeSet::new() } else { std::mem::take(&mut self.awaited) }
    }

    /// Those that are waited for.
    pub(super) fn awaited(&self) -> impl Iterator<Item = &String> {
        self.awaited.iter()
    }

    /// Those that cannot come.
    pub(super) fn out_of_reach(&self) -> impl Iterator<Item = &String> {
        self.out_of_reach.iter()
    }

    /// When it is over at the latest, if it is not.
    pub(super) fn lasts_until(&self) -> Option<Millis> {
        self.is_on().then_some(self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn it_lasts_until_all_have_come_or_the_time_is_over() {
        let mut reunion = Reunion::of(workers(&["a", "b"]), Duration::from_secs(15));
        assert!(reunion.came("a") && !reunion.came("a") && !reunion.came("c"));
        assert_eq!(reunion.lasts_until(), Some(Millis(15_000)));
        assert!(reunion.missing(Millis(14_999)).is_empty());
        assert_eq!(reunion.missing(Millis(15_000)), workers(&["b"]));
        assert_eq!((reunion.is_on(), reunion.lasts_until()), (false, None));
    }

    #[test]
    fn where_nobody_can_come_nobody_is_waited_for_or_missed() {
        let mut reunion = Reunion::of(workers(&["a"]), Duration::ZERO);
        assert!(!reunion.is_on());
        assert!(reunion.missing(Millis(0)).is_empty());
        assert_eq!(reunion.out_of_reach().cloned().collect::<BTreeSet<_>>(), workers(&["a"]));
    }
}
