//! The processor: on the device where frames are there, else on the host.

use std::sync::Arc;

use trickle_gpu::kernels::Params as KernelParams;
use trickle_gpu::{Code, CudaImage, GpuError};
use trickle_processor::{
    FrameError, FrameProcessor, Params, ParamsError, ProcessorError, VideoFrame,
};

/// The kernel, compiled from `vignette.cu`.
const PTX: &str = include_str!("vignette.ptx");
/// Threads of a block.
const BLOCK: [u32; 3] = [32, 8, 1];

/// Darkens the picture towards its edges. Parameter: `strength`, in [0, 1]; it starts with 0.6.
#[derive(Clone, Debug)]
pub struct Vignette {
    strength: f32,
    /// Loaded with the first frame that is on a device.
    code: Option<Arc<Code>>,
}

impl Default for Vignette {
    fn default() -> Self {
        Self {
            strength: 0.6,
            code: None,
        }
    }
}

impl FrameProcessor for Vignette {
    fn takes_device_frames(&self) -> bool {
        true
    }

    async fn process_video(
        &mut self,
        frame: VideoFrame,
    ) -> Result<Option<VideoFrame>, ProcessorError> {
        if frame.device().is_none() {
            return Ok(Some(self.on_host(frame)?));
        }
        // RGB f32, on the device: planes are converted there.
        let tensor = frame.device_tensor()?;
        let Some(image) = tensor.as_any().downcast_ref::<CudaImage>() else {
            // A device that is not CUDA's.
            return Ok(Some(self.on_host(frame.to_host()?)?));
        };
        let darker = self.on_device(image).map_err(|error| FrameError::Device {
            device: tensor.device().to_owned(),
            detail: error.to_string(),
        })?;
        Ok(Some(frame.replace_device_tensor(Arc::new(darker))))
    }

    fn update_params(&mut self, params: &Params) -> Result<(), ParamsError> {
        if let Some(strength) = params.number_in("strength", 0.0..=1.0)? {
            self.strength = strength as f32;
        }
        Ok(())
    }
}

impl Vignette {
    /// Gives the device its work, and does not wait for it.
    fn on_device(&mut self, image: &CudaImage) -> Result<CudaImage, GpuError> {
        // Where work on this picture is done, in order.
        let stream = image.stream();
        if self.code.is_none() {
            self.code = Some(Arc::new(Code::load(&stream.gpu(), PTX)?));
        }
        let view = image.tensor().ok_or_else(|| GpuError::Kind {
            operation: "a vignette",
            wanted: "a tensor",
            got: "an NV12 picture".to_owned(),
        })?;
        let (width, height) = (view.width as usize, view.height as usize);
        let grid = [
            view.width.div_ceil(BLOCK[0]),
            view.height.div_ceil(BLOCK[1]),
            1,
        ];
        let (code, strength) = (self.code.as_ref(), self.strength);
        // Memory from the device's pool, ready once this stream has written it …
        stream.produce(image.layout(), width, height, |out| {
            // … from a picture that is waited for, and kept until it has been read.
            stream.read(image, || {
                let params = KernelParams::new()
                    .address(image.address())
                    .address(out.address())
                    .ints(&[view.width, view.height, view.channels])
                    .floats(&[strength]);
                // SAFETY: the kernel takes these and stays within the two pictures, which have
                // one size and one number of channels.
                code.map_or(Ok(()), |code| unsafe {
                    code.launch(stream, c"vignette", grid, BLOCK, &params)
                })
            })
        })
    }

    /// The same formula, in the same order.
    fn on_host(&self, frame: VideoFrame) -> Result<VideoFrame, FrameError> {
        let strength = self.strength;
        frame.map_tensor(|values, [height, width, channels]| {
            let from_centre =
                |at: usize, length: usize| (at as f32 + 0.5) / length as f32 * 2.0 - 1.0;
            for (at, pixel) in values.chunks_exact_mut(channels).enumerate() {
                let dx = from_centre(at % width, width);
                let dy = from_centre(at / width, height);
                let kept = 1.0 - strength * ((dx * dx + dy * dy) * 0.5);
                pixel.iter_mut().take(3).for_each(|value| *value *= kept);
            }
        })
    }
}
