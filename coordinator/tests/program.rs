//! The program itself. (That these tests name it also has `cargo test --workspace` build it before the whole-system tests
//! run it.)

use std::process::Command;

fn coordinator(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_coordinator")).args(arguments).output().expect("coordinator starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn it_says_its_version() {
    let (code, stdout, _) = coordinator(&["--version"]);
    assert_eq!((code, stdout.trim()), (Some(0), concat!("coordinator ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn bad_usage_ends_with_2_and_names_the_likely_flag() {
    let (code, _, stderr) = coordinator(&["--swep", "x.yaml"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("--sweep"), "{stderr}");
}

#[test]
fn the_metric_catalogue_is_printed_whole() {
    let (code, stdout, _) = coordinator(&["metrics"]);
    assert_eq!(code, Some(0));
    assert_eq!(stdout.lines().count(), engine::metrics::catalogue().len() + 2);
}
