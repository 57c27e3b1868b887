//! Pictures in device memory as kernels see them: plain addresses and sizes.

use trickle_media::frame::MAX_SIDE;

use super::call::CallError;

/// An NV12 picture. Addresses are the device's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nv12View {
    /// First luma sample.
    pub luma: u64,
    /// First chroma pair.
    pub chroma: u64,
    /// Bytes from one luma row to the next.
    pub luma_pitch: u32,
    /// Bytes from one chroma row to the next.
    pub chroma_pitch: u32,
    /// Columns of luma.
    pub width: u32,
    /// Rows of luma.
    pub height: u32,
}

/// RGB f32 `[height, width, channels]`, packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorView {
    /// First value.
    pub data: u64,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Values per pixel: 1, 3 or 4.
    pub channels: u32,
}

/// An RGBA picture of 8 bits, straight alpha, placed on a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverlayView {
    /// First pixel.
    pub data: u64,
    /// Bytes from one row to the next.
    pub pitch: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Column of the frame that its left edge lies on.
    pub x: u32,
    /// Row of the frame that its upper edge lies on.
    pub y: u32,
}

/// Which part of a source a resized picture shows: column `x` of the destination has its centre
/// at source column `(x + 0.5) × step_x + left − 0.5`, rows alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Left edge, in source columns.
    pub left: f32,
    /// Upper edge, in source rows.
    pub top: f32,
    /// Source columns per destination column.
    pub step_x: f32,
    /// Source rows per destination row.
    pub step_y: f32,
}

impl Window {
    /// All of the source, stretched if its shape differs.
    pub fn whole(source: (u32, u32), destination: (u32, u32)) -> Self {
        Self {
            left: 0.0,
            top: 0.0,
            step_x: (f64::from(source.0) / f64::from(destination.0)) as f32,
            step_y: (f64::from(source.1) / f64::from(destination.1)) as f32,
        }
    }

    /// The largest centred part of the source that has the destination's shape.
    pub fn cover(source: (u32, u32), destination: (u32, u32)) -> Self {
        let whole = |source, destination| f64::from(source) / f64::from(destination);
        let step = whole(source.0, destination.0).min(whole(source.1, destination.1));
        let rest = |source, destination| (f64::from(source) - f64::from(destination) * step) / 2.0;
        Self {
            left: rest(source.0, destination.0) as f32,
            top: rest(source.1, destination.1) as f32,
            step_x: step as f32,
            step_y: step as f32,
        }
    }
}

impl Nv12View {
    /// Bytes of a chroma row that hold samples.
    fn chroma_bytes(&self) -> u32 {
        2 * self.width.div_ceil(2)
    }

    pub(super) fn check(&self, what: &'static str) -> Result<(), CallError> {
        check_size(what, self.width, self.height)?;
        check_pitch(what, self.luma_pitch, self.width)?;
        check_pitch(what, self.chroma_pitch, self.chroma_bytes())?;
        check_address(what, self.luma, 1)?;
        check_address(what, self.chroma, 1)
    }
}

impl TensorView {
    pub(super) fn check(&self, what: &'static str, channels: &[u32]) -> Result<(), CallError> {
        check_size(what, self.width, self.height)?;
        if !channels.contains(&self.channels) {
            return Err(CallError::Channels {
                what,
                channels: self.channels,
            });
        }
        check_address(what, self.data, 4)
    }
}

impl OverlayView {
    pub(super) fn check(&self) -> Result<(), CallError> {
        check_size("overlay", self.width, self.height)?;
        check_size(
            "overlay's place",
            self.x.saturating_add(1),
            self.y.saturating_add(1),
        )?;
        check_pitch("overlay", self.pitch, 4 * self.width)?;
        check_address("overlay", self.data, 1)
    }
}

fn check_size(what: &'static str, width: u32, height: u32) -> Result<(), CallError> {
    let fits = |side: u32| (1..=MAX_SIDE).contains(&(side as usize));
    if fits(width) && fits(height) {
        Ok(())
    } else {
        Err(CallError::Size {
            what,
            width,
            height,
        })
    }
}

fn check_pitch(what: &'static str, pitch: u32, row: u32) -> Result<(), CallError> {
    if pitch >= row {
        Ok(())
    } else {
        Err(CallError::Pitch { what, pitch, row })
    }
}

fn check_address(what: &'static str, address: u64, align: u64) -> Result<(), CallError> {
    if address != 0 && address.is_multiple_of(align) {
        Ok(())
    } else {
        Err(CallError::Address { what, address })
    }
}
