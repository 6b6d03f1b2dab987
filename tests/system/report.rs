//! The report beside the tables, and the dashboard of a sweep that runs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hedgesweep_tests::{Background, Sandbox, repository};

/// The words of a text, however it is broken into lines.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn page_markdown_and_terminal_say_the_same_sentence() {
    let sandbox = Sandbox::new();
    let file = repository().join("sweeps/smoke.yaml");
    let finished = sandbox.coordinator(["--sweep", file.to_str().unwrap(), "--out", "out"]).expect_code(0);
    let markdown = std::fs::read_to_string(sandbox.path("out/report.md")).unwrap();
    let page = std::fs::read_to_string(sandbox.path("out/report.html")).unwrap();
    let sentence = markdown.lines().find_map(|line| line.strip_prefix("**")?.strip_suffix("**")).expect("a sentence");
    assert!(sentence.contains("kfac") && sentence.contains("adam") && sentence.contains("5 seeds"), "{sentence}");
    assert!(page.contains(&sentence.replace('<', "&lt;")), "the page does not say {sentence:?}");
    assert!(words(&finished.stdout).contains(&words(sentence)), "the terminal does not say {sentence:?}");
    for path in ["out/report.html", "out/report.md"] {
        assert!(finished.stdout.contains(path), "{path} is not among\n{}", finished.stdout);
    }
    // Nothing of the page depends on when it was made: the same command makes the same page.
    sandbox.coordinator(["--sweep", file.to_str().unwrap(), "--out", "out"]).expect_code(0);
    assert_eq!(std::fs::read_to_string(sandbox.path("out/report.html")).unwrap(), page);
}

#[test]
fn the_papers_tables_stand_beside_ours() {
    let sandbox = Sandbox::new();
    let file = repository().join("sweeps/paper_table2.yaml");
    sandbox.coordinator(["--sweep", file.to_str().unwrap(), "--out", "out"]).expect_code(0);
    let markdown = std::fs::read_to_string(sandbox.path("out/report.md")).unwrap();
    let row = |arm: &str, who: &str| -> Vec<String> {
        let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        markdown
            .lines()
            .map(cells)
            .find(|cells| cells.get(1..3) == Some(&[arm.to_owned(), who.to_owned()][..]))
            .unwrap()
    };
    for (arm, numbers) in [("adam", ["0.003176", "0.003432", "-0.0025"]), ("kfac", ["0.002084", "0.000745", "0.0401"])]
    {
        assert_eq!(row(arm, "paper")[3..6], numbers);
        assert_eq!(row(arm, "here")[3..6], numbers);
    }
    // Seconds are the machine's own, and there.
    assert!(row("adam", "here")[6].parse::<f64>().is_ok());
    assert_eq!(row("cost", "paper")[3..5], ["56.8776", "0.0000"]);
}

/// Asks a dashboard for a path, under a name; the head and the body of its answer. `None` while nobody answers.
fn get(address: &str, path: &str, host: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.to_owned(), body.to_owned()))
}

/// Asks again and again until the answer's body is as wanted.
#[track_caller]
fn until(address: &str, path: &str, wanted: impl Fn(&str) -> bool) -> String {
    let patience = Instant::now() + Duration::from_secs(60);
    let mut last = String::new();
    while Instant::now() < patience {
        if let Some((_, body)) = get(address, path, "localhost") {
            if wanted(&body) {
                return body;
            }
            last = body;
        }
        // A poll: the page of the other process is what is waited for.
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{path} did not come to what was wanted:\n{last}");
}

/// A sweep that lasts for as long as a test may need.
const LONG: &str = "\
name: long
preset: paper
seeds: 100000
parameters: {training.epochs: {value: 20}}
arms:
  adam: {parameters: {optimizer.kind: {value: adam}}}
  kfac: {parameters: {optimizer.kind: {value: kfac}}}
compare: {baseline: adam, metrics: [test.loss]}
";

fn last_word(line: &str) -> String {
    line.split_whitespace().last().expect("a word").trim_start_matches("http://").to_owned()
}

#[test]
fn the_dashboard_shows_workers_that_come_and_fall_silent_and_survives_the_coordinator() {
    let sandbox = Sandbox::new();
    sandbox.write("long.yaml", LONG);
    let start = |dashboard: &str| {
        let arguments = ["--sweep", "long.yaml", "--slots", "0", "--listen", "127.0.0.1:0", "--dashboard", dashboard];
        let mut coordinator = Background::start(sandbox.command("coordinator", arguments));
        let fleet = coordinator.read_stderr_until(|line| line.contains("listening on"));
        let shown = coordinator.read_stderr_until(|line| line.contains("dashboard at"));
        (coordinator, last_word(&fleet), last_word(&shown))
    };
    let worker = |fleet: &str| {
        let address = format!("http://{fleet}");
        Background::start(sandbox.command("worker", ["--coordinator", &address, "--slots", "1"]))
    };
    let (mut coordinator, fleet, address) = start("127.0.0.1:0");
    until(&address, "/live", |body| body.contains("waits for workers"));
    let mut first = worker(&fleet);
    until(&address, "/live", |body| body.contains("is running") && body.contains(" joined"));
    // The comparison comes with the first parts, while the sweep goes on.
    let report = until(&address, "/report", |body| body.contains("test.loss") && body.contains("<svg"));
    assert!(report.contains("id=\"loss\""), "the figures are those of the report");

    // A worker that is killed falls silent, and the page says so before its leases are lost.
    first.signal("KILL");
    let _second = worker(&fleet);
    until(&address, "/live", |body| body.contains("silent; lost after 30 s"));

    // Another coordinator at the same address: the page that asks it again finds what was done.
    coordinator.signal("KILL");
    drop(coordinator);
    let (_again, _, same) = start(&address);
    assert_eq!(same, address);
    until(&address, "/live", |body| body.contains("done before"));
    until(&address, "/report", |body| body.contains("<svg"));
}

#[test]
fn a_dashboard_is_for_this_machine_and_for_its_own_names() {
    let sandbox = Sandbox::new();
    sandbox.write("long.yaml", LONG);
    let refused = sandbox.coordinator(["--sweep", "long.yaml", "--dashboard", "0.0.0.0:0"]).expect_code(2);
    for part in ["0.0.0.0:0", "loopback", "--tls-cert", "--token-file", "--insecure"] {
        assert!(refused.stderr.contains(part), "no {part} in {}", refused.stderr);
    }
    sandbox.write("token", "0123456789abcdef");
    let no_tls = ["--sweep", "long.yaml", "--dashboard", "0.0.0.0:0", "--token-file", "token"];
    let refused = sandbox.coordinator(no_tls).expect_code(2);
    assert!(refused.stderr.contains("without TLS (--tls-cert and --tls-key)"), "{}", refused.stderr);
    assert!(!sandbox.path("results").exists(), "a refused sweep writes nothing");

    let arguments = ["--sweep", "long.yaml", "--slots", "1", "--dashboard", "127.0.0.1:0"];
    let mut coordinator = Background::start(sandbox.command("coordinator", arguments));
    let address = last_word(&coordinator.read_stderr_until(|line| line.contains("dashboard at")));
    let (head, body) = get(&address, "/", "evil.example").unwrap();
    assert!(head.starts_with("HTTP/1.1 403") && !body.contains("adam"), "{head}\n{body}");
    let (head, _) = get(&address, "/", &address).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    for header in ["content-security-policy: default-src 'none'", "x-frame-options: DENY", "cache-control: no-store"] {
        assert!(head.contains(header), "no {header} in\n{head}");
    }
    let (head, _) = get(&address, "/nothing", "localhost").unwrap();
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
}

#[test]
fn a_dashboard_with_a_token_asks_for_it() {
    let sandbox = Sandbox::new();
    sandbox.write("long.yaml", LONG);
    sandbox.write("token", "0123456789abcdef");
    let arguments =
        ["--sweep", "long.yaml", "--slots", "1", "--dashboard", "0.0.0.0:0", "--token-file", "token", "--insecure"];
    let mut coordinator = Background::start(sandbox.command("coordinator", arguments));
    let warning = coordinator.read_stderr_until(|line| line.contains("open to strangers"));
    assert!(warning.contains("WARN") && warning.contains("lacks TLS"), "{warning}");
    let shown = coordinator.read_stderr_until(|line| line.contains("dashboard, which asks for the token, at http://"));
    let address = format!("127.0.0.1:{}", shown.rsplit(':').next().unwrap());
    let (head, body) = get(&address, "/live", "any.example").unwrap();
    assert!(head.starts_with("HTTP/1.1 401") && !body.contains("long"), "{head}\n{body}");
    let (head, _) = get(&address, "/?token=0123456789abcdef", "any.example").unwrap();
    assert!(head.starts_with("HTTP/1.1 303") && head.contains("set-cookie: hedgesweep-"), "{head}");
}
