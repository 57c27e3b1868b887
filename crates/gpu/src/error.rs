//! What can go wrong between here and the device.

use thiserror::Error;

/// A call to NVIDIA's libraries failed, or could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GpuError {
    /// A library is not on this machine, or cannot be opened.
    #[error("{library} cannot be opened ({detail})")]
    Library {
        /// File name.
        library: &'static str,
        /// What the dynamic linker said.
        detail: String,
    },
    /// A library is older than what is needed.
    #[error("{library} lacks {symbol}: the driver is too old")]
    Symbol {
        /// File name.
        library: &'static str,
        /// The function that it should have.
        symbol: &'static str,
    },
    /// A call of the CUDA driver failed.
    #[error("{call}: {name} ({code})")]
    Cuda {
        /// Function.
        call: &'static str,
        /// `CUresult`.
        code: i32,
        /// Its name, such as `CUDA_ERROR_OUT_OF_MEMORY`.
        name: String,
    },
    /// A call of the encoder's library failed.
    #[error("{call}: {name} ({code}){detail}")]
    Encoder {
        /// Function.
        call: &'static str,
        /// `NVENCSTATUS`.
        code: u32,
        /// Its name, such as `NV_ENC_ERR_OUT_OF_MEMORY`.
        name: &'static str,
        /// What else the library said, with a separator before it; may be empty.
        detail: String,
    },
    /// The encoder's library speaks an older interface.
    #[error(
        "the driver's encoder interface is {major}.{minor}; {wanted_major}.{wanted_minor} is needed: the driver is too old"
    )]
    EncoderVersion {
        /// Major version of the library.
        major: u32,
        /// Minor version of the library.
        minor: u32,
        /// Major version needed.
        wanted_major: u32,
        /// Minor version needed.
        wanted_minor: u32,
    },
}
