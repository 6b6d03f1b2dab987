//! Sums of outer products of rows, Σ r rᵀ.

use nalgebra::DMatrix;

use crate::aligned::Aligned;
use crate::isa::{Isa, Kernel};
use crate::lanes::{Vector, add_outer, copy_short, unrolled};
use crate::real::Real;

/// Rows and columns of a tile, whose sums stay in registers while it takes a chunk's rows.
const TILE: usize = 8;
/// Rows whose products are summed in their own precision, before the sum is added up in f64. Few enough that they stay in
/// the first cache, and that the rounding of an f32 sum stays near 1e-6.
pub(super) const CHUNK: usize = 128;

/// In which precision the rows are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    /// In f64, as the notebook's head is.
    Double,
    /// In the rows' own precision, a chunk at a time, and the chunks in f64.
    Chunked,
}

/// Σ r rᵀ over rows of `cols` numbers, as they come.
pub(super) struct OuterSum<R> {
    isa: Isa,
    cols: usize,
    precision: Precision,
    /// \[`width`, `width`\], of which the tiles that meet the lower triangle are filled.
    sums: Vec<f64>,
    /// The rows of a chunk, \[CHUNK, `width`\], with zeros behind their numbers; packed, as rows that lie a power of two
    /// apart would all meet in a few lines of the cache.
    chunk: Aligned<R>,
    /// How many there are so far.
    filled: usize,
    /// The chunk in f64, where it is summed so.
    doubles: Vec<f64>,
}

impl<R: Real> OuterSum<R> {
    pub(super) fn new(cols: usize, precision: Precision) -> OuterSum<R> {
        let width = cols.next_multiple_of(TILE);
        OuterSum {
            isa: Isa::detect(),
            cols,
            precision,
            sums: vec![0.0; width * width],
            chunk: Aligned::zeros(CHUNK * width),
            filled: 0,
            doubles: Vec::new(),
        }
    }

    fn width(&self) -> usize {
        self.cols.next_multiple_of(TILE)
    }

    /// Room for the next row, which its taker fills.
    #[inline]
    pub(super) fn row(&mut self) -> &mut [R] {
        if self.filled == CHUNK {
            self.add_chunk();
        }
        self.filled += 1;
        let width = self.width();
        &mut self.chunk[(self.filled - 1) * width..][..self.cols]
    }

    /// Takes the columns from `first` on of rows that lie `stride` apart.
    pub(super) fn take(&mut self, rows: &[R], stride: usize, first: usize) {
        if self.precision == Precision::Chunked && first + self.width() <= stride {
            // Where they are.
            self.add_chunk();
            let width = self.width();
            for rows in rows.chunks(CHUNK * stride) {
                self.isa.run(AddChunk { sums: &mut self.sums, width, rows, stride, first });
            }
        } else {
            rows.chunks_exact(stride).for_each(|row| copy_short(&row[first..][..self.cols], self.row()));
        }
    }

    fn add_chunk(&mut self) {
        let width = self.width();
        let rows = &self.chunk[..self.filled * width];
        match self.precision {
            Precision::Chunked => self.isa.run(AddChunk { sums: &mut self.sums, width, rows, stride: width, first: 0 }),
            Precision::Double => {
                self.doubles.clear();
                self.doubles.extend(rows.iter().map(|x| x.to_f64()));
                let rows = &self.doubles[..];
                self.isa.run(AddChunk { sums: &mut self.sums, width, rows, stride: width, first: 0 });
            }
        }
        self.filled = 0;
    }

    /// Writes the sum times `scale` to a \[cols, cols\] matrix, which becomes symmetric, and begins the next.
    pub(super) fn finish(&mut self, scale: f64, out: &mut DMatrix<f64>) {
        self.add_chunk();
        let width = self.width();
        for row in 0..self.cols {
            for col in 0..=row {
                let sum = scale * self.sums[row * width + col];
                (out[(row, col)], out[(col, row)]) = (sum, sum);
            }
        }
        self.sums.fill(0.0);
    }
}

/// Adds the outer products of a chunk's rows to the tiles that meet the lower triangle. Every entry is one chain of fused
/// multiply-adds over the chunk's rows in order, so that its bits do not depend on the tiles.
struct AddChunk<'a, R> {
    sums: &'a mut [f64],
    width: usize,
    /// Rows that lie `stride` apart, each with `width` numbers from `first` on.
    rows: &'a [R],
    stride: usize,
    first: usize,
}

impl<R: Real> Kernel for AddChunk<'_, R> {
    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        // Eight vectors of eight f32 fill half of sixteen registers, and keep the multipliers busy.
        if WIDE || size_of::<R>() == size_of::<f32>() {
            self.tiles::<TILE>();
        } else {
            self.tiles::<{ TILE / 2 }>();
        }
    }
}

impl<R: Real> AddChunk<'_, R> {
    #[inline(always)]
    fn tiles<const ROWS: usize>(self) {
        let AddChunk { sums, width, rows, stride, first } = self;
        for row in (0..width).step_by(ROWS) {
            for col in (0..=row).step_by(TILE) {
                let mut tile = [[Vector::<TILE, R>::ZERO; 1]; ROWS];
                for line in rows.chunks_exact(stride) {
                    let line = &line[first..][..width];
                    let left: &[R; ROWS] = line[row..].first_chunk().expect("a tile's height");
                    add_outer(&mut tile, left, &line[col..][..TILE]);
                }
                unrolled!(r in ROWS, {
                    let out = &mut sums[(row + r) * width + col..][..TILE];
                    for (out, sum) in out.iter_mut().zip(tile[r][0].0) {
                        *out += sum.to_f64();
                    }
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum_of(rows: &[f32], cols: usize, isa: Isa, precision: Precision) -> DMatrix<f64> {
        let mut sum = OuterSum::<f32> { isa, ..OuterSum::new(cols, precision) };
        rows.chunks(cols).for_each(|row| sum.row().copy_from_slice(row));
        finished(sum)
    }

    fn finished(mut sum: OuterSum<f32>) -> DMatrix<f64> {
        let mut out = DMatrix::zeros(sum.cols, sum.cols);
        sum.finish(1.0, &mut out);
        out
    }

    proptest! {
        #[test]
        fn rows_are_taken_where_they_are_as_if_they_were_copied(
            numbers in prop::collection::vec(-1.0..1.0_f32, 61),
            count in 0_usize..300,
            cols in 1_usize..20,
            first in 0_usize..20,
            behind in 0_usize..20,
        ) {
            let stride = first + cols + behind;
            let rows: Vec<f32> = numbers.iter().copied().cycle().take(count * stride).collect();
            let columns: Vec<f32> = rows.chunks(stride).flat_map(|row| &row[first..][..cols]).copied().collect();
            for precision in [Precision::Double, Precision::Chunked] {
                let mut sum = OuterSum::new(cols, precision);
                sum.take(&rows, stride, first);
                prop_assert_eq!(finished(sum), sum_of(&columns, cols, Isa::detect(), precision));
            }
        }

        #[test]
        fn every_row_is_taken_once(count in 0_usize..300, cols in 1_usize..40, shift in 0_usize..50) {
            // Of whole numbers, whose products have no rounding.
            let number = |place: usize| ((place / cols * 31 + place % cols * 17 + shift) % 23) as f32 - 11.0;
            let rows: Vec<f32> = (0..count * cols).map(number).collect();
            for precision in [Precision::Double, Precision::Chunked] {
                let sum = sum_of(&rows, cols, Isa::detect(), precision);
                for a in 0..cols {
                    for b in 0..cols {
                        let exact: f32 = rows.chunks(cols).map(|row| row[a] * row[b]).sum();
                        prop_assert_eq!(sum[(a, b)], f64::from(exact));
                    }
                }
            }
        }

        #[test]
        fn every_instruction_set_gives_the_bits_of_the_plain_sums(
            numbers in prop::collection::vec(-1.0..1.0_f32, 64),
            count in 1_usize..300,
            cols in 1_usize..40,
        ) {
            let rows: Vec<f32> = numbers.iter().cycle().enumerate()
                .map(|(place, x)| x * (1.0 + place as f32 / 7.0)).take(count * cols).collect();
            let singles = |a: usize, b: usize| rows.chunks(CHUNK * cols).fold(0.0, |sum: f64, chunk| {
                sum + f64::from(chunk.chunks(cols).fold(0.0_f32, |sum, row| row[a].mul_add(row[b], sum)))
            });
            let doubles = |a: usize, b: usize| rows.chunks(CHUNK * cols).fold(0.0, |sum: f64, chunk| {
                let product = |sum: f64, row: &[f32]| f64::from(row[a]).mul_add(f64::from(row[b]), sum);
                sum + chunk.chunks(cols).fold(0.0, product)
            });
            for isa in Isa::all() {
                let single = sum_of(&rows, cols, isa, Precision::Chunked);
                let double = sum_of(&rows, cols, isa, Precision::Double);
                for a in 0..cols {
                    for b in 0..=a {
                        prop_assert_eq!(single[(a, b)].to_bits(), singles(a, b).to_bits());
                        prop_assert_eq!(double[(b, a)].to_bits(), doubles(a, b).to_bits());
                    }
                }
            }
        }
    }

    #[test]
    fn a_sum_begins_anew_when_it_is_finished() {
        for precision in [Precision::Double, Precision::Chunked] {
            let mut sum = OuterSum::<f32>::new(2, precision);
            let mut out = DMatrix::zeros(2, 2);
            for (rows, expected) in [([3.0, 1.0], [9.0, 3.0, 3.0, 1.0]), ([0.0, 2.0], [0.0, 0.0, 0.0, 4.0])] {
                sum.row().copy_from_slice(&rows);
                sum.finish(1.0, &mut out);
                assert_eq!(out.as_slice(), expected);
            }
        }
    }

    #[test]
    fn chunks_keep_the_digits_of_long_sums() {
        // A chain of 2²⁰ f32 additions of 0.1² would lose four digits.
        let rows = vec![0.1_f32; 1 << 20];
        let exact = f64::from(1 << 17) * f64::from(0.1_f32) * f64::from(0.1_f32);
        let sum = sum_of(&rows, 8, Isa::detect(), Precision::Chunked);
        // 128 additions, each half a unit in the last place of the sum: 128 × 6e-8 at the very most.
        assert!((sum[(0, 0)] / exact - 1.0).abs() < 128.0 * 6e-8);
    }
}
