//! How much memory a run may take. Embedded slots are threads: a config that cannot fit has to be refused before it
//! takes the whole process with it.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What the runs of this process have reserved.
struct Budget {
    reserved: u64,
    /// What was available when nothing was reserved.
    capacity: u64,
}

impl Budget {
    /// Reserves `bytes` if the other runs leave as much now; `Err` is what there is, if it is too little even alone.
    fn admit(&mut self, bytes: u64, available: impl FnOnce() -> u64) -> Result<bool, u64> {
        if self.reserved == 0 {
            self.capacity = available();
            if bytes > self.capacity {
                return Err(self.capacity);
            }
        }
        let fits = self.capacity.saturating_sub(self.reserved) >= bytes;
        if fits {
            self.reserved += bytes;
        }
        Ok(fits)
    }

    /// A run has ended.
    fn give_back(&mut self, bytes: u64) {
        self.reserved -= bytes;
    }

    /// A run will not end: nobody is to wait for its memory, and it is not there either.
    fn write_off(&mut self, bytes: u64) {
        self.reserved -= bytes;
        self.capacity = self.capacity.saturating_sub(bytes);
    }
}

static BUDGET: Mutex<Budget> = Mutex::new(Budget { reserved: 0, capacity: 0 });
static FREED: Condvar = Condvar::new();

fn budget() -> MutexGuard<'static, Budget> {
    // Two numbers that are changed together in one step are never half-changed.
    BUDGET.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Memory that is kept for a run, from its beginning to its end, or until nobody waits for its end any more.
#[derive(Debug, Default)]
pub(crate) struct Reservation(AtomicU64);

/// Memory that was reserved.
#[derive(Debug)]
pub(crate) struct Reserved<'a> {
    /// Whether other runs had to end first.
    pub(crate) waited: bool,
    /// Gives it back when dropped.
    pub(crate) guard: Guard<'a>,
}

/// See [`Reserved::guard`].
#[derive(Debug)]
pub(crate) struct Guard<'a>(&'a Reservation);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.end(Budget::give_back);
    }
}

impl Reservation {
    /// Reserves memory for a run, once the other runs of this process leave as much; `waits` hears of it if that is not at
    /// once. Nothing is asked for 0 bytes.
    ///
    /// # Errors
    /// How many bytes there are, if they are too few even for this run alone.
    pub(crate) fn reserve(&self, bytes: u64, waits: impl FnOnce()) -> Result<Reserved<'_>, u64> {
        let guard = Guard(self);
        if bytes == 0 {
            return Ok(Reserved { waited: false, guard });
        }
        let available = || available_bytes().unwrap_or(u64::MAX);
        let mut held = budget();
        let waited = !held.admit(bytes, available)?;
        if waited {
            // Whoever hears of it may be at the budget, too.
            drop(held);
            waits();
            held = budget();
            while !held.admit(bytes, available)? {
                held = FREED.wait(held).unwrap_or_else(PoisonError::into_inner);
            }
        }
        self.0.store(bytes, Ordering::Relaxed);
        Ok(Reserved { waited, guard })
    }

    /// Lets others go on although the run does not end: it is left behind with what it has.
    pub(crate) fn forfeit(&self) {
        self.end(Budget::write_off);
    }

    /// Ends it, once.
    fn end(&self, act: fn(&mut Budget, u64)) {
        let mut held = budget();
        let bytes = self.0.swap(0, Ordering::Relaxed);
        if bytes > 0 {
            act(&mut held, bytes);
            FREED.notify_all();
        }
    }
}

/// How many bytes this process may still take, by what the kernel and the container say; `None` where neither says
/// anything (anywhere but on Linux).
pub fn available_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_available(&text));
    let read = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok();
    let container = || cgroup_available(&read("memory.max")?, &read("memory.current")?, &read("memory.stat")?);
    let container = container();
    match (machine, container) {
        (Some(machine), Some(container)) => Some(machine.min(container)),
        (machine, container) => machine.or(container),
    }
}

/// `MemAvailable` of /proc/meminfo.
fn mem_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// What a control group (v2) leaves; `None` if it has no limit. Cached files that nobody has used lately count as used
/// and are given up when memory is wanted.
fn cgroup_available(max: &str, current: &str, stat: &str) -> Option<u64> {
    let max: u64 = max.trim().parse().ok()?;
    let current: u64 = current.trim().parse().ok()?;
    let inactive_file = stat.lines().find_map(|line| line.strip_prefix("inactive_file "));
    let reclaimable: u64 = inactive_file.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0);
    Some(max.saturating_sub(current.saturating_sub(reclaimable)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_alone_waits_for_its_turn_and_what_never_fits_is_refused() {
        let mut budget = Budget { reserved: 0, capacity: 0 };
        assert_eq!(budget.admit(60, || 100), Ok(true));
        assert_eq!(budget.admit(60, || 100), Ok(false), "two of them do not fit at once");
        assert_eq!(budget.admit(40, || 100), Ok(true));
        budget.reserved = 0;
        assert_eq!(budget.admit(60, || 100), Ok(true));
        budget.reserved = 0;
        assert_eq!(budget.admit(101, || 100), Err(100));
    }

    #[test]
    fn what_a_run_that_does_not_end_has_is_neither_waited_for_nor_given_to_others() {
        let mut budget = Budget { reserved: 0, capacity: 0 };
        assert_eq!((budget.admit(60, || 100), budget.admit(20, || 100)), (Ok(true), Ok(true)));
        budget.write_off(60);
        assert_eq!(budget.admit(20, || 100), Ok(true));
        assert_eq!(budget.admit(20, || 100), Ok(false));
        budget.give_back(40);
        assert_eq!(budget.admit(60, || 40), Err(40), "with nothing reserved, what is available is asked again");
    }

    #[test]
    fn kernel_files_are_read() {
        let meminfo = "MemTotal:        8000 kB\nMemAvailable:    4000 kB\n";
        assert_eq!(mem_available(meminfo), Some(4000 * 1024));
        assert_eq!(mem_available("MemTotal: 8000 kB\n"), None);
        assert_eq!(cgroup_available("1000\n", "400\n", ""), Some(600));
        assert_eq!(cgroup_available("1000\n", "400\n", "anon 1\ninactive_file 300\n"), Some(900));
        assert_eq!(cgroup_available("max\n", "400\n", ""), None);
    }
}
