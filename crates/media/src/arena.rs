//! Memory for coded units: a few large blocks that go round, so that a stream in its steady state
//! allocates nothing.

use bytes::{Bytes, BytesMut};

/// Blocks of an arena. The one that is being filled and the one before it.
const BLOCKS: usize = 2;
/// Least bytes of a block.
const LEAST: usize = 256 << 10;

/// Hands out [`Bytes`] one after another from blocks that are used again once every unit in them
/// is gone. A block whose units are still held is left to them and replaced.
#[derive(Debug)]
pub(crate) struct Arena {
    blocks: [BytesMut; BLOCKS],
    current: usize,
    block_len: usize,
}

impl Arena {
    /// An arena for units of which those of `block_len` bytes together are held at a time.
    pub(crate) fn new(block_len: usize) -> Self {
        Self {
            blocks: Default::default(),
            current: 0,
            block_len: block_len.max(LEAST),
        }
    }

    /// The bytes that `write` appends, about `expected` of them.
    pub(crate) fn fill(&mut self, expected: usize, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        let wanted = self.block_len.max(expected);
        if self.blocks[self.current].capacity() < expected {
            self.current = (self.current + 1) % BLOCKS;
            let next = &mut self.blocks[self.current];
            if !next.try_reclaim(wanted) {
                *next = BytesMut::with_capacity(wanted);
            }
        }
        let block = &mut self.blocks[self.current];
        write(block);
        block.split().freeze()
    }
}

#[cfg(test)]
#[path = "arena_test.rs"]
mod tests;
