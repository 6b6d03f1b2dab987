//! `coordinator --sweep FILE`: plan, run, merge, compare.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use results::{Access, Location, MergeSummary, Reading, Store, StoreError, SweepIdentity, Versions};
use sweep::plan::{Plan, PlanOrder};
use sweep::spec::Spec;
use tokio::runtime::{Builder, Runtime};

use crate::cli::{RunArgs, Setting};
use crate::commands::{Loaded, load, output};
use crate::dashboard::{self, Board, Dashboard, Sweep};
use crate::embedded;
use crate::exit::{Exit, Failure, OrExit, print};
use crate::fleet::{self, FleetError, FleetOptions, Gate, Summary};
use crate::format;
use crate::interrupt::Interrupts;
use crate::ops;
use crate::outcome;
use crate::progress::Reporter;
use crate::seams::{PlanRows, PlanTasks, SharedStore};
use crate::weights::{self, WeightFiles};

/// Runs a sweep to its end, or until it is interrupted.
///
/// # Errors
/// See [`Exit`].
pub fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let began = Instant::now();
    let file: PathBuf = args.sweep.clone().expect("clap requires it");
    let gate = args.admission.gate()?;
    refuse_what_cannot_run(args, gate.as_ref())?;
    let Loaded { text, spec, plan, weights } = load(&file, &args.set)?;
    let out = output(args.out.as_deref(), &spec);
    let location: Location = out.parse().or_exit(Exit::Usage)?;
    let identity = identity(&spec, text.clone(), &args.set);
    let store = Store::open(&location, &identity, Access::Write)?;
    // The fleet binds it again.
    gate.as_ref().map(free_address).transpose()?;
    store.note(&reading(&args.set, &weights))?;
    let blobs = weights.into_blobs();
    keep_blobs(&location, &blobs)?;
    for file in store.set_aside() {
        eprintln!("warning: {} is left aside: {}; its runs count as not done", file.path.display(), file.reason);
    }

    let plan = Arc::new(plan);
    let tally = Tally::of(&plan, &store, &spec);
    if !args.quiet {
        eprintln!("{}: {tally}", spec.name);
    }
    let store = SharedStore::new(store);
    let tally = Arc::new(tally);
    let looked_at = Sweep {
        spec: spec.clone(),
        plan: Arc::clone(&plan),
        location: location.clone(),
        identity,
        total: tally.tasks_to_do(&plan),
        done_before: tally.done,
    };
    let computed = if tally.to_do > 0 { Some(compute(args, gate, looked_at, &store, blobs, &tally)?) } else { None };
    let (summary, runtime) = computed.unzip();
    let _signals = Background(runtime);
    if let Some(summary) = summary.filter(|summary| !summary.finished) {
        let left = tally.tasks_to_do(&plan).saturating_sub(summary.counts.ended());
        eprintln!(
            "interrupted: {} stored in {out}, {} left; the same command resumes",
            format::plural(summary.counts.ended(), "result"),
            format::count(left),
        );
        return Ok(Exit::Interrupted);
    }

    let merged = store.with(|store| merge(store, &plan))?;
    drop(store);
    if merged.orphans > 0 {
        eprintln!(
            "{} of an older version of this file stay in {out}/parts and are in none of the tables",
            match merged.orphans {
                1 => "1 earlier run".to_owned(),
                more => format!("{} earlier runs", format::count(more)),
            }
        );
    }
    let report = outcome::analyse(&location, &spec, &plan, &text)?;
    if !args.quiet {
        print_end(&report, &merged, &location, began)?;
    }
    Ok(if merged.failed > 0 { Exit::TasksFailed } else { Exit::Success })
}

/// A runtime that is not waited for: what still looks at the store, such as a dashboard's report, reads alone.
struct Background(Option<Runtime>);

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Refuses what is known to fail before anything is written.
fn refuse_what_cannot_run(args: &RunArgs, gate: Option<&Gate>) -> Result<(), Failure> {
    if let Some(gate) = gate {
        match free_address(gate) {
            // Whoever has it may be at work on this very output, and then the lock says it better.
            Err(FleetError::Listen { error, .. }) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            other => other?,
        }
    }
    if let Some(address) = args.dashboard {
        dashboard::bind(address)?;
    }
    if args.slots.count() == 0 && gate.is_none() {
        let error = anyhow::anyhow!("with --slots 0 nobody would do the work: admit workers with --listen ADDR");
        return Err(error).or_exit(Exit::Usage);
    }
    Ok(())
}

/// Whether a gate's address can be had.
fn free_address(gate: &Gate) -> Result<(), FleetError> {
    let address = gate.address();
    TcpListener::bind(address).map(drop).map_err(|error| FleetError::Listen { address, error })
}

/// Opens the output of a sweep.
///
/// # Errors
/// See [`Store::open`].
pub fn open_store(
    location: &Location,
    spec: &Spec,
    text: String,
    settings: &[Setting],
    access: Access,
) -> Result<Store, StoreError> {
    Store::open(location, &identity(spec, text, settings), access)
}

/// Whose results they are.
fn identity(spec: &Spec, text: String, settings: &[Setting]) -> SweepIdentity {
    // What the file means depends on `--set` as well.
    let mut hash = blake3::Hasher::new();
    hash.update(text.as_bytes());
    for setting in settings {
        hash.update(format!("\n--set {}={}", setting.key, setting.value).as_bytes());
    }
    SweepIdentity {
        name: spec.name.clone(),
        hash: hash.finalize().to_hex()[..32].to_owned(),
        text,
        versions: Versions::current(),
        record: spec.record.clone(),
    }
}

/// What `coordinator compare` needs beside the file's text to read it as it is read now.
fn reading(settings: &[Setting], weights: &WeightFiles) -> Reading {
    let settings = settings.iter().map(|setting| (setting.key.clone(), setting.value.clone())).collect();
    Reading { settings, weights: weights.digests() }
}

/// Lays the weights files beside the results, so that a `config` cell that names one by digest can be run again.
fn keep_blobs(location: &Location, blobs: &HashMap<String, Bytes>) -> Result<(), Failure> {
    let folder = weights::blobs(location.path());
    for (digest, content) in blobs {
        let name = weights::blob_name(digest);
        let path = folder.join(name);
        if path.exists() {
            continue;
        }
        let written = std::fs::create_dir_all(&folder).and_then(|()| {
            let staged = folder.join(format!(".{name}.{}", std::process::id()));
            let mut file = std::fs::File::create(&staged)?;
            file.write_all(content)?;
            // A name that outlives a crash must not stand for an empty file.
            file.sync_all()?;
            std::fs::rename(&staged, &path)
        });
        written.map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display())).or_exit(Exit::Output)?;
    }
    Ok(())
}

/// Which runs of a plan are done, and how many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs of the plan.
    pub runs: u64,
    /// Of these, done: with a result that holds what is to be recorded.
    pub done: u64,
    /// Of these, still to be done.
    pub to_do: u64,
    /// One bit a run: whether it is done. Empty if none is.
    done_bits: Vec<u64>,
}

impl Tally {
    /// The tally of a plan of which nothing is stored.
    pub fn nothing_done(plan: &Plan) -> Tally {
        Tally { runs: plan.len(), to_do: plan.len(), ..Tally::default() }
    }

    /// Holds a plan's runs against what is stored.
    pub fn of(plan: &Plan, store: &Store, spec: &Spec) -> Tally {
        let index = store.index();
        if index.is_empty() {
            return Tally::nothing_done(plan);
        }
        // The ids of a million runs take half a second on one core, so the plan is cut into a piece for each.
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let words = plan.len().div_ceil(64);
        let piece = words.div_ceil(cores).max(1);
        let bits = |first: u64| -> Vec<u64> {
            let words = first..(first + piece).min(words);
            let is_done = |run: u64| run < plan.len() && index.is_done(plan.run_id(run), &spec.record);
            words.map(|word| (0..64).fold(0, |bits, bit| bits | u64::from(is_done(64 * word + bit)) << bit)).collect()
        };
        let done_bits: Vec<u64> = std::thread::scope(|scope| {
            let bits = &bits;
            let pieces: Vec<_> =
                (0..words).step_by(piece as usize).map(|first| scope.spawn(move || bits(first))).collect();
            let joined = pieces.into_iter().map(|piece| piece.join().expect("counting does not panic"));
            joined.flatten().collect()
        });
        let done: u64 = done_bits.iter().map(|bits| u64::from(bits.count_ones())).sum();
        Tally { runs: plan.len(), done, to_do: plan.len() - done, done_bits }
    }

    /// How many tasks are to be done: runs that share a `run_id` are one.
    fn tasks_to_do(&self, plan: &Plan) -> u64 {
        if !plan.may_repeat() {
            return self.to_do;
        }
        let to_do = (0..plan.len()).filter(|run| !self.is_done(*run));
        to_do.map(|run| plan.run_id(run)).collect::<HashSet<_>>().len() as u64
    }

    /// Whether the run at an index of the plan is done.
    fn is_done(&self, run: u64) -> bool {
        self.done_bits.get((run / 64) as usize).is_some_and(|bits| bits >> (run % 64) & 1 == 1)
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (done, to_do) = (format::count(self.done), format::count(self.to_do));
        write!(f, "{}, {done} done already, {to_do} to do", format::plural(self.runs, "run"))
    }
}

/// Has the fleet compute what is not done yet. The runtime that comes with the summary listens to signals as long as it
/// lives.
fn compute(
    args: &RunArgs,
    gate: Option<Gate>,
    sweep: Sweep,
    store: &SharedStore,
    blobs: HashMap<String, Bytes>,
    tally: &Arc<Tally>,
) -> Result<(Summary, Runtime), Failure> {
    let runtime = Builder::new_multi_thread().enable_all().build().or_exit(Exit::Internal)?;
    let computing = Arc::new(AtomicBool::new(true));
    let (plan, record) = (Arc::clone(&sweep.plan), sweep.spec.record.clone());
    let summary = runtime.block_on(async {
        let interrupts = Interrupts::install().or_exit(Exit::Internal)?;
        let source = Arc::new(PlanTasks::new(Arc::clone(&plan), record, blobs));
        let done = Arc::clone(tally);
        let planner = PlanOrder::new(Arc::clone(&plan), move |task| done.is_done(task.index));
        let options = FleetOptions {
            listen: gate.clone(),
            max_attempts: args.max_attempts,
            lease_ttl: args.lease_ttl.0,
            // Several heartbeats fit into a lease: one may be lost.
            heartbeat_interval: args.lease_ttl.0 / 6,
            task_timeout: args.task_timeout.map(|timeout| timeout.0),
            handover: store.with(|store| store.inherit()),
            ..FleetOptions::default()
        };
        let fleet = fleet::start(options, source, Box::new(planner), store.clone())?;
        if let Some((gate, address)) = gate.zip(fleet.local_addr()) {
            eprintln!("listening on {address}: {}", gate.invitation(address));
        }
        let total = sweep.total;
        let dashboard = args.dashboard.map(|address| {
            Dashboard::start(address, Board::new(sweep, fleet.progress(), fleet.roster())).inspect(|dashboard| {
                eprintln!("dashboard at http://{}", dashboard.local_addr());
            })
        });
        let _dashboard = dashboard.transpose()?;
        if let Some(address) = args.ops_listen {
            let address = ops::serve(address, fleet.progress(), store.meter())?;
            eprintln!("operations at http://{address}: /healthz /readyz /metrics");
        }
        let reporter = Reporter::start(fleet.progress(), total, args.quiet);
        let mut workers = embedded::start(&fleet, args.slots.count());
        let (drain_fleet, drain_workers) = (fleet.drainer(), workers.drainer());
        let drain = move || {
            drain_fleet();
            drain_workers();
        };
        tokio::spawn(interrupts.watch(Arc::clone(&computing), drain));
        let mut joined = pin!(fleet.join());
        let summary = tokio::select! {
            summary = &mut joined => summary.map_err(Failure::from),
            reason = workers.failed() => {
                let error = anyhow::anyhow!("the workers of this machine have ended: {reason}");
                if args.admission.listen.is_some() {
                    eprintln!("error: {error}; remote workers go on");
                    joined.await.map_err(Failure::from)
                } else {
                    Err(error).or_exit(Exit::Internal)
                }
            }
        };
        if summary.is_ok() {
            reporter.finish().await;
            workers.finish().await;
        }
        summary
    });
    computing.store(false, Ordering::Release);
    match summary {
        Ok(summary) => Ok((summary, runtime)),
        Err(failure) => {
            runtime.shutdown_background();
            Err(failure)
        }
    }
}

/// Writes the tables of what is stored.
fn merge(store: &Store, plan: &Plan) -> Result<MergeSummary, Failure> {
    Ok(store.merge(&PlanRows::new(plan))?)
}

/// Prints what came out and where it lies.
fn print_end(
    report: &outcome::Outcome,
    merged: &MergeSummary,
    location: &Location,
    began: Instant,
) -> Result<(), Failure> {
    let mut text = format!("{}\n\n", report.text.trim_end());
    let _ = write!(text, "{}: {} ok", format::plural(merged.runs, "run"), format::count(merged.ok));
    for (number, word) in [(merged.diverged, "diverged"), (merged.failed, "failed"), (merged.missing, "missing")] {
        if number > 0 {
            let _ = write!(text, ", {} {word}", format::count(number));
        }
    }
    let _ = writeln!(text, " · {}", format::duration(began.elapsed()));
    for path in merged.files.iter().chain(&report.files) {
        let shown = location.path().join(path.file_name().unwrap_or_default());
        let _ = writeln!(text, "  {}", shown.display());
    }
    print(&text)
}
