//! `coordinator compare DIR…`: the comparison again, from the Parquet files alone.

use results::{Location, RUNS, StoreError, SweepFile, Tables};
use sweep::plan::Plan;
use sweep::spec::Spec;

use crate::cli::CompareArgs;
use crate::exit::{Exit, Failure, OrExit, print};
use crate::outcome::joint::Side;
use crate::outcome::{self, Outcome};
use crate::weights::StoredWeights;

/// Compares again.
///
/// # Errors
/// With [`Exit::Output`] for a folder that is not there, with [`Exit::Usage`] for one that is no sweep's, for sweeps that ask
/// different questions, and for a place that results must not be written to.
pub fn compare(args: &CompareArgs) -> Result<Exit, Failure> {
    let mut stored: Vec<Stored> = Vec::with_capacity(args.folders.len());
    for folder in &args.folders {
        let sweep = Stored::read(folder)?;
        if let Some(twice) = stored.iter().find(|other| other.tables.location() == sweep.tables.location()) {
            let error = anyhow::anyhow!("{folder} is given twice, first as {}", twice.folder);
            return Err(error).or_exit(Exit::Usage);
        }
        stored.push(sweep);
    }
    let out = args.out.as_deref().map(|out| answers_at(out, &stored)).transpose()?;
    let outcome = if stored.len() == 1 {
        alone(stored.remove(0), out.as_ref())?
    } else {
        warn_of_versions(&stored);
        outcome::joint::analyse(&sides(stored), out.as_ref())?
    };
    let mut text = format!("{}\n", outcome.text.trim_end());
    if !outcome.files.is_empty() {
        text.push('\n');
    }
    for file in &outcome.files {
        text.push_str(&format!("  {}\n", file.display()));
    }
    print(&text)?;
    Ok(Exit::Success)
}

/// A sweep's results, with the question that lies beside them.
struct Stored {
    /// As given.
    folder: String,
    location: Location,
    tables: Tables,
    spec: Spec,
    plan: Plan,
    /// The sweep file.
    text: String,
}

impl Stored {
    fn read(folder: &str) -> Result<Stored, Failure> {
        let location: Location = folder.parse().or_exit(Exit::Usage)?;
        let file = match SweepFile::of(&location) {
            Err(StoreError::Missing { path }) if location.as_folder().is_some_and(|folder| !folder.exists()) => {
                let error = anyhow::anyhow!("{}: there is no such folder", path.display());
                return Err(error).or_exit(Exit::Output);
            }
            other => other?,
        };
        let tables = match Tables::open(&location) {
            Err(StoreError::Missing { .. }) => {
                let error = anyhow::anyhow!(
                    "{folder}: has no {RUNS} yet: the sweep has not ended; the command that began it goes on with it"
                );
                return Err(error).or_exit(Exit::Usage);
            }
            other => other?,
        };
        let name = file.path.display().to_string();
        let mut weights = StoredWeights::of(&location, file.reading.weights);
        let (spec, _) = sweep::spec::parse(&file.text, &name, &file.reading.settings, &mut weights)
            .map_err(|diagnostics| Failure::rendered(Exit::Usage, diagnostics))?;
        let plan = Plan::build(&spec).map_err(|diagnostics| Failure::rendered(Exit::Usage, diagnostics))?;
        Ok(Stored { folder: folder.to_owned(), location, tables, spec, plan, text: file.text })
    }
}

/// One sweep: its tables are made again where they are, unless another place is given.
fn alone(sweep: Stored, out: Option<&Location>) -> Result<Outcome, Failure> {
    let Stored { location, mut tables, spec, plan, text, .. } = sweep;
    if let Some(out) = out {
        let footer = tables.footer().clone();
        tables = tables.answering_at(out, footer)?;
    }
    outcome::answer(&tables, out.unwrap_or(&location), &spec, &plan, &text)
}

/// Several sweeps, each under its name, or under its folder if another one has that name.
fn sides(stored: Vec<Stored>) -> Vec<Side> {
    let names: Vec<String> = stored.iter().map(|sweep| sweep.spec.name.clone()).collect();
    let is_unique = |name: &String| names.iter().filter(|other| *other == name).count() == 1;
    let side = |sweep: Stored| {
        let Stored { folder, tables, spec, plan, text, .. } = sweep;
        let label = if is_unique(&spec.name) { spec.name.clone() } else { folder };
        Side { label, tables, spec, plan, text }
    };
    stored.into_iter().map(side).collect()
}

/// Where answers go: to no other sweep's results.
fn answers_at(out: &str, stored: &[Stored]) -> Result<Location, Failure> {
    let location: Location = out.parse().or_exit(Exit::Usage)?;
    let is_own = stored.len() == 1 && location.is_same(stored[0].tables.location());
    let holds_a_sweep = || match SweepFile::of(&location) {
        Ok(_) => Ok(true),
        Err(StoreError::Missing { .. } | StoreError::Foreign { .. }) => Ok(false),
        Err(error) => Err(error),
    };
    if !is_own && holds_a_sweep()? {
        let error = anyhow::anyhow!("{out}: holds a sweep's own results; choose another --out");
        return Err(error).or_exit(Exit::Usage);
    }
    Ok(location)
}

/// Equal configs have equal numbers under one version of the engine only.
fn warn_of_versions(stored: &[Stored]) {
    let first = &stored[0];
    let of = |sweep: &Stored| sweep.tables.footer().versions.clone();
    for other in stored[1..].iter().filter(|other| of(other).numeric != of(first).numeric) {
        eprintln!(
            "warning: {} was computed by version {} of the numbers and {} by version {}: equal configs may differ",
            first.folder,
            of(first).numeric,
            other.folder,
            of(other).numeric
        );
    }
}
