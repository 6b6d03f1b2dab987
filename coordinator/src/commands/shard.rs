//! `--shard I/N`: a piece of a sweep, computed by a process that knows nothing of the others.
//!
//! A shard stores parts and nothing else. Whichever shards have run, and however often, the command without `--shard`
//! finds their parts, runs what is missing, and writes the tables.

use std::fmt::Write as _;
use std::time::Instant;

use results::{Access, Location, SweepFile};
use sweep::plan::Shard;

use super::tally::Tally;
use crate::cli::RunArgs;
use crate::exit::{Exit, Failure, OrExit, print};
use crate::fleet::Summary;
use crate::format;

/// What the results are opened for.
pub fn access(shard: Option<Shard>) -> Access {
    match shard {
        Some(shard) => Access::Shard { index: shard.index(), count: shard.count() },
        None => Access::Write,
    }
}

/// Refuses what a shard cannot do.
///
/// # Errors
/// With [`Exit::Usage`], for flags that are for a sweep as a whole.
pub fn refuse_what_is_for_the_whole_sweep(args: &RunArgs) -> Result<(), Failure> {
    let Some(shard) = args.shard else { return Ok(()) };
    const NO_FLEET: &str = "a shard has no fleet, its own slots do its work";
    let refused = [
        (args.admission.listen.is_some(), "--listen", NO_FLEET),
        (args.scaler.scaler_listen.is_some(), "--scaler-listen", NO_FLEET),
        (args.slots.count() == 0, "--slots 0", NO_FLEET),
        (
            args.admission.dashboard.is_some(),
            "--dashboard",
            "a shard compares nothing, so that there is nothing to show",
        ),
        (args.linger.is_some(), "--linger", "a shard makes room for the next one when it has ended"),
    ];
    for (is_given, flag, reason) in refused {
        if is_given {
            let error = anyhow::anyhow!("--shard {shard} does not go with {flag}: {reason}");
            return Err(error).or_exit(Exit::Usage);
        }
    }
    Ok(())
}

/// Warns if the results are another sweep file's, since shards of different files do not make up one sweep. It is no
/// error: files are extended between one time and the next.
pub fn warn_of_another_file(args: &RunArgs, location: &Location, text: &str) {
    let settings = args.set.iter().map(|setting| (setting.key.clone(), setting.value.clone()));
    // Whatever else is wrong with the output is told when it is opened.
    if args.shard.is_some()
        && let Ok(file) = SweepFile::of(location)
        && (file.text != text || !file.reading.settings.iter().cloned().eq(settings))
    {
        eprintln!(
            "warning: {} is another version of this sweep, or was read with another --set; the shards of a sweep must all \
             have the same, or runs are missing until the command without --shard has run them",
            file.path.display()
        );
    }
}

/// Says what a shard has done and what to do next, and how the process ends.
///
/// # Errors
/// If it cannot be printed.
pub fn end(
    args: &RunArgs,
    tally: &Tally,
    summary: Option<&Summary>,
    out: &str,
    began: Instant,
) -> Result<Exit, Failure> {
    let counts = summary.map(|summary| summary.counts).unwrap_or_default();
    if !args.quiet {
        let mut text = format!("{tally}; ran {} in {}", counts.ended(), format::duration(began.elapsed()));
        for (number, word) in [(counts.ok, "ok"), (counts.diverged, "diverged"), (counts.failed, "failed")] {
            if number > 0 {
                let _ = write!(text, ", {} {word}", format::count(number));
            }
        }
        let _ = writeln!(text, "\nwhen all shards have ended: {}", whole_sweep(args, out));
        print(&text)?;
    }
    Ok(if counts.failed > 0 { Exit::TasksFailed } else { Exit::Success })
}

/// The command that runs what is missing, merges and compares.
fn whole_sweep(args: &RunArgs, out: &str) -> String {
    let file = args.sweep.as_ref().expect("clap requires it").to_string_lossy();
    let mut words = vec!["coordinator".to_owned(), "--sweep".to_owned(), quoted(&file)];
    for setting in &args.set {
        words.extend(["--set".to_owned(), quoted(&format!("{}={}", setting.key, setting.value))]);
    }
    words.extend(["--out".to_owned(), quoted(out)]);
    words.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn args(words: &[&str]) -> RunArgs {
        Cli::parse_from(["coordinator", "--sweep", "my sweeps/a.yaml", "--shard", "1/8"].iter().chain(words)).run
    }

    #[test]
    fn what_is_for_the_whole_sweep_is_refused_with_the_reason() {
        let refusal = |words: &[&str]| refuse_what_is_for_the_whole_sweep(&args(words)).err().map(|e| e.to_string());
        let address = "127.0.0.1:0";
        let flags = [
            ["--listen", address],
            ["--scaler-listen", address],
            ["--dashboard", address],
            ["--linger", "forever"],
            ["--slots", "0"],
        ];
        for flag in &flags {
            let refusal = refusal(flag).expect(flag[0]);
            assert!(refusal.starts_with(&format!("error: --shard 1/8 does not go with {}", flag[0])), "{refusal}");
        }
        assert_eq!(refusal(&["--slots", "2", "--ops-listen", "127.0.0.1:0"]), None);
        let whole = Cli::parse_from(["coordinator", "--sweep", "a.yaml", "--listen", "127.0.0.1:0"]).run;
        assert!(refuse_what_is_for_the_whole_sweep(&whole).is_ok());
    }

    #[test]
    fn the_command_to_follow_can_be_pasted_into_a_shell() {
        let args = args(&["--set", "seeds={start: 1, count: 3}", "--set", "description=it's"]);
        assert_eq!(
            whole_sweep(&args, "results/a"),
            r"coordinator --sweep 'my sweeps/a.yaml' --set 'seeds={start: 1, count: 3}' --set 'description=it'\''s' --out results/a"
        );
    }
}
