//! What the whole-system tests share: finding the binaries, running them in a folder of their own, and reading what
//! they leave behind.

pub mod docker;
pub mod exposition;
pub mod faults;
pub mod grafana;
pub mod ops;
pub mod proxy;
pub mod s3;
pub mod scrape;
pub mod siege;

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use polars::prelude::*;

/// The top of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the repository").to_path_buf()
}

/// A binary of the workspace, beside the running test's own.
///
/// # Panics
/// If it is not built: `cargo test --workspace` builds it before any test runs, `cargo test -p hedgesweep-tests` does not.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.parent().and_then(Path::parent).expect("tests run from <profile>/deps");
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not built: run all tests (`cargo test --release --workspace`) or `cargo build --release --bins` first",
        path.display()
    );
    path
}

/// Says that a test cannot be done here. Straight to standard error: what goes through `eprintln!` is shown of failing
/// tests only.
pub fn skipped(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Nobody is left to be told if this fails.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
}

/// A folder that a test has to itself, with a sweep file in it.
pub struct Sandbox {
    folder: tempfile::TempDir,
}

/// How a finished command ended, with what it printed.
pub struct Finished {
    /// Exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// The exit code.
    ///
    /// # Panics
    /// If a signal ended the process.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {}\n{}", self.status, self.stderr))
    }

    /// Itself, if the exit code is this one.
    ///
    /// # Panics
    /// With everything printed, if it is another.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Finished {
        let actual = self.status.code();
        assert_eq!(actual, Some(code), "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Finished {
        Finished {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Sandbox {
    /// An empty folder.
    pub fn new() -> Sandbox {
        Sandbox { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// The folder, or a place in it.
    pub fn path(&self, place: &str) -> PathBuf {
        if place.is_empty() { self.folder.path().to_path_buf() } else { self.folder.path().join(place) }
    }

    /// Writes a file, and returns its path.
    pub fn write(&self, place: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(place);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("the folder can be made");
        std::fs::write(&path, content).expect("the file can be written");
        path
    }

    /// A command of the workspace that runs in this folder, quiet about itself.
    pub fn command(&self, name: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(binary(name));
        command.args(arguments).current_dir(self.folder.path()).env_remove("RUST_LOG").stdin(Stdio::null());
        command
    }

    /// Runs `coordinator` to its end.
    pub fn coordinator(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Finished {
        self.command("coordinator", arguments).output().expect("coordinator starts").into()
    }

    /// Runs `worker` to its end.
    pub fn worker(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Finished {
        self.command("worker", arguments).output().expect("worker starts").into()
    }
}

impl Default for Sandbox {
    fn default() -> Sandbox {
        Sandbox::new()
    }
}

/// A process that runs beside the test, killed if the test leaves it behind.
pub struct Background {
    child: Option<Child>,
}

impl Background {
    /// Starts a command with its output kept.
    pub fn start(mut command: Command) -> Background {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts");
        Background { child: Some(child) }
    }

    /// Starts a command whose output goes where the command says.
    pub fn start_as_is(mut command: Command) -> Background {
        Background { child: Some(command.spawn().expect("the command starts")) }
    }

    /// The process.
    pub fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("not waited for yet")
    }

    /// Sends a signal by its name, e.g. `INT`.
    pub fn signal(&mut self, name: &str) {
        let id = self.child().id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().expect("kill starts");
        assert!(status.success(), "kill -s {name} {id}");
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Finished {
        let child = self.child.take().expect("not waited for yet");
        child.wait_with_output().expect("the command can be waited for").into()
    }

    /// Reads standard error line by line until one satisfies `wanted`, and returns it.
    ///
    /// # Panics
    /// If the process ends its output first.
    pub fn read_stderr_until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let stderr = self.child().stderr.as_mut().expect("standard error is piped");
        let mut seen = String::new();
        let mut line = Vec::new();
        // Byte by byte: a buffered reader would swallow what comes after the line.
        let mut byte = [0_u8];
        while stderr.read(&mut byte).expect("standard error can be read") == 1 {
            if byte[0] == b'\n' {
                let text = String::from_utf8_lossy(&line).into_owned();
                if wanted(&text) {
                    return text;
                }
                seen.push_str(&text);
                seen.push('\n');
                line.clear();
            } else {
                line.push(byte[0]);
            }
        }
        panic!("the process ended before the line came:\n{seen}");
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself; either way nothing is left behind.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A Parquet table, whole.
///
/// # Panics
/// If it cannot be read.
#[track_caller]
pub fn table(path: impl AsRef<Path>) -> DataFrame {
    let path = path.as_ref();
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    ParquetReader::new(file).finish().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The table without the columns that say where and when it was computed.
pub fn without_provenance(table: &DataFrame) -> DataFrame {
    let provenance =
        |name: &str| ["time.", "host.", "engine."].iter().any(|prefix| name.starts_with(prefix)) || name == "seconds";
    let kept: Vec<_> =
        table.get_column_names().into_iter().filter(|name| !provenance(name.as_str())).cloned().collect();
    table.select(kept).expect("the columns are there")
}

/// The numbers of a column, null as `None`.
///
/// # Panics
/// If there is no such column of numbers.
#[track_caller]
pub fn numbers(table: &DataFrame, column: &str) -> Vec<Option<f64>> {
    let column = table.column(column).unwrap_or_else(|error| panic!("{error}"));
    let column = column.cast(&DataType::Float64).expect("numbers");
    column.f64().expect("just cast").iter().collect()
}

/// The texts of a column.
///
/// # Panics
/// If there is no such column of text, or it has a null.
#[track_caller]
pub fn texts(table: &DataFrame, column: &str) -> Vec<String> {
    let column = table.column(column).unwrap_or_else(|error| panic!("{error}"));
    let column = column.str().expect("text");
    column.iter().map(|text| text.expect("not null").to_owned()).collect()
}
