//! tanh and the logistic function σ of vectors.
//!
//! Both are quotients of what 2ᶻ is made of. With n the whole number nearest to z, S = 2ⁿ and τ = tanh(½ ln 2 · (z − n)),
//! which is a short odd polynomial:
//!
//! - tanh(½ ln 2 · z) = (2ᶻ − 1)/(2ᶻ + 1) = (S − 1 + (S + 1)·τ) / (S + 1 + (S − 1)·τ),
//! - 1/(1 + 2ᶻ) = (1 − τ) / (S + 1 + (S − 1)·τ) = (1 − τ) / (S·(1 + τ) + (1 − τ)).
//!
//! That is six multiplications and a division; the rest are additions, comparisons and shifts, which many machines do
//! beside them. Callers that choose their own scale count in z and save one more. The second form of σ takes fewer
//! operations; the first has tanh's denominator, for vectors of both.

use crate::lanes::{LANES, Vector};

/// tanh x = (2ᶻ − 1)/(2ᶻ + 1) with z = x · `TANH_OCTAVES`.
pub(crate) const TANH_OCTAVES: f32 = 2.0 * std::f32::consts::LOG2_E;
/// σ(x) = 1/(1 + 2ᶻ) with z = x · `SIGMOID_OCTAVES`.
pub(crate) const SIGMOID_OCTAVES: f32 = -std::f32::consts::LOG2_E;

/// The place of g among the gates.
const TANH_GATE: usize = 2;

/// From here on, of either sign, both functions stay as they are: 2ᶻ is still a normal number, as is its inverse.
const END: f32 = 126.0;
/// Added to a number of less than 2²², this leaves the nearest whole number in the last bits, as the exponent of its
/// power of two. It is odd, so that halves go to the odd neighbour: that is part of the numbers.
const WHOLE: f32 = 12_582_912.0 + 127.0;
/// Below this, the quotient of σ's first form is more than 1 by its roundings, while 1/(1 + 2ᶻ) is 1 to half a unit.
const SIGMOID_BEGIN: f32 = -24.0;
/// Bits after a number's exponent.
const FRACTION_BITS: u32 = 23;
/// tanh(½ ln 2 · r)/r for |r| ≤ ½ as a polynomial in r², to 4.5e-8 of itself: minimax, by Remez' algorithm.
const ODD: [f32; 3] = [0.346_573_56, -0.013_874_908, 0.000_654_689_85];

/// What both functions are made of.
#[derive(Clone, Copy)]
struct Octaves<const N: usize> {
    /// S, S − 1 and S + 1.
    power: Vector<N>,
    less: Vector<N>,
    more: Vector<N>,
    /// z − n.
    rest: Vector<N>,
    /// τ/(z − n).
    even: Vector<N>,
}

impl<const N: usize> Octaves<N> {
    /// With z no less than `begin`; keeps a NaN, in `rest`.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, reason = "lane by lane, of five vectors")]
    fn of(z: Vector<N>, begin: [f32; N]) -> Octaves<N> {
        let [mut power, mut less, mut more, mut rest] = [Vector::ZERO; 4];
        for lane in 0..N {
            // As `clamp`, which would look at its bounds first, lane by lane.
            let z = if z.0[lane] < begin[lane] { begin[lane] } else { z.0[lane] };
            let z = if z > END { END } else { z };
            let shifted = z + WHOLE;
            rest.0[lane] = z - (shifted - WHOLE);
            power.0[lane] = f32::from_bits(shifted.to_bits() << FRACTION_BITS);
            less.0[lane] = power.0[lane] - 1.0;
            more.0[lane] = power.0[lane] + 1.0;
        }
        let square = rest.mul(rest);
        let even = Vector::splat(ODD[2]).mul_add(square, Vector::splat(ODD[1]));
        Octaves { power, less, more, rest, even: even.mul_add(square, Vector::splat(ODD[0])) }
    }

    #[inline(always)]
    fn tau(self) -> Vector<N> {
        self.even.mul(self.rest)
    }

    /// 2(1 + 2ᶻ)/(1 + 2ᶻ/S), up to roundings.
    #[inline(always)]
    fn denominator(self) -> Vector<N> {
        self.less.mul_add(self.tau(), self.more)
    }

    #[inline(always)]
    fn of_tanh(self) -> Vector<N> {
        self.more.mul_add(self.tau(), self.less)
    }

    #[inline(always)]
    fn of_sigmoid(self) -> Vector<N> {
        Vector::ONE.sub(self.tau())
    }
}

impl<const N: usize> Vector<N> {
    /// tanh x: to 3½ units in the last place, without a branch.
    #[inline(always)]
    pub(crate) fn tanh(self) -> Vector<N> {
        self.mul(Vector::splat(TANH_OCTAVES)).tanh_of_octaves()
    }

    /// tanh x, given as z = x · `TANH_OCTAVES`.
    #[inline(always)]
    pub(crate) fn tanh_of_octaves(self) -> Vector<N> {
        let octaves = Octaves::of(self, [-END; N]);
        octaves.of_tanh().div(octaves.denominator())
    }

    /// σ(x), given as z = x · `SIGMOID_OCTAVES`: to 3½ units in the last place, for |z| up to 126.
    #[inline(always)]
    pub(crate) fn sigmoid_of_octaves(self) -> Vector<N> {
        let Octaves { power, rest, even, .. } = Octaves::of(self, [-END; N]);
        let less = even.mul_sub_from(rest, Vector::ONE);
        less.div(power.mul_add(even.mul_add(rest, Vector::ONE), less))
    }

    /// The activations of an LSTM's gates, given as z: these are the numbers from the `first` on of i, f, g, o, eight of
    /// each; g passes through tanh and the others through σ. To 3½ units in the last place, for |z| up to 126.
    #[inline(always)]
    pub(crate) fn activate_gates(self, first: usize) -> Vector<N> {
        let mut begin = [SIGMOID_BEGIN; N];
        for (lane, begin) in begin.iter_mut().enumerate() {
            if (first + lane) / LANES == TANH_GATE {
                *begin = -END;
            }
        }
        let octaves = Octaves::of(self, begin);
        let (mut numerator, tanh) = (octaves.of_sigmoid(), octaves.of_tanh());
        for lane in 0..N {
            if (first + lane) / LANES == TANH_GATE {
                numerator.0[lane] = tanh.0[lane];
            }
        }
        numerator.div(octaves.denominator())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How far `y` is from `exact`, in units of the last place of the number nearest to that.
    fn units(y: f32, exact: f64) -> f64 {
        let nearest = (exact as f32).abs();
        let unit = f64::from(nearest) - f64::from(f32::from_bits(nearest.to_bits() - 1));
        (f64::from(y) - exact).abs() / unit
    }

    #[test]
    fn tanh_is_right_to_a_few_units_in_the_last_place() {
        // Every 97th number from 2^-100 to beyond where it is 1, of both signs.
        for bits in (0x0d80_0000_u32..0x4120_0000).step_by(97) {
            let x = f32::from_bits(bits);
            let [y, mirrored] = Vector([x, -x]).tanh().0;
            assert_eq!(mirrored.to_bits(), (-y).to_bits(), "{x}");
            let exact = libm::tanh(f64::from(x));
            assert!(units(y, exact) <= 3.5, "{x}: {y} for {exact}");
            assert!(y <= 1.0, "{x}: {y}");
        }
    }

    #[test]
    fn gates_are_right_to_a_few_units_in_the_last_place() {
        // Every 97th number from 2^-36 to the end, of both signs.
        for bits in (0x2d80_0000_u32..END.to_bits()).step_by(97) {
            for z in [f32::from_bits(bits), -f32::from_bits(bits)] {
                let gates = Vector([z; 4 * LANES]).activate_gates(0).0;
                let sigmoid = 1.0 / (1.0 + libm::exp2(f64::from(z)));
                let tanh = libm::tanh(0.5 * std::f64::consts::LN_2 * f64::from(z));
                for (gate, exact) in [sigmoid, sigmoid, tanh, sigmoid].into_iter().enumerate() {
                    let [y, rest @ ..]: [f32; LANES] = *gates[gate * LANES..].first_chunk().unwrap();
                    assert!(rest.iter().all(|other| *other == y));
                    assert!(units(y, exact) <= 3.5, "{z}: {y} for {exact}");
                    assert!(y.abs() <= 1.0, "{z}: {y}");
                }
                let singly = [(Vector([z]).sigmoid_of_octaves(), sigmoid), (Vector([z]).tanh_of_octaves(), tanh)];
                for (Vector([y]), exact) in singly {
                    assert!(units(y, exact) <= 3.5, "{z}: {y} for {exact}");
                    assert!(y.abs() <= 1.0, "{z}: {y}");
                }
            }
        }
    }

    #[test]
    fn beyond_the_end_nothing_changes_and_a_nan_stays() {
        for far in [126.0, 127.0, 1e6, 1e30, f32::MAX, f32::INFINITY] {
            assert_eq!(Vector([far, -far]).tanh().0, [1.0, -1.0]);
            for sigmoid in [Vector([-far, far]).activate_gates(0), Vector([-far, far]).sigmoid_of_octaves()] {
                let [less, more] = sigmoid.0;
                assert_eq!(less, 1.0);
                assert!((0.0..2e-38).contains(&more), "{far}: {more}");
            }
        }
        assert!(Vector([f32::NAN]).tanh().0[0].is_nan());
        for gate in 0..4 {
            assert!(Vector([f32::NAN]).activate_gates(gate * LANES).0[0].is_nan());
        }
        assert!(Vector([f32::NAN]).sigmoid_of_octaves().0[0].is_nan());
    }

    #[test]
    fn tanh_of_nearly_nothing_is_itself() {
        assert_eq!(Vector([0.0, -0.0]).tanh().0, [0.0, 0.0]);
        for x in [1e-40, f32::MIN_POSITIVE, 1e-30] {
            let [y] = Vector([x]).tanh().0;
            assert!((y - x).abs() <= 2.5 * f32::from_bits(1).max(x * f32::EPSILON), "{x}: {y}");
        }
    }
}
