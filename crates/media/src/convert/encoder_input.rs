//! Pictures as software encoders take them: I420 with even sides.

use super::tensor_to_planar;
use crate::coder::VideoEncoderSettings;
use crate::error::FrameError;
use crate::frame::{Image, PixelFormat, PlanarImage, Pool, VideoFrame};

/// The pixels of a frame in host memory as I420 with even sides: an odd side gains a copy of its
/// last column or row. A picture that is that already is not copied.
///
/// # Errors
/// [`FrameError::OtherSize`] for a frame of another size than the settings', [`FrameError::OnDevice`]
/// for one in device memory.
pub fn encoder_input(
    frame: &VideoFrame,
    settings: &VideoEncoderSettings,
) -> Result<PlanarImage, FrameError> {
    let pool = frame.pool();
    let (width, height) = (frame.width(), frame.height());
    let expected = (settings.width as usize, settings.height as usize);
    if (width, height) != expected {
        return Err(FrameError::OtherSize {
            width,
            height,
            expected_width: expected.0,
            expected_height: expected.1,
        });
    }
    let planar = match frame.image() {
        Image::Planar(image) => image.clone(),
        Image::Tensor(tensor) => tensor_to_planar(tensor, PixelFormat::I420, settings.color, pool)?,
        Image::Device(image) => {
            return Err(FrameError::OnDevice {
                device: image.device().to_owned(),
            });
        }
    };
    even_i420(planar, &pool.bytes)
}

/// `image` as I420 with even sides. A picture that is that already is not copied; an odd side
/// gains a copy of its last column or row.
///
/// A 4:2:0 stream cannot be cropped to an odd side (ITU-T H.264, 7.4.2.1.1: cropping is counted in
/// chroma samples), so the copy is shown.
fn even_i420(image: PlanarImage, pool: &Pool<u8>) -> Result<PlanarImage, FrameError> {
    let (width, height) = (image.width(), image.height());
    let (even_width, even_height) = (width.next_multiple_of(2), height.next_multiple_of(2));
    if image.format() == PixelFormat::I420 && (width, height) == (even_width, even_height) {
        return Ok(image);
    }
    let mut even = PlanarImage::new(PixelFormat::I420, even_width, even_height, pool)?;
    let [luma, u, v] = even.planes_mut();
    for (row, to) in luma.chunks_exact_mut(even_width).enumerate() {
        let start = row.min(height - 1) * width;
        let from = &image.plane(0)[start..start + width];
        to[..width].copy_from_slice(from);
        to[width..].fill(from[width - 1]);
    }
    // An odd side's last chroma sample covers the copy too.
    match image.format() {
        PixelFormat::I420 => {
            u.copy_from_slice(image.plane(1));
            v.copy_from_slice(image.plane(2));
        }
        PixelFormat::Nv12 => {
            for ((u, v), pair) in u.iter_mut().zip(v).zip(image.plane(1).chunks_exact(2)) {
                (*u, *v) = (pair[0], pair[1]);
            }
        }
    }
    Ok(even)
}

#[cfg(test)]
#[path = "encoder_input_test.rs"]
mod tests;
