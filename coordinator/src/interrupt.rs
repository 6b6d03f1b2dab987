//! Ctrl-C and SIGTERM: once drains, twice stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::Exit;

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

    /// Waits for the first signal, calls `drain` while there is something to drain, and otherwise or at the second signal
    /// ends the process.
    pub async fn watch(mut self, computing: Arc<AtomicBool>, drain: impl FnOnce()) {
        self.next().await;
        if computing.load(Ordering::Acquire) {
            eprintln!("draining: running tasks finish and are stored; once more stops at once");
            drain();
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
