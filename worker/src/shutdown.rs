//! How an agent is told to go.

use tokio::sync::watch;

/// How urgent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Run,
    Drain,
    Stop,
}

/// Tells an agent to go. Dropping it tells nothing.
#[derive(Clone, Debug)]
pub struct ShutdownHandle(watch::Sender<Level>);

impl ShutdownHandle {
    /// A handle, and what the agent listens to.
    pub fn new() -> (ShutdownHandle, Shutdown) {
        let (sender, receiver) = watch::channel(Level::Run);
        (ShutdownHandle(sender), Shutdown(receiver))
    }

    /// Asks the agent to take no more tasks, to finish or hand back what it has, and to end.
    pub fn drain(&self) {
        self.raise(Level::Drain);
    }

    /// Asks the agent to end at once.
    pub fn stop(&self) {
        self.raise(Level::Stop);
    }

    fn raise(&self, level: Level) {
        self.0.send_if_modified(|current| {
            let higher = level > *current;
            *current = level.max(*current);
            higher
        });
    }
}

/// The agent's side of a [`ShutdownHandle`].
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<Level>);

impl Shutdown {
    /// Waits until the agent is asked to drain, or to stop.
    pub async fn draining(&self) {
        self.reached(Level::Drain).await;
    }

    /// Waits until the agent is asked to stop.
    pub async fn stopped(&self) {
        self.reached(Level::Stop).await;
    }

    async fn reached(&self, level: Level) {
        let mut receiver = self.0.clone();
        let gone = receiver.wait_for(|current| *current >= level).await.is_err();
        if gone {
            // Nobody is left who could ask.
            std::future::pending::<()>().await;
        }
    }
}
