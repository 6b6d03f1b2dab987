//! Everything that the worker holds, from a task's grant to its report's acknowledgement.
//!
//! A value without lock, clock or thread: the [`Session`](super::session::Session) owns it. What is iterated over is
//! ordered, so that a simulation repeats itself.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::RunId;
use engine::network::{InitialWeights, WeightsDigest};
use proto::limits::MAX_HELD;
use proto::{Held, TaskGrant};

use super::pace::Pace;
use super::terms::Terms;
use crate::progress::{Cancellation, Progress};

/// A task that waits for a slot.
#[derive(Debug)]
pub struct Job {
    pub(super) task: TaskGrant,
    pub(super) terms: Arc<Terms>,
    pub(super) weights: Weights,
}

impl Job {
    /// The task, as it was granted.
    pub fn task(&self) -> &TaskGrant {
        &self.task
    }
}

/// A job's initial weights.
#[derive(Clone, Debug)]
pub(super) enum Weights {
    /// The engine draws them.
    Drawn,
    /// They are being fetched; the job cannot begin.
    Awaited(WeightsDigest),
    /// They are here.
    Here(Arc<InitialWeights>),
}

/// An encoded report on its way to the coordinator.
#[derive(Clone, Debug)]
pub struct Delivery {
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

/// A task that runs and was not abandoned.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) progress: Arc<Progress>,
    /// Since when; `None` as long as it waits for memory.
    pub(super) since: Option<Duration>,
}

#[derive(Debug)]
struct Entry {
    /// The latest attempt that was granted.
    attempt: u32,
    stage: Stage,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Desk {
    slots: usize,
    byte_limit: usize,
    queue: VecDeque<Job>,
    held: BTreeMap<RunId, Entry>,
    /// Those of `held` that run.
    running: BTreeMap<RunId, Running>,
    ended: VecDeque<Delivery>,
    unacknowledged_bytes: usize,
    pace: Pace,
    /// The coordinator wants no more tasks to be taken.
    drain_ordered: bool,
    /// The worker is about to go.
    leaving: bool,
}

impl Desk {
    pub(super) fn new(slots: usize, byte_limit: usize) -> Desk {
        Desk {
            slots,
            byte_limit,
            queue: VecDeque::new(),
            held: BTreeMap::new(),
            running: BTreeMap::new(),
            ended: VecDeque::new(),
            unacknowledged_bytes: 0,
            pace: Pace::default(),
            drain_ordered: false,
            leaving: false,
        }
    }

    // For slots.

    /// The next task to run; `None` if none can begin.
    pub(super) fn take(&mut self, now: Duration) -> Option<(Job, Arc<Progress>)> {
        let place = self.queue.iter().position(|job| !matches!(job.weights, Weights::Awaited(_)))?;
        let job = self.queue.remove(place)?;
        let entry = self.held.get_mut(&job.task.run_id).expect("what is queued is held");
        let progress = Arc::new(Progress::new(entry.attempt));
        entry.stage = Stage::Running(Arc::clone(&progress));
        self.running.insert(job.task.run_id, Running { progress: Arc::clone(&progress), since: Some(now) });
        Some((job, progress))
    }

    /// Says since when a task runs, if it was not abandoned.
    pub(super) fn set_since(&mut self, run_id: RunId, progress: &Arc<Progress>, since: Option<Duration>) {
        let running = self.running.get_mut(&run_id).filter(|running| Arc::ptr_eq(&running.progress, progress));
        if let Some(running) = running {
            running.since = since;
        }
    }

    /// Puts back what became of a task. An abandoned one was reported already, and what came of it after all is too
    /// late: `false`.
    pub(super) fn finish(&mut self, delivery: Delivery, progress: &Arc<Progress>, took: Duration) -> bool {
        let ours = |running: &Running| Arc::ptr_eq(&running.progress, progress);
        if !self.running.get(&delivery.run_id).is_some_and(ours) {
            return false;
        }
        self.pace.took(took);
        self.deliver(delivery);
        true
    }

    /// Queues the report of a task that is held or about to be.
    fn deliver(&mut self, delivery: Delivery) {
        let Delivery { run_id, attempt, result, .. } = delivery;
        self.running.remove(&run_id);
        self.held.insert(run_id, Entry { attempt, stage: Stage::Ended { attempt, result } });
        self.unacknowledged_bytes += delivery.report.len();
        self.ended.push_back(delivery);
    }

    /// The tasks that run.
    pub(super) fn running(&self) -> impl Iterator<Item = (RunId, &Running)> {
        self.running.iter().map(|(run_id, running)| (*run_id, running))
    }

    /// Reports a running task's end in its slot's place: whatever comes of it will not be reported.
    pub(super) fn abandon(&mut self, delivery: Delivery) {
        if let Some(running) = self.running.get(&delivery.run_id) {
            running.progress.memory().forfeit();
        }
        self.deliver(delivery);
    }

    // For leasing.

    /// For how many tasks there is room; `None` if there is none.
    pub(super) fn room(&self) -> Option<usize> {
        let open = !self.draining() && self.unacknowledged_bytes < self.byte_limit;
        // No more than a heartbeat may list.
        let most = MAX_HELD.saturating_sub(self.held.len());
        if !open || most == 0 || self.queue.len() > self.low_water() {
            return None;
        }
        let idle = self.slots.saturating_sub(self.running.len());
        Some((self.pace.store(self.slots) + idle).saturating_sub(self.queue.len()).clamp(1, most))
    }

    /// With this many tasks in store or fewer it is time to ask for more.
    fn low_water(&self) -> usize {
        self.pace.store(self.slots) / 2
    }

    /// Takes in granted tasks. What the worker holds already is not done twice. In a worker that drains, `refused` is
    /// called for the report that hands a task back.
    pub(super) fn admit(&mut self, jobs: Vec<Job>, refused: impl Fn(&TaskGrant) -> Delivery) {
        for job in jobs {
            let TaskGrant { run_id, attempt, .. } = job.task;
            match self.held.get_mut(&run_id) {
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
            if self.draining() {
                self.deliver(refused(&job.task));
            } else {
                self.held.insert(run_id, Entry { attempt, stage: Stage::Queued });
                self.queue.push_back(job);
            }
        }
    }

    /// Weights that waiting jobs need have arrived.
    pub(super) fn attach(&mut self, digest: WeightsDigest, weights: &Arc<InitialWeights>) {
        for job in &mut self.queue {
            if matches!(&job.weights, Weights::Awaited(awaited) if *awaited == digest) {
                job.weights = Weights::Here(Arc::clone(weights));
            }
        }
    }

    /// Weights that waiting jobs need will not come: they are reported.
    pub(super) fn reject(&mut self, digest: WeightsDigest, report: impl Fn(RunId, u32) -> Delivery) {
        self.withdraw(|job| matches!(&job.weights, Weights::Awaited(awaited) if *awaited == digest), report);
    }

    /// Whether a waiting job needs these weights and has not got them.
    pub(super) fn awaits(&self, digest: WeightsDigest) -> bool {
        self.queue.iter().any(|job| matches!(&job.weights, Weights::Awaited(awaited) if *awaited == digest))
    }

    // For heartbeats.

    /// Everything that is held.
    pub(super) fn held(&self) -> Vec<Held> {
        let held = |(run_id, entry): (&RunId, &Entry)| {
            let (epoch, epochs, loss) = match &entry.stage {
                Stage::Running(progress) => {
                    let (epoch, epochs) = progress.epochs();
                    (epoch, epochs, progress.loss())
                }
                Stage::Queued | Stage::Ended { .. } => (0, 0, None),
            };
            Held { run_id: *run_id, attempt: entry.attempt, epoch, epochs, loss }
        };
        self.held.iter().map(held).collect()
    }

    /// Gives up tasks that nobody needs: running ones end with their epoch, queued ones are handed back.
    pub(super) fn cancel(&mut self, run_ids: &[RunId], hand_back: impl Fn(RunId, u32) -> Delivery) {
        let mut queued = HashSet::new();
        for run_id in run_ids {
            match self.held.get(run_id).map(|entry| &entry.stage) {
                Some(Stage::Running(progress)) => progress.cancel(Cancellation::ByCoordinator),
                Some(Stage::Queued) => {
                    queued.insert(*run_id);
                }
                Some(Stage::Ended { .. }) | None => {}
            }
        }
        if !queued.is_empty() {
            self.withdraw(|job| queued.contains(&job.task.run_id), hand_back);
        }
    }

    /// Takes no more tasks and hands back those that wait, because the coordinator says so; or takes some again.
    pub(super) fn order_drain(&mut self, drain: bool, hand_back: impl Fn(RunId, u32) -> Delivery) {
        self.drain_ordered = drain;
        if drain {
            self.withdraw(|_| true, hand_back);
        }
    }

    /// Reports waiting jobs without having run them.
    fn withdraw(&mut self, which: impl Fn(&Job) -> bool, report: impl Fn(RunId, u32) -> Delivery) {
        let (withdrawn, kept) = std::mem::take(&mut self.queue).into_iter().partition(which);
        self.queue = kept;
        let withdrawn: VecDeque<Job> = withdrawn;
        for job in withdrawn {
            let attempt = self.held.get(&job.task.run_id).map_or(job.task.attempt, |entry| entry.attempt);
            self.deliver(report(job.task.run_id, attempt));
        }
    }

    // For reports.

    /// Takes as many reports as fit into a batch; at least one, if there is one.
    pub(super) fn batch(&mut self, max_reports: usize, max_bytes: usize) -> Vec<Delivery> {
        let mut bytes = 0;
        let fits = |delivery: &&Delivery| {
            bytes += delivery.report.len();
            bytes <= max_bytes
        };
        let count = self.ended.iter().take(max_reports).take_while(fits).count();
        let count = count.max(usize::from(!self.ended.is_empty()));
        self.ended.drain(..count).collect()
    }

    /// Whether there are reports to send.
    pub(super) fn has_reports(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Puts reports that were not acknowledged back to the head of the line.
    pub(super) fn put_back(&mut self, deliveries: Vec<Delivery>) {
        for delivery in deliveries.into_iter().rev() {
            self.ended.push_front(delivery);
        }
    }

    /// Forgets a report that is acknowledged.
    pub(super) fn acknowledged(&mut self, delivery: &Delivery) {
        self.unacknowledged_bytes -= delivery.report.len();
        // A later attempt at the task may have been granted in the meantime.
        let done = |entry: &Entry| matches!(entry.stage, Stage::Ended { attempt, .. } if attempt == delivery.attempt);
        if self.held.get(&delivery.run_id).is_some_and(done) {
            self.held.remove(&delivery.run_id);
        }
    }

    /// Forgets a result that the coordinator does not take. It may have granted the task again before it said so; that
    /// grant was passed over for the result's sake ([`Desk::admit`]), and is handed back.
    pub(super) fn rejected(&mut self, delivery: &Delivery, hand_back: impl Fn(RunId, u32) -> Delivery) {
        let granted = self.held.get(&delivery.run_id).map(|entry| entry.attempt);
        self.acknowledged(delivery);
        if let Some(attempt) = granted.filter(|attempt| *attempt > delivery.attempt)
            && !self.held.contains_key(&delivery.run_id)
        {
            self.deliver(hand_back(delivery.run_id, attempt));
        }
    }

    /// Another report takes the place of one that was taken by [`Desk::batch`].
    pub(super) fn replaced(&mut self, old: &Delivery, new: &Delivery) {
        self.unacknowledged_bytes += new.report.len();
        self.unacknowledged_bytes -= old.report.len();
    }

    // For the end.

    /// Takes no more tasks, ever, and hands back those that wait.
    pub(super) fn leave(&mut self, hand_back: impl Fn(RunId, u32) -> Delivery) {
        self.leaving = true;
        self.withdraw(|_| true, hand_back);
    }

    /// Whether no more tasks are taken.
    pub(super) fn draining(&self) -> bool {
        self.drain_ordered || self.leaving
    }

    /// How many tasks are held.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether a slot would find something to do.
    pub(super) fn has_work(&self) -> bool {
        !self.queue.is_empty()
    }
}
