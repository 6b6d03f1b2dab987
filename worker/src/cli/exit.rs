//! How the process ends.

use std::process::ExitCode;

/// An exit code; users script against these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well.
    Success = 0,
    /// Something is wrong with this program or this machine, or the run failed.
    Failure = 1,
    /// Something is wrong with the command line or the config; or coordinator and worker do not fit together.
    Usage = 2,
    /// Interrupted a second time.
    Interrupted = 130,
    /// Told to go before the sweep's end, although it was to stay until then; everything is handed back. What SIGTERM alone
    /// would have made of it (128 + 15), so that supervisors start another one.
    Drained = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
