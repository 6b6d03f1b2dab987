mod properties;
mod stories;
mod table;

use std::time::Duration;

use engine::{RunId, Status};

use super::{Finish, Ledger, LedgerConfig, Millis, WorkerId, WorkerInfo};
use crate::Task;

fn task(number: u64) -> Task {
    Task { run_id: run_id(number), index: number }
}

fn run_id(number: u64) -> RunId {
    RunId(u128::from(number).to_be_bytes())
}

fn finish(fingerprint: u64) -> Finish {
    Finish::new(Status::Ok, fingerprint).unwrap()
}

fn info(name: &str) -> WorkerInfo {
    WorkerInfo { host: "host".into(), name: name.into(), slots: 2 }
}

/// Ten seconds of lease, a heartbeat every two.
fn config() -> LedgerConfig {
    LedgerConfig {
        lease_ttl: Duration::from_secs(10),
        heartbeat_interval: Duration::from_secs(2),
        max_attempts: 3,
        max_workers: 8,
        max_leases: 64,
        incarnation: 7,
    }
}

fn ledger(tasks: u64) -> Ledger {
    let mut ledger = Ledger::new(config());
    (0..tasks).for_each(|number| assert!(ledger.submit(task(number))));
    ledger
}

fn join(ledger: &mut Ledger, now: u64, name: &str) -> WorkerId {
    ledger.join(Millis(now), info(name)).unwrap()
}
