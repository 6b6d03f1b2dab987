//! Ctrl-C and SIGTERM: once drains, twice stops; once there is nothing left to do, once ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

use crate::exit::Exit;

const COMPUTING: u8 = 0;
const CONCLUDING: u8 = 1;
const LINGERING: u8 = 2;

/// How far the process is, which decides what a signal means.
#[derive(Debug)]
pub struct Stage {
    now: AtomicU8,
    signalled: Notify,
}

impl Stage {
    /// Tasks run: a signal drains.
    pub fn computing() -> Stage {
        Stage { now: AtomicU8::new(COMPUTING), signalled: Notify::new() }
    }

    /// Tables and the report are being written: a signal stops.
    pub fn conclude(&self) {
        self.now.store(CONCLUDING, Ordering::Release);
    }

    /// Everything is done: returns at a signal, and at once if there was one before.
    pub async fn lingering(&self) {
        self.now.store(LINGERING, Ordering::Release);
        self.signalled.notified().await;
    }

    fn is(&self, stage: u8) -> bool {
        self.now.load(Ordering::Acquire) == stage
    }
}

/// The signals that end a sweep before its time.
pub struct Interrupts {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Interrupts {
    /// Takes the signals over from the system's default, which is to die at once.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn install() -> std::io::Result<Interrupts> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Interrupts { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
        }
        #[cfg(not(unix))]
        Ok(Interrupts {})
    }

    /// Waits for the first signal and calls `drain` while there is something to drain; whoever lingers goes. Otherwise, or
    /// at the second signal, ends the process.
    pub async fn watch(mut self, stage: Arc<Stage>, drain: impl FnOnce()) {
        self.next().await;
        stage.signalled.notify_one();
        if stage.is(COMPUTING) {
            eprintln!("draining: running tasks finish and are stored; once more stops at once");
            drain();
            self.next().await;
        } else if stage.is(LINGERING) {
            self.next().await;
        }
        eprintln!("stopped: what is stored is kept; the same command resumes");
        std::process::exit(Exit::Interrupted as i32);
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
