//! The natural logarithm of many numbers.

use crate::isa::{Isa, Kernel};
use crate::lanes::LANES;

/// Takes the natural logarithm of every number, in place: the bits of `libm::log`, several at a time.
pub(crate) fn ln_all(numbers: &mut [f64]) {
    Isa::detect().run(LnAll { numbers });
}

struct LnAll<'a> {
    numbers: &'a mut [f64],
}

impl Kernel for LnAll<'_> {
    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        let (vectors, rest) = self.numbers.as_chunks_mut::<LANES>();
        for vector in vectors {
            if is_normal(vector) {
                *vector = ln(*vector);
            } else {
                vector.iter_mut().for_each(|x| *x = libm::log(*x));
            }
        }
        rest.iter_mut().for_each(|x| *x = libm::log(*x));
    }
}

/// Whether [`ln`] is for these numbers.
#[inline(always)]
fn is_normal(numbers: &[f64; LANES]) -> bool {
    let mut all = true;
    for x in numbers {
        all &= *x >= f64::MIN_POSITIVE && *x <= f64::MAX;
    }
    all
}

/// ln x of positive normal numbers, otherwise anything: fdlibm's algorithm (`e_log.c`, Sun Microsystems 1993), operation by
/// operation as the `libm` crate has it.
#[inline(always)]
pub(crate) fn ln(x: [f64; LANES]) -> [f64; LANES] {
    const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
    const LN2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
    /// The odd and even coefficients from the second power on, as far as they are in fdlibm.
    const LG: [f64; 7] = [
        f64::from_bits(0x3fe5_5555_5555_5593),
        f64::from_bits(0x3fd9_9999_9997_fa04),
        f64::from_bits(0x3fd2_4924_9422_9359),
        f64::from_bits(0x3fcc_71c5_1d8e_78af),
        f64::from_bits(0x3fc7_4664_96cb_03de),
        f64::from_bits(0x3fc3_9a09_d078_c69f),
        f64::from_bits(0x3fc2_f112_df3e_5244),
    ];
    /// Of √½, and what takes it to 1, in the upper half.
    const ROOT_HALF: u64 = 0x3fe6_a09e << 32;
    const TO_ONE: u64 = (0x3ff0_0000 - 0x3fe6_a09e) << 32;
    /// 2⁵², in whose last bits a whole number can be put, and the exponents' bias with it.
    const WHOLE: u64 = 0x4330_0000_0000_0000;
    const BIAS: f64 = 4_503_599_627_370_496.0 + 1023.0;
    let mut logarithm = x;
    for lane in 0..LANES {
        // x = 2ᵏ(1 + f), with 1 + f between √½ and √2.
        let bits = x[lane].to_bits() + TO_ONE;
        let k = f64::from_bits(WHOLE | (bits >> 52)) - BIAS;
        let f = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) + ROOT_HALF) - 1.0;
        let half_square = 0.5 * f * f;
        let s = f / (2.0 + f);
        let z = s * s;
        let w = z * z;
        let even = w * (LG[1] + w * (LG[3] + w * LG[5]));
        let odd = z * (LG[0] + w * (LG[2] + w * (LG[4] + w * LG[6])));
        let r = odd + even;
        logarithm[lane] = s * (half_square + r) + k * LN2_LOW - half_square + f + k * LN2_HIGH;
    }
    logarithm
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_bits_are_those_of_the_library(bits in prop::collection::vec(
            prop_oneof![any::<u64>(), 0x3fe0_0000_0000_0000..0x4000_0000_0000_0000_u64], 0..40,
        )) {
            let numbers: Vec<f64> = bits.into_iter().map(f64::from_bits).collect();
            let expected: Vec<f64> = numbers.iter().map(|x| libm::log(*x)).collect();
            for isa in Isa::all() {
                let mut ours = numbers.clone();
                isa.run(LnAll { numbers: &mut ours });
                for ((ours, expected), x) in ours.iter().zip(&expected).zip(&numbers) {
                    let same = ours.to_bits() == expected.to_bits() || ours.is_nan() && expected.is_nan();
                    prop_assert!(same, "{x:e} on {isa:?}: {ours:e} for {expected:e}");
                }
            }
        }
    }

    #[test]
    fn ends_are_the_librarys() {
        let ends = [0.0, -0.0, 1.0, f64::MIN_POSITIVE, 5e-324, f64::MAX, f64::INFINITY, -1.0];
        for x in ends {
            let mut numbers = [x; LANES];
            ln_all(&mut numbers);
            let expected = libm::log(x);
            assert!(numbers[0].to_bits() == expected.to_bits() || numbers[0].is_nan() && expected.is_nan(), "{x}");
        }
    }
}
