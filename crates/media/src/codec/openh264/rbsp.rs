//! Writing parameter sets: bits, and emulation prevention (ITU-T H.264, 7.3.1 and 9.1).

use crate::bits::{BitError, BitReader};

/// A NAL unit's bytes without emulation prevention: its header byte and RBSP.
pub(super) fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut rbsp = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        rbsp.push(byte);
    }
    rbsp
}

/// Appends `rbsp` to `out` with emulation prevention bytes.
pub(super) fn escape(rbsp: &[u8], out: &mut Vec<u8>) {
    let mut zeros = 0;
    for &byte in rbsp {
        if zeros >= 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
}

/// Writes bits, most significant first.
#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are still free.
    free: u32,
}

impl BitWriter {
    pub(super) fn flag(&mut self, flag: bool) {
        if self.free == 0 {
            self.bytes.push(0);
            self.free = 8;
        }
        self.free -= 1;
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(flag) << self.free;
        }
    }

    /// The low `count` bits of `value`, at most 32: `u(n)`.
    pub(super) fn bits(&mut self, value: u32, count: u32) {
        for shift in (0..count).rev() {
            self.flag(value >> shift & 1 == 1);
        }
    }

    /// An unsigned Exp-Golomb code, of a value below 2³² - 1: `ue(v)`.
    pub(super) fn ue(&mut self, value: u32) {
        let code = value.saturating_add(1);
        let length = u32::BITS - code.leading_zeros();
        self.bits(0, length - 1);
        self.bits(code, length);
    }

    /// The next `count` bits of `from`.
    pub(super) fn copy(&mut self, from: &mut BitReader<'_>, count: usize) -> Result<(), BitError> {
        for _ in 0..count {
            self.flag(from.flag()?);
        }
        Ok(())
    }

    /// `rbsp_trailing_bits()`, and the bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.flag(true);
        self.bytes
    }
}

#[cfg(test)]
#[path = "rbsp_test.rs"]
mod tests;
