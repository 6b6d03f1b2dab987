//! NumPy's legacy normal stream, `numpy.random.RandomState(seed).randn()`, to replay published runs.

use super::Normals;

const WORDS: usize = 624;
const MIDDLE: usize = 397;

/// MT19937 (Matsumoto & Nishimura 1998), seeded by `init_genrand`, with NumPy's 53-bit doubles and Marsaglia's polar
/// method, which makes two normals at a time and returns the second of the pair first.
pub struct NumpyLegacy {
    state: [u32; WORDS],
    next: usize,
    spare: Option<f64>,
}

impl NumpyLegacy {
    /// The stream of `RandomState(seed)`.
    pub fn new(seed: u32) -> NumpyLegacy {
        let mut state = [seed; WORDS];
        for place in 1..WORDS {
            let last = state[place - 1];
            state[place] = 1_812_433_253_u32.wrapping_mul(last ^ (last >> 30)).wrapping_add(place as u32);
        }
        NumpyLegacy { state, next: WORDS, spare: None }
    }

    /// The stream after `count` normals were taken. There is no shortcut: they are drawn, some 20 ns each.
    pub fn skip(mut self, count: u64) -> NumpyLegacy {
        for _ in 0..count {
            self.normal();
        }
        self
    }

    fn twist(&mut self) {
        const MATRIX: u32 = 0x9908_b0df;
        for place in 0..WORDS {
            let word = (self.state[place] & 0x8000_0000) | (self.state[(place + 1) % WORDS] & 0x7fff_ffff);
            let odd = if word & 1 == 1 { MATRIX } else { 0 };
            self.state[place] = self.state[(place + MIDDLE) % WORDS] ^ (word >> 1) ^ odd;
        }
        self.next = 0;
    }

    fn word(&mut self) -> u32 {
        if self.next == WORDS {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// Uniform on [0, 1) with 53 bits, of two words.
    fn uniform(&mut self) -> f64 {
        let high = f64::from(self.word() >> 5);
        let low = f64::from(self.word() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// The next standard normal.
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let x = 2.0 * self.uniform() - 1.0;
            let y = 2.0 * self.uniform() - 1.0;
            let square = x * x + y * y;
            if square < 1.0 && square != 0.0 {
                let scale = (-2.0 * libm::log(square) / square).sqrt();
                self.spare = Some(scale * x);
                return scale * y;
            }
        }
    }
}

impl Normals for NumpyLegacy {
    /// Takes the next normals of the one stream, whichever path they are for.
    fn fill(&mut self, _path: u64, normals: &mut [f64]) {
        normals.fill_with(|| self.normal());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    /// The published figures; NumPy's `log` may differ from ours in the last bit.
    fn assert_close(ours: f64, numpys: f64) {
        assert!((ours - numpys).abs() <= 4.0 * f64::EPSILON * numpys.abs(), "{ours} for {numpys}");
    }

    #[test]
    fn seed_42_is_the_published_stream() {
        let mut stream = NumpyLegacy::new(42);
        for expected in
            [0.496_714_153_011_232_7, -0.138_264_301_171_184_66, 0.647_688_538_100_692_5, 1.523_029_856_408_025_4]
        {
            assert_close(stream.normal(), expected);
        }
        assert_close(NumpyLegacy::new(42).skip(320_000).normal(), 1.160_203_713_468_579_4);
    }

    #[test]
    fn other_seeds_are_numpys() {
        let golden = golden::engine();
        for seed in [0_u32, 7, 4_294_967_295] {
            let mut stream = NumpyLegacy::new(seed);
            for expected in golden.numbers(&format!("numpy.seed{seed}")) {
                assert_close(stream.normal(), expected);
            }
            let mut later = NumpyLegacy::new(seed).skip(2001);
            for expected in golden.numbers(&format!("numpy.seed{seed}_from_2001")) {
                assert_close(later.normal(), expected);
            }
        }
    }
}
