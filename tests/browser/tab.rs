//! A tab that stays open: Chromium's own protocol over a pair of named pipes, so that a page is looked at while what it shows
//! changes.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::chromium::Browser;

/// How long a page may take to come to what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A page in a browser of its own, which ends with it.
pub(crate) struct Tab {
    browser: Child,
    requests: File,
    answers: BufReader<File>,
    session: Value,
    number: u64,
    _folder: tempfile::TempDir,
}

impl Tab {
    /// Opens an address.
    ///
    /// # Panics
    /// If the browser does not start, or shows something else.
    pub(crate) fn open(browser: &Browser, address: &str) -> Tab {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pipes = ["requests", "answers"].map(|name| folder.path().join(name));
        let made = Command::new("mkfifo").args(&pipes).status().expect("mkfifo starts");
        assert!(made.success(), "named pipes can be made");
        // The browser takes its orders from descriptor 3 and answers on 4.
        let script = "exec 3<\"$1\" 4>\"$2\"; shift 2; exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).args(&pipes).arg(browser.program());
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
        command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
        command.args(["--remote-debugging-pipe", "about:blank"]);
        let browser = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let browser = browser.expect("the browser starts");
        let requests = OpenOptions::new().write(true).open(&pipes[0]).expect("the browser reads");
        let answers = BufReader::new(File::open(&pipes[1]).expect("the browser writes"));
        let mut tab = Tab { browser, requests, answers, session: Value::Null, number: 0, _folder: folder };
        let target = tab.call("Target.createTarget", json!({ "url": address }))["targetId"].clone();
        let attached = tab.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        tab.session = attached["sessionId"].clone();
        tab
    }

    /// What an expression is on the page, as text.
    ///
    /// # Panics
    /// If the browser does not answer.
    pub(crate) fn evaluate(&mut self, expression: &str) -> String {
        let answer = self.call("Runtime.evaluate", json!({ "expression": format!("String({expression})") }));
        answer["result"]["value"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a condition holds on the page.
    ///
    /// # Panics
    /// If it does not come to that.
    #[track_caller]
    pub(crate) fn until(&mut self, condition: &str) {
        let patience = Instant::now() + PATIENCE;
        while Instant::now() < patience {
            if self.evaluate(condition) == "true" {
                return;
            }
            // A poll: the page is another process's.
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{condition} did not come true:\n{}", self.evaluate("document.body.innerText"));
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut request = json!({ "id": self.number, "method": method, "params": parameters });
        if !self.session.is_null() {
            request["sessionId"] = self.session.clone();
        }
        // Messages end with a zero byte.
        self.requests.write_all(format!("{request}\0").as_bytes()).expect("the browser takes orders");
        loop {
            let mut message = Vec::new();
            self.answers.read_until(0, &mut message).expect("the browser answers");
            let message = message.strip_suffix(&[0]).expect("the browser is there");
            let message: Value = serde_json::from_slice(message).expect("answers are JSON");
            // Between answers it tells of what happens.
            if message["id"] == self.number {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}
