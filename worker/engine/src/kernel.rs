//! The matrix product and the dot product, in plain loops of a fixed order.

use crate::real::Real;

/// A matrix that is read with any strides: entry (r, c) is `data[r·row + c·col]`.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a, R> {
    data: &'a [R],
    row: usize,
    col: usize,
}

impl<'a, R> Strided<'a, R> {
    /// A row-major matrix with `cols` columns.
    pub(crate) fn rows(data: &'a [R], cols: usize) -> Strided<'a, R> {
        Strided { data, row: cols, col: 1 }
    }

    /// The transpose of a row-major matrix with `cols` columns.
    pub(crate) fn transposed(data: &'a [R], cols: usize) -> Strided<'a, R> {
        Strided { data, row: 1, col: cols }
    }
}

/// Rows and columns of the tile whose sums stay in registers: 4 × 8 floats are eight vectors of baseline x86-64.
const TILE_ROWS: usize = 4;
const TILE_COLS: usize = 8;

/// `c[m, n] += a[m, k] · b[k, n]`, `b` and `c` row-major.
///
/// Every entry of the product is summed over k in ascending order, starting at zero, then added to `c`: the bits do not
/// depend on the tiles, nor an entry on its neighbours.
pub(crate) fn accumulate<R: Real>(c: &mut [R], a: Strided<'_, R>, b: &[R], [m, k, n]: [usize; 3]) {
    let (c, b) = (&mut c[..m * n], &b[..k * n]);
    let whole_rows = m - m % TILE_ROWS;
    let whole_cols = n - n % TILE_COLS;
    for row in (0..whole_rows).step_by(TILE_ROWS) {
        for col in (0..whole_cols).step_by(TILE_COLS) {
            tile(c, a, b, [k, n], [row, col]);
        }
    }
    for row in 0..m {
        let done = if row < whole_rows { whole_cols } else { 0 };
        for col in done..n {
            let mut sum = R::ZERO;
            for p in 0..k {
                sum += a.data[row * a.row + p * a.col] * b[p * n + col];
            }
            c[row * n + col] += sum;
        }
    }
}

/// One whole tile of [`accumulate`].
#[inline]
fn tile<R: Real>(c: &mut [R], a: Strided<'_, R>, b: &[R], [k, n]: [usize; 2], [row, col]: [usize; 2]) {
    let mut sums = [[R::ZERO; TILE_COLS]; TILE_ROWS];
    for p in 0..k {
        let right: &[R; TILE_COLS] = b[p * n + col..][..TILE_COLS].try_into().expect("a tile's width");
        for (r, sums) in sums.iter_mut().enumerate() {
            let left = a.data[(row + r) * a.row + p * a.col];
            for (sum, &right) in sums.iter_mut().zip(right) {
                *sum += left * right;
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        let out = &mut c[(row + r) * n + col..][..TILE_COLS];
        for (out, &sum) in out.iter_mut().zip(sums) {
            *out += sum;
        }
    }
}

/// Σ a·b in eight interleaved lanes, whose sums are then added in order: one chain of additions would wait for itself.
#[inline(always)]
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let (whole_a, rest_a) = a.as_chunks::<LANES>();
    let (whole_b, rest_b) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in whole_a.iter().zip(whole_b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f64 = rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// The transpose of a row-major matrix with `cols` columns, into `out`.
pub(crate) fn transpose<R: Real>(matrix: &[R], cols: usize, out: &mut Vec<R>) {
    let rows = matrix.len() / cols;
    out.clear();
    out.extend((0..cols).flat_map(|col| (0..rows).map(move |row| matrix[row * cols + col])));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dot_takes_every_entry_once() {
        for len in 0..40 {
            let (a, b): (Vec<f64>, Vec<f64>) = (0..len).map(|i| (f64::from(i), f64::from(i * i - 5))).unzip();
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert_eq!(dot(&a, &b), exact, "sums of whole numbers have no rounding");
        }
    }

    proptest! {
        #[test]
        fn tiles_change_no_bit(m in 1_usize..11, k in 0_usize..7, n in 1_usize..19, shift in 0_u32..100) {
            let number = |i: usize| ((i as u32 * 37 + shift) % 101) as f32 * 0.37 - 17.0;
            let a: Vec<f32> = (0..m * k).map(number).collect();
            let b: Vec<f32> = (0..k * n).map(|i| number(i + 5)).collect();
            let start: Vec<f32> = (0..m * n).map(|i| number(i + 11)).collect();
            let mut expected = start.clone();
            for row in 0..m {
                for col in 0..n {
                    let mut sum = 0.0;
                    for p in 0..k {
                        sum += a[row * k + p] * b[p * n + col];
                    }
                    expected[row * n + col] += sum;
                }
            }
            let mut plain = start.clone();
            accumulate(&mut plain, Strided::rows(&a, k), &b, [m, k, n]);
            prop_assert_eq!(&plain, &expected);
            let mut turned = Vec::new();
            if k > 0 {
                transpose(&a, k, &mut turned);
            }
            let mut other = start;
            accumulate(&mut other, Strided::transposed(&turned, m), &b, [m, k, n]);
            prop_assert_eq!(&other, &expected);
        }
    }
}
