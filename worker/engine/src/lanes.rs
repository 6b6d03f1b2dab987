//! Vectors of numbers, of which every kernel is made.
//!
//! Written as loops over arrays, so that the same code becomes vector code wherever the compiler may use vectors
//! ([`Isa`](crate::isa::Isa)). Every operation is exactly rounded and lanes are added up in one fixed order, so that the
//! bits are the same wherever it runs.

use crate::real::Real;

/// Numbers in a vector in which sums are taken.
pub(crate) const LANES: usize = 8;

/// N numbers at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Vector<const N: usize, R = f32>(pub(crate) [R; N]);

/// The vector in which sums are taken.
pub(crate) type Lanes = Vector<LANES>;

/// Computes every lane. Closures, as in `std::array::from_fn`, are not sure to be inlined, and would then be compiled for
/// the baseline.
macro_rules! each {
    ($lane:ident, $value:expr) => {{
        let mut lanes = [R::ZERO; N];
        for $lane in 0..N {
            lanes[$lane] = $value;
        }
        Vector(lanes)
    }};
}

/// Does something for every index below a constant of at most eight, without a loop: compilers take loops over a tile's
/// rows for something to be vectorised across the rows, with scattered reads and writes.
macro_rules! unrolled {
    ($index:ident in $count:ident, $body:expr) => {
        unrolled!(@each $index, $count, $body, 0, 1, 2, 3, 4, 5, 6, 7)
    };
    (@each $index:ident, $count:ident, $body:expr, $($number:literal),+) => {{
        const { assert!($count <= 8) };
        $(if $number < $count {
            let $index = $number;
            $body;
        })+
    }};
}
pub(crate) use unrolled;

impl<const N: usize, R: Real> Vector<N, R> {
    /// Zeros.
    pub(crate) const ZERO: Vector<N, R> = Vector([R::ZERO; N]);
    /// Ones.
    pub(crate) const ONE: Vector<N, R> = Vector([R::ONE; N]);

    /// The same number in every lane.
    #[inline(always)]
    pub(crate) fn splat(number: R) -> Vector<N, R> {
        Vector([number; N])
    }

    /// The first numbers of a slice.
    #[inline(always)]
    pub(crate) fn load(from: &[R]) -> Vector<N, R> {
        Vector(*from.first_chunk().expect("a vector's length"))
    }

    /// The first vectors of a slice.
    #[inline(always)]
    pub(crate) fn load_all<const V: usize>(from: &[R]) -> [Vector<N, R>; V] {
        let mut vectors = [Vector::ZERO; V];
        unrolled!(v in V, vectors[v] = Vector::load(&from[v * N..]));
        vectors
    }

    /// Writes vectors to the front of a slice.
    #[inline(always)]
    pub(crate) fn store_all<const V: usize>(vectors: [Vector<N, R>; V], to: &mut [R]) {
        unrolled!(v in V, vectors[v].store(&mut to[v * N..]));
    }

    /// Writes to the front of a slice.
    #[inline(always)]
    pub(crate) fn store(self, to: &mut [R]) {
        *to.first_chunk_mut().expect("a vector's length") = self.0;
    }

    /// `self · b + c`, rounded once.
    #[inline(always)]
    pub(crate) fn mul_add(self, b: Vector<N, R>, c: Vector<N, R>) -> Vector<N, R> {
        each!(lane, self.0[lane].mul_add(b.0[lane], c.0[lane]))
    }

    /// `c − self · b`, rounded once.
    #[inline(always)]
    pub(crate) fn mul_sub_from(self, b: Vector<N, R>, c: Vector<N, R>) -> Vector<N, R> {
        each!(lane, (-self.0[lane]).mul_add(b.0[lane], c.0[lane]))
    }

    /// `self · b`.
    #[inline(always)]
    pub(crate) fn mul(self, b: Vector<N, R>) -> Vector<N, R> {
        each!(lane, self.0[lane] * b.0[lane])
    }

    /// `self / b`.
    #[inline(always)]
    pub(crate) fn div(self, b: Vector<N, R>) -> Vector<N, R> {
        each!(lane, self.0[lane] / b.0[lane])
    }

    /// `self + b`.
    #[inline(always)]
    pub(crate) fn add(self, b: Vector<N, R>) -> Vector<N, R> {
        each!(lane, self.0[lane] + b.0[lane])
    }

    /// `self − b`.
    #[inline(always)]
    pub(crate) fn sub(self, b: Vector<N, R>) -> Vector<N, R> {
        each!(lane, self.0[lane] - b.0[lane])
    }
}

impl Lanes {
    /// The sum of the lanes, as a tree.
    #[inline(always)]
    pub(crate) fn sum(self) -> f32 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
}

/// The sums of eight vectors, each as [`Lanes::sum`]: a level of all trees at a time.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "of iterators, the compiler does not make vectors here")]
pub(crate) fn sums_of_rows(rows: &[f32]) -> Lanes {
    let rows: &[f32; LANES * LANES] = rows.first_chunk().expect("eight vectors");
    let mut halves = [0.0; LANES * 4];
    for place in 0..LANES * 4 {
        let from = place / 4 * LANES + place % 4;
        halves[place] = rows[from] + rows[from + 4];
    }
    let mut quarters = [0.0; LANES * 2];
    for place in 0..LANES * 2 {
        let from = place / 2 * 4 + place % 2;
        quarters[place] = halves[from] + halves[from + 2];
    }
    let mut sums = Lanes::ZERO;
    for row in 0..LANES {
        sums.0[row] = quarters[2 * row] + quarters[2 * row + 1];
    }
    sums
}

/// `sums[r, v] += left[r] · right[v]`.
#[inline(always)]
pub(crate) fn add_outer<T: Real, const R: usize, const V: usize, const N: usize>(
    sums: &mut [[Vector<N, T>; V]; R],
    left: &[T; R],
    right: &[T],
) {
    // With few registers, the operands from the left stay in theirs and those from the right are read as they are used;
    // with many, the other way round. Loops for vectors of eight and none for wider ones: each is what the compiler makes
    // vectors of. `worker bench` shows when that has changed: by a factor of two or more.
    if N == LANES {
        let mut rows = [Vector::<N, T>::ZERO; R];
        for r in 0..R {
            rows[r] = Vector::splat(left[r]);
        }
        for v in 0..V {
            let right = Vector::load(&right[v * N..]);
            for r in 0..R {
                sums[r][v] = rows[r].mul_add(right, sums[r][v]);
            }
        }
    } else {
        let right = Vector::load_all::<V>(right);
        unrolled!(r in R, {
            let left = Vector::splat(left[r]);
            unrolled!(v in V, sums[r][v] = left.mul_add(right[v], sums[r][v]));
        });
    }
}

/// Copies a slice of at most a few vectors to one of the same length. The library's copy is a call, which takes longer than
/// they do.
#[inline(always)]
pub(crate) fn copy_short<R: Real>(from: &[R], to: &mut [R]) {
    debug_assert_eq!(from.len(), to.len());
    let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<LANES>(), to.as_chunks_mut::<LANES>());
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
    for (to, from) in to_rest.iter_mut().zip(from_rest) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_at_a_time_have_the_bits_of_each() {
        let rows: Vec<f32> = (0..64_u16).map(|place| 1.0 / (f32::from(place) + 0.7)).collect();
        let each: Vec<f32> = rows.chunks(LANES).map(|row| Lanes::load(row).sum()).collect();
        assert_eq!(sums_of_rows(&rows).0[..], each[..]);
    }

    #[test]
    fn a_sum_takes_every_lane_once() {
        assert_eq!(Vector([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0]).sum(), 255.0);
    }
}
