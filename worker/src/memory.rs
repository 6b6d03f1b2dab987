//! How much memory a run may take. Embedded slots are threads: a config that cannot fit has to be refused before it
//! takes the whole process with it.

use std::fs;

/// How many bytes this process may still take, by what the kernel and the container say; `None` where neither says
/// anything (anywhere but on Linux).
pub fn available_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_available(&text));
    let read = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok();
    let container =
        read("memory.max").zip(read("memory.current")).and_then(|(max, current)| cgroup_available(&max, &current));
    match (machine, container) {
        (Some(machine), Some(container)) => Some(machine.min(container)),
        (machine, container) => machine.or(container),
    }
}

/// `MemAvailable` of /proc/meminfo.
fn mem_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// What a control group (v2) leaves; `None` if it has no limit.
fn cgroup_available(max: &str, current: &str) -> Option<u64> {
    let max: u64 = max.trim().parse().ok()?;
    Some(max.saturating_sub(current.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_files_are_read() {
        let meminfo = "MemTotal:        8000 kB\nMemAvailable:    4000 kB\n";
        assert_eq!(mem_available(meminfo), Some(4000 * 1024));
        assert_eq!(mem_available("MemTotal: 8000 kB\n"), None);
        assert_eq!(cgroup_available("1000\n", "400\n"), Some(600));
        assert_eq!(cgroup_available("max\n", "400\n"), None);
    }
}
