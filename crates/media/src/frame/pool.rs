//! Memory that goes round: buffers return to their pool when the last owner lets go.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytemuck::Pod;

use super::memory::Memory;

/// Idle buffers that a pool keeps at most. More than this are in flight only when something
/// holds frames back, and that memory must not stay for ever.
const MAX_IDLE: usize = 16;

/// A source of equally typed buffers.
///
/// Cloning gives another handle to the same pool. A pool that is dropped while buffers are out
/// leaves them valid; they free themselves.
pub struct Pool<T> {
    shared: Arc<Idle<T>>,
}

struct Idle<T> {
    buffers: Mutex<Vec<Arc<Block<T>>>>,
}

struct Block<T> {
    data: Memory<T>,
    home: Weak<Idle<T>>,
}

impl<T: Pod> Pool<T> {
    /// An empty pool.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Idle {
                buffers: Mutex::new(Vec::with_capacity(MAX_IDLE)),
            }),
        }
    }

    /// A buffer of `len` values, unique to the caller. **Its contents are whatever an earlier
    /// owner left**: write all of it.
    pub fn take(&self, len: usize) -> Buffer<T> {
        let found = {
            let mut idle = self
                .shared
                .buffers
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let at = idle.iter().rposition(|block| block.data.len() == len);
            // With the size changed (a new resolution), the oldest idle buffer makes room.
            if at.is_none() && idle.len() == MAX_IDLE {
                idle.remove(0);
            }
            at.map(|at| idle.swap_remove(at))
        };
        let block = found.unwrap_or_else(|| {
            Arc::new(Block {
                data: Memory::zeroed(len),
                home: Arc::downgrade(&self.shared),
            })
        });
        Buffer { block: Some(block) }
    }

    /// A buffer that holds a copy of `values`.
    pub fn copy_of(&self, values: &[T]) -> Buffer<T> {
        let mut buffer = self.take(values.len());
        buffer.make_mut().copy_from_slice(values);
        buffer
    }

    /// Buffers that wait for reuse.
    pub fn idle(&self) -> usize {
        self.shared
            .buffers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T: Pod> Default for Pool<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// A shared buffer of fixed length. Clones share the memory; [`make_mut`](Self::make_mut) copies
/// it first when it is shared.
pub struct Buffer<T> {
    // Always `Some` until drop, which takes it to hand the allocation back.
    block: Option<Arc<Block<T>>>,
}

impl<T> Buffer<T> {
    fn block(&self) -> Option<&Arc<Block<T>>> {
        self.block.as_ref()
    }

    /// Nobody else sees this memory.
    pub fn is_unique(&self) -> bool {
        self.block()
            .is_none_or(|block| Arc::strong_count(block) == 1)
    }
}

impl<T: Pod> Buffer<T> {
    /// A buffer outside any pool, that holds `data`.
    pub fn from_vec(data: Vec<T>) -> Self {
        Self {
            block: Some(Arc::new(Block {
                data: Memory::Allocated(data),
                home: Weak::new(),
            })),
        }
    }

    /// The values, for writing; copied first when a clone of this buffer is alive.
    pub fn make_mut(&mut self) -> &mut [T] {
        if !self.is_unique() {
            let home = self.block().and_then(|block| block.home.upgrade());
            *self = match home {
                Some(shared) => Pool { shared }.copy_of(self),
                None => Self::from_vec(self.to_vec()),
            };
        }
        // Unique here: no other handle exists that could clone it meanwhile, and `Weak`s to a
        // block are never made.
        match self.block.as_mut().and_then(Arc::get_mut) {
            Some(block) => block.data.values_mut(),
            None => &mut [],
        }
    }
}

impl<T: Pod> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.block().map_or(&[], |block| block.data.values())
    }
}

impl<T> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self {
            block: self.block.clone(),
        }
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        let Some(mut block) = self.block.take() else {
            return;
        };
        // When two last owners let go at once, both may find the other still there; the buffer
        // is then freed instead of reused, which is harmless.
        if Arc::get_mut(&mut block).is_none() {
            return;
        }
        let Some(home) = block.home.upgrade() else {
            return;
        };
        let mut idle = home.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(block);
        }
    }
}

impl<T: Pod> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} values)", self.len())
    }
}

/// The pools of one session: bytes for coded pictures' planes, floats for tensors.
#[derive(Clone, Debug, Default)]
pub struct FramePool {
    /// Planes of decoded pictures.
    pub bytes: Pool<u8>,
    /// Tensors.
    pub floats: Pool<f32>,
}

impl FramePool {
    /// Empty pools.
    pub fn new() -> Self {
        Self::default()
    }
}

#[cfg(test)]
#[path = "pool_test.rs"]
mod tests;
