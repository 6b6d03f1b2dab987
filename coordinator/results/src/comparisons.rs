//! Writing what the analysis has found: `comparisons.parquet` and `pooled.parquet`.

use polars::prelude::PolarsError;

use crate::error::StoreError;
use crate::location::Folder;
use crate::table::{Row, Table, Type};
use crate::tables::Tables;

/// The name of the table of comparisons.
pub const COMPARISONS: &str = "comparisons.parquet";
/// The name of the table of pooled comparisons.
pub const POOLED: &str = "pooled.parquet";

const GROUP_ROWS: usize = 65_536;

/// A row of `comparisons.parquet`: one cell, metric and arm's variant against the baseline's. Differences are arm −
/// baseline. What was not computed is null.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the fields are the columns, which the documentation of results lists")]
pub struct Comparison {
    pub cell: String,
    pub metric: String,
    pub arm: String,
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
    pub diff_low: Option<f64>,
    pub diff_high: Option<f64>,
    pub hl_diff: Option<f64>,
    pub ratio: Option<f64>,
    pub ratio_low: Option<f64>,
    pub ratio_high: Option<f64>,
    pub t: Option<f64>,
    pub p_t: Option<f64>,
    pub p_wilcoxon: Option<f64>,
    pub p_signflip: Option<f64>,
    pub p_holm: Option<f64>,
    pub d_z: Option<f64>,
    pub p_better: Option<f64>,
    pub p_better_low: Option<f64>,
    pub p_better_high: Option<f64>,
    pub iqm: Option<f64>,
    pub baseline_iqm: Option<f64>,
    pub seeds_for_power80: Option<f64>,
    /// `better`, `worse`, `no_difference`, `too_few_seeds` or `undefined`.
    pub verdict: String,
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

impl Tables {
    /// Writes `comparisons.parquet` beside the tables, at once; without rows it has none.
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
            "seeds_for_power80",
        ];
        let mut columns = named(&texts, Type::Text);
        columns.extend(named(&["n"], Type::U64));
        columns.extend(named(&numbers, Type::F64));
        columns.extend(named(&["verdict"], Type::Text));
        self.write(COMPARISONS, columns, rows, comparison_row)
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

    /// Removes tables of an earlier comparison that there is no question for any more.
    pub fn remove_comparisons(&self) -> Result<(), StoreError> {
        self.folder().delete(COMPARISONS)?;
        self.remove_pooled()
    }

    /// Removes an earlier `pooled.parquet` for which there are no samples any more.
    pub fn remove_pooled(&self) -> Result<(), StoreError> {
        self.folder().delete(POOLED)
    }

    fn write<T>(
        &self,
        name: &str,
        columns: Vec<(String, Type)>,
        rows: &[T],
        fill: impl Fn(&mut Row<'_>, &T),
    ) -> Result<(), StoreError> {
        let folder: &Folder = self.folder();
        let mut upload = folder.upload(name)?;
        let written = (|| {
            let mut table = Table::new(&mut upload, columns, GROUP_ROWS, self.footer().pairs(&[]))?;
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
    row.f64s([of.mean, of.baseline_mean, of.sd, of.baseline_sd, of.diff, of.diff_low, of.diff_high, of.hl_diff]);
    row.f64s([of.ratio, of.ratio_low, of.ratio_high, of.t, of.p_t, of.p_wilcoxon, of.p_signflip, of.p_holm]);
    row.f64s([of.d_z, of.p_better, of.p_better_low, of.p_better_high, of.iqm, of.baseline_iqm]);
    row.f64s([of.seeds_for_power80]).text(Some(&of.verdict));
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
