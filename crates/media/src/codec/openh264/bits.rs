//! Reading and writing the bits of a parameter set (ITU-T H.264, 7.2 and 9.1).

/// A NAL unit's bytes without emulation prevention (7.3.1): its header byte and RBSP.
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

/// Reads bits, most significant first; `None` past the end.
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bits read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// `u(count)` of at most 32 bits.
    pub(super) fn bits(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.bit()?);
        }
        Some(value)
    }

    /// `ue(v)`: at most 2³² - 2.
    pub(super) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.bits(zeros)?)
    }

    /// `se(v)`: its sign is of no interest here, so it is read as the `ue(v)` that codes it.
    pub(super) fn se(&mut self) -> Option<u32> {
        self.ue()
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
    pub(super) fn bit(&mut self, bit: bool) {
        if self.free == 0 {
            self.bytes.push(0);
            self.free = 8;
        }
        self.free -= 1;
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << self.free;
        }
    }

    /// `u(count)`.
    pub(super) fn bits(&mut self, value: u32, count: u32) {
        for shift in (0..count).rev() {
            self.bit(value >> shift & 1 == 1);
        }
    }

    /// `ue(v)` of a value below 2³² - 1.
    pub(super) fn ue(&mut self, value: u32) {
        let code = u64::from(value) + 1;
        let length = u64::BITS - code.leading_zeros();
        self.bits(0, length - 1);
        for shift in (0..length).rev() {
            self.bit(code >> shift & 1 == 1);
        }
    }

    /// The bits of `from`, from `start` up to `end`, as far as there are any.
    pub(super) fn copy(&mut self, from: &[u8], start: usize, end: usize) {
        let mut reader = BitReader {
            bytes: from,
            at: start,
        };
        while reader.at < end {
            let Some(bit) = reader.bit() else { return };
            self.bit(bit);
        }
    }

    /// `rbsp_trailing_bits()`, and the bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bit(true);
        self.bytes
    }
}

#[cfg(test)]
#[path = "bits_test.rs"]
mod tests;
