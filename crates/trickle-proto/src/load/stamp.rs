//! Times written into chunks, and read back from however the bytes arrive.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// Bytes that the mark takes at the start of a chunk.
pub(super) const BYTES: usize = 16;
const MAGIC: u64 = 0x7472_6963_6b6c_6521;

/// Makes chunks that carry the time.
pub(super) struct Stamper {
    filler: Vec<u8>,
}

impl Stamper {
    pub(super) fn new(chunk_bytes: usize) -> Self {
        Self {
            filler: vec![0x55; chunk_bytes.saturating_sub(BYTES)],
        }
    }

    pub(super) fn chunk(&mut self, now: Duration) -> Bytes {
        let mut chunk = BytesMut::with_capacity(BYTES + self.filler.len());
        chunk.extend_from_slice(&MAGIC.to_be_bytes());
        let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        chunk.extend_from_slice(&nanos.to_be_bytes());
        chunk.extend_from_slice(&self.filler);
        chunk.freeze()
    }
}

/// Finds the marks in one segment's bytes, cut in any way.
pub(super) struct StampReader {
    chunk_bytes: usize,
    /// Place within the current chunk.
    at: usize,
    mark: [u8; BYTES],
}

impl StampReader {
    pub(super) fn new(chunk_bytes: usize) -> Self {
        Self {
            chunk_bytes,
            at: 0,
            mark: [0; BYTES],
        }
    }

    /// Calls `complete` with the time of every chunk whose last byte is in `bytes`.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut complete: impl FnMut(Duration)) {
        while !bytes.is_empty() {
            let take = bytes.len().min(self.chunk_bytes - self.at);
            let (part, rest) = bytes.split_at(take);
            if let Some(mark) = self.mark.get_mut(self.at..) {
                for (to, from) in mark.iter_mut().zip(part) {
                    *to = *from;
                }
            }
            self.at += take;
            bytes = rest;
            if self.at == self.chunk_bytes {
                self.at = 0;
                let number = u128::from_be_bytes(self.mark);
                if (number >> 64) as u64 == MAGIC {
                    complete(Duration::from_nanos(number as u64));
                }
            }
        }
    }
}
