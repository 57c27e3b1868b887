//! Pictures brought to a size that was asked for.

use trickle_media::VideoFrame;
use trickle_media::convert::CoverScaler;
use trickle_media::error::FrameError;
use trickle_media::frame::Image;

/// Scales frames to cover a size and crops them around the centre; keeps what it has worked out
/// for the size before.
#[derive(Default)]
pub(crate) struct Scaler {
    open: Option<((usize, usize), CoverScaler)>,
}

impl Scaler {
    /// The pixels of `frame` at `size`, columns first.
    pub(crate) fn fit(
        &mut self,
        frame: &VideoFrame,
        size: (usize, usize),
    ) -> Result<Image, FrameError> {
        let scaler = match &mut self.open {
            Some((open, scaler)) if *open == size => scaler,
            open => &mut open.insert((size, CoverScaler::new(size.0, size.1)?)).1,
        };
        match frame.image() {
            Image::Planar(image) => scaler.planar(image, frame.pool()).map(Image::Planar),
            Image::Tensor(tensor) => scaler.tensor(tensor, frame.pool()).map(Image::Tensor),
            Image::Device(image) => image.cover_crop(size.0, size.1).map(Image::Device),
        }
    }
}
