//! `coordinator --sweep FILE`: plan, run, merge, compare.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use results::{Access, Location, MergeSummary, Reading, Store, StoreError, SweepIdentity, Versions};
use sweep::plan::{Plan, PlanOrder};
use sweep::spec::Spec;
use tokio::runtime::{Builder, Runtime};

use crate::cli::{RunArgs, Setting};
use crate::commands::tally::Tally;
use crate::commands::{Loaded, load, output, shard};
use crate::dashboard::{Board, Dashboard, Door, Sweep};
use crate::embedded;
use crate::exit::{Exit, Failure, OrExit, print};
use crate::fleet::{self, Errand, FleetOptions, Gate, Summary};
use crate::format;
use crate::interrupt::{Interrupts, Stage};
use crate::ops::{Ops, Watched};
use crate::outcome;
use crate::progress::Reporter;
use crate::scaler::Scaler;
use crate::seams::{PlanRows, PlanTasks, SharedStore};
use crate::weights::{self, WeightFiles};

/// How long an output that is out of reach is left alone at most.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Runs a sweep to its end, or until it is interrupted.
///
/// # Errors
/// See [`Exit`].
pub fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let began = Instant::now();
    let background = Background::start()?;
    let file: PathBuf = args.sweep.clone().expect("clap requires it");
    shard::refuse_what_is_for_the_whole_sweep(args)?;
    let entrances = Entrances::of(args)?;
    refuse_what_cannot_run(args, &entrances)?;
    let Loaded { text, spec, plan, weights } = load(&file, &args.set)?;
    let out = output(args.out.as_deref(), &spec);
    let location: Location = out.parse().or_exit(Exit::Usage)?;
    let identity = identity(&spec, text.clone(), &args.set);
    shard::warn_of_another_file(args, &location, &text);
    let store = Store::open(&location, &identity, shard::access(args.shard))?;
    entrances.are_free(|_| false)?;
    store.note(&reading(&args.set, &weights))?;
    let blobs = weights.into_blobs();
    blobs.iter().try_for_each(|(digest, content)| store.keep_blob(weights::blob_name(digest), content))?;
    for file in store.set_aside() {
        eprintln!("warning: {} is left aside: {}; its runs count as not done", file.path.display(), file.reason);
    }

    let plan = Arc::new(plan);
    let tally = Tally::of(&plan, &store, &spec, args.shard);
    if !args.quiet {
        eprintln!("{}: {tally}", spec.name);
    }
    let custody = store.custody();
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
    // Who is asked from elsewhere has to be there to answer, even if there is nothing to do.
    let is_asked = args.linger.is_some() || args.ops_listen.is_some();
    let computed = if tally.to_do > 0 || is_asked {
        Some(compute(args, entrances, looked_at, &store, blobs, &tally, &background)?)
    } else {
        None
    };
    let (summary, _lookouts) = computed.unzip();
    if let Some(holder) = custody.lost_to() {
        return Err(StoreError::LockLost { path: PathBuf::from(location.to_string()), holder }.into());
    }
    if let Some(summary) = summary.as_ref().filter(|summary| !summary.finished) {
        let left = tally.tasks_to_do(&plan).saturating_sub(summary.counts.ended());
        eprintln!(
            "interrupted: {} stored in {out}, {} left; the same command resumes",
            format::plural(summary.counts.ended(), "result"),
            format::count(left),
        );
        return Ok(Exit::Interrupted);
    }
    if args.shard.is_some() {
        return shard::end(args, &tally, summary.as_ref(), &out, began);
    }

    let merged = outlast(&location, || store.with(|store| merge(store, &plan)))?;
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
    let report = outlast(&location, || outcome::analyse(&location, &spec, &plan, &text))?;
    if !args.quiet {
        print_end(&report, &merged, &location, began)?;
    }
    if let Some(linger) = args.linger {
        background.runtime().block_on(linger.stay(&background.stage));
    }
    Ok(if merged.failed > 0 { Exit::TasksFailed } else { Exit::Success })
}

/// Does again what fails because an output on another machine is out of reach, until it is back: everything is computed and
/// stored by now, and what is done here can be done as often as one likes.
fn outlast<T>(location: &Location, mut act: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let mut wait = Duration::from_secs(1);
    loop {
        match act() {
            Err(failure) if location.as_folder().is_none() && failure.is_out_of_reach() => {
                tracing::warn!("{failure}; all runs are stored, and the tables are written when it is back");
                std::thread::sleep(wait);
                wait = (2 * wait).min(LONGEST_WAIT);
            }
            ended => return ended,
        }
    }
}

/// What goes on beside the sweep, from its beginning to its end: it listens to signals, for which process 1 of a container has
/// no default, and answers whoever looks. Nothing in it is waited for: what still looks at the store, such as a dashboard's
/// report, reads alone.
struct Background {
    runtime: Option<Runtime>,
    stage: Arc<Stage>,
}

impl Background {
    fn start() -> Result<Background, Failure> {
        let runtime = Builder::new_multi_thread().enable_all().build().or_exit(Exit::Internal)?;
        let stage = Arc::new(Stage::default());
        let interrupts = {
            let _within = runtime.enter();
            Interrupts::install().or_exit(Exit::Internal)?
        };
        runtime.spawn(interrupts.watch(Arc::clone(&stage)));
        Ok(Background { runtime: Some(runtime), stage })
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it runs until it is dropped")
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// By which addresses others come in, and what each of them asks for.
struct Entrances {
    fleet: Option<Gate>,
    dashboard: Option<Door>,
    scaler: Option<Gate>,
    ops: Option<SocketAddr>,
}

impl Entrances {
    fn of(args: &RunArgs) -> Result<Entrances, Failure> {
        Ok(Entrances {
            fleet: args.admission.gate()?,
            dashboard: args.admission.door()?,
            scaler: args.scaler.gate(&args.admission)?,
            ops: args.ops_listen,
        })
    }

    /// Whether all addresses can be had, but for what is `excused`. They are bound again when there is an output to write to.
    ///
    /// # Errors
    /// [`Exit::Usage`] for the first one that cannot.
    fn are_free(&self, excused: impl Fn(&io::Error) -> bool) -> Result<(), Failure> {
        let gates = [(&self.fleet, "--listen"), (&self.scaler, "--scaler-listen")];
        let gates = gates.into_iter().filter_map(|(gate, flag)| Some((gate.as_ref()?.address(), flag)));
        let door = self.dashboard.iter().map(|door| (door.address(), "--dashboard"));
        let ops = self.ops.iter().map(|address| (*address, "--ops-listen"));
        for (address, flag) in gates.chain(door).chain(ops) {
            match TcpListener::bind(address) {
                Err(error) if !excused(&error) => {
                    return Err(anyhow::anyhow!("cannot listen on {address} for {flag}: {error}")).or_exit(Exit::Usage);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Refuses what is known to fail before anything is written.
fn refuse_what_cannot_run(args: &RunArgs, entrances: &Entrances) -> Result<(), Failure> {
    entrances.are_free(|error| {
        // Whoever has it may be at work on this very output, and then the lock says it better.
        error.kind() == ErrorKind::AddrInUse
    })?;
    if args.slots.count() == 0 && entrances.fleet.is_none() {
        let error = anyhow::anyhow!("with --slots 0 nobody would do the work: admit workers with --listen ADDR");
        return Err(error).or_exit(Exit::Usage);
    }
    if args.linger.is_some()
        && entrances.scaler.is_none()
        && args.ops_listen.is_none()
        && args.admission.dashboard.is_none()
    {
        let error = anyhow::anyhow!(
            "with --linger there is nothing to stay for: say what is to answer, with --scaler-listen, --ops-listen or \
             --dashboard"
        );
        return Err(error).or_exit(Exit::Usage);
    }
    Ok(())
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

/// Who looks at a sweep from elsewhere, answered as long as these live.
type Lookouts = (Option<Dashboard>, Option<Scaler>);

/// Has the fleet compute what is not done yet.
fn compute(
    args: &RunArgs,
    Entrances { fleet: gate, dashboard: door, scaler: scaler_gate, ops }: Entrances,
    sweep: Sweep,
    store: &SharedStore,
    blobs: HashMap<String, Bytes>,
    tally: &Arc<Tally>,
    background: &Background,
) -> Result<(Summary, Lookouts), Failure> {
    let (plan, record) = (Arc::clone(&sweep.plan), sweep.spec.record.clone());
    let computed = background.runtime().block_on(async {
        let source = Arc::new(PlanTasks::new(Arc::clone(&plan), record, blobs));
        let tally = Arc::clone(tally);
        let planner = PlanOrder::new(Arc::clone(&plan), move |task| !tally.is_to_do(task.index));
        let options = FleetOptions {
            listen: gate.clone(),
            max_attempts: args.max_attempts,
            lease_ttl: args.lease_ttl.0,
            // Several heartbeats fit into a lease: one may be lost.
            heartbeat_interval: (args.lease_ttl.0 / 6).min(Duration::from_secs(5)),
            task_timeout: args.task_timeout.map(|timeout| timeout.0),
            handover: store.with(|store| store.inherit()),
            errand: Errand { sweep: sweep.spec.name.clone(), total: sweep.total, done_before: sweep.done_before },
            ..FleetOptions::default()
        };
        let fleet = fleet::start(options, source, Box::new(planner), store.clone())?;
        if let Some((gate, address)) = gate.zip(fleet.local_addr()) {
            eprintln!("listening on {address}: {}", gate.invitation(address));
        }
        let total = sweep.total;
        let dashboard = door.map(|door| {
            let board = Board::new(sweep, fleet.progress(), fleet.roster());
            Dashboard::start(door.clone(), board).inspect(|dashboard| {
                let asks = if door.token().is_some() { ", which asks for the token," } else { "" };
                eprintln!("dashboard{asks} at {}", door.url(dashboard.local_addr()));
            })
        });
        let dashboard = dashboard.transpose()?;
        let scaler = scaler_gate.map(|gate| Scaler::start(&gate, fleet.progress(), total)).transpose()?;
        if let Some(scaler) = &scaler {
            eprintln!("autoscalers are answered at {}", scaler.local_addr());
        }
        if let Some(address) = ops {
            let ops = Ops::bind(address)?;
            eprintln!("operations at http://{}: /healthz /readyz /metrics", ops.local_addr());
            let (progress, roster) = (fleet.progress(), fleet.roster());
            ops.serve(Watched { progress, roster, meter: store.meter(), total })?;
        }
        let reporter = Reporter::start(fleet.progress(), total, args.shard, args.quiet);
        let mut workers = embedded::start(&fleet, args.slots.count());
        let (drain_fleet, drain_workers) = (fleet.drainer(), workers.drainer());
        let drain = move || {
            drain_fleet();
            drain_workers();
        };
        let (drain_fleet, drain_workers) = (fleet.drainer(), workers.drainer());
        let custody = store.with(|store| store.custody());
        tokio::spawn(async move {
            let holder = custody.lost().await;
            eprintln!(
                "error: the lock was lost to {holder}: no more tasks are begun; what runs is stored all the same"
            );
            drain_fleet();
            drain_workers();
        });
        background.stage.compute(drain);
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
        summary.map(|summary| (summary, (dashboard, scaler)))
    });
    background.stage.conclude();
    computed
}

/// Writes the tables of what is stored.
fn merge(store: &mut Store, plan: &Plan) -> Result<MergeSummary, Failure> {
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
        let shown = location.join(path.file_name().unwrap_or_default());
        let _ = writeln!(text, "  {}", shown.display());
    }
    print(&text)
}
