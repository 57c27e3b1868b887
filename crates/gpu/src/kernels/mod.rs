//! What runs on the device, and the calls of it.
//!
//! The kernels are written in CUDA C++ (`*.cu`, `pixel.cuh`) and committed as PTX, which
//! `build.py` compiles from them without a GPU. The driver turns PTX into machine code when it
//! loads it; version 6.3 for `sm_75` is what every driver since CUDA 10 takes.
//!
//! A [`Call`] is one launch, complete: kernel, grid and parameter bytes. It is checked when it is
//! made, so that no kernel gets a view that reaches outside of its picture.

mod call;
mod params;
mod view;

use std::ffi::CStr;

pub use call::{BLOCK, Call, CallError};
pub use params::Params;
pub use view::{Nv12View, OverlayView, TensorView, Window};

/// PTX text that is loaded as one module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Module {
    /// NV12 to RGB f32 and back.
    Convert,
    /// Resizing.
    Resize,
    /// Blending.
    Overlay,
    /// Linear maps of colours.
    Color,
}

impl Module {
    /// All modules.
    pub const ALL: [Self; 4] = [Self::Convert, Self::Resize, Self::Overlay, Self::Color];

    /// The text, without the zero byte that `cuModuleLoadData` wants at its end.
    pub const fn ptx(self) -> &'static str {
        match self {
            Self::Convert => include_str!("convert.ptx"),
            Self::Resize => include_str!("resize.ptx"),
            Self::Overlay => include_str!("overlay.ptx"),
            Self::Color => include_str!("color.ptx"),
        }
    }

    /// Names of its kernels.
    pub const fn kernels(self) -> &'static [&'static CStr] {
        match self {
            Self::Convert => &[c"nv12_to_rgb", c"rgb_to_nv12"],
            Self::Resize => &[c"nv12_to_rgb_resized", c"resize_nv12", c"resize_tensor"],
            Self::Overlay => &[c"overlay_tensor", c"overlay_nv12"],
            Self::Color => &[c"map_colors"],
        }
    }
}
