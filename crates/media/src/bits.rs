//! Reading bits: fixed-length and Exp-Golomb codes, with or without emulation prevention bytes.

use thiserror::Error;

/// The data ended inside a syntax element, or an Exp-Golomb code is longer than 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BitError {
    /// No bits are left.
    #[error("the data ends too early")]
    End,
    /// More than 32 leading zeros: no valid stream holds such a number.
    #[error("an Exp-Golomb code is longer than 32 bits")]
    TooLong,
}

/// Reads bits from the most significant one on.
#[derive(Clone, Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    current: u8,
    left: u32,
    // Zero bytes just before the next byte; `None` when 3s after two zeros are data.
    zeros: Option<u8>,
}

impl<'a> BitReader<'a> {
    /// Reads `bytes` as they are.
    pub(crate) fn plain(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            current: 0,
            left: 0,
            zeros: None,
        }
    }

    /// Reads the payload of a NAL unit, leaving out emulation prevention bytes (ITU-T H.264,
    /// 7.4.1: the 3 in 0, 0, 3).
    pub(crate) fn rbsp(bytes: &'a [u8]) -> Self {
        Self {
            zeros: Some(0),
            ..Self::plain(bytes)
        }
    }

    fn next_byte(&mut self) -> Result<u8, BitError> {
        let (&first, mut rest) = self.bytes.split_first().ok_or(BitError::End)?;
        let mut byte = first;
        if let Some(zeros) = &mut self.zeros {
            if *zeros >= 2 && byte == 3 {
                (byte, rest) = match rest.split_first() {
                    Some((&byte, rest)) => (byte, rest),
                    None => return Err(BitError::End),
                };
                *zeros = 0;
            }
            *zeros = if byte == 0 { *zeros + 1 } else { 0 }.min(2);
        }
        self.bytes = rest;
        Ok(byte)
    }

    /// Bits that are left, where there are no emulation prevention bytes.
    pub(crate) fn left(&self) -> u32 {
        u32::try_from(8 * self.bytes.len())
            .unwrap_or(u32::MAX)
            .saturating_add(self.left)
    }

    /// One bit.
    pub(crate) fn flag(&mut self) -> Result<bool, BitError> {
        Ok(self.bits(1)? == 1)
    }

    /// `count` bits, at most 32: `u(n)`.
    pub(crate) fn bits(&mut self, count: u32) -> Result<u32, BitError> {
        let mut value = 0u32;
        let mut wanted = count.min(32);
        while wanted > 0 {
            if self.left == 0 {
                self.current = self.next_byte()?;
                self.left = 8;
            }
            let take = wanted.min(self.left);
            self.left -= take;
            let part = (u32::from(self.current) >> self.left) & ((1 << take) - 1);
            value = value << take | part;
            wanted -= take;
        }
        Ok(value)
    }

    /// Eight bits.
    pub(crate) fn byte(&mut self) -> Result<u8, BitError> {
        Ok(self.bits(8)? as u8)
    }

    /// Passes over `count` bits.
    pub(crate) fn skip(&mut self, count: u32) -> Result<(), BitError> {
        for _ in 0..count / 32 {
            self.bits(32)?;
        }
        self.bits(count % 32).map(|_| ())
    }

    /// An unsigned Exp-Golomb code: `ue(v)` (ITU-T H.264, 9.1).
    pub(crate) fn ue(&mut self) -> Result<u32, BitError> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(BitError::TooLong);
            }
        }
        Ok(((1u64 << zeros) - 1 + u64::from(self.bits(zeros)?)) as u32)
    }

    /// A signed Exp-Golomb code: `se(v)` (ITU-T H.264, 9.1.1).
    pub(crate) fn se(&mut self) -> Result<i32, BitError> {
        let code = i64::from(self.ue()?);
        Ok((if code % 2 == 1 {
            (code + 1) / 2
        } else {
            -code / 2
        }) as i32)
    }
}

#[cfg(test)]
#[path = "bits_test.rs"]
mod tests;
