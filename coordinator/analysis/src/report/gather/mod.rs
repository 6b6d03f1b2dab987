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
use results::{Comparison, Convergence, Pooled, StoreError, Tables, Words};

use super::data::{Counts, Group, Metric, Panel, Provenance, ReportData, Tuning};
use crate::question::Question;
use crate::reference::references;
use crate::runs::Runs;
use crate::stats::mean;
use crate::summary::Block;
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
    /// Runs of the plan of which nothing is stored.
    pub missing: u64,
    /// The sweep file as it was given.
    pub file: Option<String>,
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
    /// The ranking, where nothing is compared.
    pub ranking: Vec<Block>,
}

/// Gathers a report.
///
/// # Errors
/// If a table cannot be read.
pub fn gather(tables: &Tables, subject: &Subject<'_>, findings: Findings) -> Result<ReportData, StoreError> {
    let primary = &subject.metrics[0];
    let hedges = references(&primary.0);
    let columns = [primary.0.as_str(), CORRELATION].into_iter().chain(paper::COLUMNS);
    let columns = columns.chain(hedges.iter().map(|hedge| hedge.column.as_str()));
    let wanted: HashSet<&str> = columns.filter(|column| tables.has(column)).collect();
    let runs = Runs::load(tables, wanted.iter().copied())?;
    let (order, rows) = runs.groups();
    let tuning_seeds: HashSet<u64> = subject
        .question
        .and_then(|question| question.tune.as_ref())
        .iter()
        .flat_map(|tune| tune.seeds.clone())
        .collect();
    let arms = subject.question.map_or_else(|| runs.arm.distinct.clone(), |question| question.arms.clone());

    let status = tables.words("status")?;
    let mut panels = Vec::new();
    let mut wanted_rows: Vec<Vec<Vec<usize>>> = Vec::new();
    for cell in shown(&runs, &order, &rows, subject, &findings, &arms) {
        let (panel, rows) = panel(&runs, (&order, &rows), &cell, &primary.0, &tuning_seeds);
        panels.push(panel);
        wanted_rows.push(rows);
    }
    let ids = Ids::load(tables, &wanted_rows)?;
    curves::fill(tables, &ids, &mut panels, &wanted_rows)?;
    samples::fill(tables, &ids, &mut panels)?;
    paths::fill(tables, &runs, &ids, &mut panels, &wanted_rows)?;

    let swept = swept::Swept::load(tables)?;
    let sensitivities = swept.sensitivities(&runs, &primary.0, &arms);
    let heats = swept.heats(&runs, &primary.0, &sensitivities);
    Ok(ReportData {
        name: subject.name.clone(),
        question: subject.description.as_ref().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")),
        metrics: subject.metrics.iter().map(|(name, direction)| metric(name, *direction)).collect(),
        baseline: subject.question.map(|question| question.baseline_arm.clone()),
        tuning: subject.question.and_then(|question| tuning(question, &runs, &order)),
        counts: counts(&runs, &status, &order, subject.missing),
        failures: failures::failures(tables, &runs, &status)?,
        paper: paper::paper(&subject.name, &runs, &findings.pooled),
        provenance: provenance(tables)?,
        comparisons: findings.comparisons,
        ranking: findings.ranking,
        convergence: findings.convergence,
        pooled: findings.pooled,
        arms,
        panels,
        sensitivities,
        heats,
        record: subject.record.clone(),
        file: subject.file.clone(),
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

/// How many variants each arm had to choose from, in the cell where it had most.
fn tuning(question: &Question, runs: &Runs, order: &[crate::runs::Group]) -> Option<Tuning> {
    let tune = question.tune.as_ref()?;
    let mut in_cell: HashMap<(u32, u32), u64> = HashMap::new();
    order.iter().for_each(|(cell, arm, _)| *in_cell.entry((*cell, *arm)).or_default() += 1);
    let budget = |arm: &String| {
        let code = runs.arm.code_of(arm)?;
        let most = in_cell.iter().filter(|((_, of), _)| *of == code).map(|(_, variants)| *variants).max()?;
        Some((arm.clone(), most))
    };
    let budgets = question.arms.iter().filter_map(budget).collect();
    Some(Tuning { seeds: tune.seeds.len() as u64, by: tune.by.clone(), budgets })
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

fn provenance(tables: &Tables) -> Result<Provenance, StoreError> {
    let distinct = |column: &str| -> Result<Vec<String>, StoreError> {
        if !tables.has(column) {
            return Ok(Vec::new());
        }
        let words = tables.words(column)?.distinct;
        Ok(words.into_iter().filter(|word| !word.is_empty()).collect())
    };
    let footer = tables.footer();
    Ok(Provenance {
        engines: distinct("engine.version")?,
        numeric: footer.versions.numeric,
        sweep_hash: footer.hash.clone(),
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
    fn load(tables: &Tables, wanted: &[Vec<Vec<usize>>]) -> Result<Ids, StoreError> {
        let mut ids = Ids { places: HashMap::new(), by_row: HashMap::new() };
        let words = tables.words("run_id")?;
        for (panel, groups) in wanted.iter().enumerate() {
            for (group, rows) in groups.iter().enumerate() {
                for row in rows.iter().take(MOST_SEEDS) {
                    let Some(id) = words.get(*row).and_then(|word| word.parse().ok()) else { continue };
                    ids.places.entry(id).or_default().push((panel, group));
                    ids.by_row.insert(*row, id);
                }
            }
        }
        Ok(ids)
    }

    /// The ids of a batch as places, one entry for each distinct word.
    fn of_batch(&self, words: &Words) -> Vec<&[Place]> {
        let places = |word: &String| word.parse().ok().and_then(|id: RunId| self.places.get(&id));
        words.distinct.iter().map(|word| places(word).map_or(&[][..], Vec::as_slice)).collect()
    }
}
