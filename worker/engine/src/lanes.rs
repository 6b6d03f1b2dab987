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
}

impl<const N: usize> Vector<N> {
    /// tanh: see [`tanh`].
    #[inline(always)]
    pub(crate) fn tanh(self) -> Vector<N> {
        Vector(tanh(self.0))
    }

    /// 1/(1 + e⁻²ˣ), the logistic function of twice `self`, as ½ + ½ tanh x: half of `tanh`'s absolute error, and 6e-8.
    #[inline(always)]
    pub(crate) fn sigmoid_of_twice(self) -> Vector<N> {
        let half = Vector::splat(0.5);
        half.mul_add(self.tanh(), half)
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

/// tanh as the quotient of an odd polynomial of degree 9 and an even one of degree 8 (Eigen's minimax coefficients,
/// made with rminimax): fused multiply-adds and one division, without a branch. To 3 units in the last place up to
/// |x| = 1, and to 5½ of them, 3.3e-7, beyond, where the roundings of polynomials that are nearly equal show.
#[inline(always)]
pub(crate) fn tanh<const N: usize>(x: [f32; N]) -> [f32; N] {
    /// From here on it is 1, which is 3.7 units too many: the quotient would leave \[−1, 1\] further on.
    const END: f32 = 8.017_734;
    const ODD: [f32; 4] = [1.394_553_6e-8, 2.102_733_6e-5, 3.520_756_7e-3, 1.340_216_1e-1];
    const EVEN: [f32; 5] = [8.015_777e-7, 3.326_951_4e-4, 2.597_254_5e-2, 4.673_548_3e-1, 1.0];
    let (mut tanh, mut square, mut odd, mut even) = (x, x, [ODD[0]; N], [EVEN[0]; N]);
    for lane in 0..N {
        // Keeps a NaN.
        tanh[lane] = x[lane].clamp(-END, END);
        square[lane] = tanh[lane] * tanh[lane];
    }
    for coefficient in &ODD[1..] {
        for lane in 0..N {
            odd[lane] = odd[lane].mul_add(square[lane], *coefficient);
        }
    }
    for coefficient in &EVEN[1..] {
        for lane in 0..N {
            even[lane] = even[lane].mul_add(square[lane], *coefficient);
        }
    }
    for lane in 0..N {
        // The one in 1 + x²·(…) is multiplied by x before the last rounding.
        tanh[lane] = (square[lane] * tanh[lane]).mul_add(odd[lane], tanh[lane]) / even[lane];
    }
    tanh
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_is_right_to_a_few_units_in_the_last_place() {
        // Every 97th number from 2^-100 to beyond the end, of both signs.
        for bits in (0x0d80_0000_u32..0x4120_0000).step_by(97) {
            let x = f32::from_bits(bits);
            let exact = libm::tanh(f64::from(x));
            let [y, mirrored] = tanh([x, -x]);
            assert_eq!(mirrored.to_bits(), (-y).to_bits(), "{x}");
            let nearest = exact as f32;
            let unit = f64::from(nearest) - f64::from(f32::from_bits(nearest.to_bits() - 1));
            let bound = if x <= 1.0 { 3.0 } else { 5.5 };
            assert!((f64::from(y) - exact).abs() <= bound * unit, "{x}: {y} for {exact}");
        }
    }

    #[test]
    fn tanh_is_bounded_and_keeps_nan_and_zero() {
        for x in [7.9_f32, 8.0, 8.017, 8.1, 9.0, 100.0, f32::MAX, f32::INFINITY] {
            assert!(tanh([x])[0] <= 1.0, "{x}");
        }
        assert!(tanh([f32::NAN])[0].is_nan());
        assert_eq!(tanh([0.0, 1e-40, f32::MIN_POSITIVE]), [0.0, 1e-40, f32::MIN_POSITIVE]);
    }

    #[test]
    fn sigmoid_is_the_logistic_function() {
        for step in -4000..=4000 {
            let x = f64::from(step) * 0.005;
            let exact = 1.0 / (1.0 + libm::exp(-x));
            let [y] = Vector::splat(0.5 * x as f32).sigmoid_of_twice().0;
            // Half of tanh's error, and one rounding below 1.
            assert!((f64::from(y) - exact).abs() <= 0.5 * 3.3e-7 + 6e-8, "{x}");
            assert!((0.0..=1.0).contains(&y));
        }
    }

    #[test]
    fn a_sum_takes_every_lane_once() {
        assert_eq!(Vector([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0]).sum(), 255.0);
    }
}
