//! Sums of outer products of rows, Σ r rᵀ.

use nalgebra::DMatrix;

use crate::kernel::{Strided, accumulate};
use crate::real::Real;

/// Rows and columns of the tile whose sums stay in registers. Eight rows would read less for every product, but the
/// compiler then keeps the tile in an order that it must shuffle.
const TILE_ROWS: usize = 4;
const TILE_COLS: usize = 8;
/// Rows whose products are summed in the rows' own precision, before the sum is added up in f64. Few enough that they
/// stay in the first cache, and that the rounding of an f32 sum stays near 1e-6.
const CHUNK: usize = 128;

/// In which precision the rows are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    /// In f64, all rows in one chain, as the notebook's head is: slow.
    Double,
    /// In the rows' own precision, a chunk at a time, and the chunks in f64.
    Chunked,
}

/// Σ r rᵀ over rows of `cols` numbers, as they come.
pub(super) struct OuterSum {
    cols: usize,
    precision: Precision,
    /// All rows so far, with `Double`.
    rows: Vec<f64>,
    /// The sums so far, with `Chunked`: \[stride, stride\], of which the lower triangle's tiles are filled.
    sums: Vec<f64>,
}

impl OuterSum {
    pub(super) fn new(cols: usize, precision: Precision) -> OuterSum {
        let mut sum = OuterSum { cols, precision, rows: Vec::new(), sums: Vec::new() };
        if precision == Precision::Chunked {
            sum.sums = vec![0.0; sum.stride() * sum.stride()];
        }
        sum
    }

    /// How far apart the rows that it takes must lie; behind their `cols` numbers they hold zeros.
    pub(super) fn stride(&self) -> usize {
        match self.precision {
            Precision::Double => self.cols,
            Precision::Chunked => self.cols.next_multiple_of(TILE_COLS),
        }
    }

    /// Takes some rows.
    pub(super) fn push<R: Real>(&mut self, rows: &[R]) {
        match self.precision {
            Precision::Double => self.rows.extend(rows.iter().map(|x| x.to_f64())),
            Precision::Chunked => {
                let stride = self.stride();
                rows.chunks(CHUNK * stride).for_each(|chunk| add_chunk(&mut self.sums, chunk, stride));
            }
        }
    }

    /// The sum, \[cols, cols\], symmetric.
    pub(super) fn finish(self) -> DMatrix<f64> {
        let cols = self.cols;
        match self.precision {
            Precision::Double => {
                let count = self.rows.len() / cols;
                let mut sums = vec![0.0; cols * cols];
                accumulate(&mut sums, Strided::transposed(&self.rows, cols), &self.rows, [cols, count, cols]);
                DMatrix::from_row_slice(cols, cols, &sums)
            }
            Precision::Chunked => {
                let stride = self.stride();
                DMatrix::from_fn(cols, cols, |row, col| self.sums[row.max(col) * stride + row.min(col)])
            }
        }
    }
}

/// Adds the outer products of a chunk's rows to the tiles that meet the lower triangle. Every entry is summed over the
/// chunk's rows in order, so its bits do not depend on the tiles.
fn add_chunk<R: Real>(sums: &mut [f64], chunk: &[R], stride: usize) {
    for row in (0..stride).step_by(TILE_ROWS) {
        for col in (0..=row).step_by(TILE_COLS) {
            let tile = outer_tile(chunk, stride, row, col);
            for (r, tile_row) in tile.iter().enumerate() {
                let out = &mut sums[(row + r) * stride + col..][..TILE_COLS];
                out.iter_mut().zip(tile_row).for_each(|(sum, product)| *sum += product.to_f64());
            }
        }
    }
}

/// One tile of Σ r rᵀ.
#[inline]
fn outer_tile<R: Real>(chunk: &[R], stride: usize, row: usize, col: usize) -> [[R; TILE_COLS]; TILE_ROWS] {
    let mut sums = [[R::ZERO; TILE_COLS]; TILE_ROWS];
    for line in chunk.chunks_exact(stride) {
        let left: &[R; TILE_ROWS] = line[row..][..TILE_ROWS].try_into().expect("a tile's height");
        let right: &[R; TILE_COLS] = line[col..][..TILE_COLS].try_into().expect("a tile's width");
        for (sums, &left) in sums.iter_mut().zip(left) {
            for (sum, &right) in sums.iter_mut().zip(right) {
                *sum += left * right;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows of whole numbers, whose products have no rounding, with zeros behind them.
    fn rows(count: usize, cols: usize, stride: usize, shift: u32) -> Vec<f32> {
        let number = |row: usize, col: usize| ((row * 31 + col * 17 + shift as usize) % 23) as f32 - 11.0;
        (0..count).flat_map(|row| (0..stride).map(move |col| if col < cols { number(row, col) } else { 0.0 })).collect()
    }

    proptest! {
        #[test]
        fn both_ways_take_every_row_once(count in 0_usize..300, cols in 1_usize..40, shift in 0_u32..50, cut in 0_usize..300) {
            for precision in [Precision::Double, Precision::Chunked] {
                let mut sum = OuterSum::new(cols, precision);
                let stride = sum.stride();
                let rows = rows(count, cols, stride, shift);
                let cut = cut.min(count) * stride;
                sum.push(&rows[..cut]);
                sum.push(&rows[cut..]);
                let sum = sum.finish();
                for a in 0..cols {
                    for b in 0..cols {
                        let exact: f32 = rows.chunks(stride).map(|row| row[a] * row[b]).sum();
                        prop_assert_eq!(sum[(a, b)], f64::from(exact));
                    }
                }
            }
        }
    }

    #[test]
    fn chunks_keep_the_digits_of_long_sums() {
        // A chain of 2²⁰ f32 additions of 0.1² would lose four digits.
        let rows = vec![0.1_f32; 1 << 20];
        let mut sum = OuterSum::new(8, Precision::Chunked);
        sum.push(&rows);
        let exact = f64::from(1 << 17) * f64::from(0.1_f32) * f64::from(0.1_f32);
        // 128 additions, each half a unit in the last place of the sum: 128 × 6e-8 at the very most.
        assert!((sum.finish()[(0, 0)] / exact - 1.0).abs() < 128.0 * 6e-8);
    }
}
