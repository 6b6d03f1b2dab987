//! Whatever happens, in whatever order: the invariants hold, no task is lost, and each gets exactly one stored result.

use std::collections::{BTreeMap, BTreeSet};

use engine::Status;
use proptest::prelude::*;

use super::super::*;
use super::{config, finish, info, run_id, task};

const TASKS: u64 = 6;

#[derive(Clone, Debug)]
enum Op {
    Submit(u64),
    Join,
    Leave(usize),
    Lease(usize, usize),
    /// A worker backs up a task.
    BackUp(usize, u64),
    /// Lists those of the worker's leases, and those of everybody's past ones, whose bit is set.
    Heartbeat(usize, u8),
    /// Lists a task with an attempt that nobody was granted.
    MadeUp(usize, u64),
    /// By any worker that ever was, of any task, of any attempt.
    Finish(usize, u64, u32, u64),
    Fail(usize, u64, u32, FailureReason),
    /// Of the receipts that are open, some one.
    Stored(usize),
    StoreFailed(usize),
    /// Long enough for anything to be overdue, or not.
    Pass(u64),
    Excuse,
    Close,
    Drain,
}

fn op() -> impl Strategy<Value = Op> {
    let worker = 0..5_usize;
    // Now and then one that no coordinator would come to.
    let attempt = prop_oneof![9 => 0..4_u32, 1 => Just(u32::MAX)];
    let reason = prop_oneof![
        Just(FailureReason::Panic),
        Just(FailureReason::Refused),
        Just(FailureReason::Unavailable),
        Just(FailureReason::HandedBack),
        Just(FailureReason::TimedOut),
        Just(FailureReason::Incomplete),
    ];
    prop_oneof![
        3 => (0..TASKS).prop_map(Op::Submit),
        2 => Just(Op::Join),
        1 => worker.clone().prop_map(Op::Leave),
        5 => (worker.clone(), 0..5_usize).prop_map(|(worker, max)| Op::Lease(worker, max)),
        3 => (worker.clone(), 0..TASKS).prop_map(|(worker, number)| Op::BackUp(worker, number)),
        5 => (worker.clone(), any::<u8>()).prop_map(|(worker, held)| Op::Heartbeat(worker, held)),
        1 => (worker.clone(), 0..TASKS).prop_map(|(worker, number)| Op::MadeUp(worker, number)),
        // One fingerprint in eight is another one.
        4 => (worker.clone(), 0..TASKS + 1, attempt.clone(), 0..8_u64).prop_map(|(worker, number, attempt, dice)| {
            Op::Finish(worker, number, attempt, if dice == 0 { 99 } else { number })
        }),
        4 => (worker, 0..TASKS + 1, attempt, reason)
            .prop_map(|(worker, number, attempt, reason)| Op::Fail(worker, number, attempt, reason)),
        4 => any::<prop::sample::Index>().prop_map(|index| Op::Stored(index.index(1 << 16))),
        2 => any::<prop::sample::Index>().prop_map(|index| Op::StoreFailed(index.index(1 << 16))),
        4 => (0..12_000_u64).prop_map(Op::Pass),
        1 => Just(Op::Excuse),
        1 => Just(Op::Close),
    ]
}

/// The ledger, and around it a world that remembers what the ledger was told.
struct World {
    ledger: Ledger,
    now: Millis,
    workers: Vec<WorkerId>,
    /// Receipts of records that are on their way, oldest first; whether each is of a result.
    open: Vec<(Receipt, bool)>,
    /// The results that the ledger confirmed as durable.
    results: BTreeMap<u64, u32>,
    submitted: BTreeSet<u64>,
    /// Attempts that were granted: no two are the same.
    granted: BTreeSet<(u64, u32)>,
}

impl World {
    fn new() -> World {
        let ledger = Ledger::new(config());
        World {
            ledger,
            now: Millis(0),
            workers: Vec::new(),
            open: Vec::new(),
            results: BTreeMap::new(),
            submitted: BTreeSet::new(),
            granted: BTreeSet::new(),
        }
    }

    fn worker(&self, index: usize) -> WorkerId {
        self.workers.get(index % self.workers.len().max(1)).copied().unwrap_or(WorkerId(12345))
    }

    fn lease(&mut self, worker: WorkerId, max: usize) -> Vec<Lease> {
        let draining = self.ledger.is_draining();
        let leases = self.ledger.lease(self.now, worker, max).unwrap_or_default();
        assert!(leases.len() <= max && (leases.is_empty() || !draining));
        assert!(leases.is_sorted_by_key(|lease| self.order(lease.task.index)));
        for lease in &leases {
            assert!(self.granted.insert((lease.task.index, lease.attempt)), "{lease:?} was granted before");
        }
        leases
    }

    /// Tasks are submitted in any order here, and the ledger's own is what counts.
    fn order(&self, number: u64) -> usize {
        self.ledger.entries.iter().position(|entry| entry.task.index == number).unwrap()
    }

    fn report(&mut self, worker: WorkerId, number: u64, attempt: u32, reported: Reported) {
        let result = matches!(reported, Reported::Finished(_));
        match self.ledger.report(worker, run_id(number), attempt, reported) {
            Decision::Store(receipt) => {
                assert!(result && receipt.task() == task(number));
                assert!(!self.results.contains_key(&number), "a second result is stored");
                self.open.push((receipt, true));
            }
            Decision::GiveUp { receipt, .. } => {
                assert!(!result);
                self.open.push((receipt, false));
            }
            Decision::Unknown => assert!(!self.submitted.contains(&number)),
            Decision::Duplicate | Decision::Conflict => {
                let storing = self.ledger.phase(run_id(number)) == Some(Phase::Storing);
                assert!(result && (storing || self.results.contains_key(&number)));
            }
            Decision::Wait => assert!(self.open.iter().any(|(receipt, _)| receipt.task() == task(number))),
            Decision::Retry | Decision::Stale => assert!(!result),
        }
    }

    fn stored(&mut self, receipt: Receipt, result: bool) {
        let number = receipt.task().index;
        match self.ledger.stored(receipt) {
            Some(Status::Failed) => assert!(!result && !self.results.contains_key(&number)),
            Some(_) => {
                assert!(result);
                *self.results.entry(number).or_default() += 1;
            }
            None => assert!(!result, "a result that is being stored is superseded by nothing"),
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Submit(number) => {
                let new = self.submitted.insert(number);
                assert_eq!(self.ledger.submit(task(number)), new);
            }
            Op::Join => {
                if let Ok(worker) = self.ledger.join(self.now, info("w")) {
                    self.workers.push(worker);
                }
            }
            Op::Leave(worker) => {
                self.ledger.leave(self.worker(worker));
            }
            Op::Lease(worker, max) => {
                self.lease(self.worker(worker), max);
            }
            Op::BackUp(worker, number) => {
                let granted = self.ledger.back_up(self.now, self.worker(worker), run_id(number));
                if let Ok(Some(Lease { task, attempt })) = granted {
                    assert!(self.granted.insert((task.index, attempt)), "{task:?} {attempt} was granted before");
                }
            }
            Op::Heartbeat(worker, bits) => {
                let granted = self.granted.iter().enumerate().filter(|(place, _)| bits >> (place % 8) & 1 == 1);
                let held: Vec<_> = granted.map(|(_, &(number, attempt))| (run_id(number), attempt)).collect();
                if let Ok(directives) = self.ledger.heartbeat(self.now, self.worker(worker), &held) {
                    for cancelled in directives.cancel {
                        let phase = self.ledger.phase(cancelled);
                        let over = self.ledger.is_finished() && phase == Some(Phase::Failed);
                        assert!(over || matches!(phase, Some(Phase::Done(_)) | None));
                    }
                }
            }
            Op::MadeUp(worker, number) => {
                let held = [(run_id(number), u32::MAX)];
                let _ = self.ledger.heartbeat(self.now, self.worker(worker), &held);
            }
            Op::Finish(worker, number, attempt, fingerprint) => {
                self.report(self.worker(worker), number, attempt, Reported::Finished(finish(fingerprint)));
            }
            Op::Fail(worker, number, attempt, reason) => {
                let reported = Reported::Failed { reason, message: "why".into() };
                self.report(self.worker(worker), number, attempt, reported);
            }
            Op::Stored(index) if !self.open.is_empty() => {
                let (receipt, result) = self.open.remove(index % self.open.len());
                self.stored(receipt, result);
            }
            Op::StoreFailed(index) if !self.open.is_empty() => {
                let (receipt, _) = self.open.remove(index % self.open.len());
                self.ledger.store_failed(self.now, receipt);
            }
            Op::Stored(_) | Op::StoreFailed(_) => {}
            Op::Pass(millis) => {
                self.now.0 += millis;
                self.ledger.handle_timeout(self.now);
                assert!(self.ledger.poll_timeout().is_none_or(|next| next > self.now));
            }
            Op::Excuse => self.ledger.excuse(self.now),
            Op::Close => self.ledger.close(),
            Op::Drain => self.ledger.drain(),
        }
        while let Some(event) = self.ledger.poll_event() {
            if let Event::GaveUp { receipt, .. } = event {
                self.open.push((receipt, false));
            }
        }
        if let Err(broken) = self.ledger.check() {
            panic!("{broken}");
        }
        for (&number, &times) in &self.results {
            assert_eq!(times, 1);
            assert!(matches!(self.ledger.phase(run_id(number)), Some(Phase::Done(_))), "done is final");
        }
    }

    /// From here on the store works, the lost are lost, and one worker does what it is given.
    fn behave(&mut self) {
        for receipt in std::mem::take(&mut self.open) {
            self.stored(receipt.0, receipt.1);
        }
        while let Some(next) = self.ledger.poll_timeout() {
            self.now = next;
            self.apply(Op::Pass(0));
            while !self.open.is_empty() {
                self.apply(Op::Stored(0));
            }
        }
        assert!(self.ledger.is_settled(), "{:?}", self.ledger.counts());
        self.apply(Op::Close);
        let worker = self.ledger.join(self.now, info("good")).unwrap();
        for _ in 0..=TASKS {
            for lease in self.lease(worker, 2) {
                let number = lease.task.index;
                self.report(worker, number, lease.attempt, Reported::Finished(finish(number)));
                while !self.open.is_empty() {
                    self.apply(Op::Stored(0));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn every_task_gets_one_result_whatever_happened_before(ops in prop::collection::vec(op(), 0..120)) {
        let mut world = World::new();
        ops.into_iter().for_each(|op| world.apply(op));
        world.behave();
        let counts = world.ledger.counts();
        prop_assert!(world.ledger.is_finished(), "{counts:?}");
        prop_assert_eq!(counts.ended(), world.submitted.len() as u64);
        prop_assert_eq!(counts.ok + counts.diverged, world.results.len() as u64);
    }

    #[test]
    fn a_draining_ledger_settles_and_loses_nothing(
        before in prop::collection::vec(op(), 0..80),
        after in prop::collection::vec(op(), 0..40),
    ) {
        let mut world = World::new();
        before.into_iter().chain([Op::Drain]).chain(after).for_each(|op| world.apply(op));
        world.behave();
        let counts = world.ledger.counts();
        prop_assert!(world.ledger.is_settled());
        prop_assert_eq!(counts.queued + counts.ended(), world.submitted.len() as u64);
    }
}
