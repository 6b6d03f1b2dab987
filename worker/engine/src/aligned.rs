//! Numbers that begin at a cache line.

use std::ops::{Deref, DerefMut};

use crate::real::Real;

/// Bytes of a cache line, and of the widest vector: one that crosses from line to line costs two accesses.
const LINE: usize = 64;

/// A vector of numbers that begins at a cache line, wherever the allocator put its memory.
#[derive(Default)]
pub(crate) struct Aligned<R> {
    /// The numbers, with as much before them as it takes.
    memory: Vec<R>,
    start: usize,
    len: usize,
}

impl<R: Real> Aligned<R> {
    /// So many zeros.
    pub(crate) fn zeros(len: usize) -> Aligned<R> {
        let mut numbers = Aligned { memory: Vec::new(), start: 0, len: 0 };
        numbers.resize(len);
        numbers
    }

    /// Has `len` numbers from now on: zeros if that takes more memory than there ever was, otherwise those that were there.
    pub(crate) fn resize(&mut self, len: usize) {
        let slack = LINE / size_of::<R>();
        if self.memory.len() < len + slack {
            self.memory = vec![R::ZERO; len + slack];
            self.start = self.memory.as_ptr().align_offset(LINE).min(slack);
        }
        self.len = len;
    }
}

impl<R> Deref for Aligned<R> {
    type Target = [R];

    #[inline(always)]
    fn deref(&self) -> &[R] {
        &self.memory[self.start..][..self.len]
    }
}

impl<R> DerefMut for Aligned<R> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [R] {
        &mut self.memory[self.start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins_at_a_line<R>(numbers: &[R]) -> bool {
        numbers.as_ptr().addr().is_multiple_of(LINE)
    }

    #[test]
    fn numbers_begin_at_a_line_however_many_there_are() {
        let mut singles = Aligned::<f32>::default();
        for len in [3, 1, 0, 100, 17, 100_000] {
            singles.resize(len);
            assert_eq!(singles.len(), len);
            assert!(begins_at_a_line(&singles) || len == 0);
            assert!(begins_at_a_line(&Aligned::<f64>::zeros(len)));
        }
    }

    #[test]
    fn fewer_numbers_take_no_new_memory() {
        let mut numbers = Aligned::<f32>::zeros(50);
        let place = numbers.as_ptr();
        numbers.resize(10);
        numbers.resize(50);
        assert_eq!(numbers.as_ptr(), place);
    }
}
