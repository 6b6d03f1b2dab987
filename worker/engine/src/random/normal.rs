//! The standard normal distribution function and its inverse.

use crate::isa::{Isa, Kernel};
use crate::lanes::LANES;
use crate::logarithm::ln;

/// Φ(x), by the complementary error function: the lower tail keeps its digits.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Half-width of the central region of p, whose quantiles take no logarithm.
const CENTRE: f64 = 0.425;

/// Φ⁻¹(p) by Wichura's AS 241 (PPND16, 1988): relative accuracy about 1e-16 from 1e-316 up. Its only transcendental is
/// the logarithm in the tails.
///
/// `p` is in (0, 1); 0 and 1 give infinities, anything else NaN.
pub fn inverse_normal_cdf(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= CENTRE { central(q) } else { in_tail(p, q) }
}

/// [`inverse_normal_cdf`] of every number, in place: the same bits, several at a time.
pub(super) fn to_normals(uniforms: &mut [f64]) {
    Isa::detect().run(ToNormals { uniforms });
}

/// The quantile at ½ + q in the central region.
#[inline(always)]
fn central(q: f64) -> f64 {
    let r = CENTRE * CENTRE - q * q;
    q * polynomial(r, &CENTRAL_NUMERATOR) / polynomial(r, &CENTRAL_DENOMINATOR)
}

/// The quantile at p = ½ + q beyond it.
fn in_tail(p: f64, q: f64) -> f64 {
    let tail = if q < 0.0 { p } else { 1.0 - p };
    if tail <= 0.0 || tail.is_nan() {
        return if tail == 0.0 { f64::INFINITY.copysign(q) } else { f64::NAN };
    }
    let r = (-libm::log(tail)).sqrt();
    let magnitude = if r <= 5.0 {
        polynomial(r - 1.6, &MIDDLE_NUMERATOR) / polynomial(r - 1.6, &MIDDLE_DENOMINATOR)
    } else {
        polynomial(r - 5.0, &FAR_NUMERATOR) / polynomial(r - 5.0, &FAR_DENOMINATOR)
    };
    magnitude.copysign(q)
}

struct ToNormals<'a> {
    uniforms: &'a mut [f64],
}

/// Numbers that are taken at a time, and again those in the tails among them: as many as an integer has bits.
const PIECE: usize = 64;

impl Kernel for ToNormals<'_> {
    /// All as if they were in the central region, where 85 of a hundred are, and then those anew that are not.
    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        for piece in self.uniforms.chunks_mut(PIECE) {
            let mut uniforms = [0.5; PIECE];
            uniforms[..piece.len()].copy_from_slice(piece);
            let mut normals = uniforms;
            for x in &mut normals {
                *x = central(*x - 0.5);
            }
            piece.copy_from_slice(&normals[..piece.len()]);
            // A bit for each of them, then their places.
            let mut tails = 0_u64;
            for (place, p) in uniforms.iter().enumerate() {
                // Also of a NaN.
                tails |= u64::from((p - 0.5).abs() > CENTRE || p.is_nan()) << place;
            }
            let (mut places, mut count) = ([0_u8; PIECE], 0);
            while tails != 0 {
                places[count] = tails.trailing_zeros() as u8;
                count += 1;
                tails &= tails - 1;
            }
            for places in places[..count].chunks(LANES) {
                let mut ps = [0.01; LANES];
                ps.iter_mut().zip(places).for_each(|(p, place)| *p = uniforms[usize::from(*place)]);
                let normals = middle(ps);
                for ((place, p), normal) in places.iter().zip(ps).zip(normals) {
                    let tail = p.min(1.0 - p);
                    piece[usize::from(*place)] = if tail >= LEAST_MIDDLE { normal } else { in_tail(p, p - 0.5) };
                }
            }
        }
    }
}

/// A probability in the tail that is surely near enough for the middle region, whose r is at most 5: above e⁻²⁵.
const LEAST_MIDDLE: f64 = 1.5e-11;

/// [`in_tail`] in the middle region; beyond it, anything.
#[inline(always)]
fn middle(p: [f64; LANES]) -> [f64; LANES] {
    let mut tails = p;
    for tail in &mut tails {
        *tail = if *tail - 0.5 < 0.0 { *tail } else { 1.0 - *tail };
    }
    let logarithms = ln(tails);
    let mut normals = p;
    for lane in 0..LANES {
        let r = (-logarithms[lane]).sqrt() - 1.6;
        let magnitude = polynomial(r, &MIDDLE_NUMERATOR) / polynomial(r, &MIDDLE_DENOMINATOR);
        normals[lane] = magnitude.copysign(p[lane] - 0.5);
    }
    normals
}

/// Horner's scheme, coefficients from the constant term up.
#[inline(always)]
fn polynomial(x: f64, coefficients: &[f64; 8]) -> f64 {
    let mut sum = 0.0;
    for coefficient in coefficients.iter().rev() {
        sum = sum * x + coefficient;
    }
    sum
}

const CENTRAL_NUMERATOR: [f64; 8] = [
    3.387_132_872_796_366_5,
    1.331_416_678_917_843_8e2,
    1.971_590_950_306_551_3e3,
    1.373_169_376_550_946e4,
    4.592_195_393_154_987e4,
    6.726_577_092_700_87e4,
    3.343_057_558_358_813e4,
    2.509_080_928_730_122_7e3,
];
const CENTRAL_DENOMINATOR: [f64; 8] = [
    1.0,
    4.231_333_070_160_091e1,
    6.871_870_074_920_579e2,
    5.394_196_021_424_751e3,
    2.121_379_430_158_659_7e4,
    3.930_789_580_009_271e4,
    2.872_908_573_572_194_3e4,
    5.226_495_278_852_854e3,
];
const MIDDLE_NUMERATOR: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    2.417_807_251_774_506e-1,
    2.272_384_498_926_918_4e-2,
    7.745_450_142_783_414e-4,
];
const MIDDLE_DENOMINATOR: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    6.897_673_349_851e-1,
    1.481_039_764_274_800_8e-1,
    1.519_866_656_361_645_7e-2,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];
const FAR_NUMERATOR: [f64; 8] = [
    6.657_904_643_501_103,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    2.965_605_718_285_048_7e-1,
    2.653_218_952_657_612_4e-2,
    1.242_660_947_388_078_4e-3,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288_1e-7,
];
const FAR_DENOMINATOR: [f64; 8] = [
    1.0,
    5.998_322_065_558_88e-1,
    1.369_298_809_227_358e-1,
    1.487_536_129_085_061_5e-2,
    7.868_691_311_456_133e-4,
    1.846_318_317_510_054_8e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_scipy() {
        let golden = golden::engine();
        let (ps, zs) = (golden.numbers("ndtri.p"), golden.numbers("ndtri.z"));
        assert!(ps.len() > 100);
        for (p, expected) in ps.into_iter().zip(zs) {
            let z = inverse_normal_cdf(p);
            // AS 241 promises about 1e-16; Horner's eight roundings in f64 on top.
            assert!((z - expected).abs() <= 2e-15 * expected.abs(), "{p}: {z} for {expected}");
        }
    }

    proptest! {
        #[test]
        fn grows_and_is_odd(p in 1e-300..0.5_f64, factor in 1.000_001..2.0_f64) {
            let q = (p * factor).min(0.5);
            prop_assert!(inverse_normal_cdf(p) <= inverse_normal_cdf(q));
            // 1 − p rounds, and the slope at p magnifies that where p is small.
            let p = p.max(1e-3);
            prop_assert!((inverse_normal_cdf(p) + inverse_normal_cdf(1.0 - p)).abs() < 1e-12);
        }
    }

    proptest! {
        #[test]
        fn many_at_a_time_have_the_bits_of_each(ps in prop::collection::vec(
            prop_oneof![0.0..1.0_f64, 0.0..1e-3_f64, 1e-300..1e-200_f64, 0.07..0.08_f64, 0.92..0.93_f64,
                Just(0.0), Just(1.0), Just(0.5), Just(f64::NAN), Just(-1.0)], 0..40,
        )) {
            let expected: Vec<u64> = ps.iter().map(|p| inverse_normal_cdf(*p).to_bits()).collect();
            for isa in Isa::all() {
                let mut normals = ps.clone();
                isa.run(ToNormals { uniforms: &mut normals });
                let normals: Vec<u64> = normals.into_iter().map(f64::to_bits).collect();
                prop_assert_eq!(&normals, &expected, "{:?}", isa);
            }
        }
    }

    #[test]
    fn the_distribution_function_undoes_its_inverse() {
        let golden = golden::engine();
        for (p, z) in golden.numbers("ndtri.p").into_iter().zip(golden.numbers("ndtri.z")) {
            // z is rounded, and in the lower tail ln Φ has the slope |z|: some ε·z² of relative error.
            let tolerance = 1e-15 * (2.0 + z * z) * p;
            assert!((normal_cdf(z) - p).abs() <= tolerance, "{z}: {} for {p}", normal_cdf(z));
        }
    }

    #[test]
    fn ends_and_middle() {
        assert_eq!(inverse_normal_cdf(0.5), 0.0);
        assert_eq!(inverse_normal_cdf(0.0), f64::NEG_INFINITY);
        assert_eq!(inverse_normal_cdf(1.0), f64::INFINITY);
        assert!(inverse_normal_cdf(f64::NAN).is_nan() && inverse_normal_cdf(-0.1).is_nan());
    }
}
