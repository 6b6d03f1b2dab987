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

/// A standard normal: the quantile at a uniform in (0, 1).
fn standard_normal(bits: u64) -> f64 {
    // Half a step off the ends, so that neither is hit.
    engine::random::inverse_normal_cdf(((bits >> 12) as f64 + 0.5) * (1.0 / (1_u64 << 52) as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_normal_distribution() {
        // 2⁵² steps of p: half of one is all that a draw can be off, and φ(z) says what that is in z.
        for (p, z, density) in [
            (0.975, 1.959_963_984_540_054, 0.058),
            (0.84, 0.994_457_883_209_753, 0.243),
            (1e-6, -4.753_424_308_822_899, 4.9e-6),
        ] {
            let got = standard_normal(((p * (1_u64 << 52) as f64) as u64) << 12);
            let step = 1.0 / (1_u64 << 52) as f64;
            assert!((got - z).abs() <= step / density + 1e-14, "{p}: {got} against {z}");
        }
        let (lowest, highest) = (standard_normal(0), standard_normal(u64::MAX));
        assert!(lowest.is_finite() && (lowest + highest).abs() < 1e-9, "{lowest} {highest}");
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
