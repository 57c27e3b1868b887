//! An opened device: its context, its kernels and the memory that goes round.

use std::ffi::{CStr, CString, c_void};
use std::fmt;
use std::ptr;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::context::{Context, Device, Entered};
use crate::dl::{CuContext, CuFunction, CuModule, CuResult, Cuda};
use crate::error::GpuError;
use crate::kernels::{Call, Module};
use crate::pool::Idle;
use crate::stream::Stream;
use crate::worker::{Job, Worker};

/// A CUDA device that frames can live on. Clones share it.
///
/// It is the device's primary context, which every CUDA library in the process shares. It goes
/// when the last clone, stream and image of it are gone.
#[derive(Clone)]
pub struct Gpu {
    pub(crate) shared: Arc<Shared>,
}

/// What streams, images and buffers of one device share.
pub(crate) struct Shared {
    name: String,
    index: i32,
    functions: Vec<Function>,
    modules: Vec<CuModule>,
    idle: Mutex<Idle>,
    poison: OnceLock<String>,
    /// From the first time that memory is shared with another library.
    worker: Mutex<Option<Worker>>,
    /// Last, so that everything in it has gone before.
    context: Context,
}

struct Function {
    name: String,
    handle: CuFunction,
}

// SAFETY: CUDA's handles may be used from any thread (CUDA C++ Programming Guide, "Driver API");
// they are never written after construction.
unsafe impl Send for Shared {}
// SAFETY: as above; what changes is behind a mutex.
unsafe impl Sync for Shared {}

impl Gpu {
    /// Opens a device by CUDA's number of it and loads the kernels.
    ///
    /// # Errors
    /// [`GpuError`] where there is no driver, no such device, or it does not take the kernels.
    pub fn open(index: u32) -> Result<Self, GpuError> {
        let number = index.try_into().unwrap_or(i32::MAX);
        let device = Device::get(number)?;
        let mut shared = Shared {
            name: format!("cuda:{index}"),
            index: number,
            functions: Vec::new(),
            modules: Vec::new(),
            idle: Mutex::default(),
            poison: OnceLock::new(),
            worker: Mutex::new(None),
            context: Context::retain(device)?,
        };
        shared.load_kernels()?;
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Its backend's name: `cuda:0`.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// A new stream: work on it is done in order, beside that of other streams.
    ///
    /// # Errors
    /// [`GpuError`].
    pub fn stream(&self) -> Result<Stream, GpuError> {
        Stream::new(&self.shared)
    }

    /// A stream of another library in this process, to order work with that library's. It is not
    /// destroyed with the last handle on it.
    ///
    /// # Safety
    /// `handle` is a `CUstream` of the device's primary context (null is the default stream), and
    /// stays one as long as the stream and images made in it.
    pub unsafe fn adopt_stream(&self, handle: *mut c_void) -> Stream {
        Stream::adopt(&self.shared, handle)
    }

    /// Blocks until all memory that other libraries have let go of is back, or theirs given back.
    pub fn settle(&self) {
        let (done, answer) = mpsc::channel();
        let jobs = self.shared.worker().as_ref().and_then(Worker::jobs);
        if let Some(jobs) = jobs
            && jobs.send(Job::Answer(done)).is_ok()
        {
            // An error means that the thread has ended, and nothing is left.
            let _ = answer.recv();
        }
    }

    /// The error that made the device unusable for the rest of the process, if one has.
    pub fn poison(&self) -> Option<&str> {
        self.shared.poison.get().map(String::as_str)
    }
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gpu").field(&self.shared.name).finish()
    }
}

impl Shared {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// CUDA's number of it.
    pub(crate) fn index(&self) -> i32 {
        self.index
    }

    fn worker(&self) -> MutexGuard<'_, Option<Worker>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where memory goes that other libraries let go of.
    pub(crate) fn jobs(&self) -> Result<Sender<Job>, GpuError> {
        let mut worker = self.worker();
        let started = match worker.take() {
            Some(started) => started,
            None => Worker::start()?,
        };
        let jobs = started.jobs();
        *worker = Some(started);
        jobs.ok_or_else(|| GpuError::Thread("it has ended".to_owned()))
    }

    /// Blocks until the device has done everything that the context's streams have now.
    pub(crate) fn synchronize(&self) -> Result<(), GpuError> {
        let _entered = self.enter()?;
        // SAFETY: takes nothing; the context is current.
        self.check("cuCtxSynchronize", unsafe {
            (self.cuda().ctx_synchronize)()
        })
    }

    pub(crate) fn cuda(&self) -> &'static Cuda {
        self.context.cuda()
    }

    pub(crate) fn context_handle(&self) -> CuContext {
        self.context.handle()
    }

    /// Makes the device's context current on this thread, unless it is unusable.
    pub(crate) fn enter(&self) -> Result<Entered<'_>, GpuError> {
        match self.poison.get() {
            Some(first) => Err(GpuError::Poisoned {
                device: self.name.clone(),
                first: first.clone(),
            }),
            None => self.context.enter().inspect_err(|error| self.note(error)),
        }
    }

    /// An error where `result` is one; one that nothing recovers from is remembered.
    pub(crate) fn check(&self, call: &'static str, result: CuResult) -> Result<(), GpuError> {
        let checked = self.cuda().check(call, result);
        checked.inspect_err(|error| self.note(error))
    }

    fn note(&self, error: &GpuError) {
        if let GpuError::Cuda { code, .. } = error
            && CuResult(*code).is_sticky()
            && self.poison.set(error.to_string()).is_ok()
        {
            tracing::error!(device = self.name, %error, "GPU unusable until the process ends");
        }
    }

    /// Handles are abandoned rather than given back: every call would fail.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.poison.get().is_some()
    }

    pub(crate) fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn function(&self, call: &Call) -> Option<CuFunction> {
        let functions = self.functions.iter();
        functions
            .filter(|function| function.name == call.kernel())
            .map(|function| function.handle)
            .next()
    }

    fn load_kernels(&mut self) -> Result<(), GpuError> {
        let cuda = self.cuda();
        for module in Module::ALL {
            let entered = self.context.enter()?;
            // PTX holds no zero byte; if it did, the driver would say what is wrong.
            let text = CString::new(module.ptx()).unwrap_or_default();
            let mut handle = ptr::null_mut();
            // SAFETY: a context is current, `handle` writable, the text zero-terminated.
            cuda.check("cuModuleLoadData", unsafe {
                (cuda.module_load_data)(&raw mut handle, text.as_ptr().cast())
            })?;
            let functions: Result<Vec<_>, _> = module
                .kernels()
                .iter()
                .map(|name| function(cuda, handle, name))
                .collect();
            drop(entered);
            self.modules.push(handle);
            self.functions.extend(functions?);
        }
        Ok(())
    }
}

/// A kernel of a loaded module, in the current context.
fn function(cuda: &Cuda, module: CuModule, name: &CStr) -> Result<Function, GpuError> {
    let mut handle = ptr::null_mut();
    // SAFETY: the module is loaded, `handle` writable, the name zero-terminated.
    cuda.check("cuModuleGetFunction", unsafe {
        (cuda.module_get_function)(&raw mut handle, module, name.as_ptr())
    })?;
    Ok(Function {
        name: name.to_string_lossy().into_owned(),
        handle,
    })
}

impl Drop for Shared {
    fn drop(&mut self) {
        // No stream, image or buffer is left: each holds the device. Nor is a job.
        drop(self.worker().take());
        if self.is_poisoned() {
            return;
        }
        let idle = std::mem::take(&mut *self.idle());
        let Ok(_entered) = self.context.enter() else {
            return;
        };
        let cuda = self.cuda();
        idle.free(cuda);
        for &module in &self.modules {
            // SAFETY: loaded by `load_kernels`; freeing the buffers has waited for its work.
            unsafe { (cuda.module_unload)(module) };
        }
    }
}
