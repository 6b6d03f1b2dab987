//! Writing what the analysis has found: `comparisons.parquet`, `convergence.parquet`, `pooled.parquet` and
//! `within.parquet`.

use polars::prelude::PolarsError;

use crate::error::StoreError;
use crate::table::{Row, Table, Type};
use crate::tables::Tables;

/// The name of the table of comparisons.
pub const COMPARISONS: &str = "comparisons.parquet";
/// The name of the table of speeds of convergence.
pub const CONVERGENCE: &str = "convergence.parquet";
/// The name of the table of pooled comparisons.
pub const POOLED: &str = "pooled.parquet";
/// The name of the table of comparisons over paths.
pub const WITHIN: &str = "within.parquet";

const GROUP_ROWS: usize = 65_536;

/// A row of `comparisons.parquet`: one cell, metric and arm's variant against the baseline's. Differences are arm −
/// baseline, bounds are those of 95% intervals. What was not computed is null.
///
/// Cell `*` summarises a pair across its cells: a seed's value there is its mean over the cells, for the seeds that every cell
/// has. Only `p_wilcoxon` is of the cells' means, and the interquartile means are over all cells' seeds.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields are the columns, which the documentation of results lists")]
pub struct Comparison {
    pub cell: String,
    pub metric: String,
    pub arm: String,
    /// `*` in cell `*` if it is another one from cell to cell.
    pub variant: String,
    pub baseline: String,
    pub baseline_variant: String,
    /// `all` or `confirm`.
    pub stage: String,
    /// Seeds that both have a value for.
    pub n: u64,
    pub mean: Option<f64>,
    pub baseline_mean: Option<f64>,
    /// With n − 1.
    pub sd: Option<f64>,
    pub baseline_sd: Option<f64>,
    pub diff: Option<f64>,
    /// By the BCa bootstrap, too narrow below 30 seeds.
    pub diff_low: Option<f64>,
    pub diff_high: Option<f64>,
    /// By the paired t.
    pub t_low: Option<f64>,
    pub t_high: Option<f64>,
    pub hl_diff: Option<f64>,
    /// Of the means, with the bounds by BCa; null unless every value is positive.
    pub ratio: Option<f64>,
    pub ratio_low: Option<f64>,
    pub ratio_high: Option<f64>,
    pub t: Option<f64>,
    pub p_t: Option<f64>,
    pub p_wilcoxon: Option<f64>,
    pub p_signflip: Option<f64>,
    pub p_holm: Option<f64>,
    pub d_z: Option<f64>,
    /// The share of seeds at which the arm is better, with Wilson's interval; null for metrics without a better side.
    pub p_better: Option<f64>,
    pub p_better_low: Option<f64>,
    pub p_better_high: Option<f64>,
    /// Interquartile means, and in cell `*` the bounds of their difference by resampled seeds.
    pub iqm: Option<f64>,
    pub baseline_iqm: Option<f64>,
    pub iqm_diff: Option<f64>,
    pub iqm_diff_low: Option<f64>,
    pub iqm_diff_high: Option<f64>,
    /// How many seeds a paired t test needs to see an effect of this size with 80% power; `None` above a million.
    pub seeds_for_power80: Option<f64>,
    /// `better`, `worse`, `no_difference`, `too_few_seeds` or `undefined`.
    pub verdict: String,
}

/// A row of `convergence.parquet`: how many epochs and seconds an arm's variant needs to the validation loss at which the
/// baseline ends, over seeds. Ratios are arm / baseline, a seed's own; bounds are those of a 95% interval for their median.
/// A median or bound is null if it is infinite: if at so many seeds the arm never gets there. Those of seconds are null, too,
/// if a run that got there has no times.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields are the columns, which the documentation of results lists")]
pub struct Convergence {
    pub cell: String,
    pub arm: String,
    pub variant: String,
    pub baseline: String,
    pub baseline_variant: String,
    /// `all` or `confirm`.
    pub stage: String,
    /// Seeds that both were run with, and for which the baseline has a target.
    pub n: u64,
    /// Of these, those at which the arm reached it.
    pub reached: u64,
    /// The baseline's lowest validation loss, mean over seeds.
    pub target_mean: Option<f64>,
    pub epochs_median: Option<f64>,
    pub baseline_epochs_median: Option<f64>,
    pub epochs_ratio: Option<f64>,
    /// Also null below six seeds, as the other bounds are.
    pub epochs_ratio_low: Option<f64>,
    pub epochs_ratio_high: Option<f64>,
    /// From the run's begin to the epoch's end, simulation and the scoring of each epoch on the validation set included, which
    /// all arms have alike. Depends on the machine, and on what else it did.
    pub seconds_median: Option<f64>,
    pub baseline_seconds_median: Option<f64>,
    pub seconds_ratio: Option<f64>,
    pub seconds_ratio_low: Option<f64>,
    pub seconds_ratio_high: Option<f64>,
    /// Exact two-sided sign test of as many epochs, for this row alone.
    pub p_sign: Option<f64>,
}

/// A row of `pooled.parquet`: the training samples of an arm and of the baseline, pooled over a run's epochs.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields are the columns, which the documentation of results lists")]
pub struct Pooled {
    pub cell: String,
    pub seed: u64,
    /// `train.pnl` or `train.cost`.
    pub metric: String,
    pub arm: String,
    pub variant: String,
    pub baseline: String,
    pub baseline_variant: String,
    /// Samples.
    pub n: u64,
    pub baseline_n: u64,
    pub mean: Option<f64>,
    pub baseline_mean: Option<f64>,
    /// Of the population.
    pub variance: Option<f64>,
    pub baseline_variance: Option<f64>,
    /// Mean over (population SD + 1e-6).
    pub sharpe: Option<f64>,
    pub baseline_sharpe: Option<f64>,
    /// Of baseline − arm, the paper's sign.
    pub welch_t: Option<f64>,
    pub p: Option<f64>,
}

/// A row of `within.parquet`: a test over the paths of the test set, which both arms have seen. It describes one seed's
/// networks, and is never pooled over seeds. Differences are arm − baseline, bounds are those of 95% intervals.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields are the columns, which the documentation of results lists")]
pub struct Within {
    pub cell: String,
    /// Null for the crossed bootstrap, which resamples seeds and paths.
    pub seed: Option<u64>,
    /// `grambsch`, `pitman_morgan`, `memmel`, `studentised_bootstrap` or `crossed_bootstrap`.
    pub test: String,
    /// The metric that the test is about.
    pub metric: String,
    pub arm: String,
    pub variant: String,
    pub baseline: String,
    pub baseline_variant: String,
    /// `all` or `confirm`.
    pub stage: String,
    /// Paths.
    pub n: u64,
    /// Seeds: 1, or as many as the crossed bootstrap resamples.
    pub seeds: u64,
    pub value: Option<f64>,
    pub baseline_value: Option<f64>,
    pub diff: Option<f64>,
    /// By the bootstrap.
    pub diff_low: Option<f64>,
    pub diff_high: Option<f64>,
    /// t of Grambsch and of Pitman and Morgan, z of Memmel, the studentised difference of the bootstrap.
    pub statistic: Option<f64>,
    pub p: Option<f64>,
}

impl Tables {
    /// Writes `comparisons.parquet` beside the tables (or where [`Tables::answering_at`] says), at once; without rows it has
    /// none.
    pub fn write_comparisons(&self, rows: &[Comparison]) -> Result<(), StoreError> {
        let texts = ["cell", "metric", "arm", "variant", "baseline", "baseline_variant", "stage"];
        let numbers = [
            "mean",
            "baseline_mean",
            "sd",
            "baseline_sd",
            "diff",
            "diff_low",
            "diff_high",
            "t_low",
            "t_high",
            "hl_diff",
            "ratio",
            "ratio_low",
            "ratio_high",
            "t",
            "p_t",
            "p_wilcoxon",
            "p_signflip",
            "p_holm",
            "d_z",
            "p_better",
            "p_better_low",
            "p_better_high",
            "iqm",
            "baseline_iqm",
            "iqm_diff",
            "iqm_diff_low",
            "iqm_diff_high",
            "seeds_for_power80",
        ];
        let mut columns = named(&texts, Type::Text);
        columns.extend(named(&["n"], Type::U64));
        columns.extend(named(&numbers, Type::F64));
        columns.extend(named(&["verdict"], Type::Text));
        self.write(COMPARISONS, columns, rows, comparison_row)
    }

    /// Writes `convergence.parquet` beside the tables, at once.
    pub fn write_convergence(&self, rows: &[Convergence]) -> Result<(), StoreError> {
        let texts = ["cell", "arm", "variant", "baseline", "baseline_variant", "stage"];
        let numbers = [
            "target_mean",
            "epochs_median",
            "baseline_epochs_median",
            "epochs_ratio",
            "epochs_ratio_low",
            "epochs_ratio_high",
            "seconds_median",
            "baseline_seconds_median",
            "seconds_ratio",
            "seconds_ratio_low",
            "seconds_ratio_high",
            "p_sign",
        ];
        let mut columns = named(&texts, Type::Text);
        columns.extend(named(&["n", "reached"], Type::U64));
        columns.extend(named(&numbers, Type::F64));
        self.write(CONVERGENCE, columns, rows, convergence_row)
    }

    /// Writes `pooled.parquet` beside the tables, at once.
    pub fn write_pooled(&self, rows: &[Pooled]) -> Result<(), StoreError> {
        let mut columns = named(&["cell"], Type::Text);
        columns.extend(named(&["seed"], Type::U64));
        columns.extend(named(&["metric", "arm", "variant", "baseline", "baseline_variant"], Type::Text));
        columns.extend(named(&["n", "baseline_n"], Type::U64));
        let numbers =
            ["mean", "baseline_mean", "variance", "baseline_variance", "sharpe", "baseline_sharpe", "welch_t", "p"];
        columns.extend(named(&numbers, Type::F64));
        self.write(POOLED, columns, rows, pooled_row)
    }

    /// Writes `within.parquet` beside the tables, at once.
    pub fn write_within(&self, rows: &[Within]) -> Result<(), StoreError> {
        let texts = ["test", "metric", "arm", "variant", "baseline", "baseline_variant", "stage"];
        let numbers = ["value", "baseline_value", "diff", "diff_low", "diff_high", "statistic", "p"];
        let mut columns = named(&["cell"], Type::Text);
        columns.extend(named(&["seed"], Type::U64));
        columns.extend(named(&texts, Type::Text));
        columns.extend(named(&["n", "seeds"], Type::U64));
        columns.extend(named(&numbers, Type::F64));
        self.write(WITHIN, columns, rows, within_row)
    }

    /// Removes tables of an earlier comparison that there is no question for any more.
    pub fn remove_comparisons(&self) -> Result<(), StoreError> {
        self.answers().0.delete(COMPARISONS)?;
        self.remove_convergence()?;
        self.remove_pooled()?;
        self.remove_within()
    }

    /// Removes an earlier `convergence.parquet` for which there are no curves of validation losses any more.
    pub fn remove_convergence(&self) -> Result<(), StoreError> {
        self.answers().0.delete(CONVERGENCE)
    }

    /// Removes an earlier `pooled.parquet` for which there are no samples any more.
    pub fn remove_pooled(&self) -> Result<(), StoreError> {
        self.answers().0.delete(POOLED)
    }

    /// Removes an earlier `within.parquet` for which there are no samples any more.
    pub fn remove_within(&self) -> Result<(), StoreError> {
        self.answers().0.delete(WITHIN)
    }

    fn write<T>(
        &self,
        name: &str,
        columns: Vec<(String, Type)>,
        rows: &[T],
        fill: impl Fn(&mut Row<'_>, &T),
    ) -> Result<(), StoreError> {
        let (folder, footer) = self.answers();
        let mut upload = folder.upload(name);
        let written = (|| {
            let mut table = Table::new(&mut upload, columns, GROUP_ROWS, footer.pairs(&[]))?;
            rows.iter().try_for_each(|row| table.push(|cells| fill(cells, row)))?;
            table.finish()
        })();
        match written {
            Ok(()) => upload.finish(),
            Err(error) => {
                let error: PolarsError = error;
                Err(upload.fail(StoreError::damaged(&folder.path(name), error.to_string())))
            }
        }
    }
}

fn named(names: &[&str], kind: Type) -> Vec<(String, Type)> {
    names.iter().map(|name| ((*name).to_owned(), kind)).collect()
}

fn comparison_row(row: &mut Row<'_>, of: &Comparison) {
    for text in [&of.cell, &of.metric, &of.arm, &of.variant, &of.baseline, &of.baseline_variant, &of.stage] {
        row.text(Some(text));
    }
    row.u64(of.n);
    row.f64s([of.mean, of.baseline_mean, of.sd, of.baseline_sd]);
    row.f64s([of.diff, of.diff_low, of.diff_high, of.t_low, of.t_high, of.hl_diff]);
    row.f64s([of.ratio, of.ratio_low, of.ratio_high]);
    row.f64s([of.t, of.p_t, of.p_wilcoxon, of.p_signflip, of.p_holm, of.d_z]);
    row.f64s([of.p_better, of.p_better_low, of.p_better_high]);
    row.f64s([of.iqm, of.baseline_iqm, of.iqm_diff, of.iqm_diff_low, of.iqm_diff_high]);
    row.f64s([of.seeds_for_power80]).text(Some(&of.verdict));
}

fn convergence_row(row: &mut Row<'_>, of: &Convergence) {
    for text in [&of.cell, &of.arm, &of.variant, &of.baseline, &of.baseline_variant, &of.stage] {
        row.text(Some(text));
    }
    row.u64(of.n).u64(of.reached).f64(of.target_mean);
    row.f64s([of.epochs_median, of.baseline_epochs_median]);
    row.f64s([of.epochs_ratio, of.epochs_ratio_low, of.epochs_ratio_high]);
    row.f64s([of.seconds_median, of.baseline_seconds_median]);
    row.f64s([of.seconds_ratio, of.seconds_ratio_low, of.seconds_ratio_high, of.p_sign]);
}

fn pooled_row(row: &mut Row<'_>, of: &Pooled) {
    row.text(Some(&of.cell)).u64(of.seed);
    for text in [&of.metric, &of.arm, &of.variant, &of.baseline, &of.baseline_variant] {
        row.text(Some(text));
    }
    row.u64(of.n).u64(of.baseline_n);
    row.f64s([of.mean, of.baseline_mean, of.variance, of.baseline_variance]);
    row.f64s([of.sharpe, of.baseline_sharpe, of.welch_t, of.p]);
}

fn within_row(row: &mut Row<'_>, of: &Within) {
    row.text(Some(&of.cell)).opt_u64(of.seed);
    for text in [&of.test, &of.metric, &of.arm, &of.variant, &of.baseline, &of.baseline_variant, &of.stage] {
        row.text(Some(text));
    }
    row.u64(of.n).u64(of.seeds);
    row.f64s([of.value, of.baseline_value, of.diff, of.diff_low, of.diff_high, of.statistic, of.p]);
}
