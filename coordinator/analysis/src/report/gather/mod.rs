//! From the tables to what a report says, in bounded memory: the wide table column by column, the long ones in pieces.
//!
//! Of long tables only the runs that figures show are looked at: a few cells, one variant an arm, at most [`MOST_SEEDS`] seeds of
//! each.

mod curves;
mod failures;
mod paper;
mod paths;
mod samples;
mod shown;
mod swept;

use std::collections::{BTreeMap, HashMap, HashSet};

use engine::RunId;
use engine::metrics::{Direction, catalogue};
use engine::record::Record;
use results::{Comparison, Convergence, Pooled, StoreError, Words};

use super::data::{Counts, Group, Metric, Panel, Provenance, ReportData};
use crate::question::Question;
use crate::reference::references;
use crate::runs::Runs;
use crate::sources::Sources;
use crate::stats::mean;
use crate::summary::Block;
use crate::tuning::Tuning;
use shown::{Shown, shown};

/// Curves and samples of at most so many seeds of a variant are read: a quantile over as many is known to a percent or two.
const MOST_SEEDS: usize = 1000;

/// How strongly the head's inputs resemble each other.
const CORRELATION: &str = "train.feature_correlation";

/// What a report is about, as far as the tables do not know it.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The sweep's name.
    pub name: String,
    /// Its description.
    pub description: Option<String>,
    /// What the answer is about, the primary endpoint first; at least one.
    pub metrics: Vec<(String, Direction)>,
    /// What is compared with what, if anything is.
    pub question: Option<&'a Question>,
    /// What was asked to be recorded.
    pub record: Record,
    /// Whether the sweep still runs, and the tables are without what takes long.
    pub live: bool,
    /// Runs of the plan of which nothing is stored.
    pub missing: u64,
    /// The sweep files as they were given, each with what it is called by.
    pub files: Vec<(String, String)>,
}

/// What the analysis has found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The rows of `comparisons.parquet`.
    pub comparisons: Vec<Comparison>,
    /// The rows of `convergence.parquet`.
    pub convergence: Vec<Convergence>,
    /// The rows of `pooled.parquet`.
    pub pooled: Vec<Pooled>,
    /// How variants were chosen, if they were.
    pub tuning: Option<Tuning>,
    /// The ranking, where nothing is compared.
    pub ranking: Vec<Block>,
}

/// Gathers a report.
///
/// # Errors
/// If a table cannot be read.
pub fn gather<'a>(
    sources: impl Into<Sources<'a>>,
    subject: &Subject<'_>,
    findings: Findings,
) -> Result<ReportData, StoreError> {
    let sources = &sources.into();
    let primary = &subject.metrics[0];
    let hedges = references(&primary.0);
    let columns = [primary.0.as_str(), CORRELATION].into_iter().chain(paper::COLUMNS);
    let columns = columns.chain(hedges.iter().map(|hedge| hedge.column.as_str()));
    let wanted: HashSet<&str> = columns.filter(|column| sources.has(column)).collect();
    let runs = sources.runs(wanted.iter().copied())?;
    let (order, rows) = runs.groups();
    let tuning_seeds: HashSet<u64> = subject
        .question
        .and_then(|question| question.tune.as_ref())
        .iter()
        .flat_map(|tune| tune.seeds.clone())
        .collect();
    let arms = subject.question.map_or_else(|| runs.arm.distinct.clone(), |question| question.arms.clone());

    let status = sources.column("status")?;
    let mut panels = Vec::new();
    let mut wanted_rows: Vec<Vec<Vec<usize>>> = Vec::new();
    for cell in shown(&runs, &order, &rows, subject, &findings, &arms) {
        let (panel, rows) = panel(&runs, (&order, &rows), &cell, &primary.0, &tuning_seeds);
        panels.push(panel);
        wanted_rows.push(rows);
    }
    let ids = Ids::load(sources, &wanted_rows)?;
    curves::fill(sources, &ids, &mut panels, &wanted_rows)?;
    samples::fill(sources, &ids, &mut panels)?;
    paths::fill(sources, &runs, &ids, &mut panels, &wanted_rows)?;

    let swept = swept::Swept::load(sources)?;
    let sensitivities = swept.sensitivities(&runs, &primary.0, &arms);
    let heats = swept.heats(&runs, &primary.0, &sensitivities);
    Ok(ReportData {
        name: subject.name.clone(),
        question: subject.description.as_ref().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")),
        metrics: subject.metrics.iter().map(|(name, direction)| metric(name, *direction)).collect(),
        baseline: subject.question.map(|question| question.baseline_arm.clone()),
        tuning: findings.tuning,
        counts: counts(&runs, &status, &order, subject.missing),
        failures: failures::failures(sources, &runs, &status)?,
        paper: paper::paper(&subject.name, &runs, &findings.pooled),
        provenance: provenance(sources)?,
        comparisons: findings.comparisons,
        ranking: findings.ranking,
        convergence: findings.convergence,
        pooled: findings.pooled,
        arms,
        panels,
        sensitivities,
        heats,
        record: subject.record.clone(),
        live: subject.live,
        files: subject.files.clone(),
    })
}

fn metric(name: &str, direction: Direction) -> Metric {
    let known = catalogue().iter().find(|metric| metric.name == name);
    Metric {
        name: name.to_owned(),
        direction,
        unit: known.map(|metric| metric.unit.to_owned()).unwrap_or_default(),
        definition: known.map(|metric| metric.definition.to_owned()).unwrap_or_default(),
    }
}

fn counts(runs: &Runs, status: &Words, order: &[crate::runs::Group], missing: u64) -> Counts {
    let of = |word: &str| match status.code_of(word) {
        Some(code) => status.codes.iter().filter(|known| **known == Some(code)).count() as u64,
        None => 0,
    };
    let seeds: HashSet<u64> = runs.seed.iter().copied().collect();
    let variants: HashSet<(u32, u32)> = order.iter().map(|(_, arm, variant)| (*arm, *variant)).collect();
    Counts {
        runs: runs.seed.len() as u64,
        ok: of("ok"),
        diverged: of("diverged"),
        failed: of("failed"),
        missing,
        seeds: seeds.len() as u64,
        cells: runs.cell.distinct.len() as u64,
        arms: runs.arm.distinct.len() as u64,
        variants: variants.len() as u64,
    }
}

fn provenance(sources: &Sources<'_>) -> Result<Provenance, StoreError> {
    let distinct = |column: &str| -> Result<Vec<String>, StoreError> {
        if !sources.has(column) {
            return Ok(Vec::new());
        }
        let words = sources.column(column)?.distinct;
        Ok(words.into_iter().filter(|word| !word.is_empty()).collect())
    };
    let mut numeric: Vec<u32> = sources.footers().map(|footer| footer.versions.numeric).collect();
    numeric.sort_unstable();
    numeric.dedup();
    Ok(Provenance {
        engines: distinct("engine.version")?,
        numeric,
        sweep_hashes: sources.footers().map(|footer| footer.hash.clone()).filter(|hash| !hash.is_empty()).collect(),
        hosts: distinct("host.name")?,
    })
}

/// A cell's panel without what the long tables hold, and for each of its groups the rows of its runs, in the order of seeds.
fn panel(
    runs: &Runs,
    (order, rows): (&[crate::runs::Group], &HashMap<crate::runs::Group, BTreeMap<u64, usize>>),
    shown: &Shown,
    metric: &str,
    tuning: &HashSet<u64>,
) -> (Panel, Vec<Vec<usize>>) {
    let of_seeds = |column: &str, seeds: &BTreeMap<u64, usize>| -> Vec<(u64, f64)> {
        let kept = seeds.iter().filter(|(seed, _)| !tuning.contains(seed));
        kept.filter_map(|(seed, row)| Some((*seed, runs.value(column, *row)?))).collect()
    };
    let baseline: BTreeMap<u64, f64> = match shown.baseline {
        Some(baseline) => of_seeds(metric, &rows[&baseline]).into_iter().collect(),
        None => BTreeMap::new(),
    };
    let mut all_rows = Vec::new();
    let mut groups = Vec::new();
    for member in &shown.members {
        let seeds = &rows[&member.group];
        let values = of_seeds(metric, seeds);
        let differences = match Some(member.group) == shown.baseline {
            true => Vec::new(),
            false => values.iter().filter_map(|(seed, value)| Some((*seed, value - baseline.get(seed)?))).collect(),
        };
        groups.push(Group {
            arm: runs.arm.distinct[member.group.1 as usize].clone(),
            variant: runs.variant.distinct[member.group.2 as usize].clone(),
            hindsight: member.hindsight,
            values,
            differences,
            correlations: of_seeds(CORRELATION, seeds),
            ..Group::default()
        });
        all_rows.push(seeds.iter().filter(|(seed, _)| !tuning.contains(seed)).map(|(_, row)| *row).collect());
    }
    let in_cell = |hedge: crate::reference::Reference| {
        let values = runs.reference_in_cell(&hedge, shown.cell, order, rows);
        Some((hedge.arm.trim_start_matches("hedge.").to_owned(), mean(&values)?))
    };
    let hedges = references(metric).into_iter().filter_map(in_cell).collect();
    (Panel { cell: runs.cell.distinct[shown.cell as usize].clone(), groups, hedges }, all_rows)
}

/// Where in the panels a run belongs: the panel, the group, and its seed's place. One run may be in several places.
type Place = (usize, usize);

/// The shown runs by their ids.
struct Ids {
    places: HashMap<RunId, Vec<Place>>,
    /// The ids by row, for the rows that are shown.
    by_row: HashMap<usize, RunId>,
}

impl Ids {
    fn load(sources: &Sources<'_>, wanted: &[Vec<Vec<usize>>]) -> Result<Ids, StoreError> {
        let mut ids = Ids { places: HashMap::new(), by_row: HashMap::new() };
        let all = sources.ids()?;
        for (panel, groups) in wanted.iter().enumerate() {
            for (group, rows) in groups.iter().enumerate() {
                for row in rows.iter().take(MOST_SEEDS) {
                    let Some(id) = all[*row] else { continue };
                    ids.places.entry(id).or_default().push((panel, group));
                    ids.by_row.insert(*row, id);
                }
            }
        }
        Ok(ids)
    }

    /// Where a run is shown.
    fn places(&self, run: RunId) -> &[Place] {
        self.places.get(&run).map_or(&[], Vec::as_slice)
    }
}
