//! What the command line can do, one command a file.

pub mod compare;
pub mod health;
pub mod metrics;
pub mod plan;
pub mod run;
pub mod schema;
pub mod shard;
pub mod tally;
pub mod watch;

use std::path::Path;

use sweep::plan::Plan;
use sweep::spec::Spec;

use crate::cli::Setting;
use crate::exit::{Exit, Failure, OrExit};
use crate::weights::WeightFiles;

/// A sweep file, read, checked and planned.
pub struct Loaded {
    /// The text as given.
    pub text: String,
    /// What it says.
    pub spec: Spec,
    /// The runs that it asks for.
    pub plan: Plan,
    /// The weights files that it names.
    pub weights: WeightFiles,
}

/// Reads, checks and plans a sweep file; warnings go to standard error.
///
/// # Errors
/// With [`Exit::Usage`], if the file cannot be read or anything about it is wrong.
pub fn load(file: &Path, settings: &[Setting]) -> Result<Loaded, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| anyhow::anyhow!("cannot read the sweep file {}: {error}", file.display()))
        .or_exit(Exit::Usage)?;
    let settings: Vec<_> = settings.iter().map(|setting| (setting.key.clone(), setting.value.clone())).collect();
    let mut weights = WeightFiles::beside(file);
    let name = file.display().to_string();
    let (spec, warnings) = sweep::spec::parse(&text, &name, &settings, &mut weights)
        .map_err(|diagnostics| Failure::rendered(Exit::Usage, diagnostics))?;
    for warning in warnings {
        eprintln!("{warning}");
    }
    let plan = Plan::build(&spec).map_err(|diagnostics| Failure::rendered(Exit::Usage, diagnostics))?;
    Ok(Loaded { text, spec, plan, weights })
}

/// Where a sweep's results are.
pub fn output(out: Option<&str>, spec: &Spec) -> String {
    out.map_or_else(|| format!("results/{}", spec.name), str::to_owned)
}
