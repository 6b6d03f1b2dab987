//! What the worker knows of the machine it runs on.

use std::num::NonZeroUsize;

use engine::record::Provenance;

/// What a worker writes into the provenance of all its results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The machine's name.
    pub host: String,
    /// The worker's name.
    pub worker: String,
}

impl Identity {
    /// The provenance of an attempt, its times apart.
    pub fn provenance(&self, attempt: u32) -> Provenance {
        Provenance {
            host: self.host.clone(),
            worker: self.worker.clone(),
            isa: isa().to_owned(),
            attempt,
            engine_version: engine::VERSION.to_owned(),
            ..Provenance::default()
        }
    }
}

/// The machine's name; `unknown` if it has none.
pub fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let environment = || std::env::var("HOSTNAME").ok();
    // Where there is no /proc, as on a Mac, the shell's variable is usually not exported; uname is everywhere.
    let uname = || {
        let output = std::process::Command::new("uname").arg("-n").output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    let named = |name: &String| !name.trim().is_empty();
    kernel
        .filter(named)
        .or_else(|| environment().filter(named))
        .or_else(|| uname().filter(named))
        .map_or_else(|| "unknown".to_owned(), |name| name.trim().to_owned())
}

/// The instruction set that the engine's kernels run on. They are plain code today, compiled for the baseline of the
/// architecture.
pub fn isa() -> &'static str {
    std::env::consts::ARCH
}

/// How many slots `auto` means: as many as there are cores, within the container's quota.
pub fn auto_slots() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
