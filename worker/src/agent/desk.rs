//! Everything that the worker holds, from a task's grant to its report's acknowledgement. Slots take tasks from here and
//! put results back; leaser, heart and reporter look after the rest. One short lock a task.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use engine::RunId;
use engine::network::InitialWeights;
use proto::{Held, TaskGrant};
use tokio::sync::Notify;

use super::pace::Pace;
use super::terms::Terms;
use crate::progress::{Cancellation, Progress};

/// A task that waits for a slot.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) task: TaskGrant,
    pub(super) terms: Arc<Terms>,
    pub(super) weights: Option<Arc<InitialWeights>>,
}

/// An encoded report on its way to the coordinator.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) run_id: RunId,
    pub(super) attempt: u32,
    /// Whether it holds a result. A failure may be followed by another attempt at the same task.
    pub(super) result: bool,
    pub(super) report: Bytes,
}

/// Where a task is that the worker holds.
#[derive(Debug)]
enum Stage {
    Queued,
    Running(Arc<Progress>),
    /// Ended, and not yet acknowledged: the attempt that the report speaks of, and whether it is a result.
    Ended {
        attempt: u32,
        result: bool,
    },
}

#[derive(Debug)]
struct Entry {
    /// The latest attempt that was granted.
    attempt: u32,
    stage: Stage,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Job>,
    held: HashMap<RunId, Entry>,
    ended: VecDeque<Delivery>,
    unacknowledged_bytes: usize,
    /// Tasks that run and were not abandoned.
    running: usize,
    /// Slots that run something, abandoned or not.
    busy_slots: usize,
    idle_slots: usize,
    pace: Pace,
    /// A lease call is under way: tasks may still come.
    leasing: bool,
    /// The coordinator wants no more tasks to be taken.
    drain_ordered: bool,
    /// The worker is about to go.
    leaving: bool,
    closed: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Desk {
    slots: usize,
    byte_limit: usize,
    state: Mutex<State>,
    /// For slots: there is work, or no more.
    work: Condvar,
    /// For the leaser: there may be room for tasks.
    room: Notify,
    /// For the reporter: there are reports to send.
    reports: Notify,
    /// For whoever waits for the end: there may be nothing left.
    settled: Notify,
}

impl Desk {
    pub(super) fn new(slots: usize, byte_limit: usize) -> Desk {
        Desk {
            slots,
            byte_limit,
            state: Mutex::default(),
            work: Condvar::new(),
            room: Notify::new(),
            reports: Notify::new(),
            settled: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if it did, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // For slots.

    /// Puts back what became of the last task, and waits for the next; `None` when there will be none.
    pub(super) fn next(&self, last: Option<(Delivery, Arc<Progress>, Duration)>) -> Option<(Job, Arc<Progress>)> {
        let mut state = self.lock();
        if let Some((delivery, progress, time)) = last {
            state.busy_slots -= 1;
            state.pace.took(time);
            self.finish(&mut state, delivery, &progress);
        }
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.queue.pop_front() {
                let entry = state.held.get_mut(&job.task.run_id).expect("what is queued is held");
                let progress = Arc::new(Progress::new(entry.attempt));
                entry.stage = Stage::Running(Arc::clone(&progress));
                state.running += 1;
                state.busy_slots += 1;
                if state.queue.len() <= state.low_water(self.slots) {
                    self.room.notify_one();
                }
                return Some((job, progress));
            }
            state.idle_slots += 1;
            self.room.notify_one();
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle_slots -= 1;
        }
    }

    fn finish(&self, state: &mut State, delivery: Delivery, progress: &Arc<Progress>) {
        // An abandoned task was handed back already; what came of it after all is too late.
        let ours = |entry: &Entry| matches!(&entry.stage, Stage::Running(running) if Arc::ptr_eq(running, progress));
        if state.held.get(&delivery.run_id).is_some_and(ours) {
            state.running -= 1;
            self.deliver(state, delivery);
            if state.draining() {
                self.settled.notify_waiters();
            }
        }
    }

    /// Queues the report of a task that is held or about to be.
    fn deliver(&self, state: &mut State, delivery: Delivery) {
        let Delivery { run_id, attempt, result, .. } = delivery;
        state.held.insert(run_id, Entry { attempt, stage: Stage::Ended { attempt, result } });
        state.unacknowledged_bytes += delivery.report.len();
        if state.ended.is_empty() {
            self.reports.notify_one();
        }
        state.ended.push_back(delivery);
    }

    // For the leaser.

    /// Waits until there is room for tasks; says for how many, and that a lease call is under way from now on.
    pub(super) async fn room(self: &Arc<Self>) -> (usize, Leasing) {
        loop {
            {
                let mut state = self.lock();
                let open = !state.draining() && state.unacknowledged_bytes < self.byte_limit;
                if open && state.queue.len() <= state.low_water(self.slots) {
                    let store = state.pace.store(self.slots) + state.idle_slots;
                    state.leasing = true;
                    return (store.saturating_sub(state.queue.len()).max(1), Leasing(Arc::clone(self)));
                }
            }
            self.room.notified().await;
        }
    }

    /// Takes in a granted task. What the worker holds already is not done twice. In a worker that drains, `refused` is
    /// called for the report that hands the task back.
    pub(super) fn admit(&self, jobs: Vec<Job>, refused: impl Fn(&TaskGrant) -> Delivery) {
        let mut state = self.lock();
        for job in jobs {
            let TaskGrant { run_id, attempt, .. } = job.task;
            match state.held.get_mut(&run_id) {
                // Its failure is on its way and this is the next attempt; or it is not known at all.
                Some(Entry { stage: Stage::Ended { attempt: ended, result: false }, .. }) if *ended < attempt => {}
                None => {}
                Some(entry) => {
                    entry.attempt = entry.attempt.max(attempt);
                    if let Stage::Running(progress) = &entry.stage {
                        progress.set_attempt(entry.attempt);
                    }
                    continue;
                }
            }
            if state.draining() {
                self.deliver(&mut state, refused(&job.task));
            } else {
                state.held.insert(run_id, Entry { attempt, stage: Stage::Queued });
                state.queue.push_back(job);
            }
        }
        self.work.notify_all();
    }

    /// Queues the report of a task that cannot even be queued.
    pub(super) fn reject(&self, delivery: Delivery) {
        let mut state = self.lock();
        let known = state.held.get(&delivery.run_id).is_some_and(|entry| entry.attempt >= delivery.attempt);
        if !known {
            self.deliver(&mut state, delivery);
        }
    }

    // For the heart.

    /// Everything that is held.
    pub(super) fn held(&self) -> Vec<Held> {
        let held = |(run_id, entry): (&RunId, &Entry)| {
            let (epoch, epochs) = match &entry.stage {
                Stage::Running(progress) => progress.epochs(),
                Stage::Queued | Stage::Ended { .. } => (0, 0),
            };
            Held { run_id: *run_id, attempt: entry.attempt, epoch, epochs }
        };
        self.lock().held.iter().map(held).collect()
    }

    /// Gives up tasks that nobody needs: running ones end with their epoch, queued ones are handed back.
    pub(super) fn cancel(&self, run_ids: &[RunId], hand_back: impl Fn(RunId, u32) -> Delivery) {
        let mut state = self.lock();
        let mut queued = HashSet::new();
        for run_id in run_ids {
            match state.held.get(run_id).map(|entry| (&entry.stage, entry.attempt)) {
                Some((Stage::Running(progress), _)) => progress.cancel(Cancellation::ByCoordinator),
                Some((Stage::Queued, attempt)) => {
                    queued.insert(*run_id);
                    let delivery = hand_back(*run_id, attempt);
                    self.deliver(&mut state, delivery);
                }
                Some((Stage::Ended { .. }, _)) | None => {}
            }
        }
        if !queued.is_empty() {
            state.queue.retain(|job| !queued.contains(&job.task.run_id));
            self.room.notify_one();
        }
    }

    /// Takes no more tasks and hands back those that wait, because the coordinator says so; or takes some again.
    pub(super) fn order_drain(&self, drain: bool, hand_back: impl Fn(RunId, u32) -> Delivery) {
        let mut state = self.lock();
        if state.drain_ordered != drain {
            state.drain_ordered = drain;
            self.drained(&mut state, hand_back);
        }
    }

    fn drained(&self, state: &mut State, hand_back: impl Fn(RunId, u32) -> Delivery) {
        if state.draining() {
            for job in std::mem::take(&mut state.queue) {
                let attempt = state.held.get(&job.task.run_id).map_or(job.task.attempt, |entry| entry.attempt);
                let delivery = hand_back(job.task.run_id, attempt);
                self.deliver(state, delivery);
            }
        }
        self.room.notify_one();
        self.settled.notify_waiters();
    }

    // For the reporter.

    /// Waits until there are reports, and takes as many as fit into a batch; at least one.
    pub(super) async fn batch(self: &Arc<Self>, max_reports: usize, max_bytes: usize) -> Outbox {
        loop {
            {
                let mut state = self.lock();
                let mut bytes = 0;
                let fits = |delivery: &&Delivery| {
                    bytes += delivery.report.len();
                    bytes <= max_bytes
                };
                let count = state.ended.iter().take(max_reports).take_while(fits).count();
                let count = count.max(usize::from(!state.ended.is_empty()));
                if count > 0 {
                    let deliveries = state.ended.drain(..count).collect();
                    return Outbox { desk: Arc::clone(self), deliveries };
                }
            }
            self.reports.notified().await;
        }
    }

    // For the end.

    /// Takes no more tasks, ever, and hands back those that wait.
    pub(super) fn leave(&self, hand_back: impl Fn(RunId, u32) -> Delivery) {
        let mut state = self.lock();
        state.leaving = true;
        self.drained(&mut state, hand_back);
    }

    /// Waits until nothing is held and no lease call is under way.
    pub(super) async fn settled(&self) {
        self.until(|state| state.held.is_empty() && !state.leasing).await;
    }

    /// Waits until no task runs.
    pub(super) async fn quiet(&self) {
        self.until(|state| state.running == 0).await;
    }

    async fn until(&self, condition: impl Fn(&State) -> bool) {
        loop {
            let notified = self.settled.notified();
            tokio::pin!(notified);
            // Registered before the condition is looked at, so that no change in between is missed.
            notified.as_mut().enable();
            if condition(&self.lock()) {
                return;
            }
            notified.await;
        }
    }

    /// Asks every running task to end.
    pub(super) fn cancel_running(&self) {
        for entry in self.lock().held.values() {
            if let Stage::Running(progress) = &entry.stage {
                progress.cancel(Cancellation::ByShutdown);
            }
        }
    }

    /// Hands back tasks that still run: whatever comes of them will not be reported.
    pub(super) fn abandon_running(&self, hand_back: impl Fn(RunId, u32) -> Delivery) {
        let mut state = self.lock();
        let running = |(run_id, entry): (&RunId, &Entry)| match &entry.stage {
            Stage::Running(_) => Some(hand_back(*run_id, entry.attempt)),
            Stage::Queued | Stage::Ended { .. } => None,
        };
        let deliveries: Vec<Delivery> = state.held.iter().filter_map(running).collect();
        for delivery in deliveries {
            state.running -= 1;
            self.deliver(&mut state, delivery);
        }
        self.settled.notify_waiters();
    }

    /// Lets every slot go that has nothing to do, and asks the others to end. Returns whether all have nothing to do.
    pub(super) fn close(&self) -> bool {
        let idle = {
            let mut state = self.lock();
            state.closed = true;
            state.busy_slots == 0
        };
        self.cancel_running();
        self.work.notify_all();
        idle
    }

    /// How many tasks are held.
    pub(super) fn len(&self) -> usize {
        self.lock().held.len()
    }
}

impl State {
    fn draining(&self) -> bool {
        self.drain_ordered || self.leaving || self.closed
    }

    /// With this many tasks in store or fewer it is time to ask for more.
    fn low_water(&self, slots: usize) -> usize {
        self.pace.store(slots) / 2
    }
}

/// As long as it lives, a lease call is under way.
#[derive(Debug)]
pub(super) struct Leasing(Arc<Desk>);

impl Leasing {
    /// Waits until no more tasks are wanted.
    pub(super) async fn unwanted(&self) {
        self.0.until(State::draining).await;
    }
}

impl Drop for Leasing {
    fn drop(&mut self) {
        self.0.lock().leasing = false;
        self.0.settled.notify_waiters();
    }
}

/// Reports that are being sent. What is not acknowledged when it is dropped returns to the head of the line.
#[derive(Debug)]
pub(super) struct Outbox {
    desk: Arc<Desk>,
    deliveries: Vec<Delivery>,
}

impl Outbox {
    /// The reports, in their order.
    pub(super) fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// Forgets the reports that are acknowledged, by their place.
    pub(super) fn acknowledge(&mut self, acknowledged: &[bool]) {
        debug_assert_eq!(acknowledged.len(), self.deliveries.len());
        let mut acknowledged = acknowledged.iter();
        let mut state = self.desk.lock();
        let state = &mut *state;
        self.deliveries.retain(|delivery| {
            if acknowledged.next() != Some(&true) {
                return true;
            }
            state.unacknowledged_bytes -= delivery.report.len();
            // A later attempt at the task may have been granted in the meantime.
            let done =
                |entry: &Entry| matches!(entry.stage, Stage::Ended { attempt, .. } if attempt == delivery.attempt);
            if state.held.get(&delivery.run_id).is_some_and(done) {
                state.held.remove(&delivery.run_id);
            }
            false
        });
        self.desk.room.notify_one();
        self.desk.settled.notify_waiters();
    }

    /// Puts another report in the place of the only one.
    pub(super) fn replace(&mut self, delivery: Delivery) {
        let mut state = self.desk.lock();
        for old in self.deliveries.drain(..) {
            state.unacknowledged_bytes -= old.report.len();
        }
        state.unacknowledged_bytes += delivery.report.len();
        self.deliveries.push(delivery);
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        if self.deliveries.is_empty() {
            return;
        }
        let mut state = self.desk.lock();
        for delivery in self.deliveries.drain(..).rev() {
            state.ended.push_front(delivery);
        }
        self.desk.reports.notify_one();
    }
}
