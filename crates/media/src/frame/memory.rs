//! The memory of a buffer: from the allocator where it is small, whole pages of its own where it is
//! large.

use std::marker::PhantomData;

use bytemuck::Pod;
use memmap2::MmapMut;

/// Bytes from which on memory is mapped. An allocator keeps what is given back to it, once it has
/// learnt that such sizes come and go: a worker would grow from stream to stream.
const LARGE: usize = 256 << 10;

/// Bytes of a huge page. Where memory is made of them, a tensor costs a handful of page faults and
/// of entries in the TLB instead of thousands.
const HUGE_PAGE: usize = 2 << 20;

/// A fixed number of values.
pub(super) enum Memory<T> {
    /// From the allocator.
    Allocated(Vec<T>),
    /// From the system: at least as many bytes as `len` values have.
    Mapped {
        pages: MmapMut,
        len: usize,
        values: PhantomData<T>,
    },
}

impl<T: Pod> Memory<T> {
    /// `len` values of zero bytes.
    pub(super) fn zeroed(len: usize) -> Self {
        let mapped = len
            .checked_mul(size_of::<T>())
            .filter(|bytes| *bytes >= LARGE)
            .and_then(|bytes| map(bytes).ok());
        match mapped {
            Some(pages) => Self::Mapped {
                pages,
                len,
                values: PhantomData,
            },
            None => Self::Allocated(vec![T::zeroed(); len]),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Allocated(values) => values.len(),
            Self::Mapped { len, .. } => *len,
        }
    }

    pub(super) fn values(&self) -> &[T] {
        match self {
            Self::Allocated(values) => values,
            Self::Mapped { pages, len, .. } => bytemuck::cast_slice(&pages[..len * size_of::<T>()]),
        }
    }

    pub(super) fn values_mut(&mut self) -> &mut [T] {
        match self {
            Self::Allocated(values) => values,
            Self::Mapped { pages, len, .. } => {
                bytemuck::cast_slice_mut(&mut pages[..*len * size_of::<T>()])
            }
        }
    }
}

fn map(bytes: usize) -> std::io::Result<MmapMut> {
    // Whole huge pages, where that adds little.
    let rounded = bytes.next_multiple_of(HUGE_PAGE);
    if rounded - bytes > bytes / 4 {
        return MmapMut::map_anon(bytes);
    }
    let pages = MmapMut::map_anon(rounded)?;
    #[cfg(target_os = "linux")]
    if let Err(error) = pages.advise(memmap2::Advice::HugePage) {
        tracing::debug!(%error, "no huge pages");
    }
    Ok(pages)
}

#[cfg(test)]
#[path = "memory_test.rs"]
mod tests;
