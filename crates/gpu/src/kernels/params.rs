//! The parameters of a launch, laid out as the device reads them.

/// The most parameter bytes that a kernel takes here.
const MAX_PARAMS: usize = 160;

/// A kernel's parameters, in order: each at a multiple of its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    bytes: [u8; MAX_PARAMS],
    len: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self::new()
    }
}

impl Params {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            bytes: [0; MAX_PARAMS],
            len: 0,
        }
    }

    /// Adds a pointer: an address on the device.
    ///
    /// # Panics
    /// Beyond 160 bytes of parameters, as all that add do.
    #[must_use]
    pub fn address(self, address: u64) -> Self {
        self.put(address.to_le_bytes())
    }

    /// Adds unsigned integers of 32 bits.
    ///
    /// # Panics
    /// As [`address`](Self::address).
    #[must_use]
    pub fn ints(self, values: &[u32]) -> Self {
        let put = |params: Self, value: &u32| params.put(value.to_le_bytes());
        values.iter().fold(self, put)
    }

    /// Adds floats of 32 bits.
    ///
    /// # Panics
    /// As [`address`](Self::address).
    #[must_use]
    pub fn floats(self, values: &[f32]) -> Self {
        let put = |params: Self, value: &f32| params.put(value.to_le_bytes());
        values.iter().fold(self, put)
    }

    /// One after another as the device lays them out.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn put<const N: usize>(mut self, bytes: [u8; N]) -> Self {
        let at = self.len.next_multiple_of(N);
        self.bytes[at..at + N].copy_from_slice(&bytes);
        self.len = at + N;
        self
    }
}
