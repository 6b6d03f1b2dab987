//! Where randomness comes from.

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

/// A source of random numbers that is addressed by what is asked: the same question has the same numbers, whatever else was
/// asked before, and on however many cores.
pub(crate) fn source(question: &[&str]) -> Xoshiro256PlusPlus {
    let mut hash = blake3::Hasher::new();
    for word in question {
        // The length in front: ["ab", "c"] is not ["a", "bc"].
        hash.update(&(word.len() as u64).to_le_bytes());
        hash.update(word.as_bytes());
    }
    Xoshiro256PlusPlus::from_seed(*hash.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn equal_questions_have_equal_numbers_and_others_have_others() {
        let first = |question: &[&str]| source(question).next_u64();
        assert_eq!(first(&["test.loss", "c", "kfac"]), first(&["test.loss", "c", "kfac"]));
        assert_ne!(first(&["ab", "c"]), first(&["a", "bc"]));
        assert_ne!(first(&["a"]), first(&["a", ""]));
    }
}
