//! Device memory and events that go round.
//!
//! Memory comes from `cuMemAlloc`, because the encoder is reported to refuse memory of CUDA's own
//! pools. Letting go of a buffer calls nothing and waits for nothing, on whichever thread: it
//! goes back together with the events of the work that still uses it, and the next owner's
//! stream waits for those on the device.

use std::ptr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use trickle_media::frame::dlpack::ManagedTensor;

use crate::device::Shared;
use crate::dl::{CuEvent, CuStream, Cuda};
use crate::error::GpuError;
use crate::worker::Job;

/// Idle buffers that a device keeps beside as many as are in use: two sizes of the frames that a
/// session has in flight. What is beyond is freed at the next allocation, for which the driver may
/// stop everything on the device: with more sessions there has to be more.
const SPARE: usize = 16;

/// `CU_EVENT_DISABLE_TIMING`: events that only order work are cheaper.
const NO_TIMING: u32 = 2;

/// What waits for its next owner.
#[derive(Default)]
pub(crate) struct Idle {
    buffers: Vec<IdleBuffer>,
    events: Vec<CuEvent>,
    /// Buffers of the pool that somebody has.
    in_use: usize,
}

struct IdleBuffer {
    address: u64,
    bytes: usize,
    /// Work that may still use the memory.
    pending: Vec<CuEvent>,
}

// SAFETY: addresses and events of a device may be used from any thread.
unsafe impl Send for Idle {}

impl Idle {
    /// Gives everything back to the driver; the context is current.
    pub(crate) fn free(self, cuda: &Cuda) {
        let mut events = self.events;
        for buffer in self.buffers {
            events.extend(buffer.free(cuda));
        }
        for event in events {
            // SAFETY: an event of this context, which nobody else has.
            unsafe { (cuda.event_destroy)(event) };
        }
    }
}

impl IdleBuffer {
    /// Frees the memory when its last work is done; its events stay good.
    fn free(self, cuda: &Cuda) -> Vec<CuEvent> {
        for &event in &self.pending {
            // SAFETY: an event of this context. A failure means that no work is left.
            unsafe { (cuda.event_synchronize)(event) };
        }
        // SAFETY: allocated by `Buffer::take`, in use by nobody.
        unsafe { (cuda.mem_free)(self.address) };
        self.pending
    }
}

/// An event that goes back to its device when it is dropped.
pub(crate) struct Event {
    shared: Arc<Shared>,
    handle: CuEvent,
}

// SAFETY: events may be used from any thread.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// An event that is reached when all work that the stream has now is done. The context is
    /// current.
    pub(crate) fn record(shared: &Arc<Shared>, stream: CuStream) -> Result<Self, GpuError> {
        let found = shared.idle().events.pop();
        let handle = match found {
            Some(handle) => handle,
            None => {
                let mut handle = ptr::null_mut();
                // SAFETY: a context is current, `handle` writable.
                shared.check("cuEventCreate", unsafe {
                    (shared.cuda().event_create)(&raw mut handle, NO_TIMING)
                })?;
                handle
            }
        };
        let event = Self {
            shared: Arc::clone(shared),
            handle,
        };
        event.record_again(stream)?;
        Ok(event)
    }

    /// The event now stands for all work that the stream has now. Who waits for it already waits
    /// for what it stood for.
    pub(crate) fn record_again(&self, stream: CuStream) -> Result<(), GpuError> {
        // SAFETY: event and stream are of the current context.
        self.shared.check("cuEventRecord", unsafe {
            (self.shared.cuda().event_record)(self.handle, stream)
        })
    }

    /// Blocks until it is reached. The context is current.
    pub(crate) fn synchronize(&self) -> Result<(), GpuError> {
        // SAFETY: an event of the current context.
        self.shared.check("cuEventSynchronize", unsafe {
            (self.shared.cuda().event_synchronize)(self.handle)
        })
    }

    /// The stream goes on when the event is reached.
    pub(crate) fn delay(&self, stream: CuStream) -> Result<(), GpuError> {
        delay(&self.shared, self.handle, stream)
    }

    /// `CUevent`.
    pub(crate) fn handle(&self) -> CuEvent {
        self.handle
    }

    /// The bare event; whoever takes it must put it back.
    fn into_handle(mut self) -> CuEvent {
        std::mem::replace(&mut self.handle, ptr::null_mut())
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            self.shared.idle().events.push(self.handle);
        }
    }
}

fn delay(shared: &Shared, event: CuEvent, stream: CuStream) -> Result<(), GpuError> {
    // SAFETY: event and stream are of the current context.
    shared.check("cuStreamWaitEvent", unsafe {
        (shared.cuda().stream_wait_event)(stream, event, 0)
    })
}

/// Device memory that goes back to its device when it is dropped.
pub(crate) struct Buffer {
    shared: Arc<Shared>,
    address: u64,
    bytes: usize,
    pending: Vec<CuEvent>,
    /// Another library's memory, and the way back to it.
    foreign: Option<(ManagedTensor, Sender<Job>)>,
}

// SAFETY: addresses and events of a device may be used from any thread.
unsafe impl Send for Buffer {}
// SAFETY: as above; nothing changes behind a shared reference.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Memory that `stream` may write to: earlier work on it comes first. **It holds whatever
    /// its last owner left.** The context is current.
    pub(crate) fn take(
        shared: &Arc<Shared>,
        bytes: usize,
        stream: CuStream,
    ) -> Result<Self, GpuError> {
        let cuda = shared.cuda();
        let (found, excess) = {
            let mut idle = shared.idle();
            let at = idle
                .buffers
                .iter()
                .rposition(|buffer| buffer.bytes == bytes);
            let found = at.map(|at| idle.buffers.swap_remove(at));
            let excess = idle.buffers.len().saturating_sub(SPARE + idle.in_use);
            (found, idle.buffers.drain(..excess).collect::<Vec<_>>())
        };
        for buffer in excess {
            let events = buffer.free(cuda);
            shared.idle().events.extend(events);
        }
        if let Some(found) = found {
            let buffer = Self::of_pool(shared, found.address, bytes, found.pending);
            for &event in &buffer.pending {
                delay(shared, event, stream)?;
            }
            return Ok(buffer);
        }
        let mut address = 0;
        // SAFETY: a context is current, `address` writable.
        shared.check("cuMemAlloc", unsafe {
            (cuda.mem_alloc)(&raw mut address, bytes)
        })?;
        Ok(Self::of_pool(shared, address, bytes, Vec::new()))
    }

    fn of_pool(shared: &Arc<Shared>, address: u64, bytes: usize, pending: Vec<CuEvent>) -> Self {
        shared.idle().in_use += 1;
        Self {
            shared: Arc::clone(shared),
            address,
            bytes,
            pending,
            foreign: None,
        }
    }

    /// Memory of another library, given back through `jobs` when nothing uses it any more.
    pub(crate) fn foreign(shared: &Arc<Shared>, tensor: ManagedTensor, jobs: Sender<Job>) -> Self {
        Self {
            shared: Arc::clone(shared),
            address: tensor.address() as u64,
            bytes: 0,
            pending: Vec::new(),
            foreign: Some((tensor, jobs)),
        }
    }

    /// Whether the memory is another library's, which is not to be written.
    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign.is_some()
    }

    pub(crate) fn address(&self) -> u64 {
        self.address
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The memory may be used again when these are reached: all work on it. They include what
    /// the memory waited for when it was taken, because that work came after.
    pub(crate) fn used_until(&mut self, events: impl Iterator<Item = Event>) {
        let before = std::mem::replace(&mut self.pending, events.map(Event::into_handle).collect());
        self.shared.idle().events.extend(before);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        if let Some((tensor, jobs)) = self.foreign.take() {
            let events = pending.into_iter().map(|handle| Event {
                shared: Arc::clone(&self.shared),
                handle,
            });
            let job = Job::Finished(Arc::clone(&self.shared), tensor, events.collect());
            // The thread lives as long as the device, which the buffer holds.
            let _ = jobs.send(job);
            return;
        }
        let mut idle = self.shared.idle();
        idle.in_use -= 1;
        idle.buffers.push(IdleBuffer {
            address: self.address,
            bytes: self.bytes,
            pending,
        });
    }
}
