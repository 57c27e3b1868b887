//! One launch of a kernel: which, over what grid, with what parameters.

use thiserror::Error;
use trickle_media::convert::reference::Coefficients;
use trickle_media::frame::ColorMap;

use super::Module;
use super::params::Params;
use super::view::{Nv12View, OverlayView, TensorView, Window};

/// Threads of a block in x, y, z: 32 columns, so that a warp reads neighbours, in 8 rows.
pub const BLOCK: [u32; 3] = [32, 8, 1];

/// The largest factor by which a side shrinks or grows. It bounds what one thread reads.
const MAX_STEP: f32 = 32.0;

/// A kernel with its grid and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    module: Module,
    kernel: &'static str,
    grid: [u32; 3],
    params: Params,
}

/// A call whose views do not fit the kernel, or each other.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum CallError {
    /// A side is zero or too long.
    #[error("{what}: {width}×{height} is not a size")]
    Size {
        /// Which view.
        what: &'static str,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Source and destination must have one size.
    #[error("{destination:?} is not the size of the source, {source_size:?}")]
    SizesDiffer {
        /// Columns and rows of the source.
        source_size: (u32, u32),
        /// Columns and rows of the destination.
        destination: (u32, u32),
    },
    /// Rows overlap.
    #[error("{what}: a pitch of {pitch} bytes is shorter than a row of {row}")]
    Pitch {
        /// Which view.
        what: &'static str,
        /// Pitch in bytes.
        pitch: u32,
        /// Bytes of a row.
        row: u32,
    },
    /// The kernel does not take that number of channels.
    #[error("{what}: {channels} channels")]
    Channels {
        /// Which view.
        what: &'static str,
        /// Values per pixel.
        channels: u32,
    },
    /// Null, or no multiple of the sample's size.
    #[error("{what}: address {address:#x}")]
    Address {
        /// Which view.
        what: &'static str,
        /// The address.
        address: u64,
    },
    /// A step is outside of 1/32 to 32, or an edge is not a finite number.
    #[error("a window's {field} cannot be {value}")]
    Window {
        /// Field of [`Window`].
        field: &'static str,
        /// Its value.
        value: f32,
    },
}

impl Call {
    /// RGB of a picture: `dst` has its size and three channels. The formula is that of
    /// [`trickle_media::convert::reference`], bit for bit.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn nv12_to_rgb(
        src: &Nv12View,
        dst: &TensorView,
        k: &Coefficients,
    ) -> Result<Self, CallError> {
        src.check("source")?;
        dst.check("destination", &[3])?;
        same_size((src.width, src.height), (dst.width, dst.height))?;
        Ok(
            Self::new(Module::Convert, "nv12_to_rgb", (dst.width, dst.height))
                .nv12(src)
                .tensor(dst)
                .coefficients(k),
        )
    }

    /// The picture of a tensor of 1, 3 or 4 channels; `dst` has its size. The formula is that of
    /// [`trickle_media::convert::reference`], bit for bit.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn rgb_to_nv12(
        src: &TensorView,
        dst: &Nv12View,
        k: &Coefficients,
    ) -> Result<Self, CallError> {
        src.check("source", &[1, 3, 4])?;
        dst.check("destination")?;
        same_size((src.width, src.height), (dst.width, dst.height))?;
        Ok(
            Self::new(Module::Convert, "rgb_to_nv12", blocks_of_two(dst))
                .tensor(src)
                .nv12(dst)
                .coefficients(k),
        )
    }

    /// A part of a picture, resized, as RGB, in one step.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn nv12_to_rgb_resized(
        src: &Nv12View,
        window: &Window,
        dst: &TensorView,
        k: &Coefficients,
    ) -> Result<Self, CallError> {
        src.check("source")?;
        dst.check("destination", &[3])?;
        check_window(window)?;
        Ok(Self::new(
            Module::Resize,
            "nv12_to_rgb_resized",
            (dst.width, dst.height),
        )
        .nv12(src)
        .window(window)
        .tensor(dst)
        .coefficients(k))
    }

    /// A part of a picture, resized.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn resize_nv12(src: &Nv12View, window: &Window, dst: &Nv12View) -> Result<Self, CallError> {
        src.check("source")?;
        dst.check("destination")?;
        check_window(window)?;
        Ok(Self::new(Module::Resize, "resize_nv12", blocks_of_two(dst))
            .nv12(src)
            .window(window)
            .nv12(dst))
    }

    /// A part of a tensor, resized; both have the same channels.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn resize_tensor(
        src: &TensorView,
        window: &Window,
        dst: &TensorView,
    ) -> Result<Self, CallError> {
        src.check("source", &[1, 3, 4])?;
        dst.check("destination", &[src.channels])?;
        check_window(window)?;
        Ok(
            Self::new(Module::Resize, "resize_tensor", (dst.width, dst.height))
                .tensor(src)
                .window(window)
                .tensor(dst),
        )
    }

    /// Blends an overlay into a tensor of 3 or 4 channels, in place; what lies outside of the
    /// frame is left out.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn overlay_tensor(frame: &TensorView, overlay: &OverlayView) -> Result<Self, CallError> {
        frame.check("frame", &[3, 4])?;
        overlay.check()?;
        Ok(Self::new(
            Module::Overlay,
            "overlay_tensor",
            (overlay.width, overlay.height),
        )
        .tensor(frame)
        .overlay(overlay))
    }

    /// Blends an overlay into a picture, in place; what lies outside of the frame is left out. A
    /// chroma pair becomes the mean of its four pixels' blends.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn overlay_nv12(
        frame: &Nv12View,
        overlay: &OverlayView,
        k: &Coefficients,
    ) -> Result<Self, CallError> {
        frame.check("frame")?;
        overlay.check()?;
        // An overlay at an odd place touches one pair more than half its columns.
        let pairs = |length: u32| length / 2 + 1;
        Ok(Self::new(
            Module::Overlay,
            "overlay_nv12",
            (pairs(overlay.width), pairs(overlay.height)),
        )
        .nv12(frame)
        .overlay(overlay)
        .coefficients(k))
    }

    /// A tensor whose colours are those of `src`, each taken through `map`; `dst` has its size and
    /// channels, and may be the same memory.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn map_colors(
        src: &TensorView,
        dst: &TensorView,
        map: &ColorMap,
    ) -> Result<Self, CallError> {
        src.check("source", &[1, 3, 4])?;
        dst.check("destination", &[src.channels])?;
        same_size((src.width, src.height), (dst.width, dst.height))?;
        Ok(
            Self::new(Module::Color, "map_colors", (dst.width, dst.height))
                .tensor(src)
                .tensor(dst)
                .floats(map.weights.as_flattened())
                .floats(&map.offset),
        )
    }

    /// The module that the kernel is in.
    pub fn module(&self) -> Module {
        self.module
    }

    /// Name of the kernel.
    pub fn kernel(&self) -> &'static str {
        self.kernel
    }

    /// Blocks in x, y, z; each has the threads of [`BLOCK`].
    pub fn grid(&self) -> [u32; 3] {
        self.grid
    }

    /// The parameters, one after another as the device lays them out.
    pub fn params(&self) -> &[u8] {
        self.params.bytes()
    }

    fn new(module: Module, kernel: &'static str, threads: (u32, u32)) -> Self {
        Self {
            module,
            kernel,
            grid: [
                threads.0.div_ceil(BLOCK[0]),
                threads.1.div_ceil(BLOCK[1]),
                1,
            ],
            params: Params::new(),
        }
    }

    fn with(self, add: impl FnOnce(Params) -> Params) -> Self {
        Self {
            params: add(self.params),
            ..self
        }
    }

    fn ints<const N: usize>(self, values: [u32; N]) -> Self {
        self.with(|params| params.ints(&values))
    }

    fn address(self, address: u64) -> Self {
        self.with(|params| params.address(address))
    }

    fn floats(self, values: &[f32]) -> Self {
        self.with(|params| params.floats(values))
    }

    fn nv12(self, view: &Nv12View) -> Self {
        self.address(view.luma).address(view.chroma).ints([
            view.luma_pitch,
            view.chroma_pitch,
            view.width,
            view.height,
        ])
    }

    fn tensor(self, view: &TensorView) -> Self {
        self.address(view.data)
            .ints([view.width, view.height, view.channels, 0])
    }

    fn overlay(self, view: &OverlayView) -> Self {
        self.address(view.data)
            .ints([view.pitch, view.width, view.height, view.x, view.y, 0])
    }

    fn window(self, window: &Window) -> Self {
        self.floats(&[window.left, window.top, window.step_x, window.step_y])
    }

    fn coefficients(self, k: &Coefficients) -> Self {
        self.floats(&[k.luma_offset, k.luma_scale])
            .floats(&k.cb_to_rgb)
            .floats(&k.cr_to_rgb)
            .floats(&k.rgb_to_y)
            .floats(&k.rgb_to_cb)
            .floats(&k.rgb_to_cr)
    }
}

fn blocks_of_two(view: &Nv12View) -> (u32, u32) {
    (view.width.div_ceil(2), view.height.div_ceil(2))
}

fn same_size(source: (u32, u32), destination: (u32, u32)) -> Result<(), CallError> {
    if source == destination {
        Ok(())
    } else {
        Err(CallError::SizesDiffer {
            source_size: source,
            destination,
        })
    }
}

fn check_window(window: &Window) -> Result<(), CallError> {
    let step = 1.0 / MAX_STEP..=MAX_STEP;
    for (field, value, fits) in [
        ("step_x", window.step_x, step.contains(&window.step_x)),
        ("step_y", window.step_y, step.contains(&window.step_y)),
        ("left", window.left, window.left.is_finite()),
        ("top", window.top, window.top.is_finite()),
    ] {
        if !fits {
            return Err(CallError::Window { field, value });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "call_test.rs"]
mod tests;
