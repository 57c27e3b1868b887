//! Pictures in device memory handed to and taken from other libraries, by the DLPack protocol.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use trickle_media::frame::DeviceImage;
use trickle_media::frame::dlpack::{DataType, Device, DlpackError, ManagedTensor};

use crate::error::GpuError;
use crate::image::{CudaImage, Layout};
use crate::stream::Stream;
use crate::worker::Job;

/// Keeps an exported picture; what is let go of goes to the device's own thread.
struct Lent {
    image: Option<Arc<CudaImage>>,
    jobs: Sender<Job>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(image) = self.image.take() {
            // The thread lives as long as the device, which the picture holds.
            let _ = self.jobs.send(Job::Returned(image));
        }
    }
}

impl CudaImage {
    /// The picture for another library, which shares its memory and must not write to it: a
    /// tensor as it is; an NV12 picture as two tensors of bytes, luma `[height, width]` and chroma
    /// `[(height + 1) / 2, (width + 1) / 2, 2]`, both with rows further apart than they are long.
    ///
    /// Work that the consumer gives `consumer` from now on finds the picture ready. When it lets
    /// go of a tensor its work may still be under way: the memory is used again only after
    /// everything that the device's context had to do then is done.
    ///
    /// # Errors
    /// [`GpuError`].
    pub fn to_dlpack(self: &Arc<Self>, consumer: &Stream) -> Result<Vec<ManagedTensor>, GpuError> {
        let jobs = self.shared().jobs()?;
        let _entered = self.shared().enter()?;
        self.before_read(consumer.handle())?;
        let (width, height) = (self.width(), self.height());
        let lend = |address: u64, dtype, shape: &[usize], strides: &[usize]| {
            let owner = Lent {
                image: Some(Arc::clone(self)),
                jobs: jobs.clone(),
            };
            let data = std::ptr::without_provenance_mut(address as usize);
            let device = Device::cuda(self.shared().index());
            // SAFETY: the memory is the picture's, which `owner` holds. Nobody writes to a
            // picture that is shared: `Stream::overlay` takes the only handle there is.
            unsafe { ManagedTensor::export(data, device, dtype, shape, strides, Box::new(owner)) }
        };
        Ok(match self.layout() {
            Layout::Tensor { channels } => vec![lend(
                self.address(),
                DataType::F32,
                &[height, width, channels],
                &[width * channels, channels, 1],
            )],
            Layout::Nv12 { pitch } => {
                let chroma = self.address() + (pitch * self.chroma_row()) as u64;
                vec![
                    lend(self.address(), DataType::U8, &[height, width], &[pitch, 1]),
                    lend(
                        chroma,
                        DataType::U8,
                        &[height.div_ceil(2), width.div_ceil(2), 2],
                        &[pitch, 2, 1],
                    ),
                ]
            }
        })
    }
}

impl Stream {
    /// A tensor of another library as a picture, without a copy: packed f32 `[height, width,
    /// channels]`, or `[height, width]` for one channel, on this device. The producer's work on it
    /// must come before this stream's, which is what it was told this stream's handle for
    /// (`__dlpack__(stream=…)`). It is given back when the picture is dropped and all work on it is
    /// done.
    ///
    /// # Errors
    /// [`GpuError::Dlpack`] for what is no picture or elsewhere, and the device's.
    pub fn import_dlpack(&self, tensor: ManagedTensor) -> Result<CudaImage, GpuError> {
        let shared = self.shared();
        let wanted = Device::cuda(shared.index());
        let Device { kind, id } = tensor.raw().device;
        if tensor.raw().device != wanted {
            return Err(DlpackError::Device {
                kind,
                id,
                wanted: shared.name().to_owned(),
            }
            .into());
        }
        let [height, width, channels] = tensor.picture()?;
        let packed = [width * channels, channels, 1].map(|stride| stride as i64);
        // A side of one has no stride to speak of.
        let matches = tensor
            .strides()
            .iter()
            .zip(packed)
            .zip(tensor.shape())
            .all(|((&stride, packed), length)| length == 1 || stride == packed);
        if !matches {
            return Err(DlpackError::Memory("its values are not packed").into());
        }
        let jobs = shared.jobs()?;
        let _entered = shared.enter()?;
        CudaImage::foreign(
            Layout::Tensor { channels },
            width,
            height,
            tensor,
            jobs,
            self,
        )
    }
}
