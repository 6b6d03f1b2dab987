//! How the process ends: every failure that reaches `main` carries its exit code.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use results::StoreError;

use crate::dashboard::DashboardError;
use crate::fleet::FleetError;

/// An exit code of the `coordinator` command; users script against these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything ended well.
    Success = 0,
    /// Something is wrong with this program or this machine.
    Internal = 1,
    /// Something is wrong with the command line or the sweep file.
    Usage = 2,
    /// The sweep finished, but some tasks failed.
    TasksFailed = 3,
    /// The output is locked or cannot be reached.
    Output = 4,
    /// Interrupted: results are kept, and the same command resumes.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A failure with the code to exit with.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// What to say. Diagnostics of a sweep file are rendered already; everything else is one chain of causes.
    pub report: Report,
}

/// What to say of a failure.
#[derive(Debug)]
pub enum Report {
    /// Rendered text, printed as it is.
    Rendered(String),
    /// An error with its causes.
    Error(anyhow::Error),
}

impl Failure {
    /// A failure whose text is rendered already.
    pub fn rendered(exit: Exit, text: impl fmt::Display) -> Failure {
        Failure { exit, report: Report::Rendered(text.to_string()) }
    }

    /// Whether results could not be reached, which may pass.
    pub fn is_out_of_reach(&self) -> bool {
        match &self.report {
            Report::Rendered(_) => false,
            Report::Error(error) => matches!(error.downcast_ref(), Some(StoreError::Unreachable { .. })),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let exit = match &error {
            StoreError::OtherSweep { .. } | StoreError::Unsupported { .. } | StoreError::Foreign { .. } => Exit::Usage,
            StoreError::Record { .. } | StoreError::Access { .. } => Exit::Internal,
            _ => Exit::Output,
        };
        Failure { exit, report: Report::Error(error.into()) }
    }
}

impl From<FleetError> for Failure {
    fn from(error: FleetError) -> Failure {
        let exit = match &error {
            FleetError::Exposed { .. } | FleetError::Tls(_) | FleetError::Listen { .. } => Exit::Usage,
            FleetError::Sink(_) => Exit::Output,
            FleetError::Stuck { .. } | FleetError::Internal(_) => Exit::Internal,
        };
        Failure { exit, report: Report::Error(error.into()) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.report {
            Report::Rendered(text) => f.write_str(text.trim_end()),
            Report::Error(error) => write!(f, "error: {error:#}"),
        }
    }
}

impl From<DashboardError> for Failure {
    fn from(error: DashboardError) -> Failure {
        Failure { exit: Exit::Usage, report: Report::Error(error.into()) }
    }
}

/// Attaches an exit code to an error.
pub trait OrExit<T> {
    /// Exits with this code if there is an error.
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit, report: Report::Error(error.into()) })
    }
}

/// Prints to standard output. That whoever reads it has seen enough is no failure: what counts lies in files.
///
/// # Errors
/// If it cannot be written for any other reason.
pub fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::anyhow!("cannot write to standard output: {error}")).or_exit(Exit::Internal)
        }
        _ => Ok(()),
    }
}
