//! Parts to records.

use std::str::FromStr;

use engine::metrics::{Metrics, catalogue};
use engine::record::{Epoch, PathPoint, Provenance, Record, RecordSamples, SampleSet, Samples};
use engine::{RunId, RunOutput, RunRecord, Status};
use polars::prelude::{ListChunked, PolarsResult, Series, polars_bail, polars_err};

use crate::error::StoreError;
use crate::folder::Folder;
use crate::merge::Extent;
use crate::parquet::Parquet;
use crate::schema;

/// What resuming knows of a stored row, by column.
pub(crate) struct IndexRows {
    pub(crate) run_ids: Vec<RunId>,
    pub(crate) statuses: Vec<Status>,
    pub(crate) attempts: Vec<u32>,
    pub(crate) curves: Vec<bool>,
    /// Places in `recorded`, 0 for none.
    pub(crate) samples: Vec<u32>,
    /// The distinct records of samples; entry 0 is none.
    pub(crate) recorded: Vec<Option<RecordSamples>>,
    pub(crate) footprints: Vec<u32>,
}

/// Reads the index columns of a row group.
pub(crate) fn index_rows(folder: &Folder, part: &Parquet, group: usize) -> Result<IndexRows, StoreError> {
    let columns = Columns::read(folder, part, group, &schema::INDEX.map(|(name, _)| name))?;
    columns.index().map_err(|error| part.damage(folder, &error))
}

/// Reads all records of a row group, without the curves and samples that an extent leaves out.
pub(crate) fn records(
    folder: &Folder,
    part: &Parquet,
    group: usize,
    extent: Extent,
) -> Result<Vec<RunRecord>, StoreError> {
    let all = schema::columns();
    let is_wanted = |name: &&str| {
        (extent.curves || !name.starts_with("curves.")) && (extent.samples || !name.starts_with("samples."))
    };
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).filter(is_wanted).collect();
    let columns = Columns::read(folder, part, group, &names)?;
    columns.records(extent).map_err(|error| part.damage(folder, &error))
}

/// Decoded columns of a row group.
struct Columns<'a> {
    names: Vec<&'a str>,
    series: Vec<Option<Series>>,
    rows: usize,
}

impl<'a> Columns<'a> {
    fn read(folder: &Folder, part: &Parquet, group: usize, names: &[&'a str]) -> Result<Columns<'a>, StoreError> {
        let series = part.read(folder, group, names)?;
        Ok(Columns { names: names.to_vec(), series, rows: part.rows(group) })
    }

    fn find(&self, name: &str) -> Option<&Series> {
        let place = self.names.iter().position(|known| *known == name)?;
        self.series[place].as_ref()
    }

    fn get(&self, name: &str) -> PolarsResult<&Series> {
        self.find(name).ok_or_else(|| polars_err!(ComputeError: "there is no column {name}"))
    }

    fn words<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> PolarsResult<Vec<T>> {
        let words = self.get(name)?.str()?.iter();
        words
            .map(|word| {
                let known = word.and_then(&read);
                known.ok_or_else(|| polars_err!(ComputeError: "{word:?} is no value of {name}"))
            })
            .collect()
    }

    fn counts(&self, name: &str) -> PolarsResult<Vec<u32>> {
        Ok(self.get(name)?.u32()?.iter().map(|count| count.unwrap_or(0)).collect())
    }

    fn numbers(&self, name: &str) -> PolarsResult<Vec<Option<f64>>> {
        match self.find(name) {
            Some(series) => Ok(series.f64()?.iter().collect()),
            None => Ok(vec![None; self.rows]),
        }
    }

    fn texts(&self, name: &str) -> PolarsResult<Vec<Option<String>>> {
        Ok(self.get(name)?.str()?.iter().map(|text| text.map(str::to_owned)).collect())
    }

    fn index(&self) -> PolarsResult<IndexRows> {
        let mut recorded: Vec<Option<RecordSamples>> = vec![None];
        let mut last: (Option<&str>, u32) = (None, 0);
        let mut samples = Vec::with_capacity(self.rows);
        for text in self.get(schema::RECORD_SAMPLES)?.str()?.iter() {
            // Neighbours were nearly always recorded alike.
            if text != last.0 {
                let known = text.map(parse_samples).transpose()?;
                let place = recorded.iter().position(|other| *other == known);
                let place = place.unwrap_or_else(|| {
                    recorded.push(known);
                    recorded.len() - 1
                });
                last = (text, place as u32);
            }
            samples.push(last.1);
        }
        Ok(IndexRows {
            run_ids: self.words(schema::RUN_ID, parse_run_id)?,
            statuses: self.words(schema::STATUS, Status::from_word)?,
            attempts: self.counts(schema::ATTEMPT)?,
            curves: self.get(schema::RECORD_CURVES)?.bool()?.iter().map(|flag| flag.unwrap_or(false)).collect(),
            samples,
            recorded,
            footprints: self.counts(schema::FOOTPRINT)?,
        })
    }

    fn records(&self, extent: Extent) -> PolarsResult<Vec<RunRecord>> {
        let index = self.index()?;
        let mut errors = self.texts(schema::ERROR)?;
        let mut configs = self.texts(schema::CONFIG)?;
        let mut metrics = self.metrics()?;
        let mut provenance = self.provenance(&index.attempts)?;
        let mut curves = if extent.curves { self.curves()? } else { vec![Vec::new(); self.rows] };
        let mut paths = self.paths()?;
        let mut samples = if extent.samples { self.samples()? } else { vec![Vec::new(); self.rows] };
        let records = (0..self.rows).map(|row| RunRecord {
            run_id: index.run_ids[row],
            config: configs[row].take().unwrap_or_default(),
            record: Record { curves: index.curves[row], samples: index.recorded[index.samples[row] as usize].clone() },
            output: RunOutput {
                status: index.statuses[row],
                error: errors[row].take(),
                metrics: std::mem::take(&mut metrics[row]),
                provenance: std::mem::take(&mut provenance[row]),
                curves: std::mem::take(&mut curves[row]),
                path: std::mem::take(&mut paths[row]),
                samples: std::mem::take(&mut samples[row]),
            },
        });
        Ok(records.collect())
    }

    fn metrics(&self) -> PolarsResult<Vec<Metrics>> {
        let width = catalogue().len();
        let mut values: Vec<Vec<Option<f64>>> = (0..self.rows).map(|_| Vec::with_capacity(width)).collect();
        for metric in catalogue() {
            let column = self.numbers(&metric.name)?;
            values.iter_mut().zip(column).for_each(|(row, value)| row.push(value));
        }
        let whole = values.into_iter().map(|row| Metrics::from_values(row).expect("one value for each metric"));
        Ok(whole.collect())
    }

    fn provenance(&self, attempts: &[u32]) -> PolarsResult<Vec<Provenance>> {
        let [simulate_s, train_s, evaluate_s, to_target_s] = schema::TIMES;
        let (simulate_s, train_s) = (self.numbers(simulate_s)?, self.numbers(train_s)?);
        let (evaluate_s, to_target_s) = (self.numbers(evaluate_s)?, self.numbers(to_target_s)?);
        let [host, worker, isa] = schema::HOSTS;
        let (mut host, mut worker, mut isa) = (self.texts(host)?, self.texts(worker)?, self.texts(isa)?);
        let mut engine_version = self.texts(schema::ENGINE_VERSION)?;
        let mut take = |row: usize| Provenance {
            simulate_s: simulate_s[row],
            train_s: train_s[row],
            evaluate_s: evaluate_s[row],
            to_target_s: to_target_s[row],
            host: host[row].take().unwrap_or_default(),
            worker: worker[row].take().unwrap_or_default(),
            isa: isa[row].take().unwrap_or_default(),
            attempt: attempts[row],
            engine_version: engine_version[row].take().unwrap_or_default(),
        };
        Ok((0..self.rows).map(&mut take).collect())
    }

    fn curves(&self) -> PolarsResult<Vec<Vec<Epoch>>> {
        let epochs = Lists::read(self.get("curves.epoch")?, |inner| {
            Ok(inner.u32()?.iter().map(|epoch| epoch.unwrap_or(0)).collect())
        })?;
        let mut values = Vec::with_capacity(schema::CURVES.len());
        for name in schema::CURVES {
            let column = Lists::read(self.get(&format!("curves.{name}"))?, |inner| Ok(inner.f64()?.iter().collect()))?;
            epochs.same_shape(&column, name)?;
            values.push(column.values);
        }
        let row = |range: std::ops::Range<usize>| {
            range.map(|place| Epoch {
                epoch: epochs.values[place],
                loss: values[0][place],
                pnl_mean: values[1][place],
                pnl_variance: values[2][place],
                mean_cost: values[3][place],
                sharpe: values[4][place],
                grad_norm: values[5][place],
                damping: values[6][place],
                validation_loss: values[7][place],
                step_norm: values[8][place],
                trust_ratio: values[9][place],
                factor_condition: values[10][place],
                seconds: values[11][place],
            })
        };
        Ok((0..self.rows).map(|place| row(epochs.range(place)).collect()).collect())
    }

    fn paths(&self) -> PolarsResult<Vec<Vec<PathPoint>>> {
        let steps = Lists::read(self.get("path.step")?, |inner| {
            Ok(inner.u32()?.iter().map(|step| step.unwrap_or(0)).collect())
        })?;
        let mut values = Vec::with_capacity(schema::PATH.len());
        for name in schema::PATH {
            let column = Lists::read(self.get(&format!("path.{name}"))?, |inner| {
                Ok(inner.f64()?.iter().map(|number| number.unwrap_or(f64::NAN)).collect())
            })?;
            steps.same_shape(&column, name)?;
            values.push(column.values);
        }
        let row = |range: std::ops::Range<usize>| {
            range.map(|place| PathPoint {
                step: steps.values[place],
                price: values[0][place],
                variance: values[1][place],
                position: values[2][place],
            })
        };
        Ok((0..self.rows).map(|place| row(steps.range(place)).collect()).collect())
    }

    fn samples(&self) -> PolarsResult<Vec<Vec<Samples>>> {
        let sets = Lists::read(self.get("samples.set")?, |inner| {
            let words = inner.str()?.iter().map(|word| {
                let set = word.and_then(SampleSet::from_word);
                set.ok_or_else(|| polars_err!(ComputeError: "{word:?} is no set of samples"))
            });
            words.collect()
        })?;
        let count = |inner: &Series| Ok(inner.u32()?.iter().map(|count| count.unwrap_or(0)).collect::<Vec<u32>>());
        let epochs = Lists::read(self.get("samples.epoch")?, count)?;
        let paths = Lists::read(self.get("samples.paths")?, count)?;
        let float =
            |inner: &Series| Ok(inner.f32()?.iter().map(|value| value.unwrap_or(f32::NAN)).collect::<Vec<f32>>());
        let pnl = Lists::read(self.get("samples.pnl")?, float)?;
        let cost = Lists::read(self.get("samples.cost")?, float)?;
        sets.same_shape(&epochs, "epoch")?;
        sets.same_shape(&paths, "paths")?;
        pnl.same_shape(&cost, "cost")?;
        let mut rows = Vec::with_capacity(self.rows);
        for row in 0..self.rows {
            let all = pnl.range(row);
            let mut start = all.start;
            let mut blocks = Vec::new();
            for block in sets.range(row) {
                let end = start + paths.values[block] as usize;
                if end > all.end {
                    polars_bail!(ComputeError: "there are fewer samples than announced");
                }
                blocks.push(Samples {
                    set: sets.values[block],
                    epoch: epochs.values[block],
                    pnl: pnl.values[start..end].to_vec(),
                    cost: cost.values[start..end].to_vec(),
                });
                start = end;
            }
            rows.push(blocks);
        }
        Ok(rows)
    }
}

/// A list column: all values end to end, and where each row's begin.
struct Lists<T> {
    offsets: Vec<usize>,
    values: Vec<T>,
}

impl<T> Lists<T> {
    /// `flatten` makes values of the inner column, one for each of its entries.
    fn read(series: &Series, flatten: impl Fn(&Series) -> PolarsResult<Vec<T>>) -> PolarsResult<Lists<T>> {
        let lists: &ListChunked = series.list()?;
        let lists = lists.rechunk();
        let array = lists.downcast_as_array();
        let offsets: Vec<usize> = array.offsets().iter().map(|offset| *offset as usize).collect();
        let values = flatten(&lists.get_inner())?;
        if offsets.last().is_some_and(|end| *end > values.len()) {
            polars_bail!(ComputeError: "a list reaches beyond its values");
        }
        Ok(Lists { offsets, values })
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row]..self.offsets[row + 1]
    }

    fn same_shape<U>(&self, other: &Lists<U>, name: &str) -> PolarsResult<()> {
        if self.offsets != other.offsets {
            polars_bail!(ComputeError: "lists that belong together differ in length at {name}");
        }
        Ok(())
    }
}

fn parse_samples(text: &str) -> PolarsResult<RecordSamples> {
    serde_json::from_str(text)
        .map_err(|error| polars_err!(ComputeError: "{text:?} does not say what was recorded: {error}"))
}

/// A run id of 32 hexadecimal digits. A million of them are read at each start, so this is no `from_str_radix`.
fn parse_run_id(text: &str) -> Option<RunId> {
    let digits: &[u8; 32] = text.as_bytes().try_into().ok()?;
    let mut id = [0_u8; 16];
    let mut all = 0;
    for (byte, pair) in id.iter_mut().zip(digits.as_chunks::<2>().0) {
        let (high, low) = (HEX[usize::from(pair[0])], HEX[usize::from(pair[1])]);
        all |= high | low;
        *byte = high << 4 | (low & 15);
    }
    if all > 15 { RunId::from_str(text).ok() } else { Some(RunId(id)) }
}

/// The value of each byte as a lower-case hexadecimal digit; more than 15 for one that is none.
const HEX: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as u8;
        digit += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_read_as_the_engine_reads_them() {
        for text in ["00112233445566778899aabbccddeeff", "0011223344556677889", "0011223344556677889/aabbccddeeff"] {
            assert_eq!(parse_run_id(text), text.parse().ok(), "{text}");
        }
        let upper = "00112233445566778899AABBCCDDEEFF";
        assert_eq!(parse_run_id(upper), upper.parse().ok());
    }
}
