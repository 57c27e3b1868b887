//! Streams: the order of work on a device, and copies to and from the host.

use std::ffi::c_void;
use std::fmt;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use trickle_media::frame::{DeviceImage, PixelFormat, PlanarImage, Tensor};

use crate::device::{Gpu, Shared};
use crate::dl::{Copy2d, CuFunction, CuStream, MemoryType, Side};
use crate::error::GpuError;
use crate::image::{CudaImage, Layout};
use crate::kernels::{BLOCK, Call};
use crate::pool::Event;

/// `CU_STREAM_NON_BLOCKING`: no hidden order with the default stream.
const NON_BLOCKING: u32 = 1;

/// A stream of a device. Its operations return at once; the device works later, in order.
///
/// Images know which streams use them, so that no operation here ever needs the host to wait,
/// copies from and to it apart. Clones are the same stream; it goes with the last, and with the last image
/// that its work made.
#[derive(Clone)]
pub struct Stream(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    handle: CuStream,
    /// Unlike the handle, never used again.
    id: u64,
    /// Destroyed with the last handle.
    owned: bool,
}

// SAFETY: streams may be used from any thread (CUDA C++ Programming Guide, "Driver API").
unsafe impl Send for Inner {}
// SAFETY: as above; nothing changes behind a shared reference.
unsafe impl Sync for Inner {}

/// A number that no other stream has.
fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Stream {
    pub(crate) fn new(shared: &Arc<Shared>) -> Result<Self, GpuError> {
        let _entered = shared.enter()?;
        let mut handle = ptr::null_mut();
        // SAFETY: a context is current, `handle` writable.
        shared.check("cuStreamCreate", unsafe {
            (shared.cuda().stream_create)(&raw mut handle, NON_BLOCKING)
        })?;
        Ok(Self(Arc::new(Inner {
            shared: Arc::clone(shared),
            handle,
            id: number(),
            owned: true,
        })))
    }

    /// A stream that somebody else destroys, later than this.
    pub(crate) fn adopt(shared: &Arc<Shared>, handle: CuStream) -> Self {
        Self(Arc::new(Inner {
            shared: Arc::clone(shared),
            handle,
            id: number(),
            owned: false,
        }))
    }

    /// `CUstream`, for work of others on it.
    pub fn handle(&self) -> *mut c_void {
        self.0.handle
    }

    /// The device that it is of.
    pub fn gpu(&self) -> Gpu {
        Gpu {
            shared: Arc::clone(&self.0.shared),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Blocks until everything given to the stream so far is done.
    ///
    /// # Errors
    /// [`GpuError`]: also that of work which failed meanwhile.
    pub fn synchronize(&self) -> Result<(), GpuError> {
        let _entered = self.0.shared.enter()?;
        // SAFETY: the stream is open, its context current.
        self.0.shared.check("cuStreamSynchronize", unsafe {
            (self.0.shared.cuda().stream_synchronize)(self.0.handle)
        })
    }

    /// Blocks until everything given to the stream so far is done, and not for what others give it
    /// meanwhile. The context is current.
    fn reach(&self) -> Result<(), GpuError> {
        Event::record(&self.0.shared, self.0.handle)?.synchronize()
    }

    /// Copies a picture to the device. The host's memory may be changed on return.
    ///
    /// # Errors
    /// [`GpuError`].
    pub fn upload(&self, image: &PlanarImage) -> Result<CudaImage, GpuError> {
        let (width, height) = (image.width(), image.height());
        let interleaved;
        let chroma = match image.format() {
            PixelFormat::Nv12 => image.plane(1),
            PixelFormat::I420 => {
                let pairs = image.plane(1).iter().zip(image.plane(2));
                interleaved = pairs.flat_map(|(&u, &v)| [u, v]).collect::<Vec<u8>>();
                &interleaved
            }
        };
        self.bring(Layout::nv12(width), width, height, |uploaded| {
            self.copy(
                from_host(image.plane(0), width),
                uploaded.rows(0),
                width,
                height,
            )?;
            let row = 2 * width.div_ceil(2);
            self.copy(
                from_host(chroma, row),
                uploaded.rows(uploaded.chroma_row()),
                row,
                height.div_ceil(2),
            )
        })
    }

    /// Copies a tensor to the device. The host's memory may be changed on return.
    ///
    /// # Errors
    /// [`GpuError`].
    pub fn upload_tensor(&self, tensor: &Tensor) -> Result<CudaImage, GpuError> {
        let [height, width, channels] = tensor.shape();
        self.bring(Layout::Tensor { channels }, width, height, |uploaded| {
            let row = 4 * width * channels;
            let from = Side {
                memory: MemoryType::Host,
                host: tensor.as_ptr().cast_mut().cast(),
                ..from_host(&[], row)
            };
            self.copy(from, uploaded.rows(0), row, height)
        })
    }

    /// Copies pixels of four bytes to the device, rows packed.
    pub(crate) fn upload_rows(
        &self,
        pixels: &[u8],
        width: usize,
        height: usize,
    ) -> Result<CudaImage, GpuError> {
        // Four bytes a pixel are, for memory, what one float a pixel is.
        self.bring(Layout::Tensor { channels: 1 }, width, height, |uploaded| {
            self.copy(
                from_host(pixels, 4 * width),
                uploaded.rows(0),
                4 * width,
                height,
            )
        })
    }

    /// As [`produce`](Self::produce), from memory of the host's; blocks until it has been read.
    ///
    /// CUDA promises no more than that a copy from pageable memory "might be synchronous": where
    /// devices read the host's memory by themselves, it is not.
    fn bring(
        &self,
        layout: Layout,
        width: usize,
        height: usize,
        fill: impl FnOnce(&CudaImage) -> Result<(), GpuError>,
    ) -> Result<CudaImage, GpuError> {
        let _entered = self.0.shared.enter()?;
        let brought = self.produce(layout, width, height, fill)?;
        self.reach()?;
        Ok(brought)
    }

    /// Copies samples to `planar`, which is NV12 and of the same size; blocks until they arrived.
    pub(crate) fn download_planar(
        &self,
        image: &CudaImage,
        planar: &mut PlanarImage,
    ) -> Result<(), GpuError> {
        let (width, height) = (image.width(), image.height());
        let row = 2 * width.div_ceil(2);
        let [luma, chroma, _] = planar.planes_mut();
        let _entered = self.0.shared.enter()?;
        let copied = image
            .before_read(self.0.handle)
            .and_then(|()| self.copy(image.rows(0), to_host(luma, width), width, height))
            .and_then(|()| {
                self.copy(
                    image.rows(image.chroma_row()),
                    to_host(chroma, row),
                    row,
                    height.div_ceil(2),
                )
            });
        // Also after an error: nothing may write to the host's memory once this returns.
        self.reach().and(copied)
    }

    /// Copies values to `tensor`, which has the same shape; blocks until they arrived.
    pub(crate) fn download_tensor(
        &self,
        image: &CudaImage,
        tensor: &mut Tensor,
    ) -> Result<(), GpuError> {
        let [height, width, channels] = tensor.shape();
        let row = 4 * width * channels;
        let to = Side {
            memory: MemoryType::Host,
            host: tensor.make_mut().as_mut_ptr().cast(),
            ..from_host(&[], row)
        };
        let _entered = self.0.shared.enter()?;
        let copied = image
            .before_read(self.0.handle)
            .and_then(|()| self.copy(image.rows(0), to, row, height));
        self.reach().and(copied)
    }

    /// A picture that `fill` gives this stream the work to write, all of it: until then it holds
    /// whatever its memory's last owner left.
    ///
    /// For work of others, within which the context is current: see [`read`](Self::read).
    ///
    /// # Errors
    /// [`GpuError`], and what `fill` returns.
    pub fn produce(
        &self,
        layout: Layout,
        width: usize,
        height: usize,
        fill: impl FnOnce(&CudaImage) -> Result<(), GpuError>,
    ) -> Result<CudaImage, GpuError> {
        let _entered = self.0.shared.enter()?;
        let mut image = CudaImage::uninit(layout, width, height, self)?;
        match fill(&image).and_then(|()| image.finish(self)) {
            Ok(()) => Ok(image),
            Err(error) => {
                // No event stands for what was begun: the memory goes back when it is over.
                let _ = self.synchronize();
                Err(error)
            }
        }
    }

    /// Reads `image` with work that `read` gives this stream.
    ///
    /// For work of others: `read` may use [`handle`](Self::handle) and the image's
    /// [`address`](CudaImage::address). The context is current within.
    ///
    /// # Errors
    /// [`GpuError`], and what `read` returns.
    pub fn read<T>(
        &self,
        image: &CudaImage,
        read: impl FnOnce() -> Result<T, GpuError>,
    ) -> Result<T, GpuError> {
        let _entered = self.0.shared.enter()?;
        image.before_read(self.0.handle)?;
        let result = read();
        // Also after an error, which may have come in the middle.
        image.after_read(self.0.id, self.0.handle)?;
        result
    }

    /// Launches a kernel. The context is current.
    pub(crate) fn launch(&self, call: &Call) -> Result<(), GpuError> {
        let function = self.0.shared.function(call).ok_or_else(|| GpuError::Cuda {
            call: "cuModuleGetFunction",
            code: 500,
            name: call.kernel().to_owned(),
        })?;
        // SAFETY: the function is loaded and its parameters are as it takes them, which the
        // tests check for every kernel. The views in them lie in memory that stays until the
        // events recorded after this call.
        unsafe { self.launch_function(function, call.grid(), BLOCK, call.params()) }
    }

    /// Launches a function. The context is current.
    ///
    /// # Safety
    /// `params` are as the function takes them, and the memory that they name stays until its work
    /// is done.
    pub(crate) unsafe fn launch_function(
        &self,
        function: CuFunction,
        [grid_x, grid_y, grid_z]: [u32; 3],
        [block_x, block_y, block_z]: [u32; 3],
        params: &[u8],
    ) -> Result<(), GpuError> {
        let mut size = params.len();
        // CU_LAUNCH_PARAM_BUFFER_POINTER, _BUFFER_SIZE, _END.
        let mut extra = [
            ptr::without_provenance_mut(1),
            params.as_ptr().cast_mut().cast(),
            ptr::without_provenance_mut(2),
            (&raw mut size).cast(),
            ptr::null_mut(),
        ];
        // SAFETY: by the contract above; the driver copies the parameters before it returns.
        self.0.shared.check("cuLaunchKernel", unsafe {
            (self.0.shared.cuda().launch_kernel)(
                function,
                grid_x,
                grid_y,
                grid_z,
                block_x,
                block_y,
                block_z,
                0,
                self.0.handle,
                ptr::null_mut(),
                extra.as_mut_ptr(),
            )
        })
    }

    /// Copies rows. The context is current.
    pub(crate) fn copy(
        &self,
        from: Side,
        to: Side,
        width_bytes: usize,
        height: usize,
    ) -> Result<(), GpuError> {
        let params = Copy2d {
            from,
            to,
            width_bytes,
            height,
        };
        // SAFETY: sides come from `CudaImage::rows`, `from_host` and `to_host`, with rows of their own
        // length; host memory stays borrowed until the stream was synchronised.
        self.0.shared.check("cuMemcpy2DAsync", unsafe {
            (self.0.shared.cuda().memcpy_2d_async)(&raw const params, self.0.handle)
        })
    }
}

fn from_host(rows: &[u8], pitch: usize) -> Side {
    Side {
        x_bytes: 0,
        y: 0,
        memory: MemoryType::Host,
        host: rows.as_ptr().cast_mut().cast(),
        device: 0,
        array: ptr::null_mut(),
        pitch,
    }
}

fn to_host(rows: &mut [u8], pitch: usize) -> Side {
    Side {
        host: rows.as_mut_ptr().cast(),
        ..from_host(&[], pitch)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.owned
            && let Ok(_entered) = self.shared.enter()
        {
            // SAFETY: created by `new`, used by nobody else. Work on it is still done.
            unsafe { (self.shared.cuda().stream_destroy)(self.handle) };
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("device", &self.0.shared.name())
            .field("id", &self.0.id)
            .finish_non_exhaustive()
    }
}
