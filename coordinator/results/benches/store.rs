//! How fast the store is, and how much memory a merge takes: `cargo bench -p results`.
#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Instant;

use results::{Access, Store};

fn status(key: &str) -> String {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned()
}

fn measure(runs: u64, batch: u64, epochs: u32, config: &str) {
    let place = tempfile::tempdir().unwrap();
    let sweep = common::sweep("speed");
    let mut store = Store::open(&common::at(&place), &sweep, Access::Write).unwrap();
    let (mut slowest, mut total) = (0.0_f64, 0.0);
    for start in (0..runs).step_by(batch as usize) {
        let records: Vec<_> = (start..runs.min(start + batch))
            .map(|n| {
                let mut record = if epochs == 0 { common::noop(n) } else { common::full(n, epochs, 0) };
                record.config = format!("{{\"seed\":{n},{config}");
                record
            })
            .collect();
        let begun = Instant::now();
        store.append(&records).unwrap();
        let taken = begun.elapsed().as_secs_f64();
        (slowest, total) = (slowest.max(taken), total + taken);
    }
    println!("append {runs} in batches of {batch}: {total:.3} s, slowest {slowest:.3} s");
    drop(store);
    let begun = Instant::now();
    let mut store = Store::open(&common::at(&place), &sweep, Access::Write).unwrap();
    println!("open {}: {:.3} s; {}", store.index().len(), begun.elapsed().as_secs_f64(), status("VmHWM"));
    println!("set aside: {:?}", store.set_aside().first());
    let plan = common::Plan::of(0..runs);
    // Counts the high-water mark from here.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    println!("before the merge: {}", status("VmRSS"));
    let begun = Instant::now();
    let summary = store.merge(&plan).unwrap();
    println!("merge: {:.3} s; {}; {summary:?}", begun.elapsed().as_secs_f64(), status("VmHWM"));
    for entry in std::fs::read_dir(place.path().join("out")).unwrap().flatten() {
        println!("{:?} {}", entry.file_name(), entry.metadata().unwrap().len());
    }
    println!("parts: {}", std::fs::read_dir(place.path().join("out/parts")).unwrap().count());
}

fn main() {
    let config = &common::CONFIG[1..];
    println!("a million runs without numbers");
    measure(1_000_000, 20_000, 0, config);
    println!("\na hundred thousand runs of a hundred epochs");
    measure(100_000, 500, 100, config);
    println!("\na million runs of twenty epochs");
    measure(1_000_000, 5_000, 20, config);
}
