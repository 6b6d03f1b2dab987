//! A coordinator, its workers, its disk and the network between them, in virtual time.
//!
//! Everything that decides is the real thing: the dispatcher with its ledger on one side, sessions with their desks on
//! the other. What is simulated is what is around them: time, threads, sockets, processes and the disk.

use std::collections::BTreeMap;

use tonic::Status;
use worker::agent::session::{Answer, Request};

use crate::books::Books;
use crate::dice::Dice;
use crate::disk::Disk;
use crate::fault::{Bug, Fault};
use crate::head::Head;
use crate::node::Node;
use crate::tasks::Tasks;
use crate::trace::Trace;

/// A simulation that lasts longer than this, in virtual milliseconds, is stuck.
const LONGEST_MS: u64 = 4 * 3600 * 1000;

/// Faults begin within this time.
const TROUBLE_MS: u64 = 60_000;

/// An invariant that does not hold.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) invariant: &'static str,
    pub(crate) found: String,
}

/// Fails with a named invariant unless the condition holds.
pub(crate) fn hold(condition: bool, invariant: &'static str, found: impl FnOnce() -> String) -> Result<(), Broken> {
    if condition { Ok(()) } else { Err(Broken { invariant, found: found() }) }
}

/// What happens at a moment.
pub(crate) enum Event {
    /// A request arrives at the coordinator.
    Request {
        node: usize,
        life: u32,
        number: u64,
        request: Request,
    },
    /// The coordinator hears that a caller has hung up.
    HangUp {
        node: usize,
        life: u32,
        number: u64,
    },
    /// An answer arrives at a worker.
    Answer {
        node: usize,
        life: u32,
        number: u64,
        answer: Result<Answer, Status>,
    },
    /// A worker wanted to be woken.
    NodeWake {
        node: usize,
        life: u32,
    },
    /// A running task's next epoch is done, or the task.
    Epoch {
        node: usize,
        life: u32,
        run: u64,
    },
    NodeStart {
        node: usize,
    },
    /// The coordinator wanted to be woken.
    HeadWake {
        life: u32,
    },
    /// A call has waited for tasks as long as it may.
    WaitOver {
        life: u32,
        node: usize,
        node_life: u32,
        number: u64,
    },
    /// A part has been written.
    Written {
        life: u32,
    },
    HeadStart,
    Trouble(Fault),
}

/// How unreliable the network is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    drop: f64,
    reset: f64,
    delay: f64,
    duplicate: f64,
    jitter_ms: u64,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) dice: Dice,
    pub(crate) trace: Trace,
    pub(crate) tasks: Tasks,
    pub(crate) disk: Disk,
    pub(crate) head: Option<Head>,
    pub(crate) head_life: u32,
    /// The coordinator is suspended until then.
    pub(crate) head_asleep_until: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) books: Books,
    pub(crate) bug: Option<Bug>,
    /// The sweep is over, and this coordinator said so.
    pub(crate) finished: bool,
    over_at: u64,
    pub(crate) weather: Weather,
    events: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    /// For each direction of each link, when its last message arrives.
    last_arrival: BTreeMap<(usize, bool), u64>,
}

/// What a simulation came to.
pub(crate) struct Outcome {
    pub(crate) broken: Option<Broken>,
    pub(crate) digest: (u64, u64),
    pub(crate) books: Books,
    pub(crate) virtual_ms: u64,
}

/// Runs the simulation of a seed to its end.
pub(crate) fn simulate(seed: u64, bug: Option<Bug>, print: bool) -> Outcome {
    let mut world = World::new(seed, bug, print);
    let broken = world.run().err();
    Outcome { broken, digest: world.trace.digest(), virtual_ms: world.now, books: world.books }
}

impl Weather {
    /// Nothing is lost or late.
    pub(crate) fn is_calm(&self) -> bool {
        self.drop + self.reset + self.delay == 0.0
    }
}

impl World {
    fn new(seed: u64, bug: Option<Bug>, print: bool) -> World {
        let mut dice = Dice::new(seed);
        let count = dice.between(50, 90);
        let tasks = Tasks::draw(&mut dice, count);
        let bad = |dice: &mut Dice, share: f64, most: f64| if dice.chance(share) { dice.unit() * most } else { 0.0 };
        let weather = Weather {
            drop: bad(&mut dice, 0.5, 0.05),
            reset: bad(&mut dice, 0.5, 0.05),
            delay: bad(&mut dice, 0.5, 0.1),
            duplicate: bad(&mut dice, 0.5, 0.05),
            jitter_ms: dice.between(2, 200),
        };
        let nodes = (0..dice.between(4, 7)).map(|index| Node::new(index, &mut dice)).collect();
        let mut world = World {
            now: 0,
            trace: Trace::new(print),
            books: Books::new(&tasks),
            tasks,
            disk: Disk::default(),
            head: None,
            head_life: 0,
            head_asleep_until: 0,
            nodes,
            bug,
            finished: false,
            over_at: 0,
            weather,
            events: BTreeMap::new(),
            scheduled: 0,
            last_arrival: BTreeMap::new(),
            dice,
        };
        world.at(0, Event::HeadStart);
        for node in 0..world.nodes.len() {
            let start = if world.dice.chance(0.8) { world.dice.between(0, 500) } else { world.dice.between(0, 30_000) };
            world.at(start, Event::NodeStart { node });
        }
        world.plan_trouble();
        world
    }

    /// Draws what will go wrong, and when.
    fn plan_trouble(&mut self) {
        let planned = [
            Fault::Partition,
            Fault::CoordinatorCrash,
            Fault::CrashWhileStoring,
            Fault::CoordinatorDrain,
            Fault::CoordinatorSleep,
            Fault::WorkerCrash,
            Fault::WorkerSleep,
            Fault::WorkerDrain,
            Fault::SlowWorker,
            Fault::DiskFull,
            Fault::StoreLies,
            Fault::WrongNumbers,
        ];
        for fault in planned {
            if self.dice.chance(0.4) {
                for _ in 0..self.dice.between(1, 3) {
                    let at = self.dice.between(500, TROUBLE_MS);
                    self.at(at, Event::Trouble(fault));
                }
            }
        }
    }

    pub(crate) fn at(&mut self, time: u64, event: Event) {
        self.scheduled += 1;
        self.events.insert((time.max(self.now), self.scheduled), event);
    }

    fn run(&mut self) -> Result<(), Broken> {
        while let Some(((time, _), event)) = self.events.pop_first() {
            self.now = time;
            hold(time < LONGEST_MS, "the_sweep_ends", || {
                let counts = self.head.as_ref().map(|head| head.dispatcher.ledger().counts());
                format!("after {} hours: {counts:?}", LONGEST_MS / 3_600_000)
            })?;
            self.happen(event)?;
            self.check()?;
            // A while longer, so that everybody can hear of the end.
            if self.finished && self.over_at > 0 && time > self.over_at + 10_000 {
                return self.check_end();
            }
            if self.finished && self.over_at == 0 {
                self.over_at = time;
            }
        }
        if self.finished {
            return self.check_end();
        }
        Err(Broken { invariant: "the_sweep_ends", found: "nothing will happen any more".into() })
    }

    fn happen(&mut self, event: Event) -> Result<(), Broken> {
        // A suspended process gets what was for it when it wakes up.
        if let Some(until) = self.asleep(&event) {
            self.at(until, event);
            return Ok(());
        }
        match event {
            Event::Request { node, life, number, request } => self.head_request(node, life, number, request),
            Event::HangUp { node, life, number } => self.head_hang_up(node, life, number),
            Event::WaitOver { life, node, node_life, number } => self.head_wait_over(life, node, node_life, number),
            Event::HeadWake { life } => self.head_wake(life),
            Event::Written { life } => self.head_written(life),
            Event::HeadStart => self.head_start(),
            Event::Answer { node, life, number, answer } => self.node_answer(node, life, number, answer),
            Event::NodeWake { node, life } => self.node_wake(node, life),
            Event::Epoch { node, life, run } => self.node_epoch(node, life, run),
            Event::NodeStart { node } => self.node_start(node),
            Event::Trouble(fault) => self.trouble(fault),
        }
    }

    fn asleep(&self, event: &Event) -> Option<u64> {
        let until = match event {
            Event::Request { .. }
            | Event::HangUp { .. }
            | Event::WaitOver { .. }
            | Event::HeadWake { .. }
            | Event::Written { .. } => self.head_asleep_until,
            Event::Answer { node, .. } | Event::NodeWake { node, .. } | Event::Epoch { node, .. } => {
                self.nodes[*node].asleep_until
            }
            Event::HeadStart | Event::NodeStart { .. } | Event::Trouble(_) => 0,
        };
        (until > self.now).then_some(until)
    }

    // The network.

    /// Sends a request, or the news that its caller has hung up, on its way.
    pub(crate) fn send_request(&mut self, node: usize, number: u64, request: Request) {
        let life = self.nodes[node].life;
        if self.dice.chance(self.weather.duplicate) {
            self.books.fired(Fault::Duplicate);
            let again = self.latency(node, true) + self.dice.between(0, 4_000);
            self.at(again, Event::Request { node, life, number, request: request.clone() });
        }
        match self.travel(node, true) {
            Some(arrival) => self.at(arrival, Event::Request { node, life, number, request }),
            None => self.lost(node, life, number),
        }
    }

    pub(crate) fn send_hang_up(&mut self, node: usize, life: u32, number: u64) {
        if let Some(arrival) = self.travel(node, true) {
            self.at(arrival, Event::HangUp { node, life, number });
        }
    }

    pub(crate) fn send_answer(&mut self, node: usize, life: u32, number: u64, answer: Result<Answer, Status>) {
        match self.travel(node, false) {
            Some(arrival) => self.at(arrival, Event::Answer { node, life, number, answer }),
            None => self.lost(node, life, number),
        }
    }

    /// A message did not arrive. Sometimes its caller is told, sometimes it has to notice.
    fn lost(&mut self, node: usize, life: u32, number: u64) {
        if self.nodes[node].cut_until <= self.now && self.dice.chance(0.5) {
            let answer = Err(Status::unavailable("connection reset"));
            let time = self.now + self.dice.between(1, 100);
            self.at(time, Event::Answer { node, life, number, answer });
        }
    }

    /// When a message arrives that is sent now; `None` if it does not.
    fn travel(&mut self, node: usize, up: bool) -> Option<u64> {
        if self.nodes[node].cut_until > self.now {
            self.books.fired(Fault::Partition);
            return None;
        }
        if self.dice.chance(self.weather.drop) {
            self.books.fired(Fault::Drop);
            return None;
        }
        if self.dice.chance(self.weather.reset) {
            self.books.fired(Fault::Reset);
            return None;
        }
        Some(self.latency(node, up))
    }

    fn latency(&mut self, node: usize, up: bool) -> u64 {
        let mut arrival = self.now + self.dice.between(1, self.weather.jitter_ms);
        if self.dice.chance(self.weather.delay) {
            self.books.fired(Fault::Delay);
            arrival += self.dice.between(1_000, 40_000);
        }
        let last = self.last_arrival.entry((node, up)).or_default();
        if arrival < *last {
            self.books.fired(Fault::Reorder);
        }
        *last = arrival.max(*last);
        arrival
    }

    // Trouble.

    fn trouble(&mut self, fault: Fault) -> Result<(), Broken> {
        let node = self.dice.between(0, self.nodes.len() as u64 - 1) as usize;
        self.trace.line(self.now, format_args!("trouble: {fault:?} (worker {node})"));
        match fault {
            Fault::Partition => {
                let until = self.now + self.dice.between(1_000, 90_000);
                self.nodes[node].cut_until = until;
                self.nodes[node].disturbed_until = until;
            }
            Fault::CoordinatorCrash => {
                if self.head.is_some() {
                    self.books.fired(fault);
                    self.head_crash();
                }
            }
            // It happens when the next part is being written.
            Fault::CrashWhileStoring => self.books.crash_while_storing = true,
            Fault::CoordinatorDrain => {
                if self.head.is_some() {
                    self.books.fired(fault);
                    self.head_drain()?;
                }
            }
            Fault::CoordinatorSleep => {
                if self.head.is_some() && self.head_asleep_until <= self.now {
                    self.books.fired(fault);
                    self.head_asleep_until = self.now + self.dice.between(1_000, 600_000);
                    self.books.last_awakening = self.head_asleep_until;
                }
            }
            Fault::WorkerCrash => {
                if self.nodes[node].is_alive() {
                    self.books.fired(fault);
                    self.node_crash(node);
                }
            }
            Fault::WorkerSleep => {
                if self.nodes[node].is_alive() {
                    self.books.fired(fault);
                    let until = self.now + self.dice.between(1_000, 120_000);
                    self.nodes[node].asleep_until = until;
                    self.nodes[node].disturbed_until = until;
                }
            }
            Fault::WorkerDrain => {
                if self.nodes[node].is_alive() {
                    self.books.fired(fault);
                    self.node_leave(node)?;
                }
            }
            Fault::SlowWorker => self.nodes[node].slow_until = self.now + self.dice.between(10_000, 120_000),
            Fault::DiskFull => self.disk.full_until = self.now + self.dice.between(1_000, 60_000),
            Fault::StoreLies => self.books.store_lies = true,
            Fault::WrongNumbers => self.nodes[node].wrong = true,
            other => unreachable!("{other:?} is not planned"),
        }
        Ok(())
    }
}
