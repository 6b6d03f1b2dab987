//! What is acknowledged is on the disk: the system calls of a sweep, as the kernel sees them.

use std::path::Path;
use std::process::Command;

use hedgesweep_tests::{Finished, Sandbox, binary, skipped};

const QUICK: &str = "\
name: quick
preset: paper
seeds: 40
parameters:
  training.epochs: {value: 0}
  evaluation.validation_paths: {value: 0}
  evaluation.test_paths: {value: 0}
record: {curves: false}
";

/// The calls of each thread that make a name appear or put something on the disk, in order.
fn calls(folder: &Path) -> Vec<Vec<String>> {
    let traces =
        std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let wanted = |line: &&str| {
        ["fsync(", "link(", "linkat(", "rename(", "renameat", "mkdir"].iter().any(|call| line.starts_with(call))
    };
    traces.map(|trace| trace.lines().filter(wanted).map(str::to_owned).collect()).collect()
}

#[test]
fn a_parts_content_is_on_the_disk_before_its_name_and_its_name_before_anything_else() {
    if !Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success()) {
        skipped("there is no strace that may trace");
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("quick.yaml", QUICK);
    std::fs::create_dir(sandbox.path("trace")).unwrap();
    let finished: Finished = Command::new("strace")
        .args(["-ff", "-y", "-qq", "-e", "trace=fsync,link,linkat,rename,renameat,renameat2,mkdir,mkdirat"])
        .args(["-o", "trace/calls", "--"])
        .arg(binary("coordinator"))
        .args(["--sweep", "quick.yaml", "--out", "deep/out", "--quiet"])
        .current_dir(sandbox.path(""))
        .output()
        .unwrap()
        .into();
    finished.expect_code(0);
    let threads = calls(&sandbox.path("trace"));

    // Files: the content, the name, the folder that holds the name, one after the other on one thread.
    let (mut parts, mut tables) = (0, 0);
    for thread in &threads {
        for (at, call) in thread.iter().enumerate() {
            let is_part = call.starts_with("link") && call.contains("/parts/");
            let is_table = call.starts_with("rename") && call.contains("runs.parquet");
            if !is_part && !is_table {
                continue;
            }
            let folder = if is_part { "/deep/out/parts>)" } else { "/deep/out>)" };
            let staged = call.split('"').nth(1).unwrap().rsplit('/').next().unwrap();
            let (before, after) = (&thread[at - 1], &thread[at + 1]);
            assert!(before.starts_with("fsync(") && before.contains(staged), "{before}\n{call}");
            assert!(after.starts_with("fsync(") && after.contains(folder), "{call}\n{after}");
            assert!([before, call, after].iter().all(|call| call.ends_with("= 0")), "{before}\n{call}\n{after}");
            parts += u32::from(is_part);
            tables += u32::from(is_table);
        }
    }
    assert!(parts >= 1 && tables == 1, "{threads:#?}");

    // Folders: each one's entry is on the disk before there is anything in it.
    let main = threads.iter().find(|thread| thread.iter().any(|call| call.starts_with("mkdir"))).unwrap();
    for (name, parent) in [("deep\"", None), ("deep/out\"", Some("/deep>)")), ("deep/out/parts\"", Some("/deep/out>)"))]
    {
        let made =
            main.iter().position(|call| call.starts_with("mkdir") && call.contains(name) && call.ends_with("= 0"));
        let made = made.unwrap_or_else(|| panic!("{name} is made: {main:#?}"));
        let synced = main[made..]
            .iter()
            .any(|call| call.starts_with("fsync(") && parent.is_none_or(|parent| call.contains(parent)));
        assert!(synced, "{name}: {main:#?}");
    }
}
