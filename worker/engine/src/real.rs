//! The number that networks, P&L, costs and optimisers are generic over: `f32` in runs, `f64` for the oracles that
//! check them.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// A floating-point number whose every function gives the same bits on every machine.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// ½.
    const HALF: Self;
    /// 1.
    const ONE: Self;

    /// The nearest number of this type.
    fn from_f64(number: f64) -> Self;
    /// The same number.
    fn to_f64(self) -> f64;
    /// |x|.
    fn abs(self) -> Self;
    /// √x, correctly rounded.
    fn sqrt(self) -> Self;
    /// tanh x.
    fn tanh(self) -> Self;
    /// Whether x is neither NaN nor infinite.
    fn is_finite(self) -> bool;

    /// 1/(1 + e⁻ˣ), as ½ + ½ tanh(x/2): absolute error that of `tanh`.
    fn sigmoid(self) -> Self {
        Self::HALF + Self::HALF * (Self::HALF * self).tanh()
    }

    /// −1, 0 or 1; 0 at 0, as the subgradient of |x| has it.
    fn signum0(self) -> Self {
        if self > Self::ZERO {
            Self::ONE
        } else if self < Self::ZERO {
            -Self::ONE
        } else {
            Self::ZERO
        }
    }
}

impl Real for f32 {
    const ZERO: f32 = 0.0;
    const HALF: f32 = 0.5;
    const ONE: f32 = 1.0;

    fn from_f64(number: f64) -> f32 {
        number as f32
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn abs(self) -> f32 {
        f32::abs(self)
    }

    fn sqrt(self) -> f32 {
        f32::sqrt(self)
    }

    #[inline]
    fn tanh(self) -> f32 {
        rational_tanh(self)
    }

    fn is_finite(self) -> bool {
        f32::is_finite(self)
    }
}

impl Real for f64 {
    const ZERO: f64 = 0.0;
    const HALF: f64 = 0.5;
    const ONE: f64 = 1.0;

    fn from_f64(number: f64) -> f64 {
        number
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn abs(self) -> f64 {
        f64::abs(self)
    }

    fn sqrt(self) -> f64 {
        f64::sqrt(self)
    }

    fn tanh(self) -> f64 {
        libm::tanh(self)
    }

    fn is_finite(self) -> bool {
        f64::is_finite(self)
    }
}

/// tanh as the quotient of an odd polynomial of degree 13 and an even one of degree 6 (Eigen's minimax coefficients),
/// to a few units in the last place. Only multiplications, additions and one division, so that a loop over it becomes
/// vector code with the same bits on every machine, where `libm::tanhf` would branch on every number.
#[inline]
fn rational_tanh(x: f32) -> f32 {
    /// Beyond this the quotient would leave (−1, 1); tanh is 1 − 3e-7 here.
    const END: f32 = 7.905_311;
    // `clamp` keeps a NaN.
    let x = x.clamp(-END, END);
    let square = x * x;
    let mut odd = -2.760_768_5e-16;
    odd = odd * square + 2.000_188e-13;
    odd = odd * square - 8.604_672e-11;
    odd = odd * square + 5.122_297e-8;
    odd = odd * square + 1.485_722_4e-5;
    odd = odd * square + 6.372_619_3e-4;
    odd = odd * square + 4.893_525e-3;
    let mut even = 1.198_258_4e-6;
    even = even * square + 1.185_347_1e-4;
    even = even * square + 2.268_434_6e-3;
    even = even * square + 4.893_525e-3;
    x * odd / even
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_is_within_a_few_units_in_the_last_place() {
        // Ten roundings of f32 in polynomials whose terms do not cancel: 10 × 6e-8.
        const BOUND: f64 = 6e-7;
        for step in -200_000..=200_000 {
            let x = step as f32 * 5e-5;
            let exact = libm::tanh(f64::from(x));
            let error = (f64::from(x.tanh_kernel()) - exact).abs();
            assert!(error <= BOUND * exact.abs().max(1e-30), "{x}: {error:e} of {exact}");
        }
    }

    trait TanhKernel {
        fn tanh_kernel(self) -> f32;
    }

    impl TanhKernel for f32 {
        fn tanh_kernel(self) -> f32 {
            Real::tanh(self)
        }
    }

    #[test]
    fn tanh_is_odd_bounded_and_keeps_nan() {
        for x in [0.0_f32, 1e-30, 1e-3, 0.5, 3.0, 7.9, 8.0, 100.0, f32::MAX, f32::INFINITY] {
            let y = Real::tanh(x);
            assert_eq!(Real::tanh(-x).to_bits(), (-y).to_bits());
            assert!(y.abs() <= 1.0, "{x}");
        }
        assert!(Real::tanh(f32::NAN).is_nan());
        assert_eq!(Real::tanh(0.0_f32), 0.0);
    }

    #[test]
    fn sigmoid_is_the_logistic_function() {
        for step in -400..=400 {
            let x = f64::from(step) * 0.05;
            let exact = 1.0 / (1.0 + libm::exp(-x));
            assert!((x.sigmoid() - exact).abs() < 1e-15);
            assert!(((x as f32).sigmoid().to_f64() - exact).abs() < 3e-7);
        }
    }
}
