//! What a report says, before it is put into words and pictures: plain data.

use engine::metrics::Direction;
use engine::record::{PathPoint, Record};
use results::{Comparison, Convergence, Pooled};

use super::number::label;
use crate::across::ALL_CELLS;
use crate::summary::Block;
use crate::tuning::Tuning;

/// All that a report is made from.
#[derive(Clone, Debug)]
pub struct ReportData {
    /// The sweep's name.
    pub name: String,
    /// Its description: the question.
    pub question: Option<String>,
    /// What the answer is about, the primary endpoint first. Never empty.
    pub metrics: Vec<Metric>,
    /// The arm that the others are held against, if anything is compared.
    pub baseline: Option<String>,
    /// How variants were chosen, if they were.
    pub tuning: Option<Tuning>,
    /// The arms in plan order; their places decide how they look.
    pub arms: Vec<String>,
    /// How many of what there is.
    pub counts: Counts,
    /// Why runs failed or diverged, the most frequent reason first.
    pub failures: Vec<Failures>,
    /// All comparisons, of all metrics.
    pub comparisons: Vec<Comparison>,
    /// The arms by the primary endpoint, where nothing is compared.
    pub ranking: Vec<Block>,
    /// How soon arms come to where the baseline ends.
    pub convergence: Vec<Convergence>,
    /// The training samples, pooled.
    pub pooled: Vec<Pooled>,
    /// The cells that figures show.
    pub panels: Vec<Panel>,
    /// What each swept parameter does to the primary endpoint.
    pub sensitivities: Vec<Sensitivity>,
    /// What two swept numbers do to it together.
    pub heats: Vec<Heat>,
    /// The paper's tables and ours, in a sweep that repeats it.
    pub paper: Option<Paper>,
    /// What was recorded of each run.
    pub record: Record,
    /// The sweep still runs: what takes long is left out.
    pub live: bool,
    /// Which programs on which machines computed it.
    pub provenance: Provenance,
    /// The sweep files as they were given, each with what it is called by.
    pub files: Vec<(String, String)>,
}

/// A metric, as the catalogue has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its dotted name.
    pub name: String,
    /// Which way it is better.
    pub direction: Direction,
    /// Its unit; empty if the catalogue does not have it.
    pub unit: String,
    /// What it is.
    pub definition: String,
}

/// How many of what there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "counts of what they are called")]
pub struct Counts {
    pub runs: u64,
    pub ok: u64,
    pub diverged: u64,
    pub failed: u64,
    /// Runs of the plan of which nothing is stored.
    pub missing: u64,
    pub seeds: u64,
    pub cells: u64,
    pub arms: u64,
    /// Arms' variants.
    pub variants: u64,
}

/// Runs that ended badly for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures {
    /// `failed` or `diverged`.
    pub status: String,
    /// One of the errors; the others differ in numbers at most.
    pub reason: String,
    /// How many runs.
    pub runs: u64,
    /// Their arms.
    pub arms: Vec<String>,
    /// One of the runs.
    pub example: String,
}

/// A cell, as figures show it.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// The cell's label.
    pub cell: String,
    /// The variants that are shown, one an arm, in plan order; the baseline's among them.
    pub groups: Vec<Group>,
    /// The primary endpoint of the classical hedges on the same test paths.
    pub hedges: Vec<(String, f64)>,
}

/// An arm's variant in a cell.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The arm.
    pub arm: String,
    /// The variant.
    pub variant: String,
    /// It was chosen among several by what is shown, in hindsight: no tuning was asked for.
    pub hindsight: bool,
    /// The primary endpoint by seed, without the seeds that tuned.
    pub values: Vec<(u64, f64)>,
    /// Arm − baseline by seed; empty for the baseline.
    pub differences: Vec<(u64, f64)>,
    /// Mean absolute correlation between the head's inputs, by seed.
    pub correlations: Vec<(u64, f64)>,
    /// What epochs did, if curves were recorded.
    pub curves: Option<Curves>,
    /// What the network of one seed did on the first test path.
    pub path: Option<Walk>,
    /// The distributions over paths, if samples were recorded.
    pub samples: Option<SampleShape>,
}

/// Curves over epochs.
#[derive(Clone, Debug, Default)]
pub struct Curves {
    /// Training loss.
    pub loss: Band,
    /// Validation loss; empty unless more than one epoch has it.
    pub validation: Band,
    /// Mean P&L of the epoch's training paths.
    pub pnl: Band,
    /// Mean cost of the epoch's training paths.
    pub cost: Band,
    /// Seeds behind them.
    pub seeds: u64,
    /// Seeds that there are: more than these were not read.
    pub of: u64,
}

/// Quantiles over seeds, epoch by epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Band {
    /// The epochs, rising.
    pub epochs: Vec<u32>,
    /// For each epoch the minimum, quartile, median, quartile and maximum.
    pub quantiles: Vec<[f64; 5]>,
}

/// A network's way along a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Walk {
    /// The seed.
    pub seed: u64,
    /// The path and the positions.
    pub points: Vec<PathPoint>,
}

/// The distribution of P&L and cost over paths.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleShape {
    /// `train`, `validation` or `test`.
    pub set: String,
    /// P&L.
    pub pnl: Histogram,
    /// Cost.
    pub cost: Histogram,
}

/// A histogram and some quantiles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// How many values.
    pub n: u64,
    /// The edges of the bins, one more than there are counts.
    pub edges: Vec<f64>,
    /// Values in each bin; those beyond the edges are in none.
    pub counts: Vec<u64>,
    /// The quantiles [`QUANTILES`], to a part in a thousand.
    pub quantiles: Vec<f64>,
}

/// The quantiles that tables of distributions have.
pub const QUANTILES: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];

/// Of a parameter with more values than these some are looked at: Parquet files have all.
pub const MOST_LEVELS: usize = 64;

/// What a parameter does to the primary endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensitivity {
    /// The parameter's dotted name.
    pub parameter: String,
    /// Whether its values are numbers.
    pub ordered: bool,
    /// How many values it has; of very many some have levels.
    pub values: u64,
    /// One line an arm, or an arm and cell, or a classical hedge.
    pub series: Vec<Series>,
}

/// A line of a sensitivity.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What it is of.
    pub name: String,
    /// Which look it has; `None` for a reference.
    pub look: Option<usize>,
    /// Its levels, in the order of the plan, numbers rising.
    pub levels: Vec<LevelShape>,
}

/// One value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelShape {
    /// The value as text.
    pub value: String,
    /// The value as a number.
    pub number: Option<f64>,
    /// Runs that have the value and the metric.
    pub runs: u64,
    /// Lower quartile, median and upper quartile over these runs.
    pub quartiles: [f64; 3],
}

/// What two parameters do together.
#[derive(Clone, Debug, PartialEq)]
pub struct Heat {
    /// The arm whose runs these are.
    pub arm: String,
    /// The parameter along the horizontal axis, and its values.
    pub x: (String, Vec<String>),
    /// The parameter along the vertical axis, and its values.
    pub y: (String, Vec<String>),
    /// The median of the primary endpoint, for each y and x.
    pub medians: Vec<Vec<Option<f64>>>,
}

/// What the paper prints, and what this sweep finds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Paper {
    /// Table 2: a line for each arm that the paper has.
    pub performance: Vec<PaperLine>,
    /// Table 1: P&L and cost.
    pub tests: Vec<PaperTest>,
    /// Seeds behind ours of Table 2.
    pub seeds: u64,
}

/// A line of Table 2: the paper's number and ours.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PaperLine {
    /// The arm.
    pub arm: String,
    /// P&L variance, mean cost, Sharpe ratio and training time in seconds, as printed.
    pub printed: [f64; 4],
    /// The same of ours, means over seeds.
    pub ours: [Option<f64>; 4],
}

/// A line of Table 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PaperTest {
    /// `P&L` or `cost`.
    pub of: String,
    /// Welch's t and its p, as printed.
    pub printed: [f64; 2],
    /// The same of ours, for one seed.
    pub ours: [Option<f64>; 2],
    /// Which seed.
    pub seed: u64,
}

/// Which programs on which machines computed the results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The engine's versions.
    pub engines: Vec<String>,
    /// The versions of the numbers: runs of one version and one id have the same.
    pub numeric: Vec<u32>,
    /// The digests of what the sweep files mean.
    pub sweep_hashes: Vec<String>,
    /// The machines.
    pub hosts: Vec<String>,
}

impl ReportData {
    /// The primary endpoint.
    ///
    /// # Panics
    /// If there is no metric.
    pub fn primary(&self) -> &Metric {
        self.metrics.first().expect("a report is about a metric")
    }

    /// The place of an arm among the arms, which decides its look; hedges and strangers come after all arms.
    pub fn look_of(&self, arm: &str) -> usize {
        self.arms.iter().position(|known| known == arm).unwrap_or(self.arms.len())
    }

    /// The comparisons of a metric: those of arms within cells, without classical hedges and summaries.
    pub fn arms_rows(&self, metric: &str) -> Vec<&Comparison> {
        let rows = self.comparisons.iter().filter(|row| row.metric == metric);
        rows.filter(|row| !is_hedge(&row.arm) && row.cell != ALL_CELLS).collect()
    }
}

/// Whether an arm is a classical hedge that stands beside the arms.
pub fn is_hedge(arm: &str) -> bool {
    arm.starts_with("hedge.")
}

/// The 95% interval of a mean difference: of few seeds the paired t's, since the bootstrap's is too narrow for them, of many the
/// bootstrap's, which assumes less.
pub fn interval_of(row: &Comparison) -> Option<(f64, f64)> {
    let (t, bca) = (row.t_low.zip(row.t_high), row.diff_low.zip(row.diff_high));
    if row.n < MANY_SEEDS { t.or(bca) } else { bca.or(t) }
}

/// As many seeds are enough for the bootstrap.
const MANY_SEEDS: u64 = 30;

/// A variant's name where there is but one.
pub const DEFAULT: &str = "default";

/// An arm with its variant, as text names it.
pub fn named(arm: &str, variant: &str) -> String {
    if variant == DEFAULT || variant.is_empty() { arm.to_owned() } else { format!("{arm} ({})", label(variant)) }
}
