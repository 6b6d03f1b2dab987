//! From rows of a path's numbers to rows of paths, and back.

use crate::lanes::{LANES, Vector, unrolled};

/// A matrix of so many rows and columns, whose rows begin `stride` numbers apart.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) stride: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Matrix<'_> {
    /// Writes the transpose, whose rows begin `stride` numbers apart.
    #[inline(always)]
    pub(super) fn transpose_into(self, to: &mut [f32], stride: usize) {
        for first in (0..self.columns).step_by(LANES) {
            let columns = LANES.min(self.columns - first);
            let from = Matrix { data: &self.data[first..], columns, ..self };
            let to = &mut to[first * stride..];
            let mut row = 0;
            while columns == LANES && row + LANES <= self.rows {
                let mut rows = [[0.0; LANES]; LANES];
                unrolled!(r in LANES, rows[r] = from.row(row + r));
                turn(&rows, &mut to[row..], stride);
                row += LANES;
            }
            from.turn_singly(row, to, stride);
        }
    }

    #[inline(always)]
    fn row<const C: usize>(self, row: usize) -> [f32; C] {
        *self.data[row * self.stride..].first_chunk().expect("a row's columns")
    }

    /// Number by number, from the `first` row on.
    #[inline(always)]
    fn turn_singly(self, first: usize, to: &mut [f32], stride: usize) {
        for row in first..self.rows {
            let numbers = &self.data[row * self.stride..][..self.columns];
            to[row..].iter_mut().step_by(stride).zip(numbers).for_each(|(to, number)| *to = *number);
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
