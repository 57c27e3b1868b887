//! Device memory: real addresses that the host must not touch.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::{self, NonNull};

use super::Status;
use crate::ptx::{Fault, Memory};
use crate::settings::setting;

/// Bytes that the device has.
pub(crate) fn total() -> usize {
    if setting("little-memory") {
        16 << 20
    } else {
        1 << 30
    }
}

/// What an access checks against, aligned as `cuMemAlloc` does.
const ALIGN: usize = 256;

/// All allocations, by address.
#[derive(Default)]
pub(crate) struct Allocations {
    blocks: BTreeMap<u64, Block>,
    used: usize,
}

/// One allocation: two mappings of the same pages. The device's address has no access rights, so
/// that a program that follows a device pointer on the host is stopped at once; the driver works
/// through the other.
struct Block {
    /// Of a memory pool, by `cuMemAllocAsync`.
    pooled: bool,
    bytes: usize,
    mapped: usize,
    device: NonNull<c_void>,
    shadow: NonNull<u8>,
}

// SAFETY: the mappings belong to the block alone and are reached under the driver's lock.
unsafe impl Send for Block {}

impl Block {
    fn new(bytes: usize) -> Result<Self, Status> {
        let mapped = bytes.next_multiple_of(page());
        // SAFETY: creates a file without a name; no memory of ours is involved.
        let file = unsafe { libc::memfd_create(c"device memory".as_ptr(), libc::MFD_CLOEXEC) };
        if file < 0 {
            return Err(Status::OUT_OF_MEMORY);
        }
        let map = |rights| {
            // SAFETY: a new mapping wherever the system likes.
            let address =
                unsafe { libc::mmap(ptr::null_mut(), mapped, rights, libc::MAP_SHARED, file, 0) };
            NonNull::new(address).filter(|address| address.as_ptr() != libc::MAP_FAILED)
        };
        // SAFETY: the file is open and ours.
        let sized = unsafe { libc::ftruncate(file, mapped as libc::off_t) } == 0;
        let device = if sized { map(libc::PROT_NONE) } else { None };
        let shadow = if sized {
            map(libc::PROT_READ | libc::PROT_WRITE)
        } else {
            None
        };
        // SAFETY: open and ours; the mappings keep the pages.
        unsafe { libc::close(file) };
        let (Some(device), Some(shadow)) = (device, shadow) else {
            return Err(Status::OUT_OF_MEMORY);
        };
        let block = Self {
            pooled: false,
            bytes,
            mapped,
            device,
            shadow: shadow.cast(),
        };
        // Hardware leaves what was there before; a pattern shows who relies on zeroes.
        // SAFETY: the mapping is `mapped` bytes long and writable.
        unsafe { ptr::write_bytes(block.shadow.as_ptr(), 0xcd, mapped) };
        Ok(block)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: both mappings were made by `new` with this length and are not used any more.
        unsafe {
            libc::munmap(self.device.as_ptr(), self.mapped);
            libc::munmap(self.shadow.as_ptr().cast(), self.mapped);
        }
    }
}

fn page() -> usize {
    // SAFETY: asks for a constant.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Host memory of the program, kept as an address until it is used.
#[derive(Clone, Copy)]
pub(crate) struct HostBytes(pub(crate) *mut u8);

// SAFETY: the program promises that the memory is there until the stream was synchronised, from
// whichever thread that happens.
unsafe impl Send for HostBytes {}

impl Allocations {
    pub(crate) fn allocate(&mut self, bytes: usize) -> Result<u64, Status> {
        if bytes == 0 {
            return Err(Status::INVALID_VALUE);
        }
        if bytes > total() - self.used {
            return Err(Status::OUT_OF_MEMORY);
        }
        let block = Block::new(bytes)?;
        let address = block.device.as_ptr() as u64;
        debug_assert!(address.is_multiple_of(ALIGN as u64));
        self.used += bytes;
        self.blocks.insert(address, block);
        Ok(address)
    }

    /// As [`allocate`](Self::allocate), from a memory pool.
    pub(crate) fn allocate_pooled(&mut self, bytes: usize) -> Result<u64, Status> {
        let address = self.allocate(bytes)?;
        if let Some(block) = self.blocks.get_mut(&address) {
            block.pooled = true;
        }
        Ok(address)
    }

    /// Whether the address is in memory of a pool.
    pub(crate) fn is_pooled(&self, address: u64) -> bool {
        let block = self.blocks.range(..=address).next_back();
        block.is_some_and(|(_, block)| block.pooled)
    }

    pub(crate) fn free(&mut self, address: u64) -> Result<(), Status> {
        let block = self.blocks.remove(&address).ok_or(Status::INVALID_VALUE)?;
        self.used -= block.bytes;
        Ok(())
    }

    /// Bytes that nobody has.
    pub(crate) fn available(&self) -> usize {
        total() - self.used
    }

    pub(crate) fn alive(&self) -> Vec<String> {
        let name = |(address, block): (&u64, &Block)| {
            format!("{} bytes of device memory at {address:#x}", block.bytes)
        };
        self.blocks.iter().map(name).collect()
    }

    /// Where the driver finds `bytes` at `address`, if one allocation holds them all.
    fn find(&self, address: u64, bytes: usize) -> Option<*mut u8> {
        let (start, block) = self.blocks.range(..=address).next_back()?;
        let offset = usize::try_from(address - start).ok()?;
        (offset.checked_add(bytes)? <= block.bytes)
            // SAFETY: within the mapping, by the line above.
            .then(|| unsafe { block.shadow.as_ptr().add(offset) })
    }

    /// Bytes from `address` to the end of its allocation.
    pub(crate) fn room(&self, address: u64) -> usize {
        let block = self.blocks.range(..=address).next_back();
        let room = block.map(|(start, block)| block.bytes as u64 + start - address);
        room.and_then(|room| usize::try_from(room).ok())
            .unwrap_or(0)
    }

    /// Whether one allocation holds `bytes` at `address`.
    pub(crate) fn holds(&self, address: u64, bytes: usize) -> bool {
        self.find(address, bytes).is_some()
    }

    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Status> {
        let to = self
            .find(address, bytes.len())
            .ok_or(Status::ILLEGAL_ADDRESS)?;
        // SAFETY: `find` gives room for all of it, in a mapping that nothing in `bytes` is in.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    pub(crate) fn read(&self, address: u64, bytes: usize) -> Result<Vec<u8>, Status> {
        let mut copy = vec![0; bytes];
        self.read_into(address, HostBytes(copy.as_mut_ptr()), bytes)?;
        Ok(copy)
    }

    pub(crate) fn read_into(
        &self,
        address: u64,
        to: HostBytes,
        bytes: usize,
    ) -> Result<(), Status> {
        let from = self.find(address, bytes).ok_or(Status::ILLEGAL_ADDRESS)?;
        // SAFETY: `find` gives that many bytes; the program promised as many at `to`.
        unsafe { ptr::copy_nonoverlapping(from, to.0, bytes) };
        Ok(())
    }
}

impl Memory for Allocations {
    fn load(&self, address: u64, bytes: usize) -> Result<u64, Fault> {
        let from = self.access(address, bytes)?;
        let mut value = [0; 8];
        // SAFETY: `access` gives that many bytes, at most 8.
        unsafe { ptr::copy_nonoverlapping(from, value.as_mut_ptr(), bytes.min(8)) };
        Ok(u64::from_le_bytes(value))
    }

    fn store(&mut self, address: u64, bytes: usize, value: u64) -> Result<(), Fault> {
        let to = self.access(address, bytes)?;
        // SAFETY: `access` gives that many bytes, at most 8.
        unsafe { ptr::copy_nonoverlapping(value.to_le_bytes().as_ptr(), to, bytes.min(8)) };
        Ok(())
    }
}

impl Allocations {
    fn access(&self, address: u64, bytes: usize) -> Result<*mut u8, Fault> {
        if !address.is_multiple_of(bytes as u64) {
            return Err(Fault::Misaligned);
        }
        self.find(address, bytes).ok_or(Fault::OutOfBounds)
    }
}
