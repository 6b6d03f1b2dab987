//! Labels of cells and variants: written when somebody asks, a chunk at a time, since a plan can have a million.

use std::ops::Range;
use std::sync::OnceLock;

/// Labels that are written together.
const CHUNK: u32 = 1024;

/// The labels of one space.
#[derive(Debug)]
pub(crate) struct Labels {
    chunks: Box<[OnceLock<Chunk>]>,
    len: u32,
}

/// The labels of consecutive indices, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    text: String,
    ends: Vec<u32>,
}

impl Labels {
    pub(crate) fn new(len: u32) -> Labels {
        Labels { chunks: (0..len.div_ceil(CHUNK)).map(|_| OnceLock::new()).collect(), len }
    }

    /// The label at an index. `write` appends the labels of a range of indices, and says after each that it is complete.
    pub(crate) fn get(&self, index: u32, write: impl FnOnce(Range<u32>, &mut Chunk)) -> &str {
        let start = index - index % CHUNK;
        let chunk = self.chunks[(index / CHUNK) as usize].get_or_init(|| {
            let mut chunk = Chunk::default();
            write(start..self.len.min(start + CHUNK), &mut chunk);
            chunk
        });
        let place = (index - start) as usize;
        let begin = if place == 0 { 0 } else { chunk.ends[place - 1] };
        &chunk.text[begin as usize..chunk.ends[place] as usize]
    }
}

impl Chunk {
    /// Appends to the label that is being written.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Ends the label that is being written.
    pub(crate) fn end(&mut self) {
        self.ends.push(self.text.len() as u32);
    }
}
