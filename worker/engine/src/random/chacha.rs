//! The uniforms of many streams at once: ChaCha with 8 rounds (Bernstein 2008), a lane for each stream.

use super::to_uniform;
use crate::isa::Kernel;
use crate::lanes::{copy_short, unrolled};

/// Streams that are taken at a time.
pub(super) const STREAMS: usize = 16;

/// 32-bit words of a block.
const WORDS: usize = 16;
/// Uniforms of a block: two words each.
const UNIFORMS: usize = WORDS / 2;
/// Times two rounds.
const DOUBLE_ROUNDS: usize = 4;
/// "expand 32-byte k".
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// Fills `out` with as many uniforms of each of sixteen streams, one stream after the other.
pub(super) struct Uniforms<'a> {
    pub(super) key: [u8; 32],
    /// The nonce of the first stream; the others' follow.
    pub(super) first: u64,
    pub(super) out: &'a mut [f64],
}

impl Kernel for Uniforms<'_> {
    #[inline(always)]
    fn run<const WIDE: bool>(self) {
        let taken = self.out.len() / STREAMS;
        let mut key = [0; 8];
        key.iter_mut().zip(self.key.as_chunks().0).for_each(|(word, bytes)| *word = u32::from_le_bytes(*bytes));
        let mut uniforms = [[0.0; STREAMS]; UNIFORMS];
        for (number, begin) in (0_u32..).zip((0..taken).step_by(UNIFORMS)) {
            block(key, number, self.first, &mut uniforms);
            let count = UNIFORMS.min(taken - begin);
            for (stream, out) in self.out.chunks_exact_mut(taken).enumerate() {
                let mut own = [0.0; UNIFORMS];
                unrolled!(place in UNIFORMS, own[place] = uniforms[place][stream]);
                copy_short(&own[..count], &mut out[begin..][..count]);
            }
        }
    }
}

/// The uniforms of a block. Written for one stream after the other, without a loop in the loop over them: the compiler then
/// gives each a lane.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "a lane of many vectors")]
fn block(key: [u32; 8], number: u32, first: u64, uniforms: &mut [[f64; STREAMS]; UNIFORMS]) {
    let ([a, b, c, d], [e, f, g, h, i, j, k, l]) = (CONSTANTS, key);
    for stream in 0..STREAMS {
        let nonce = first.wrapping_add(stream as u64);
        let start = [a, b, c, d, e, f, g, h, i, j, k, l, number, 0, nonce as u32, (nonce >> 32) as u32];
        let mut words = start;
        unrolled!(_round in DOUBLE_ROUNDS, {
            quarter(&mut words, [0, 4, 8, 12]);
            quarter(&mut words, [1, 5, 9, 13]);
            quarter(&mut words, [2, 6, 10, 14]);
            quarter(&mut words, [3, 7, 11, 15]);
            quarter(&mut words, [0, 5, 10, 15]);
            quarter(&mut words, [1, 6, 11, 12]);
            quarter(&mut words, [2, 7, 8, 13]);
            quarter(&mut words, [3, 4, 9, 14]);
        });
        unrolled!(place in UNIFORMS, {
            let word = |word: usize| u64::from(words[word].wrapping_add(start[word]));
            uniforms[place][stream] = to_uniform(word(2 * place + 1) << 32 | word(2 * place));
        });
    }
}

#[inline(always)]
fn quarter(words: &mut [u32; WORDS], [a, b, c, d]: [usize; 4]) {
    words[a] = words[a].wrapping_add(words[b]);
    words[d] = (words[d] ^ words[a]).rotate_left(16);
    words[c] = words[c].wrapping_add(words[d]);
    words[b] = (words[b] ^ words[c]).rotate_left(12);
    words[a] = words[a].wrapping_add(words[b]);
    words[d] = (words[d] ^ words[a]).rotate_left(8);
    words[c] = words[c].wrapping_add(words[d]);
    words[b] = (words[b] ^ words[c]).rotate_left(7);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::random::{Purpose, Stream, key};

    #[test]
    fn many_at_a_time_have_the_bits_of_each() {
        for isa in Isa::all() {
            for (taken, first) in [(1, 0), (8, 7), (100, (1 << 32) - 3)] {
                let mut out = vec![0.0; taken * STREAMS];
                isa.run(Uniforms { key: key(Purpose::TrainingPaths, 5), first, out: &mut out });
                for (nonce, out) in (first..).zip(out.chunks_exact(taken)) {
                    let mut stream = Stream::new(Purpose::TrainingPaths, 5, nonce);
                    assert!(out.iter().all(|uniform| *uniform == stream.uniform()), "{isa:?}: {taken} of {nonce}");
                }
            }
        }
    }
}
