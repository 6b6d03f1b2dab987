//! From rows of a path's numbers to rows of paths, and back.

use wide::f32x4;

use crate::lanes::{LANES, Vector, unrolled};

/// A matrix of so many rows and columns, whose rows begin `stride` numbers apart.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// Rows and columns of a tile that is turned within registers, which compilers do of themselves only where rows lie side by
/// side.
const TILE: usize = 4;

impl Matrix<'_> {
    /// Writes the transpose, whose rows begin `stride` numbers apart.
    #[inline(always)]
    pub(super) fn transpose_into(self, to: &mut [f32], stride: usize) {
        let [rows, columns] = [self.rows, self.columns].map(|count| count - count % TILE);
        for column in (0..columns).step_by(TILE) {
            for row in (0..rows).step_by(TILE) {
                let from = &self.data[row * self.stride + column..][..(TILE - 1) * self.stride + TILE];
                let to = &mut to[column * stride + row..][..(TILE - 1) * stride + TILE];
                let mut tile = [[0.0; TILE]; TILE];
                unrolled!(r in TILE, tile[r] = *from[r * self.stride..].first_chunk().expect("a tile's row"));
                let turned = f32x4::transpose(tile.map(f32x4::from)).map(f32x4::to_array);
                unrolled!(c in TILE, *to[c * stride..].first_chunk_mut().expect("a tile's column") = turned[c]);
            }
        }
        for row in 0..self.rows {
            let done = if row < rows { columns } else { 0 };
            for column in done..self.columns {
                to[column * stride + row] = self.data[row * self.stride + column];
            }
        }
    }
}

/// Writes the transpose of a matrix of so many columns, with nothing between its rows, for which there is less to do where
/// the columns are few.
#[inline(always)]
pub(super) fn transpose_dense(from: &[f32], columns: usize, to: &mut [f32], stride: usize) {
    match columns {
        1 => transpose_few::<1>(from, to, stride),
        2 => transpose_few::<2>(from, to, stride),
        3 => transpose_few::<3>(from, to, stride),
        4 => transpose_few::<4>(from, to, stride),
        5 => transpose_few::<5>(from, to, stride),
        6 => transpose_few::<6>(from, to, stride),
        7 => transpose_few::<7>(from, to, stride),
        8 => transpose_few::<8>(from, to, stride),
        _ => Matrix { data: from, stride: columns, rows: from.len() / columns, columns }.transpose_into(to, stride),
    }
}

/// The same of C columns.
#[inline(always)]
fn transpose_few<const C: usize>(from: &[f32], to: &mut [f32], stride: usize) {
    let (eights, rest) = from.as_chunks::<C>().0.as_chunks::<LANES>();
    for (block, rows) in eights.iter().enumerate() {
        turn(rows, &mut to[block * LANES..], stride);
    }
    for (row, numbers) in (eights.len() * LANES..).zip(rest) {
        unrolled!(c in C, to[c * stride + row] = numbers[c]);
    }
}

/// Turns eight rows, within registers.
#[inline(always)]
fn turn<const C: usize>(rows: &[[f32; C]; LANES], to: &mut [f32], stride: usize) {
    unrolled!(c in C, {
        let mut lanes = [0.0; LANES];
        unrolled!(r in LANES, lanes[r] = rows[r][c]);
        Vector(lanes).store(&mut to[c * stride..]);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_finds_its_place_and_no_other_is_touched() {
        for (rows, columns) in (1..20).flat_map(|rows| (1..20).map(move |columns| (rows, columns))) {
            let (from_stride, to_stride) = (columns + 2, rows + 3);
            let data: Vec<f32> = (0..rows * from_stride).map(|place| place as f32 + 1.0).collect();
            let mut to = vec![0.0; columns * to_stride];
            Matrix { data: &data, stride: from_stride, rows, columns }.transpose_into(&mut to, to_stride);
            let dense: Vec<f32> = data.chunks(from_stride).flat_map(|row| &row[..columns]).copied().collect();
            let mut other = vec![0.0; columns * to_stride];
            transpose_dense(&dense, columns, &mut other, to_stride);
            assert_eq!(to, other);
            for (column, to) in to.chunks(to_stride).enumerate() {
                let expected = (0..rows).map(|row| data[row * from_stride + column]);
                assert!(to.iter().copied().eq(expected.chain([0.0; 3])), "{rows} × {columns}");
            }
        }
    }
}
