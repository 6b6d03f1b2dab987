//! The command line.

use std::net::SocketAddr;
use std::num::ParseIntError;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use sweep::plan::Shard;
pub use worker::duration::Timeout;
pub use worker::log::LogFormat;

use worker::connection::ConnectionArgs;

use crate::admission::AdmissionArgs;
use crate::linger::Linger;
use crate::scaler::ScalerArgs;

const EXAMPLES: &str = "\
Examples:
  coordinator --sweep sweeps/smoke.yaml               run a sweep here, on all cores
  coordinator plan sweeps/damping.yaml                what it would run, and what is done already
  coordinator --sweep sweeps/damping.yaml --set seeds=5
  coordinator compare results/damping                 its comparison again, from the Parquet files alone
  coordinator --sweep sweeps/damping.yaml --slots 0 --listen 127.0.0.1:4750
  coordinator watch 127.0.0.1:4750                    how far that sweep is
  worker --coordinator http://127.0.0.1:4750          take part in that sweep
  coordinator --sweep sweeps/damping.yaml --listen 0.0.0.0:4750 --tls-cert cert.pem --tls-key key.pem --token-file token
  worker --coordinator https://HOST:4750 --tls-ca ca.pem --token-file token      take part from another machine
  coordinator --sweep sweeps/damping.yaml --shard 3/8                            an eighth of it, for batch schedulers

Exit codes: 0 all ended well; 1 internal error; 2 bad usage or bad sweep file; 3 finished, but some tasks
failed; 4 the output is locked or cannot be reached; 130 interrupted (results are kept; the same command resumes).";

/// Distributed hyperparameter sweeps for deep hedging.
#[derive(Debug, Parser)]
#[command(
    name = "coordinator",
    version,
    about,
    after_help = EXAMPLES,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do instead of running a sweep.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to run a sweep.
    #[command(flatten)]
    pub run: RunArgs,
}

/// What else the coordinator can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Expand a sweep file without running anything: cells, arms, variants, seeds, runs, what is done already
    Plan(PlanArgs),
    /// Compare again, from the Parquet files alone; several sweeps together, too
    Compare(CompareArgs),
    /// Show how far a running coordinator is, one that was started with --listen
    Watch(WatchArgs),
    /// Print the JSON Schema (draft-07) of the sweep file
    Schema,
    /// Print the metric catalogue
    Metrics,
    /// Ask a coordinator with --ops-listen whether it is well: exit code 0 if so, else 1
    Health(HealthArgs),
}

/// Whom to ask.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Its --ops-listen address, e.g. 127.0.0.1:9464
    #[arg(value_name = "ADDR")]
    pub address: SocketAddr,
}

/// How to run a sweep.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The sweep file
    #[arg(long, value_name = "FILE", required = true)]
    pub sweep: Option<PathBuf>,
    /// Where the results go: a folder, or s3://BUCKET/PREFIX with the usual AWS environment variables [default:
    /// results/NAME, after the sweep's name]
    #[arg(long, value_name = "DIR|s3://…")]
    pub out: Option<String>,
    /// How many tasks to run at a time on this machine; 0 leaves the work to remote workers
    #[arg(long, visible_alias = "workers", value_name = "auto|N", default_value = "auto")]
    pub slots: Slots,
    /// Run one of N pieces of the sweep, counted from 0, and store its results; afterwards the command without --shard
    /// runs what is missing, merges and compares. In a Slurm array $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT, in an
    /// Indexed Job $JOB_COMPLETION_INDEX/N
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Set a key over the sweep file: seeds=5, training.epochs=10, ... (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<Setting>,
    /// How many workers a task may cost before it counts as failed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub max_attempts: u16,
    /// How long one attempt at a task may take, e.g. 90s, 15m, 2h; it then counts as failed [default: no limit]
    #[arg(long, value_name = "D")]
    pub task_timeout: Option<Timeout>,
    /// How long a worker may be silent before its tasks are given to others
    #[arg(long, value_name = "D", default_value = "30s")]
    pub lease_ttl: Timeout,
    /// No progress and no table, only warnings and errors
    #[arg(long, short)]
    pub quiet: bool,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Answer /healthz, /readyz and /metrics (Prometheus) at this address, in plain HTTP; they say nothing of the tasks
    #[arg(long, value_name = "ADDR")]
    pub ops_listen: Option<SocketAddr>,
    /// Go on answering --scaler-listen, --ops-listen and --dashboard for so long after the end: a duration, or forever; then
    /// exit as usual
    #[arg(long, value_name = "D|forever")]
    pub linger: Option<Linger>,
    /// Who is admitted.
    #[command(flatten)]
    pub admission: AdmissionArgs,
    /// Who is told how much work there is.
    #[command(flatten)]
    pub scaler: ScalerArgs,
}

/// What to plan.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The sweep file
    pub file: PathBuf,
    /// Where the results are, to count what is done [default: results/NAME, after the sweep's name]
    #[arg(long, value_name = "DIR|s3://…")]
    pub out: Option<String>,
    /// Set a key over the sweep file (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<Setting>,
    /// How many of the first configs to show
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub show: u64,
}

/// What to compare.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Folders of results, or s3://BUCKET/PREFIX. The sweep.yaml in them says the question; several sweeps must ask the
    /// same
    #[arg(value_name = "DIR|s3://…", required = true)]
    pub folders: Vec<String>,
    /// Where the answer goes [default: beside the tables; of several sweeps, nowhere]
    #[arg(long, value_name = "DIR|s3://…")]
    pub out: Option<String>,
}

/// What to watch.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Where the coordinator listens, e.g. 127.0.0.1:4750, or its URL
    #[arg(value_name = "ADDR")]
    pub address: String,
    /// Print one line and end
    #[arg(long)]
    pub once: bool,
    /// How to reach it.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// How many tasks run at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slots {
    /// One for each core that this process may use.
    Auto,
    /// This many.
    Count(usize),
}

impl Slots {
    /// The most slots that are accepted: more threads than any machine has cores is a typing error.
    const MAX: usize = 4096;

    /// The number of slots on this machine.
    pub fn count(self) -> usize {
        match self {
            Slots::Auto => worker::platform::auto_slots(),
            Slots::Count(count) => count,
        }
    }
}

impl FromStr for Slots {
    type Err = String;

    fn from_str(text: &str) -> Result<Slots, String> {
        if text == "auto" {
            return Ok(Slots::Auto);
        }
        let allowed = || format!("{text:?} is neither auto nor a number from 0 to {}", Slots::MAX);
        let count: usize = text.parse().map_err(|_: ParseIntError| allowed())?;
        if count <= Slots::MAX { Ok(Slots::Count(count)) } else { Err(allowed()) }
    }
}

/// One `--set KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The dotted key.
    pub key: String,
    /// The value, as YAML.
    pub value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Setting, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(Setting { key: key.trim().to_owned(), value: value.trim().to_owned() })
            }
            _ => Err(format!("{text:?} is not of the form KEY=VALUE")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn a_sweep_or_a_subcommand_is_required() {
        assert!(Cli::try_parse_from(["coordinator"]).is_err());
        assert!(Cli::try_parse_from(["coordinator", "--sweep", "a.yaml"]).is_ok());
        assert!(Cli::try_parse_from(["coordinator", "schema"]).is_ok());
    }

    #[test]
    fn slots_are_auto_or_a_sane_number() {
        assert_eq!("auto".parse(), Ok(Slots::Auto));
        assert_eq!("0".parse(), Ok(Slots::Count(0)));
        for bad in ["-1", "many", "1000000", ""] {
            assert!(bad.parse::<Slots>().is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_are_pairs() {
        assert_eq!("seeds=3".parse(), Ok(Setting { key: "seeds".into(), value: "3".into() }));
        assert!("seeds".parse::<Setting>().is_err());
        assert!("=3".parse::<Setting>().is_err());
    }
}
