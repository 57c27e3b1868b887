//! Global memory as kernels see it.

use super::error::Fault;

/// Memory that kernels load from and store to, little-endian.
pub trait Memory {
    /// The `bytes` (1, 2, 4 or 8) at `address`, zero-extended.
    ///
    /// # Errors
    /// [`Fault`] when the access is not allowed.
    fn load(&self, address: u64, bytes: usize) -> Result<u64, Fault>;

    /// Stores the low `bytes` (1, 2, 4 or 8) of `value`.
    ///
    /// # Errors
    /// [`Fault`] when the access is not allowed.
    fn store(&mut self, address: u64, bytes: usize, value: u64) -> Result<(), Fault>;
}

/// Allocations at made-up addresses, far apart, so that no access past the end of one reaches
/// another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arena {
    blocks: Vec<(u64, Vec<u8>)>,
}

/// Distance from one allocation to the next; none may be longer.
const SPACING: u64 = 1 << 32;

impl Arena {
    /// No allocation.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `bytes` into memory and gives their address, a multiple of 256 as from `cuMemAlloc`.
    pub fn put(&mut self, bytes: Vec<u8>) -> u64 {
        let address = SPACING * (self.blocks.len() as u64 + 1);
        self.blocks.push((address, bytes));
        address
    }

    /// The allocation that starts at `address`.
    pub fn get(&self, address: u64) -> Option<&[u8]> {
        let index = usize::try_from(address / SPACING).ok()?.checked_sub(1)?;
        let (start, bytes) = self.blocks.get(index)?;
        (*start == address).then_some(bytes)
    }

    /// Block and place in it of an access.
    fn locate(&self, address: u64, bytes: usize) -> Result<(usize, usize), Fault> {
        if !address.is_multiple_of(bytes as u64) {
            return Err(Fault::Misaligned);
        }
        let index = (address / SPACING).wrapping_sub(1) as usize;
        let offset = (address % SPACING) as usize;
        match self.blocks.get(index) {
            Some((_, block)) if offset + bytes <= block.len() => Ok((index, offset)),
            _ => Err(Fault::OutOfBounds),
        }
    }
}

impl Memory for Arena {
    fn load(&self, address: u64, bytes: usize) -> Result<u64, Fault> {
        let (index, offset) = self.locate(address, bytes)?;
        let mut value = [0; 8];
        value[..bytes].copy_from_slice(&self.blocks[index].1[offset..offset + bytes]);
        Ok(u64::from_le_bytes(value))
    }

    fn store(&mut self, address: u64, bytes: usize, value: u64) -> Result<(), Fault> {
        let (index, offset) = self.locate(address, bytes)?;
        self.blocks[index].1[offset..offset + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
        Ok(())
    }
}
