//! Complex numbers, as far as characteristic functions need them.
//!
//! `num-complex` would do, but its `exp` and `ln` call the standard library's, whose last bit depends on the C library.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A complex number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Complex {
    pub(crate) re: f64,
    pub(crate) im: f64,
}

impl Complex {
    pub(crate) const fn new(re: f64, im: f64) -> Complex {
        Complex { re, im }
    }

    pub(crate) fn abs(self) -> f64 {
        libm::hypot(self.re, self.im)
    }

    pub(crate) fn exp(self) -> Complex {
        let (sin, cos) = libm::sincos(self.im);
        let modulus = libm::exp(self.re);
        Complex::new(modulus * cos, modulus * sin)
    }

    /// The principal root, whose real part is not negative.
    pub(crate) fn sqrt(self) -> Complex {
        let modulus = self.abs();
        if modulus == 0.0 {
            return Complex::new(0.0, 0.0);
        }
        // The larger part first: the other follows without cancellation.
        let large = ((modulus + self.re.abs()) / 2.0).sqrt();
        let small = self.im / (2.0 * large);
        if self.re >= 0.0 { Complex::new(large, small) } else { Complex::new(small.abs(), large.copysign(self.im)) }
    }

    /// ln(1 + z), the principal value, without losing the digits of a small z.
    pub(crate) fn ln_1p(self) -> Complex {
        let twice = self.re * (2.0 + self.re) + self.im * self.im;
        Complex::new(0.5 * libm::log1p(twice), libm::atan2(self.im, 1.0 + self.re))
    }

    /// exp(z) − 1, without losing the digits of a small z.
    pub(crate) fn exp_m1(self) -> Complex {
        let half_sine = libm::sin(self.im / 2.0);
        let modulus = libm::exp(self.re);
        let re = libm::expm1(self.re) - 2.0 * modulus * half_sine * half_sine;
        Complex::new(re, modulus * libm::sin(self.im))
    }
}

impl Add for Complex {
    type Output = Complex;
    fn add(self, other: Complex) -> Complex {
        Complex::new(self.re + other.re, self.im + other.im)
    }
}

impl Sub for Complex {
    type Output = Complex;
    fn sub(self, other: Complex) -> Complex {
        Complex::new(self.re - other.re, self.im - other.im)
    }
}

impl Neg for Complex {
    type Output = Complex;
    fn neg(self) -> Complex {
        Complex::new(-self.re, -self.im)
    }
}

impl Mul for Complex {
    type Output = Complex;
    fn mul(self, other: Complex) -> Complex {
        Complex::new(self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re)
    }
}

impl Mul<f64> for Complex {
    type Output = Complex;
    fn mul(self, factor: f64) -> Complex {
        Complex::new(self.re * factor, self.im * factor)
    }
}

impl Div for Complex {
    type Output = Complex;
    fn div(self, other: Complex) -> Complex {
        // Smith's division: no overflow where the quotient has none.
        if other.re.abs() >= other.im.abs() {
            let ratio = other.im / other.re;
            let scale = other.re + other.im * ratio;
            Complex::new((self.re + self.im * ratio) / scale, (self.im - self.re * ratio) / scale)
        } else {
            let ratio = other.re / other.im;
            let scale = other.re * ratio + other.im;
            Complex::new((self.re * ratio + self.im) / scale, (self.im * ratio - self.re) / scale)
        }
    }
}
