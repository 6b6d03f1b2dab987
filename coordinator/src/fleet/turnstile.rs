//! How fast strangers are let in. A connection costs a handshake before it shows who it is, and whoever shows nothing may
//! come again at once: beyond a burst, such connections are taken in at a bounded rate, and all others wait in the system's
//! queue, where they cost nothing. Those that turn out to be workers give back what they took.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Turnstile {
    began: Instant,
    /// What one stranger costs, in time...
    price: Duration,
    /// ...and how far ahead of it strangers may be.
    credit: Duration,
    /// Until when is paid, counted from the beginning.
    paid: Mutex<Duration>,
    given_back: Notify,
}

impl Turnstile {
    /// Lets in `burst` strangers at once, and then one each `price`.
    pub(super) fn new(burst: u32, price: Duration) -> Turnstile {
        Turnstile {
            began: Instant::now(),
            price,
            credit: price * burst.max(1),
            paid: Mutex::default(),
            given_back: Notify::new(),
        }
    }

    /// Waits until another one may come in. May be dropped and called again.
    pub(super) async fn open(&self) {
        loop {
            let given_back = self.given_back.notified();
            let wait = self.opens_in(self.began.elapsed());
            if wait.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = given_back => {}
            }
        }
    }

    /// Whether another one would have to wait.
    pub(super) fn is_closed(&self) -> bool {
        !self.opens_in(self.began.elapsed()).is_zero()
    }

    /// One has come in.
    pub(super) fn pass(&self) {
        self.take(self.began.elapsed());
    }

    /// One that came in is no stranger.
    pub(super) fn give_back(&self) {
        {
            let mut paid = self.paid();
            *paid = paid.saturating_sub(self.price);
        }
        self.given_back.notify_one();
    }

    fn opens_in(&self, now: Duration) -> Duration {
        (*self.paid() + self.price).saturating_sub(now + self.credit)
    }

    fn take(&self, now: Duration) {
        let mut paid = self.paid();
        *paid = (*paid).max(now) + self.price;
    }

    fn paid(&self) -> std::sync::MutexGuard<'_, Duration> {
        self.paid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many come in at a moment.
    fn crowd(turnstile: &Turnstile, now: Duration) -> u32 {
        let mut count = 0;
        while turnstile.opens_in(now).is_zero() {
            turnstile.take(now);
            count += 1;
        }
        count
    }

    #[tokio::test]
    async fn a_burst_comes_in_at_once_and_then_so_many_a_second() {
        let turnstile = Turnstile::new(50, SECOND / 10);
        assert_eq!(crowd(&turnstile, SECOND), 50);
        assert_eq!(turnstile.opens_in(SECOND), SECOND / 10);
        assert_eq!(crowd(&turnstile, SECOND * 2), 10);
        assert_eq!(crowd(&turnstile, SECOND * 100), 50, "time that passes is not saved up");
    }

    #[tokio::test]
    async fn workers_are_not_counted() {
        let turnstile = Turnstile::new(3, SECOND);
        for _ in 0..1_000 {
            assert!(turnstile.opens_in(SECOND).is_zero());
            turnstile.take(SECOND);
            turnstile.give_back();
        }
        assert_eq!(crowd(&turnstile, SECOND), 3);
    }
}
