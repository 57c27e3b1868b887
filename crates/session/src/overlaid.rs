//! The overlay over a frame, wherever its pixels are.

use std::time::Duration;

use trickle_media::convert::tensor_to_planar;
use trickle_media::error::FrameError;
use trickle_media::frame::{Image, PixelFormat};
use trickle_media::{Overlay, TimeBase, VideoFrame};

/// The overlay moves by the picture's time.
const NANOS: TimeBase = TimeBase::per_second(1_000_000_000);

/// The frame with the overlay drawn over it, as planes.
pub(crate) fn overlaid(frame: VideoFrame, overlay: &Overlay) -> Result<VideoFrame, FrameError> {
    let frame = frame.to_host()?;
    let (pts, color, times) = (frame.pts(), frame.color(), *frame.times());
    let pool = frame.pool().clone();
    let mut image = match frame.into_image() {
        Image::Planar(image) => image,
        Image::Tensor(tensor) => tensor_to_planar(&tensor, PixelFormat::I420, color, &pool)?,
        Image::Device(image) => {
            return Err(FrameError::OnDevice {
                device: image.device().to_owned(),
            });
        }
    };
    let at = Duration::from_nanos(pts.in_base(NANOS).try_into().unwrap_or(0));
    overlay.draw(&mut image, color, at);
    let mut frame = VideoFrame::new(Image::Planar(image), pts, color, pool);
    *frame.times_mut() = times;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ms, picture};

    #[test]
    fn an_overlay_is_drawn_into_the_planes_of_any_frame() {
        let overlay = Overlay::new("Loading");
        let planar = picture(ms(400), (64, 48));
        let mut tensor = planar.clone();
        tensor = tensor.map_tensor(|_, _| ()).unwrap();
        for frame in [planar, tensor] {
            let shown = overlaid(frame.clone(), &overlay).unwrap();
            let (Image::Planar(before), Image::Planar(after)) = (
                picture(ms(400), (64, 48)).into_image(),
                shown.image().clone(),
            ) else {
                panic!("planes");
            };
            assert_ne!(before.as_bytes(), after.as_bytes());
            assert_eq!(shown.pts(), frame.pts());
        }
    }
}
