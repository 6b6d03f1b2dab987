//! What can be typed.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use proto::limits::MAX_SLOTS;
use worker::connection::ConnectionArgs;
use worker::duration::Timeout;
use worker::log::LogFormat;
use worker::platform;

const EXAMPLES: &str = "\
Examples:
  worker --coordinator http://127.0.0.1:4750
      Work for the coordinator of this machine on all cores, and for the next one when it is done.
  worker --coordinator http://127.0.0.1:4750 --slots 4 --exit-when-done
      Four tasks at a time; end with the sweep.
  worker --coordinator https://fleet.example:4750 --tls-ca ca.pem --token-file token
      The coordinator of another machine; README has how to make these files.
  worker run config.yaml | jq '.metrics[\"test.loss\"]'
      One run, no coordinator.
  worker bench
      How fast this machine trains.

Exit codes: 0 all went well, 1 failure, or no answer for --give-up-after, 2 bad usage or refused by the coordinator,
130 interrupted twice.
The first SIGTERM or Ctrl-C takes no more tasks, finishes or hands back what runs within 25 s, and ends with 0;
with --exit-when-done, before the sweep's end, with 143.";

const RUN_EXAMPLES: &str = "\
Examples:
  worker run config.yaml
      A file such as {preset: paper, seed: 7, optimizer: {kind: kfac, damping: 0.01}}; keys may be nested or dotted.
  worker run - < config.json
      The cell of the `config` column of runs.parquet: a complete config is a config.
  worker run config.yaml --blobs results/damping/blobs
      A config that names its initial weights by digest.

Exit codes: 0 the run ended (ok or diverged), 1 it failed, 2 bad usage or bad config.";

const BENCH_NOTES: &str = "\
One core does the work, except at the end. The peak is what it reaches with fused multiply-adds in f32 that wait for nothing: the first \
line has one look at it, every fraction its own look, taken beside the figure. GFLOP/s count matrix products alone; \
activations, simulation, costs and updates are not counted, but take their time: a run's are over simulation and \
training together. Runs of hedging are one epoch over its 10,000 paths, with nothing held out. Kernels are the least \
time of many, runs are medians over the rounds, and \"x adam\" is the median of the ratios to Adam's training time in the \
same round. At the end all cores work at once, each on a slot of its own: what runs gain by that is held against what \
multiply-adds gain that share nothing. A minute or two; results mean little while other work goes on.";

/// Runs deep-hedging tasks: for a coordinator, or one on its own.
#[derive(Debug, Parser)]
#[command(name = "worker", version, after_help = EXAMPLES, subcommand_negates_reqs = true, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) fleet: Fleet,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Working for a coordinator.
#[derive(Args, Debug)]
pub(crate) struct Fleet {
    /// Where the coordinator is, e.g. http://127.0.0.1:4750
    #[arg(long, value_name = "URL", required = true)]
    pub(crate) coordinator: Option<String>,

    /// How many tasks to run at a time; auto: as many as there are cores
    #[arg(long, value_name = "auto|N", default_value = "auto")]
    pub(crate) slots: Slots,

    /// End when the sweep is over, rather than wait for the next one; a coordinator that stops before that is waited for
    #[arg(long)]
    pub(crate) exit_when_done: bool,

    /// End with exit code 1 when the coordinator has not answered for this long, e.g. 90s, 15m, 2h [default: 10m with
    /// --exit-when-done, otherwise never]
    #[arg(long, value_name = "D")]
    pub(crate) give_up_after: Option<Timeout>,

    /// What to call this worker in the results; unique on its machine at a time [default: worker-PID]
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// How to write the log, which goes to stderr; RUST_LOG filters it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

impl Fleet {
    /// How long a worker that ends with its sweep waits for a coordinator that may have ended without it.
    const PATIENCE: Duration = Duration::from_secs(600);

    /// How long to try for a coordinator that does not answer; `None`: for ever.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.give_up_after.map(|timeout| timeout.0).or(self.exit_when_done.then_some(Fleet::PATIENCE))
    }
}

/// What else there is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Do one run and print it as JSON: {run_id, status, config, metrics, curves}
    Run(Run),

    /// Measure how fast this machine trains, against its own peak
    Bench(Bench),
}

/// What to measure.
#[derive(Args, Debug)]
#[command(after_help = BENCH_NOTES)]
pub(crate) struct Bench {
    /// Write one JSON object rather than tables
    #[arg(long)]
    pub(crate) json: bool,

    /// How often to time each run, all of them in turns
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
}

/// One run.
#[derive(Args, Debug)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct Run {
    /// YAML or JSON of {preset, seed, …overrides}; - reads stdin
    #[arg(value_name = "CONFIG.yaml|-")]
    pub(crate) config: PathBuf,

    /// Where initial weights are that the config names by digest: the blobs folder of a sweep's output
    #[arg(long, value_name = "DIR")]
    pub(crate) blobs: Option<PathBuf>,
}

/// How many tasks to run at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slots(pub(crate) usize);

impl FromStr for Slots {
    type Err = String;

    fn from_str(text: &str) -> Result<Slots, String> {
        if text == "auto" {
            return Ok(Slots(platform::auto_slots()));
        }
        let allowed = 1..=MAX_SLOTS as usize;
        match text.parse() {
            Ok(slots) if allowed.contains(&slots) => Ok(Slots(slots)),
            _ => Err(format!("allowed: auto, or a whole number from 1 to {MAX_SLOTS}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_coordinator_is_needed_unless_it_is_one_run() {
        assert!(Arguments::try_parse_from(["worker"]).is_err());
        assert!(Arguments::try_parse_from(["worker", "run", "-"]).is_ok());
        let arguments = Arguments::try_parse_from(["worker", "--coordinator", "http://localhost:1"]).unwrap();
        assert_eq!(arguments.fleet.slots, Slots(platform::auto_slots()));
        assert!(Arguments::try_parse_from(["worker", "--coordinator", "x", "--slots", "0"]).is_err());
        assert_eq!(arguments.fleet.patience(), None, "a worker of a fleet waits for the next coordinator");
        let patience = |more: &[&str]| {
            let arguments = ["worker", "--coordinator", "x"].iter().chain(more);
            Arguments::try_parse_from(arguments).unwrap().fleet.patience()
        };
        assert_eq!(patience(&["--exit-when-done"]), Some(Duration::from_secs(600)));
        assert_eq!(patience(&["--exit-when-done", "--give-up-after", "2h"]), Some(Duration::from_secs(7200)));
        assert_eq!(patience(&["--give-up-after", "5s"]), Some(Duration::from_secs(5)));
        assert!(Arguments::try_parse_from(["worker", "bench", "--json"]).is_ok());
        assert!(Arguments::try_parse_from(["worker", "bench", "--rounds", "0"]).is_err());
    }
}
