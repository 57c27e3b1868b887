//! Result codes of the driver (`CUresult`).

/// A code other than success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) i32);

macro_rules! statuses {
    ($($name:ident $code:literal;)*) => {
        impl Status {
            $(pub(crate) const $name: Self = Self($code);)*

            /// Name of a code, zero-terminated.
            pub(crate) fn name(code: i32) -> Option<&'static str> {
                match code {
                    0 => Some("CUDA_SUCCESS\0"),
                    $($code => Some(concat!("CUDA_ERROR_", stringify!($name), "\0")),)*
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    INVALID_VALUE 1;
    OUT_OF_MEMORY 2;
    NOT_INITIALIZED 3;
    NO_DEVICE 100;
    INVALID_DEVICE 101;
    INVALID_CONTEXT 201;
    MAP_FAILED 205;
    INVALID_PTX 218;
    INVALID_HANDLE 400;
    NOT_FOUND 500;
    NOT_READY 600;
    ILLEGAL_ADDRESS 700;
    CONTEXT_IS_DESTROYED 709;
    MISALIGNED_ADDRESS 716;
    LAUNCH_FAILED 719;
    NOT_SUPPORTED 801;
    UNKNOWN 999;
}

impl Status {
    /// Nothing on the device works after it, in the whole process.
    pub(crate) fn is_sticky(self) -> bool {
        matches!(
            self,
            Self::ILLEGAL_ADDRESS | Self::MISALIGNED_ADDRESS | Self::LAUNCH_FAILED
        )
    }
}
