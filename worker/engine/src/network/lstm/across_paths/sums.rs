//! Sums over paths of products of two rows, of which each number of a vector has its own.

use super::{PATHS, STRIP};
use crate::lanes::{LANES, Vector, unrolled};

/// Rows of paths, so many at each of some points.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) data: &'a [f32],
    /// Numbers from one point's rows to those of the next.
    pub(super) stride: usize,
    pub(super) count: usize,
    pub(super) points: usize,
}

impl<'a> Rows<'a> {
    /// R of the rows from the `row`th on, at a point.
    #[inline(always)]
    fn at<const R: usize>(self, point: usize, row: usize) -> &'a [f32] {
        &self.data[point * self.stride + row * PATHS..][..R * PATHS]
    }
}

/// `sums[k, g, lane] += Σ left[g, path] · right[k, path]` over the paths of each lane, point by point and in order; with a
/// BIAS there is one more row on the right, of ones.
#[inline(always)]
pub(super) fn add_products<const G: usize, const S: usize, const N: usize, const BIAS: bool>(
    sums: &mut [f32],
    left: Rows<'_>,
    right: Rows<'_>,
) {
    // As many sums as there are registers for.
    if N == LANES {
        add_tiles::<2, G, S, N, BIAS>(sums, left, right);
    } else {
        add_tiles::<4, G, S, N, BIAS>(sums, left, right);
    }
}

/// The same, T rows on the right at a time; T is at most four.
#[inline(always)]
fn add_tiles<const T: usize, const G: usize, const S: usize, const N: usize, const BIAS: bool>(
    mut sums: &mut [f32],
    left: Rows<'_>,
    right: Rows<'_>,
) {
    let mut row = 0;
    while right.count - row > T {
        add_tile::<T, G, S, N, false>(sums, left, right, row);
        sums = &mut sums[T * G * STRIP..];
        row += T;
    }
    match right.count - row {
        0 => add_tile::<0, G, S, N, BIAS>(sums, left, right, row),
        1 => add_tile::<1, G, S, N, BIAS>(sums, left, right, row),
        2 => add_tile::<2, G, S, N, BIAS>(sums, left, right, row),
        3 => add_tile::<3, G, S, N, BIAS>(sums, left, right, row),
        _ => add_tile::<T, G, S, N, BIAS>(sums, left, right, row),
    }
}

/// The same of the K rows from the `row`th on.
#[inline(always)]
fn add_tile<const K: usize, const G: usize, const S: usize, const N: usize, const BIAS: bool>(
    sums: &mut [f32],
    left: Rows<'_>,
    right: Rows<'_>,
    row: usize,
) {
    let (of_rows, of_bias) = sums.split_at_mut(K * G * STRIP);
    for lane in (0..STRIP).step_by(N) {
        let mut sums = [[Vector::<N>::ZERO; G]; K];
        let mut plain = [Vector::<N>::ZERO; G];
        unrolled!(k in K, unrolled!(g in G, sums[k][g] = Vector::load(&of_rows[(k * G + g) * STRIP + lane..])));
        if BIAS {
            unrolled!(g in G, plain[g] = Vector::load(&of_bias[g * STRIP + lane..]));
        }
        for point in 0..left.points {
            let (left, right) = (left.at::<G>(point, 0), right.at::<K>(point, row));
            unrolled!(s in S, {
                let at = s * STRIP + lane;
                let mut left_now = [Vector::<N>::ZERO; G];
                unrolled!(g in G, left_now[g] = Vector::load(&left[g * PATHS + at..]));
                unrolled!(k in K, {
                    let right = Vector::load(&right[k * PATHS + at..]);
                    unrolled!(g in G, sums[k][g] = left_now[g].mul_add(right, sums[k][g]));
                });
                if BIAS {
                    unrolled!(g in G, plain[g] = plain[g].add(left_now[g]));
                }
            });
        }
        unrolled!(k in K, unrolled!(g in G, sums[k][g].store(&mut of_rows[(k * G + g) * STRIP + lane..])));
        if BIAS {
            unrolled!(g in G, plain[g].store(&mut of_bias[g * STRIP + lane..]));
        }
    }
}

/// The sum over a strip's paths, as a tree.
pub(super) fn total(sums: &[f32; STRIP]) -> f32 {
    let [low, high]: [Vector<LANES>; 2] = Vector::load_all(sums);
    low.add(high).sum()
}
