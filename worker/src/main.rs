//! The `worker` program: a member of a fleet, or one run on its own.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use cli::args::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Run(run)) => cli::single::run(&run),
        Some(Command::Bench(bench)) => cli::bench::run(&bench),
        None => cli::fleet::run(arguments.fleet),
    }
}
