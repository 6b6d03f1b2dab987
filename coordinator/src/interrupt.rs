//! Ctrl-C and SIGTERM: once drains, twice stops; while no tasks run, once ends.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::exit::Exit;

/// How far the process is, which decides what a signal means.
#[derive(Debug, Default)]
pub struct Stage {
    now: Mutex<Now>,
    signalled: Notify,
}

#[derive(Default)]
enum Now {
    /// The output is being opened, or tables and the report are being written: a signal stops.
    #[default]
    Alone,
    /// Tasks run: a signal drains.
    Computing(Box<dyn FnOnce() + Send>),
    /// Everything is done: a signal ends it.
    Lingering,
}

impl fmt::Debug for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Now::Alone => "Alone",
            Now::Computing(_) => "Computing",
            Now::Lingering => "Lingering",
        })
    }
}

impl Stage {
    /// Tasks run from here on: a signal calls `drain`.
    pub fn compute(&self, drain: impl FnOnce() + Send + 'static) {
        self.become_(Now::Computing(Box::new(drain)));
    }

    /// Tables and the report are being written: a signal stops.
    pub fn conclude(&self) {
        self.become_(Now::Alone);
    }

    /// Everything is done: a signal ends what [`signalled`](Stage::signalled) waits for.
    pub fn linger(&self) {
        self.become_(Now::Lingering);
    }

    /// Returns at a signal, and at once if there was one before.
    pub async fn signalled(&self) {
        self.signalled.notified().await;
    }

    fn become_(&self, now: Now) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// What it is now. There is one drain.
    fn take(&self) -> Now {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let next = if let Now::Lingering = *now { Now::Lingering } else { Now::Alone };
        std::mem::replace(&mut *now, next)
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

    /// Waits for the first signal and drains while there is something to drain; whoever lingers goes. Otherwise, or at the
    /// second signal, ends the process.
    pub async fn watch(mut self, stage: Arc<Stage>) {
        self.next().await;
        stage.signalled.notify_one();
        match stage.take() {
            Now::Computing(drain) => {
                eprintln!("draining: running tasks finish and are stored; once more stops at once");
                drain();
                self.next().await;
            }
            Now::Lingering => self.next().await,
            Now::Alone => {}
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
