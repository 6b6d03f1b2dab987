//! Writing a final table: typed columns, row groups of a fixed number of rows.
//!
//! Row groups are cut by the number of rows alone, so that equal rows make equal bytes, however the parts were cut.

use polars::polars_utils::compression::ZstdLevel;
use polars::prelude::{
    BatchedWriter, BooleanChunkedBuilder, ChunkedBuilder, Column, DataFrame, DataType, Field, Float32Type, Float64Type,
    Int64Type, IntoColumn, KeyValueMetadata, ParquetCompression, ParquetWriter, PolarsResult, PrimitiveChunkedBuilder,
    Schema, StatisticsOptions, StringChunkedBuilder, UInt32Type, UInt64Type,
};

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Text,
    Boolean,
    Integer,
    U32,
    U64,
    F32,
    F64,
}

impl Type {
    fn dtype(self) -> DataType {
        match self {
            Type::Text => DataType::String,
            Type::Boolean => DataType::Boolean,
            Type::Integer => DataType::Int64,
            Type::U32 => DataType::UInt32,
            Type::U64 => DataType::UInt64,
            Type::F32 => DataType::Float32,
            Type::F64 => DataType::Float64,
        }
    }
}

/// A column in the making.
pub(crate) enum Cells {
    Text(StringChunkedBuilder),
    Boolean(BooleanChunkedBuilder),
    Integer(PrimitiveChunkedBuilder<Int64Type>),
    U32(PrimitiveChunkedBuilder<UInt32Type>),
    U64(PrimitiveChunkedBuilder<UInt64Type>),
    F32(PrimitiveChunkedBuilder<Float32Type>),
    F64(PrimitiveChunkedBuilder<Float64Type>),
}

impl Cells {
    fn new(name: &str, kind: Type) -> Cells {
        let name = name.into();
        match kind {
            Type::Text => Cells::Text(StringChunkedBuilder::new(name, 0)),
            Type::Boolean => Cells::Boolean(BooleanChunkedBuilder::new(name, 0)),
            Type::Integer => Cells::Integer(PrimitiveChunkedBuilder::new(name, 0)),
            Type::U32 => Cells::U32(PrimitiveChunkedBuilder::new(name, 0)),
            Type::U64 => Cells::U64(PrimitiveChunkedBuilder::new(name, 0)),
            Type::F32 => Cells::F32(PrimitiveChunkedBuilder::new(name, 0)),
            Type::F64 => Cells::F64(PrimitiveChunkedBuilder::new(name, 0)),
        }
    }

    fn finish(self) -> Column {
        match self {
            Cells::Text(cells) => cells.finish().into_column(),
            Cells::Boolean(cells) => cells.finish().into_column(),
            Cells::Integer(cells) => cells.finish().into_column(),
            Cells::U32(cells) => cells.finish().into_column(),
            Cells::U64(cells) => cells.finish().into_column(),
            Cells::F32(cells) => cells.finish().into_column(),
            Cells::F64(cells) => cells.finish().into_column(),
        }
    }
}

/// One row's cells, in the order of the columns. Numbers that are not finite become null.
pub(crate) struct Row<'a> {
    cells: std::slice::IterMut<'a, Cells>,
}

const TYPED: &str = "rows follow their table's columns";

impl Row<'_> {
    fn next(&mut self) -> &mut Cells {
        self.cells.next().expect(TYPED)
    }

    pub(crate) fn text(&mut self, value: Option<&str>) -> &mut Self {
        match self.next() {
            Cells::Text(cells) => cells.append_option(value),
            _ => unreachable!("{TYPED}"),
        }
        self
    }

    pub(crate) fn boolean(&mut self, value: Option<bool>) -> &mut Self {
        match self.next() {
            Cells::Boolean(cells) => cells.append_option(value),
            _ => unreachable!("{TYPED}"),
        }
        self
    }

    pub(crate) fn integer(&mut self, value: Option<i64>) -> &mut Self {
        match self.next() {
            Cells::Integer(cells) => cells.append_option(value),
            _ => unreachable!("{TYPED}"),
        }
        self
    }

    pub(crate) fn u32(&mut self, value: Option<u32>) -> &mut Self {
        match self.next() {
            Cells::U32(cells) => cells.append_option(value),
            _ => unreachable!("{TYPED}"),
        }
        self
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.opt_u64(Some(value))
    }

    pub(crate) fn opt_u64(&mut self, value: Option<u64>) -> &mut Self {
        match self.next() {
            Cells::U64(cells) => cells.append_option(value),
            _ => unreachable!("{TYPED}"),
        }
        self
    }

    pub(crate) fn f32(&mut self, value: f32) -> &mut Self {
        match self.next() {
            Cells::F32(cells) => cells.append_option(value.is_finite().then_some(value)),
            _ => unreachable!("{TYPED}"),
        }
        self
    }

    pub(crate) fn f64s(&mut self, values: impl IntoIterator<Item = Option<f64>>) -> &mut Self {
        for value in values {
            self.f64(value);
        }
        self
    }

    pub(crate) fn f64(&mut self, value: Option<f64>) -> &mut Self {
        match self.next() {
            Cells::F64(cells) => cells.append_option(value.filter(|number| number.is_finite())),
            _ => unreachable!("{TYPED}"),
        }
        self
    }
}

/// A table in the making.
pub(crate) struct Table<W: std::io::Write> {
    writer: BatchedWriter<W>,
    columns: Vec<(String, Type)>,
    cells: Vec<Cells>,
    rows_per_group: usize,
    pending: usize,
    rows: u64,
}

impl<W: std::io::Write> Table<W> {
    pub(crate) fn new(
        sink: W,
        columns: Vec<(String, Type)>,
        rows_per_group: usize,
        footer: KeyValueMetadata,
    ) -> PolarsResult<Table<W>> {
        let schema = columns.iter().map(|(name, kind)| Field::new(name.as_str().into(), kind.dtype()));
        let writer = ParquetWriter::new(sink)
            .with_compression(ParquetCompression::Zstd(Some(ZstdLevel::try_new(1)?)))
            .with_statistics(StatisticsOptions::default())
            .set_parallel(false)
            .with_key_value_metadata(Some(footer))
            .batched(&Schema::from_iter(schema))?;
        let cells = empty(&columns);
        Ok(Table { writer, columns, cells, rows_per_group, pending: 0, rows: 0 })
    }

    /// Adds a row, which `fill` fills in.
    pub(crate) fn push(&mut self, fill: impl FnOnce(&mut Row<'_>)) -> PolarsResult<()> {
        let mut row = Row { cells: self.cells.iter_mut() };
        fill(&mut row);
        assert!(row.cells.next().is_none(), "{TYPED}");
        self.pending += 1;
        self.rows += 1;
        if self.pending == self.rows_per_group { self.write_group() } else { Ok(()) }
    }

    /// Number of rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes what is left, and the footer.
    pub(crate) fn finish(mut self) -> PolarsResult<()> {
        self.write_group()?;
        self.writer.finish().map(drop)
    }

    fn write_group(&mut self) -> PolarsResult<()> {
        if self.pending == 0 {
            return Ok(());
        }
        let cells = std::mem::replace(&mut self.cells, empty(&self.columns));
        let frame = DataFrame::new(self.pending, cells.into_iter().map(Cells::finish).collect())?;
        self.pending = 0;
        self.writer.write_batch(&frame)
    }
}

fn empty(columns: &[(String, Type)]) -> Vec<Cells> {
    columns.iter().map(|(name, kind)| Cells::new(name, *kind)).collect()
}
