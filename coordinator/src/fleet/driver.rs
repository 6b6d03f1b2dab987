//! The driver: one task that alone owns the ledger, the planner and the store.

use std::sync::Arc;
use std::time::Duration;

use sweep::ledger::Millis;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::dispatcher::{Dispatcher, Step};
use super::group::{Kept, Part};
use super::message::{Control, Message};
use super::progress::{FleetError, Progress, Roster, Summary};
use super::seam::{Sink, SinkError, TaskSource};

/// How many messages are taken in before anything that follows from them is done.
const MESSAGES_AT_ONCE: usize = 64;

/// How often those who look on hear of the workers.
const ROSTER_INTERVAL: Duration = Duration::from_secs(1);

/// The only clock: milliseconds since the fleet began.
#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> Millis {
        Millis(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The first moment at which [`Clock::now`] says `moment`.
    fn instant(self, moment: Millis) -> Instant {
        // Tokio cannot wait for ever, and nobody else wants to.
        self.0 + Duration::from_millis(moment.0).min(Duration::from_secs(365 * 24 * 3600))
    }
}

/// Everything that the driver owns.
pub(super) struct Driver<S> {
    pub(super) dispatcher: Dispatcher,
    pub(super) sink: S,
    pub(super) source: Arc<dyn TaskSource>,
    pub(super) inbox: mpsc::Receiver<Message>,
    pub(super) control: mpsc::UnboundedReceiver<Control>,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) roster: watch::Sender<Roster>,
}

/// The store lends itself to the part that is being stored.
enum Store<S> {
    Idle(S),
    Busy(JoinHandle<(S, Kept)>),
}

impl<S: Sink> Store<S> {
    /// Waits until the part is stored; for ever if there is none. May be dropped and called again.
    async fn ended(&mut self) -> Result<Kept, FleetError> {
        let Store::Busy(task) = self else { return std::future::pending().await };
        let (sink, ended) = task.await.map_err(|error| FleetError::Internal(format!("the store: {error}")))?;
        *self = Store::Idle(sink);
        Ok(ended)
    }
}

impl<S: Sink> Driver<S> {
    /// Runs until everything has ended, or something has gone wrong.
    pub(super) async fn run(self) -> Result<Summary, FleetError> {
        let Driver { mut dispatcher, sink, source, mut inbox, mut control, progress, roster } = self;
        let mut last_roster: Option<Instant> = None;
        let clock = Clock(Instant::now());
        let mut store = Store::Idle(sink);
        let mut messages = Vec::with_capacity(MESSAGES_AT_ONCE);
        loop {
            let step = dispatcher.advance(clock.now())?;
            let now = dispatcher.progress();
            progress.send_if_modified(|shown| std::mem::replace(shown, now) != now);
            if roster.receiver_count() > 0 && last_roster.is_none_or(|last| last.elapsed() >= ROSTER_INTERVAL) {
                last_roster = Some(Instant::now());
                roster.send_replace(Roster { at: Some(std::time::Instant::now()), ..dispatcher.roster(clock.now()) });
            }
            let Step::Go { wake, part } = step else { break };
            if let Some(part) = part {
                store = match store {
                    Store::Idle(mut sink) => {
                        let source = Arc::clone(&source);
                        Store::Busy(tokio::spawn(async move {
                            let ended = keep(&mut sink, part, source).await;
                            (sink, ended)
                        }))
                    }
                    busy @ Store::Busy(_) => busy,
                };
            }
            tokio::select! {
                biased;
                ended = store.ended() => dispatcher.part_ended(clock.now(), ended?)?,
                Some(order) = control.recv() => dispatcher.control(order),
                count = inbox.recv_many(&mut messages, MESSAGES_AT_ONCE) => {
                    if count == 0 {
                        return Err(FleetError::Internal("the server stopped".into()));
                    }
                    for message in messages.drain(..) {
                        dispatcher.handle(clock.now(), message);
                    }
                }
                () = sleep_until(wake.map(|wake| clock.instant(wake))) => {}
            }
        }
        if cfg!(debug_assertions)
            && let Err(broken) = dispatcher.ledger().check()
        {
            return Err(FleetError::Internal(broken.to_string()));
        }
        Ok(dispatcher.summary())
    }
}

/// Makes a part durable, and then what a later coordinator is to know of it.
async fn keep(sink: &mut impl Sink, mut part: Part, source: Arc<dyn TaskSource>) -> Kept {
    let handover = part.take_handover();
    let records = match tokio::task::spawn_blocking(move || part.into_records(&*source)).await {
        Ok(records) if records.is_empty() => Ok(()),
        Ok(records) => sink.append(records).await,
        Err(error) => Err(SinkError::new(format!("its config cannot be written: {error}"))),
    };
    let handover = match handover.filter(|_| records.is_ok()) {
        Some(handover) => sink.hand_over(handover).await,
        None => Ok(()),
    };
    Kept { records, handover }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
