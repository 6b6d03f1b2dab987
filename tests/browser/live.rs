//! The dashboard in a real browser.

use hedgesweep_tests::{Background, Sandbox, skipped};

use crate::chromium::{Browser, View};

const SWEEP: &str = "name: live\npreset: paper\nseeds: 4\narms:\n  adam: {parameters: {optimizer.kind: {value: adam}}}\n  kfac: {parameters: {optimizer.kind: {value: kfac}}}\ncompare: {baseline: adam, metrics: [test.loss]}\n";

#[test]
fn a_page_that_is_left_open_shows_the_workers_that_come() {
    let Some(browser) = Browser::find() else { return skipped("there is no Chromium") };
    let sandbox = Sandbox::new();
    sandbox.write("live.yaml", SWEEP);
    let arguments = ["--sweep", "live.yaml", "--slots", "0", "--listen", "127.0.0.1:0", "--dashboard", "127.0.0.1:0"];
    let mut coordinator = Background::start(sandbox.command("coordinator", arguments));
    let line = coordinator.read_stderr_until(|line| line.contains("dashboard at"));
    let address = line.split_whitespace().last().unwrap().to_owned();
    for view in [View { width: 1280, dark: false }, View { width: 390, dark: true }] {
        let page = browser.dump(&address, view);
        // The script has asked, and put what it heard into the title.
        assert!(page.contains("<title>0% · live"), "{page}");
        assert!(page.contains("waits for workers") && page.contains("The comparison so far appears here"), "{page}");
    }
}
