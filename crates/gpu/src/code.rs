//! Kernels that a processor brings along.

use std::ffi::{CStr, CString};
use std::fmt;
use std::ptr;
use std::sync::Arc;

use crate::device::{Gpu, Shared};
use crate::dl::CuModule;
use crate::error::GpuError;
use crate::kernels::Params;
use crate::stream::Stream;

/// A program in PTX, loaded on a device: kernels of your own for its pictures.
///
/// ```no_run
/// use trickle_gpu::kernels::Params;
/// use trickle_gpu::{Code, CudaImage, GpuError, Layout};
/// use trickle_media::frame::DeviceImage;
///
/// /// A tensor that the kernel `work` makes of another.
/// fn apply(code: &Code, image: &CudaImage) -> Result<CudaImage, GpuError> {
///     let stream = image.stream();
///     let (width, height) = (image.width(), image.height());
///     stream.produce(image.layout(), width, height, |out| {
///         stream.read(image, || {
///             let params = Params::new()
///                 .address(image.address())
///                 .address(out.address())
///                 .ints(&[width as u32, height as u32]);
///             let grid = [(width as u32).div_ceil(32), (height as u32).div_ceil(8), 1];
///             // SAFETY: the kernel takes these, and stays within the two pictures.
///             unsafe { code.launch(stream, c"work", grid, [32, 8, 1], &params) }
///         })
///     })
/// }
/// ```
pub struct Code {
    shared: Arc<Shared>,
    module: CuModule,
}

// SAFETY: modules may be used from any thread (CUDA C++ Programming Guide, "Driver API").
unsafe impl Send for Code {}
// SAFETY: as above; nothing changes behind a shared reference.
unsafe impl Sync for Code {}

impl Code {
    /// Has the driver compile `ptx` for the device; takes some milliseconds and more.
    ///
    /// # Errors
    /// [`GpuError::Cuda`] when the driver does not take it, because of an error in it or because
    /// it is written in a later version of PTX.
    pub fn load(gpu: &Gpu, ptx: &str) -> Result<Self, GpuError> {
        let shared = Arc::clone(&gpu.shared);
        let text = CString::new(ptx).map_err(|_| GpuError::Cuda {
            call: "cuModuleLoadData",
            code: 218,
            name: "a zero byte in the text".to_owned(),
        })?;
        let entered = shared.enter()?;
        let mut module = ptr::null_mut();
        // SAFETY: a context is current, `module` writable, the text zero-terminated.
        shared.check("cuModuleLoadData", unsafe {
            (shared.cuda().module_load_data)(&raw mut module, text.as_ptr().cast())
        })?;
        drop(entered);
        Ok(Self { shared, module })
    }

    /// Gives `stream` the work of a kernel. Order it beside other work with [`Stream::read`] and
    /// [`Stream::produce`].
    ///
    /// # Errors
    /// [`GpuError`] when there is no such kernel, or the launch is refused. What goes wrong in the
    /// kernel shows later, and makes the device unusable.
    ///
    /// # Safety
    /// The kernel takes these parameters, and touches no memory but that of pictures which stay
    /// until it is done: those that the work was ordered by.
    pub unsafe fn launch(
        &self,
        stream: &Stream,
        kernel: &CStr,
        grid: [u32; 3],
        block: [u32; 3],
        params: &Params,
    ) -> Result<(), GpuError> {
        let _entered = self.shared.enter()?;
        let mut function = ptr::null_mut();
        // SAFETY: the module is loaded, `function` writable, the name zero-terminated.
        self.shared.check("cuModuleGetFunction", unsafe {
            (self.shared.cuda().module_get_function)(
                &raw mut function,
                self.module,
                kernel.as_ptr(),
            )
        })?;
        // SAFETY: by the contract above.
        unsafe { stream.launch_function(function, grid, block, params.bytes()) }
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // Work of its kernels may wait in streams.
        if self.shared.synchronize().is_err() {
            return;
        }
        if let Ok(_entered) = self.shared.enter() {
            // SAFETY: loaded by `load`, unloaded once; nothing runs it.
            unsafe { (self.shared.cuda().module_unload)(self.module) };
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code")
            .field("device", &self.shared.name())
            .finish_non_exhaustive()
    }
}
