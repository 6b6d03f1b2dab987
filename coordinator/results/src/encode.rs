//! Records to parts.

use engine::RunRecord;
use engine::metrics::Metrics;
use engine::record::{Epoch, PathPoint, Samples};
use polars::polars_utils::compression::ZstdLevel;
use polars::prelude::{BatchedWriter, PlSmallStr};
use polars::prelude::{
    BooleanChunked, Column, DataFrame, DataType, Float32Type, Float64Chunked, Float64Type, IntoColumn,
    KeyValueMetadata, ListBuilderTrait, ListPrimitiveChunkedBuilder, ListStringChunkedBuilder, NewChunkedArray,
    ParquetCompression, ParquetWriter, PolarsResult, StatisticsOptions, StringChunked, StringChunkedBuilder,
    UInt32Chunked, UInt32Type,
};

use crate::error::StoreError;
use crate::identity::Footer;
use crate::schema::{self, Kind};
use crate::seal::{self, Sealer};

/// What a row group's records take in memory at most, unless a single one takes more.
pub(crate) const GROUP_BYTES: u64 = 4 << 20;

/// Bytes that a record takes in memory: a function of its content alone.
pub(crate) fn footprint(record: &RunRecord) -> u64 {
    let output = &record.output;
    let provenance = &output.provenance;
    let texts = record.config.len()
        + output.error.as_ref().map_or(0, String::len)
        + provenance.host.len()
        + provenance.worker.len()
        + provenance.isa.len()
        + provenance.engine_version.len();
    let samples: usize = output
        .samples
        .iter()
        .map(|block| size_of::<Samples>() + size_of_val(&block.pnl[..]) + size_of_val(&block.cost[..]))
        .sum();
    let bytes = size_of::<RunRecord>()
        + texts
        + size_of_val(output.metrics.values())
        + output.curves.len() * size_of::<Epoch>()
        + output.path.len() * size_of::<PathPoint>()
        + samples;
    bytes as u64
}

/// Refuses a record that would not read back as it is.
pub(crate) fn check(record: &RunRecord) -> Result<(), StoreError> {
    let uneven = record.output.samples.iter().find(|block| block.pnl.len() != block.cost.len());
    match uneven {
        None => Ok(()),
        Some(block) => Err(StoreError::Record {
            run_id: record.run_id,
            reason: format!(
                "{} samples of epoch {} have {} P&Ls but {} costs",
                block.set.word(),
                block.epoch,
                block.pnl.len(),
                block.cost.len()
            ),
        }),
    }
}

/// Cuts records into row groups of at most [`GROUP_BYTES`], in order.
pub(crate) fn groups(records: &[RunRecord]) -> impl Iterator<Item = &[RunRecord]> {
    let mut rest = records;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|record| {
            bytes += footprint(record);
            bytes <= GROUP_BYTES
        });
        let count = fits.count().max(1).min(rest.len());
        let (group, others) = rest.split_at(count);
        rest = others;
        (!group.is_empty()).then_some(group)
    })
}

/// A writer of sealed parts.
pub(crate) struct PartWriter<W: std::io::Write> {
    inner: BatchedWriter<seal::Sink<W>>,
    sealer: Sealer<W>,
}

impl<W: std::io::Write> PartWriter<W> {
    /// A part in `sink` whose footer says `footer` and `others`.
    pub(crate) fn new(sink: W, footer: &Footer, others: &[(&str, String)]) -> PolarsResult<PartWriter<W>> {
        let (sink, sealer) = seal::sealing(sink);
        let footer: KeyValueMetadata = footer.pairs(&[others, &[seal::placeholder()]].concat());
        let inner = ParquetWriter::new(sink)
            // Parts are written in a hurry and read once or twice; they hold no statistics since nobody filters them.
            .with_compression(ParquetCompression::Zstd(Some(ZstdLevel::try_new(1)?)))
            .with_statistics(StatisticsOptions::empty())
            .set_parallel(false)
            .with_key_value_metadata(Some(footer))
            .batched(&schema::part_schema())?;
        Ok(PartWriter { inner, sealer })
    }

    /// Writes one row group; no records write none.
    pub(crate) fn write(&mut self, records: &[&RunRecord]) -> PolarsResult<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.inner.write_batch(&frame(records)?)
    }

    /// Writes the footer, with the seal in it.
    pub(crate) fn finish(self) -> PolarsResult<()> {
        self.sealer.hold_back();
        self.inner.finish()?;
        Ok(self.sealer.seal()?)
    }
}

/// The columns of a row group.
fn frame(records: &[&RunRecord]) -> PolarsResult<DataFrame> {
    let columns = schema::columns();
    let mut made: Vec<Column> = Vec::with_capacity(columns.len());
    let metrics = Metrics::default().values().len();
    let mut metric = 0..metrics;
    for (name, kind) in &columns {
        let column = match kind {
            Kind::Number if schema::TIMES.contains(&name.as_str()) => times(name, records),
            Kind::Number => {
                let index = metric.next().expect("the catalogue's metrics are the only other numbers");
                let values = records.iter().map(|record| record.output.metrics.values()[index]);
                Float64Chunked::from_iter_options(name.as_str().into(), values).into_column()
            }
            Kind::Text => texts(name, records),
            Kind::Flag => {
                let values = records.iter().map(|record| Some(record.record.curves));
                BooleanChunked::from_iter_options(name.as_str().into(), values).into_column()
            }
            Kind::Count => counts(name, records),
            Kind::Counts => count_lists(name, records),
            Kind::Numbers => number_lists(name, records),
            Kind::Floats => float_lists(name, records),
            Kind::Texts => text_lists(name, records),
        };
        made.push(column);
    }
    let frame = DataFrame::new(records.len(), made)?;
    debug_assert_eq!(**frame.schema(), schema::part_schema(), "every column is of its declared type");
    Ok(frame)
}

fn times(name: &str, records: &[&RunRecord]) -> Column {
    let values = records.iter().map(|record| {
        let provenance = &record.output.provenance;
        let value = match name {
            "time.simulate_s" => provenance.simulate_s,
            "time.train_s" => provenance.train_s,
            "time.evaluate_s" => provenance.evaluate_s,
            _ => provenance.to_target_s,
        };
        value.filter(|seconds| seconds.is_finite())
    });
    Float64Chunked::from_iter_options(name.into(), values).into_column()
}

fn texts(name: &str, records: &[&RunRecord]) -> Column {
    let mut builder = StringChunkedBuilder::new(name.into(), records.len());
    for record in records {
        let provenance = &record.output.provenance;
        match name {
            schema::RUN_ID => builder.append_value(record.run_id.to_string()),
            schema::STATUS => builder.append_value(record.output.status.word()),
            schema::RECORD_SAMPLES => builder.append_option(record.record.samples.as_ref().map(samples_text)),
            schema::ERROR => builder.append_option(record.output.error.as_deref()),
            schema::CONFIG => builder.append_value(&record.config),
            "host.name" => builder.append_value(&provenance.host),
            "host.worker" => builder.append_value(&provenance.worker),
            "host.isa" => builder.append_value(&provenance.isa),
            _ => builder.append_value(&provenance.engine_version),
        }
    }
    let made: StringChunked = builder.finish();
    made.into_column()
}

fn samples_text(samples: &engine::record::RecordSamples) -> String {
    serde_json::to_string(samples).expect("what to record is plain data")
}

fn counts(name: &str, records: &[&RunRecord]) -> Column {
    let values = records.iter().map(|record| match name {
        schema::ATTEMPT => record.output.provenance.attempt,
        _ => u32::try_from(footprint(record)).unwrap_or(u32::MAX),
    });
    UInt32Chunked::from_iter_values(name.into(), values).into_column()
}

fn count_lists(name: &str, records: &[&RunRecord]) -> Column {
    let mut builder = ListPrimitiveChunkedBuilder::<UInt32Type>::new(name.into(), records.len(), 0, DataType::UInt32);
    for record in records {
        let output = &record.output;
        match name {
            "curves.epoch" => builder.append_values_iter(output.curves.iter().map(|epoch| epoch.epoch)),
            "path.step" => builder.append_values_iter(output.path.iter().map(|point| point.step)),
            "samples.epoch" => builder.append_values_iter(output.samples.iter().map(|block| block.epoch)),
            // A message that could travel holds far fewer than 2³² paths.
            _ => builder.append_values_iter(
                output.samples.iter().map(|block| u32::try_from(block.pnl.len()).unwrap_or(u32::MAX)),
            ),
        }
    }
    builder.finish().into_column()
}

/// The numbers of an epoch, in the order of [`schema::CURVES`].
pub(crate) fn curve_values(epoch: &Epoch) -> [Option<f64>; schema::CURVES.len()] {
    [
        epoch.loss,
        epoch.pnl_mean,
        epoch.pnl_variance,
        epoch.mean_cost,
        epoch.sharpe,
        epoch.grad_norm,
        epoch.damping,
        epoch.validation_loss,
        epoch.step_norm,
        epoch.trust_ratio,
        epoch.factor_condition,
        epoch.seconds,
    ]
}

/// The numbers of a point, in the order of [`schema::PATH`].
pub(crate) fn path_values(point: &PathPoint) -> [f64; schema::PATH.len()] {
    [point.price, point.variance, point.position]
}

fn number_lists(name: &str, records: &[&RunRecord]) -> Column {
    let mut builder = ListPrimitiveChunkedBuilder::<Float64Type>::new(name.into(), records.len(), 0, DataType::Float64);
    let place = |names: &[&str], name: &str| names.iter().position(|known| *known == name);
    if let Some(column) = name.strip_prefix("curves.").and_then(|name| place(&schema::CURVES, name)) {
        for record in records {
            let values = record.output.curves.iter();
            builder.append_iter(values.map(|epoch| curve_values(epoch)[column].filter(|number| number.is_finite())));
        }
    } else {
        let column = name.strip_prefix("path.").and_then(|name| place(&schema::PATH, name));
        let column = column.expect("lists of numbers are curves or paths");
        for record in records {
            builder.append_values_iter(record.output.path.iter().map(|point| path_values(point)[column]));
        }
    }
    builder.finish().into_column()
}

fn float_lists(name: &str, records: &[&RunRecord]) -> Column {
    let mut builder = ListPrimitiveChunkedBuilder::<Float32Type>::new(name.into(), records.len(), 0, DataType::Float32);
    for record in records {
        let blocks = record.output.samples.iter();
        let values = blocks.flat_map(|block| if name == "samples.pnl" { &block.pnl } else { &block.cost });
        builder.append_values_iter(values.copied());
    }
    builder.finish().into_column()
}

fn text_lists(name: &str, records: &[&RunRecord]) -> Column {
    let mut builder = ListStringChunkedBuilder::new(PlSmallStr::from_str(name), records.len(), 0);
    for record in records {
        builder.append_values_iter(record.output.samples.iter().map(|block| block.set.word()));
    }
    builder.finish().into_column()
}

/// A whole part in memory.
pub(crate) fn part_bytes(records: &[RunRecord], footer: &Footer) -> PolarsResult<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = PartWriter::new(&mut bytes, footer, &[])?;
    for group in groups(records) {
        writer.write(&group.iter().collect::<Vec<_>>())?;
    }
    writer.finish()?;
    Ok(bytes)
}
