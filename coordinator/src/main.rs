//! The `coordinator` command.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use coordinator::cli::{Cli, Command, LogFormat, RunArgs};
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
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,h2=error,rustls=error"));
    let colours = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
}
