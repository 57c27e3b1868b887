use std::any::Any;
use std::sync::Arc;

use super::*;
use crate::convert::tensor_to_planar;
use crate::frame::{ColorMap, HostImage, PixelFormat, PlanarImage};

/// A device whose tensors must not be brought to the host.
#[derive(Debug)]
enum Fake {
    Tensor(Tensor),
    Planes(PlanarImage),
}

impl DeviceImage for Fake {
    fn device(&self) -> &str {
        "fake:0"
    }

    fn width(&self) -> usize {
        match self {
            Self::Tensor(tensor) => tensor.shape()[1],
            Self::Planes(planes) => planes.width(),
        }
    }

    fn height(&self) -> usize {
        match self {
            Self::Tensor(tensor) => tensor.shape()[0],
            Self::Planes(planes) => planes.height(),
        }
    }

    fn channels(&self) -> Option<usize> {
        match self {
            Self::Tensor(tensor) => Some(tensor.shape()[2]),
            Self::Planes(_) => None,
        }
    }

    fn download(&self, _: &FramePool) -> Result<HostImage, FrameError> {
        match self {
            Self::Tensor(_) => panic!("a tensor comes down"),
            Self::Planes(planes) => Ok(HostImage::Planar(planes.clone())),
        }
    }

    fn to_planes(&self, color: ColorDescription) -> Result<Arc<dyn DeviceImage>, FrameError> {
        let Self::Tensor(tensor) = self else {
            panic!("planes are planes");
        };
        let planes = tensor_to_planar(tensor, PixelFormat::Nv12, color, &FramePool::new())?;
        Ok(Arc::new(Self::Planes(planes)))
    }

    fn to_rgb(&self, _: ColorDescription) -> Result<Arc<dyn DeviceImage>, FrameError> {
        unimplemented!()
    }

    fn cover_crop(&self, _: usize, _: usize) -> Result<Arc<dyn DeviceImage>, FrameError> {
        unimplemented!()
    }

    fn map_colors(&self, _: &ColorMap) -> Result<Arc<dyn DeviceImage>, FrameError> {
        unimplemented!()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn frame(image: Image) -> VideoFrame {
    let pts = Timestamp::mpeg(0);
    VideoFrame::new(image, pts, ColorDescription::BT709, FramePool::new())
}

#[test]
fn planes_are_made_where_the_tensor_is() {
    let values = (0..4 * 6 * 3).map(|at| at as f32 / 71.0).collect();
    let tensor = Tensor::from_vec(4, 6, 3, values).unwrap();
    let color = ColorDescription::BT601;
    let expected = tensor_to_planar(&tensor, PixelFormat::Nv12, color, &FramePool::new()).unwrap();

    let on_device = frame(Image::Device(Arc::new(Fake::Tensor(tensor.clone()))));
    let planes_there = frame(Image::Device(Arc::new(Fake::Planes(expected.clone()))));
    for frame in [on_device, planes_there] {
        let brought = frame.to_host_planes(color).unwrap();
        let Image::Planar(planes) = brought.image() else {
            panic!("{brought:?}");
        };
        assert_eq!(planes.as_bytes(), expected.as_bytes());
    }
    // What the host has is left as it is.
    let on_host = frame(Image::Tensor(tensor)).to_host_planes(color).unwrap();
    assert!(matches!(on_host.image(), Image::Tensor(_)));
}
