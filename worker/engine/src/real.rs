//! The number that networks, P&L, costs and optimisers are generic over: `f32` in runs, `f64` for the oracles that
//! check them.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::lanes::Vector;

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
    /// `self · b + c`, rounded once.
    fn mul_add(self, b: Self, c: Self) -> Self;
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

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn abs(self) -> f32 {
        f32::abs(self)
    }

    #[inline(always)]
    fn sqrt(self) -> f32 {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn mul_add(self, b: f32, c: f32) -> f32 {
        f32::mul_add(self, b, c)
    }

    #[inline]
    fn tanh(self) -> f32 {
        let [tanh] = Vector([self]).tanh().0;
        tanh
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

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    fn abs(self) -> f64 {
        f64::abs(self)
    }

    #[inline(always)]
    fn sqrt(self) -> f64 {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn mul_add(self, b: f64, c: f64) -> f64 {
        f64::mul_add(self, b, c)
    }

    fn tanh(self) -> f64 {
        libm::tanh(self)
    }

    fn is_finite(self) -> bool {
        f64::is_finite(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
