//! Draws: draw i of a parameter depends on (sweep seed, arm, key, i) and on nothing else, so that more samples extend a
//! sweep, and an arm or a parameter that is added changes no other's.
//!
//! The bits are BLAKE3's extendable output, keyed by seed, arm and key: draw i is its i-th 64-bit word. What is made of
//! them calls no transcendental of the standard library, so the draws are the same on every platform.

use engine::Value;

use crate::spec::Distribution;

/// The draws of one parameter of one arm.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    reader: blake3::OutputReader,
    /// The logarithms of the ends of a distribution that has them.
    logs: (f64, f64),
}

/// Eight draws come out of one block of BLAKE3's output: going through the draws in order, this keeps the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    number: u64,
    words: [u64; Block::DRAWS as usize],
}

impl Block {
    const DRAWS: u64 = 8;

    /// No block yet.
    pub(crate) fn none() -> Block {
        Block { number: u64::MAX, words: [0; Block::DRAWS as usize] }
    }
}

impl Stream {
    /// The stream of a key in an arm.
    pub(crate) fn new(sweep_seed: u64, arm: &str, key: &str, distribution: Option<Distribution>) -> Stream {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"hedgesweep draw 1");
        hasher.update(&sweep_seed.to_le_bytes());
        for name in [arm, key] {
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
        }
        let logs = match distribution {
            Some(Distribution::LogUniform { min, max, .. }) => (libm::log(min), libm::log(max)),
            _ => (0.0, 0.0),
        };
        Stream { reader: hasher.finalize_xof(), logs }
    }

    /// 64 random bits.
    pub(crate) fn bits(&self, draw: u32, block: &mut Block) -> u64 {
        let (number, place) = (u64::from(draw) / Block::DRAWS, u64::from(draw) % Block::DRAWS);
        if block.number != number {
            let mut reader = self.reader.clone();
            reader.set_position(number * 8 * Block::DRAWS);
            let mut bytes = [0; 8 * Block::DRAWS as usize];
            reader.fill(&mut bytes);
            for (word, bytes) in block.words.iter_mut().zip(bytes.as_chunks().0) {
                *word = u64::from_le_bytes(*bytes);
            }
            block.number = number;
        }
        block.words[place as usize]
    }

    /// One of `count` places, each as likely as any other.
    pub(crate) fn place(&self, draw: u32, count: usize, block: &mut Block) -> usize {
        scaled(self.bits(draw, block), count as u64) as usize
    }

    /// A value of the distribution that the stream was made for.
    pub(crate) fn value(&self, draw: u32, distribution: Distribution, block: &mut Block) -> Value {
        let bits = self.bits(draw, block);
        let number = |number: f64, whole: bool| {
            if whole { Value::Int(number.round() as i64) } else { Value::Float(number) }
        };
        match distribution {
            Distribution::Uniform { min, max } => Value::Float((min + unit(bits) * (max - min)).clamp(min, max)),
            Distribution::LogUniform { min, max, whole } => {
                let (low, high) = self.logs;
                number(libm::exp(low + unit(bits) * (high - low)).clamp(min, max), whole)
            }
            Distribution::Integer { min, max } => {
                Value::Int(min.wrapping_add(scaled(bits, max.abs_diff(min) + 1) as i64))
            }
            Distribution::Normal { mu, sigma, whole } => number(mu + sigma * standard_normal(bits), whole),
        }
    }
}

/// Uniform in [0, 1).
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// Uniform in 0..count.
fn scaled(bits: u64, count: u64) -> u64 {
    ((u128::from(bits) * u128::from(count)) >> 64) as u64
}

/// The quantile of the standard normal distribution at a uniform in (0, 1): Wichura 1988, algorithm AS 241 (PPND16),
/// relative accuracy about 1e-16.
fn standard_normal(bits: u64) -> f64 {
    // Half a step off the ends, so that neither is hit.
    let p = ((bits >> 12) as f64 + 0.5) * (1.0 / (1_u64 << 52) as f64);
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180625 - q * q;
        return q * ratio(
            r,
            [
                2.509_080_928_730_122_7e3,
                3.343_057_558_358_813e4,
                6.726_577_092_700_87e4,
                4.592_195_393_154_987e4,
                1.373_169_376_550_946e4,
                1.971_590_950_306_551_3e3,
                1.331_416_678_917_843_8e2,
                3.387_132_872_796_366_5,
            ],
            [
                5.226_495_278_852_854e3,
                2.872_908_573_572_194_3e4,
                3.930_789_580_009_271e4,
                2.121_379_430_158_659_7e4,
                5.394_196_021_424_751e3,
                6.871_870_074_920_579e2,
                4.231_333_070_160_091e1,
                1.0,
            ],
        );
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = libm::sqrt(-libm::log(tail));
    let magnitude = if r <= 5.0 {
        ratio(
            r - 1.6,
            [
                7.745_450_142_783_414e-4,
                2.272_384_498_926_918_4e-2,
                2.417_807_251_774_506e-1,
                1.270_458_252_452_368_4,
                3.647_848_324_763_204_5,
                5.769_497_221_460_691,
                4.630_337_846_156_545,
                1.423_437_110_749_683_5,
            ],
            [
                1.050_750_071_644_416_8e-9,
                5.475_938_084_995_345e-4,
                1.519_866_656_361_645_7e-2,
                1.481_039_764_274_800_8e-1,
                6.897_673_349_851e-1,
                1.676_384_830_183_803_8,
                2.053_191_626_637_759,
                1.0,
            ],
        )
    } else {
        ratio(
            r - 5.0,
            [
                2.010_334_399_292_288_1e-7,
                2.711_555_568_743_487_6e-5,
                1.242_660_947_388_078_4e-3,
                2.653_218_952_657_612_4e-2,
                2.965_605_718_285_048_7e-1,
                1.784_826_539_917_291_3,
                5.463_784_911_164_114,
                6.657_904_643_501_103,
            ],
            [
                2.044_263_103_389_939_8e-15,
                1.421_511_758_316_446e-7,
                1.846_318_317_510_054_8e-5,
                7.868_691_311_456_133e-4,
                1.487_536_129_085_061_5e-2,
                1.369_298_809_227_358e-1,
                5.998_322_065_558_88e-1,
                1.0,
            ],
        )
    };
    if q < 0.0 { -magnitude } else { magnitude }
}

/// The ratio of two polynomials, coefficients from the highest power down.
fn ratio(x: f64, numerator: [f64; 8], denominator: [f64; 8]) -> f64 {
    let horner = |coefficients: [f64; 8]| coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient);
    horner(numerator) / horner(denominator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_normal_distribution() {
        for (p, z) in [
            (0.5, 0.0),
            (0.975, 1.959_963_984_540_054),
            (0.84, 0.994_457_883_209_753),
            (1e-6, -4.753_424_308_822_899),
            (1e-13, -7.348_796_102_800_678),
        ] {
            let got = standard_normal(((p * (1_u64 << 52) as f64) as u64) << 12);
            assert!((got - z).abs() < 2e-3 * (z.abs() + 1e-9) || (got - z).abs() < 1e-12, "{p}: {got} against {z}");
        }
        assert!(standard_normal(0).is_finite() && standard_normal(u64::MAX).is_finite());
        assert_eq!(standard_normal(1 << 63), standard_normal(1 << 63));
    }

    #[test]
    fn draws_are_pinned() {
        // The same on every platform and for ever: a change here changes every random sweep.
        let unit = Distribution::Uniform { min: 0.0, max: 1.0 };
        let log = Distribution::LogUniform { min: 1e-4, max: 1e-1, whole: false };
        let normal = Distribution::Normal { mu: 0.0, sigma: 1.0, whole: false };
        let mut draws = Vec::new();
        for distribution in [unit, log, normal] {
            let stream = Stream::new(0, "kfac", "optimizer.lr", Some(distribution));
            draws.extend([0, 1, 999_999].map(|i| stream.value(i, distribution, &mut Block::none()).to_string()));
        }
        assert_eq!(draws.join(" "), include_str!("draws.txt").trim());
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mean = |distribution: Distribution| {
            let (stream, mut block) = (Stream::new(7, "a", "k", Some(distribution)), Block::none());
            let numbers = (0..20_000).map(|i| match stream.value(i, distribution, &mut block) {
                Value::Float(float) => float,
                Value::Int(int) => int as f64,
                other => panic!("{other}"),
            });
            numbers.sum::<f64>() / 20_000.0
        };
        // Within five standard errors of the mean.
        assert!((mean(Distribution::Uniform { min: 2.0, max: 4.0 }) - 3.0).abs() < 5.0 * 0.58 / 141.0);
        assert!((mean(Distribution::Normal { mu: 1.0, sigma: 2.0, whole: false }) - 1.0).abs() < 5.0 * 2.0 / 141.0);
        assert!((mean(Distribution::Integer { min: -3, max: 3 })).abs() < 5.0 * 2.0 / 141.0);
    }

    #[test]
    fn a_draw_is_the_same_in_any_order() {
        let stream = Stream::new(7, "a", "k", None);
        let mut block = Block::none();
        let forward: Vec<u64> = (0..40).map(|draw| stream.bits(draw, &mut block)).collect();
        let mut backward: Vec<u64> = (0..40).rev().map(|draw| stream.bits(draw, &mut Block::none())).collect();
        backward.reverse();
        assert_eq!(forward, backward);
    }

    #[test]
    fn seed_arm_and_key_each_make_another_stream() {
        let bits = |seed, arm, key| Stream::new(seed, arm, key, None).bits(0, &mut Block::none());
        let all = [bits(0, "a", "bc"), bits(1, "a", "bc"), bits(0, "ab", "c"), bits(0, "a", "c")];
        for (i, one) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|other| other != one));
        }
    }
}
