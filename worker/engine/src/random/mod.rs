//! Randomness, addressed by purpose: whoever needs random numbers says what for, for which seed and which item, and
//! gets the same ones whatever else the run does.

mod chacha;
mod normal;
mod numpy;

pub use normal::{inverse_normal_cdf, normal_cdf};
pub use numpy::NumpyLegacy;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

use crate::isa::Isa;

/// What random numbers are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights; the index is the tensor's.
    Weights,
    /// Training paths; the index is the path's over all epochs.
    TrainingPaths,
    /// The order in which batches visit a fixed training set; the index is the pass's.
    BatchOrder,
    /// Validation paths; the index is the path's.
    Validation,
    /// Test paths; the index is the path's.
    Test,
}

impl Purpose {
    /// The number that stands for the purpose in a key. Never reused for another purpose.
    fn tag(self) -> u64 {
        match self {
            Purpose::Weights => 1,
            Purpose::TrainingPaths => 2,
            Purpose::BatchOrder => 3,
            Purpose::Validation => 4,
            Purpose::Test => 5,
        }
    }
}

/// The stream of one (purpose, seed, index): ChaCha with 8 rounds, purpose and seed in the key, the index as nonce.
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream from its beginning. Validation and test sets depend on the market alone: their `seed` is 0.
    pub fn new(purpose: Purpose, seed: u64, index: u64) -> Stream {
        let mut generator = ChaCha8Rng::from_seed(key(purpose, seed));
        generator.set_stream(index);
        Stream(generator)
    }

    /// Uniform on (0, 1): an odd multiple of 2⁻⁵³, so neither end occurs.
    pub fn uniform(&mut self) -> f64 {
        to_uniform(self.0.next_u64())
    }

    /// Standard normal, by inversion: one uniform each.
    pub fn normal(&mut self) -> f64 {
        inverse_normal_cdf(self.uniform())
    }
}

/// The key of the streams of a purpose under a seed.
fn key(purpose: Purpose, seed: u64) -> [u8; 32] {
    let mut key = [0_u8; 32];
    key[..8].copy_from_slice(b"hedgswp1");
    key[8..16].copy_from_slice(&purpose.tag().to_le_bytes());
    key[16..24].copy_from_slice(&seed.to_le_bytes());
    key
}

/// See [`Stream::uniform`].
#[inline(always)]
fn to_uniform(bits: u64) -> f64 {
    const STEP: f64 = 1.0 / 4_503_599_627_370_496.0;
    ((bits >> 12) as f64 + 0.5) * STEP
}

/// Where the normals of a set of paths come from.
pub trait Normals {
    /// Fills `normals` with those of path number `path` of the set. Paths are asked for in ascending order, each once.
    fn fill(&mut self, path: u64, normals: &mut [f64]);

    /// Fills `normals` with those of the paths from `first` on, one path after the other, `taken` of each.
    fn fill_paths(&mut self, first: u64, taken: usize, normals: &mut [f64]) {
        for (path, normals) in (first..).zip(normals.chunks_exact_mut(taken)) {
            self.fill(path, normals);
        }
    }
}

/// A set of paths with a stream for each: path k is the same however many there are.
#[derive(Clone, Copy, Debug)]
pub struct StreamPerPath {
    /// What the paths are for.
    pub purpose: Purpose,
    /// Whose paths they are.
    pub seed: u64,
}

impl Normals for StreamPerPath {
    fn fill(&mut self, path: u64, normals: &mut [f64]) {
        let mut stream = Stream::new(self.purpose, self.seed, path);
        normals.fill_with(|| stream.uniform());
        normal::to_normals(normals);
    }

    fn fill_paths(&mut self, first: u64, taken: usize, normals: &mut [f64]) {
        let StreamPerPath { purpose, seed } = *self;
        let mut path = first;
        let mut groups = normals.chunks_exact_mut(chacha::STREAMS * taken);
        for out in &mut groups {
            Isa::detect().run(chacha::Uniforms { key: key(purpose, seed), first: path, out });
            normal::to_normals(out);
            path += chacha::STREAMS as u64;
        }
        for (path, normals) in (path..).zip(groups.into_remainder().chunks_exact_mut(taken)) {
            self.fill(path, normals);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_paths_at_a_time_have_the_normals_of_each() {
        let (first, taken, count) = (5, 7, 37);
        let mut source = StreamPerPath { purpose: Purpose::Test, seed: 3 };
        let mut all = vec![0.0; count * taken];
        source.fill_paths(first, taken, &mut all);
        for (path, all) in (first..).zip(all.chunks(taken)) {
            let mut normals = vec![0.0; taken];
            source.fill(path, &mut normals);
            assert_eq!(all, normals, "path {path}");
        }
    }

    #[test]
    fn purpose_seed_and_index_each_make_another_stream() {
        let first = |purpose, seed, index| Stream::new(purpose, seed, index).uniform();
        let base = first(Purpose::TrainingPaths, 1, 1);
        assert_eq!(base, first(Purpose::TrainingPaths, 1, 1));
        assert_ne!(base, first(Purpose::Weights, 1, 1));
        assert_ne!(base, first(Purpose::TrainingPaths, 2, 1));
        assert_ne!(base, first(Purpose::TrainingPaths, 1, 2));
    }

    #[test]
    fn more_paths_extend_a_set() {
        let mut normals = StreamPerPath { purpose: Purpose::Test, seed: 0 };
        let (mut alone, mut after) = ([0.0; 6], [0.0; 6]);
        normals.fill(3, &mut alone);
        normals.fill(2, &mut after);
        normals.fill(3, &mut after);
        assert_eq!(alone, after);
    }

    #[test]
    fn normals_have_the_moments_of_normals() {
        const COUNT: usize = 200_000;
        let mut stream = Stream::new(Purpose::Test, 0, 0);
        let mut sums = [0.0; 4];
        for _ in 0..COUNT {
            let z = stream.normal();
            let mut power = 1.0;
            for sum in &mut sums {
                power *= z;
                *sum += power / COUNT as f64;
            }
        }
        // Standard errors of the first four raw moments are √(1, 2, 15, 96)/√n; five of them.
        let root = (COUNT as f64).sqrt();
        for ((moment, expected), variance) in sums.into_iter().zip([0.0, 1.0, 0.0, 3.0]).zip([1.0_f64, 2.0, 15.0, 96.0])
        {
            assert!((moment - expected).abs() < 5.0 * variance.sqrt() / root, "{moment} for {expected}");
        }
    }
}
