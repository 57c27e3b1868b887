//! Pictures in device memory.

use std::any::Any;
use std::fmt;
use std::ptr;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use trickle_media::frame::dlpack::ManagedTensor;
use trickle_media::frame::{
    ColorMap, DeviceImage, FramePool, HostImage, MAX_SIDE, PixelFormat, PlanarImage, Tensor,
};
use trickle_media::{ColorDescription, FrameError, VideoFrame};

use crate::device::Shared;
use crate::dl::{CuStream, MemoryType, Side};
use crate::error::GpuError;
use crate::kernels::{Nv12View, TensorView};
use crate::pool::{Buffer, Event};
use crate::stream::Stream;
use crate::worker::Job;

/// What the memory of a [`CudaImage`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// 8-bit 4:2:0 as decoders give and encoders take it: rows of luma, `pitch` bytes apart,
    /// then rows of chroma pairs, as far apart. Chroma starts at row `(height + 1) & !1`.
    Nv12 {
        /// Bytes from one row to the next.
        pitch: usize,
    },
    /// f32 `[height, width, channels]`, packed; RGB in [0, 1] for three channels.
    Tensor {
        /// Values per pixel: 1, 3 or 4.
        channels: usize,
    },
}

/// Rows start at multiples of this; the encoder and the texture units like it.
const PITCH: usize = 256;

impl Layout {
    /// NV12 with rows as the encoder and the texture units like them.
    pub fn nv12(width: usize) -> Self {
        Self::Nv12 {
            pitch: width.next_multiple_of(2).next_multiple_of(PITCH),
        }
    }

    fn bytes(self, width: usize, height: usize) -> usize {
        match self {
            Self::Nv12 { pitch } => pitch * (chroma_row(height) + height.div_ceil(2)),
            Self::Tensor { channels } => 4 * width * height * channels,
        }
    }
}

/// Row of the buffer at which chroma starts.
fn chroma_row(height: usize) -> usize {
    height.next_multiple_of(2)
}

/// A picture in the memory of a CUDA device, and the event that makes it ready.
///
/// Whoever reads it orders its work after [`ready`](Self::ready) and tells the image of it, which
/// the operations of [`Stream`] do by themselves and [`Stream::read`] does for others. The memory
/// goes back to the device's pool when the image is dropped, and is written again only after all
/// work that was told of.
pub struct CudaImage {
    layout: Layout,
    width: usize,
    height: usize,
    // Always `Some` until drop, which hands it to the buffer.
    ready: Option<Event>,
    /// The last work of each stream that reads the picture, by the stream's id.
    readers: Mutex<Vec<(u64, Event)>>,
    buffer: Buffer,
    /// Where work on the picture is done, unless it is given to another stream.
    stream: Stream,
}

impl CudaImage {
    /// A picture whose content the stream is about to write; [`finish`](Self::finish) must
    /// follow. The context is current.
    pub(crate) fn uninit(
        layout: Layout,
        width: usize,
        height: usize,
        stream: &Stream,
    ) -> Result<Self, GpuError> {
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(FrameError::Size { width, height }.into());
        }
        let bytes = layout.bytes(width, height);
        Ok(Self {
            layout,
            width,
            height,
            ready: None,
            readers: Mutex::default(),
            buffer: Buffer::take(stream.shared(), bytes, stream.handle())?,
            stream: stream.clone(),
        })
    }

    /// Another library's memory as a picture, ready when the stream has done what it has to do
    /// now. The context is current.
    pub(crate) fn foreign(
        layout: Layout,
        width: usize,
        height: usize,
        tensor: ManagedTensor,
        jobs: Sender<Job>,
        stream: &Stream,
    ) -> Result<Self, GpuError> {
        let mut image = Self {
            layout,
            width,
            height,
            ready: None,
            readers: Mutex::default(),
            buffer: Buffer::foreign(stream.shared(), tensor, jobs),
            stream: stream.clone(),
        };
        image.finish(stream)?;
        Ok(image)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        self.buffer.shared()
    }

    /// Whether the memory is another library's, which is not to be written.
    pub(crate) fn is_foreign(&self) -> bool {
        self.buffer.is_foreign()
    }

    /// The picture is ready when the stream has done what it has to do now.
    pub(crate) fn finish(&mut self, stream: &Stream) -> Result<(), GpuError> {
        match &self.ready {
            Some(ready) => ready.record_again(stream.handle()),
            None => {
                self.ready = Some(Event::record(self.buffer.shared(), stream.handle())?);
                Ok(())
            }
        }
    }

    /// The CUDA picture of a frame whose pixels are in device memory of this crate.
    pub fn of_frame(frame: &VideoFrame) -> Option<&Self> {
        match frame.image() {
            trickle_media::frame::Image::Device(image) => image.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// The stream that the picture's own operations are done in (those of [`DeviceImage`]): that
    /// which made it, or the session's for a decoded picture.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Its operations are done in `stream` from now on.
    pub(crate) fn with_stream(self, stream: &Stream) -> Self {
        let mut image = self;
        image.stream = stream.clone();
        image
    }

    /// What the memory holds.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Device address of the first byte (`CUdeviceptr`).
    pub fn address(&self) -> u64 {
        self.buffer.address()
    }

    /// The event (`CUevent`) after which the picture may be read, for `cuStreamWaitEvent`.
    pub fn ready(&self) -> *mut std::ffi::c_void {
        self.ready.as_ref().map_or(ptr::null_mut(), Event::handle)
    }

    /// As kernels see it; `None` for tensors.
    pub fn nv12(&self) -> Option<Nv12View> {
        let Layout::Nv12 { pitch } = self.layout else {
            return None;
        };
        // Sides are at most `MAX_SIDE`: everything fits 32 bits.
        Some(Nv12View {
            luma: self.address(),
            chroma: self.address() + (pitch * chroma_row(self.height)) as u64,
            luma_pitch: pitch as u32,
            chroma_pitch: pitch as u32,
            width: self.width as u32,
            height: self.height as u32,
        })
    }

    /// As kernels see it; `None` for NV12.
    pub fn tensor(&self) -> Option<TensorView> {
        let Layout::Tensor { channels } = self.layout else {
            return None;
        };
        Some(TensorView {
            data: self.address(),
            width: self.width as u32,
            height: self.height as u32,
            channels: channels as u32,
        })
    }

    /// Row of the memory at which chroma starts.
    pub(crate) fn chroma_row(&self) -> usize {
        chroma_row(self.height)
    }

    /// The memory from row `first` on, as an end of a copy.
    pub(crate) fn rows(&self, first: usize) -> Side {
        let pitch = match self.layout {
            Layout::Nv12 { pitch } => pitch,
            Layout::Tensor { channels } => 4 * self.width * channels,
        };
        Side {
            x_bytes: 0,
            y: first,
            memory: MemoryType::Device,
            host: ptr::null_mut(),
            device: self.address(),
            array: ptr::null_mut(),
            pitch,
        }
    }

    /// The stream goes on when the picture is ready.
    pub(crate) fn before_read(&self, stream: CuStream) -> Result<(), GpuError> {
        self.ready
            .as_ref()
            .map_or(Ok(()), |ready| ready.delay(stream))
    }

    /// The picture's memory stays as it is until the stream has done what it has to do now.
    pub(crate) fn after_read(&self, id: u64, stream: CuStream) -> Result<(), GpuError> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        match readers.iter().find(|(reader, _)| *reader == id) {
            Some((_, event)) => event.record_again(stream),
            None => {
                let event = Event::record(self.buffer.shared(), stream)?;
                readers.push((id, event));
                Ok(())
            }
        }
    }

    /// The stream goes on when the picture is ready and nobody reads it any more.
    pub(crate) fn before_write(&mut self, stream: CuStream) -> Result<(), GpuError> {
        self.before_read(stream)?;
        let readers = self
            .readers
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        readers
            .iter()
            .try_for_each(|(_, event)| event.delay(stream))
    }

    /// In words.
    pub(crate) fn kind(&self) -> String {
        match self.layout {
            Layout::Nv12 { .. } => "an NV12 picture".to_owned(),
            Layout::Tensor { channels } => format!("a tensor of {channels} channels"),
        }
    }

    fn bring(&self, pool: &FramePool) -> Result<HostImage, GpuError> {
        match self.layout {
            Layout::Nv12 { .. } => {
                let mut planar =
                    PlanarImage::new(PixelFormat::Nv12, self.width, self.height, &pool.bytes)?;
                self.stream.download_planar(self, &mut planar)?;
                Ok(HostImage::Planar(planar))
            }
            Layout::Tensor { channels } => {
                let mut tensor = Tensor::uninit(self.height, self.width, channels, &pool.floats)?;
                self.stream.download_tensor(self, &mut tensor)?;
                Ok(HostImage::Tensor(tensor))
            }
        }
    }

    /// An error as frames have it.
    fn failed(&self, error: GpuError) -> FrameError {
        match error {
            GpuError::Frame(error) => error,
            error => FrameError::Device {
                device: self.device().to_owned(),
                detail: error.to_string(),
            },
        }
    }

    /// A result as frames have it.
    fn shown(
        &self,
        image: Result<CudaImage, GpuError>,
    ) -> Result<Arc<dyn DeviceImage>, FrameError> {
        match image {
            Ok(image) => Ok(Arc::new(image)),
            Err(error) => Err(self.failed(error)),
        }
    }
}

impl DeviceImage for CudaImage {
    fn device(&self) -> &str {
        self.buffer.shared().name()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn height(&self) -> usize {
        self.height
    }

    fn channels(&self) -> Option<usize> {
        match self.layout {
            Layout::Nv12 { .. } => None,
            Layout::Tensor { channels } => Some(channels),
        }
    }

    fn download(&self, pool: &FramePool) -> Result<HostImage, FrameError> {
        self.bring(pool).map_err(|error| self.failed(error))
    }

    fn to_rgb(&self, color: ColorDescription) -> Result<Arc<dyn DeviceImage>, FrameError> {
        self.shown(self.stream.to_rgb(self, color))
    }

    fn to_planes(&self, color: ColorDescription) -> Result<Arc<dyn DeviceImage>, FrameError> {
        self.shown(self.stream.to_nv12(self, color))
    }

    fn cover_crop(&self, width: usize, height: usize) -> Result<Arc<dyn DeviceImage>, FrameError> {
        self.shown(self.stream.scale_cover_crop(self, width, height))
    }

    fn map_colors(&self, map: &ColorMap) -> Result<Arc<dyn DeviceImage>, FrameError> {
        self.shown(self.stream.map_colors(self, map))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for CudaImage {
    fn drop(&mut self) {
        let readers = self
            .readers
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        // Without `ready` the write was never finished, and what the buffer already waits for
        // stays with it.
        if let Some(ready) = self.ready.take() {
            let readers = readers.drain(..).map(|(_, event)| event);
            self.buffer.used_until(readers.chain([ready]));
        }
    }
}

impl fmt::Debug for CudaImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CudaImage")
            .field("device", &self.buffer.shared().name())
            .field("width", &self.width)
            .field("height", &self.height)
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}
