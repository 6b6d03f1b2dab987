//! A headless Chromium that looks at pages.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What looks at a page from inside it.
const CHECK: &str = include_str!("check.js");

/// The page around the page, which takes in what the check says.
const HOST: &str = "<!DOCTYPE html><html><head><meta name=\"color-scheme\" content=\"light dark\"></head><body>\
    <script>addEventListener('message', (event) => { const result = document.createElement('check-result'); \
    result.textContent = event.data; document.body.append(result); });</script>\
    <iframe src=\"page.html\" width=\"WIDTH\" height=\"900\" style=\"border: 0\"></iframe></body></html>";

/// A browser on this machine.
pub(crate) struct Browser {
    program: PathBuf,
}

/// How a page is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// Width in CSS pixels.
    pub(crate) width: u32,
    /// Whether the reader prefers dark pages.
    pub(crate) dark: bool,
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// What is wrong.
    pub(crate) problems: Vec<String>,
    /// How many texts were looked at.
    pub(crate) texts: u64,
    /// How many drawings were looked at.
    pub(crate) drawings: u64,
}

impl Browser {
    /// The browser that `CHROMIUM` names, or one on the path.
    pub(crate) fn find() -> Option<Browser> {
        let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
        let names = ["chromium", "chromium-browser", "google-chrome", "chrome"].map(PathBuf::from);
        let mut all = named.into_iter().chain(names);
        let works = |program: &PathBuf| {
            let asked = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            asked.is_ok_and(|status| status.success())
        };
        all.find(works).map(|program| Browser { program })
    }

    /// Where it is.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Looks at a page, with its details opened or as they are.
    ///
    /// # Panics
    /// If the browser fails, or shows the page otherwise than asked for.
    pub(crate) fn check(&self, html: &str, view: View, open: bool) -> Verdict {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // The page itself allows no script.
        let html = html.replacen("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'", 1);
        let first =
            "<script>window.faults = []; addEventListener('error', (event) => faults.push(event.message));</script>";
        let html = html.replacen("<head>", &format!("<head>{first}"), 1);
        let settings = format!("const open = {open}, dark = {}, width = {};", view.dark, view.width);
        let end = format!("<script>{settings}{CHECK}</script></body>");
        let (before, after) = html.rsplit_once("</body>").expect("a page has a body");
        std::fs::write(folder.path().join("page.html"), format!("{before}{end}{after}"))
            .expect("the page can be written");
        // A window is 500 pixels wide at least; a frame is as wide as it is told.
        let host = HOST.replace("WIDTH", &view.width.to_string());
        let page = folder.path().join("host.html");
        std::fs::write(&page, host).expect("the page can be written");
        let dump = self.dump(&format!("file://{}", page.display()), view);
        let begin = dump.find("<check-result>").expect("the check has run") + "<check-result>".len();
        let end = begin + dump[begin..].find("</check-result>").expect("the check has ended");
        let text = dump[begin..end].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let problems = json["problems"].as_array().expect("a list");
        Verdict {
            problems: problems.iter().map(|problem| problem.as_str().unwrap_or_default().to_owned()).collect(),
            texts: json["texts"].as_u64().expect("a count"),
            drawings: json["drawings"].as_u64().expect("a count"),
        }
    }

    /// The document of an address after its scripts have run for a while.
    ///
    /// # Panics
    /// If the browser fails.
    pub(crate) fn dump(&self, address: &str, view: View) -> String {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(&self.program);
        command.args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg(format!("--window-size={},900", view.width));
        command.arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!view.dark)));
        command.args(["--virtual-time-budget=4000", "--dump-dom", address]);
        let output = command.stdin(Stdio::null()).output().expect("the browser starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
