//! What can go wrong between here and the device.

use thiserror::Error;
use trickle_media::FrameError;
use trickle_media::frame::dlpack::DlpackError;

use crate::kernels::CallError;

/// A call to NVIDIA's libraries failed, or could not be made.
#[derive(Clone, Debug, PartialEq, Error)]
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
    /// An earlier error made the device unusable for the rest of the process.
    #[error("{device} is unusable until the process ends, since: {first}")]
    Poisoned {
        /// Backend name of the device.
        device: String,
        /// The error that did it.
        first: String,
    },
    /// A kernel cannot be called so.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The picture is of a kind that the operation does not take.
    #[error("{operation} takes {wanted}, not {got}")]
    Kind {
        /// What was to be done.
        operation: &'static str,
        /// Kinds it takes.
        wanted: &'static str,
        /// Kind it got.
        got: String,
    },
    /// A tensor of another library that is no picture for this device.
    #[error(transparent)]
    Dlpack(#[from] DlpackError),
    /// The operating system gave no thread.
    #[error("no thread for device memory that comes back: {0}")]
    Thread(String),
    /// A size that no frame has.
    #[error(transparent)]
    Frame(#[from] FrameError),
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
