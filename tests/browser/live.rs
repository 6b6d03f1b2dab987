//! The dashboard in a real browser.

use hedgesweep_tests::{Background, Sandbox, skipped};

use crate::chromium::{Browser, View};
use crate::tab::Tab;

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

/// A sweep that lasts for as long as a test may need.
const LONG: &str = "name: long\npreset: paper\nseeds: 100000\nparameters: {training.epochs: {value: 20}}\narms:\n  adam: {parameters: {optimizer.kind: {value: adam}}}\n  kfac: {parameters: {optimizer.kind: {value: kfac}}}\ncompare: {baseline: adam, metrics: [test.loss]}\n";

#[test]
fn a_page_that_is_left_open_tells_of_a_killed_worker_and_survives_the_coordinator() {
    let Some(browser) = Browser::find() else { return skipped("there is no Chromium") };
    let sandbox = Sandbox::new();
    sandbox.write("long.yaml", LONG);
    let start = |dashboard: &str| {
        let arguments = ["--sweep", "long.yaml", "--slots", "0", "--listen", "127.0.0.1:0", "--lease-ttl", "3s"];
        let arguments = arguments.into_iter().chain(["--dashboard", dashboard]);
        let mut coordinator = Background::start(sandbox.command("coordinator", arguments));
        let last_word = |line: String| line.split_whitespace().last().unwrap().to_owned();
        let fleet = last_word(coordinator.read_stderr_until(|line| line.contains("listening on")));
        let dashboard = last_word(coordinator.read_stderr_until(|line| line.contains("dashboard at")));
        (coordinator, fleet, dashboard)
    };
    let (mut coordinator, fleet, address) = start("127.0.0.1:0");
    let mut worker =
        Background::start(sandbox.command("worker", ["--coordinator", &fleet, "--slots", "1", "--name", "first"]));
    let mut tab = Tab::open(&browser, &address);
    let shows = |text: &str| format!("document.body.innerText.includes({text:?})");
    tab.until(&shows("is running"));
    tab.until("document.querySelectorAll('#report svg').length > 0");
    // What a reader has opened stays open when the report is made anew.
    tab.evaluate("document.querySelector('#origin details').open = true");
    let version = tab.evaluate("document.getElementById('report').dataset.version");
    tab.until(&format!("document.getElementById('report').dataset.version !== {version:?}"));
    assert_eq!(tab.evaluate("document.querySelector('#origin details').open"), "true");

    worker.signal("KILL");
    tab.until("document.querySelector('tr.late') !== null");
    tab.until(&shows("leases lost"));

    let version = tab.evaluate("document.getElementById('report').dataset.version");
    coordinator.signal("KILL");
    coordinator.wait();
    tab.until("!document.getElementById('lost').hidden");
    let (_again, _, same) = start(address.trim_start_matches("http://"));
    assert_eq!(same, address);
    tab.until("document.getElementById('lost').hidden");
    tab.until(&shows("done before"));
    // The last report stays until there is another one.
    assert_ne!(tab.evaluate("document.querySelectorAll('#report svg').length"), "0");
    tab.until(&format!("document.getElementById('report').dataset.version !== {version:?}"));
    tab.until("document.querySelectorAll('#report svg').length > 0");
    assert_eq!(tab.evaluate("document.querySelector('#origin details').open"), "true");
}
