//! The `coordinator` command.

use std::process::ExitCode;

use clap::Parser;
use coordinator::cli::{Cli, Command, RunArgs};
use coordinator::commands;
use coordinator::exit::{Exit, Failure};

fn main() -> ExitCode {
    let cli = Cli::parse();
    worker::credentials::install_crypto_provider();
    match dispatch(&cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit.into()
        }
    }
}

fn dispatch(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.command {
        Some(Command::Compare(args)) => commands::compare::compare(args),
        Some(Command::Plan(args)) => commands::plan::plan(args),
        Some(Command::Schema) => commands::schema::schema(),
        Some(Command::Metrics) => commands::metrics::metrics(),
        Some(Command::Health(args)) => commands::health::health(args),
        Some(Command::Watch(args)) => commands::watch::watch(args),
        None => {
            log_to_stderr(&cli.run);
            commands::run::run(&cli.run)
        }
    }
}

/// Warnings and errors, unless `RUST_LOG` asks for more. What the transport warns of is what strangers do, who must not be
/// able to fill the log.
fn log_to_stderr(args: &RunArgs) {
    worker::log::to_stderr(args.log_format, "warn,h2=error,rustls=error");
}
