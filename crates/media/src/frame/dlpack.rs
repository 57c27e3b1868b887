//! Tensors handed to and taken from other libraries without a copy, by the DLPack protocol
//! (DLPack 1.1, `dlpack.h`): NumPy, PyTorch, JAX, ONNX Runtime and others speak it.
//!
//! Who gets a tensor owns it through its deleter, which may be called once, on any thread. What
//! is exported here keeps its memory alive until then.

use std::any::Any;
use std::ffi::c_void;
use std::ptr;

use thiserror::Error;

use super::{MAX_SIDE, Pool, Tensor};
use crate::error::FrameError;

/// Version of the protocol that exports state.
pub const VERSION: Version = Version { major: 1, minor: 1 };
/// `DLPACK_FLAG_BITMASK_READ_ONLY`: the consumer must not write.
pub const READ_ONLY: u64 = 1;

/// `DLPackVersion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Version {
    /// Another one lies in memory differently.
    pub major: u32,
    /// Additions.
    pub minor: u32,
}

/// `DLDevice`: where the memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Device {
    /// `DLDeviceType`.
    pub kind: i32,
    /// Which of these devices.
    pub id: i32,
}

impl Device {
    /// `kDLCPU`.
    pub const CPU: Self = Self { kind: 1, id: 0 };

    /// `kDLCUDA`.
    pub const fn cuda(id: i32) -> Self {
        Self { kind: 2, id }
    }
}

/// `DLDataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct DataType {
    /// `DLDataTypeCode`: 0 signed, 1 unsigned, 2 float.
    pub code: u8,
    /// Bits of a value.
    pub bits: u8,
    /// Values of a vector; 1 for plain values.
    pub lanes: u16,
}

impl DataType {
    /// Unsigned bytes.
    pub const U8: Self = Self {
        code: 1,
        bits: 8,
        lanes: 1,
    };
    /// IEEE 754 single precision.
    pub const F32: Self = Self {
        code: 2,
        bits: 32,
        lanes: 1,
    };
}

/// `DLTensor`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RawTensor {
    /// The memory; an address on the device for CUDA.
    pub data: *mut c_void,
    /// Where it is.
    pub device: Device,
    /// Dimensions.
    pub ndim: i32,
    /// Kind of values.
    pub dtype: DataType,
    /// Length of each dimension.
    pub shape: *mut i64,
    /// Values from one index of each dimension to the next; null: packed, last dimension
    /// innermost.
    pub strides: *mut i64,
    /// Bytes from `data` to the first value.
    pub byte_offset: u64,
}

/// `DLManagedTensorVersioned`, for capsules named `dltensor_versioned`.
#[derive(Debug)]
#[repr(C)]
pub struct RawManaged {
    /// Whose layout the rest has.
    pub version: Version,
    /// The producer's.
    pub manager: *mut c_void,
    /// Called once by the consumer that is done; may be null.
    pub deleter: Option<unsafe extern "C" fn(*mut RawManaged)>,
    /// [`READ_ONLY`] and others.
    pub flags: u64,
    /// The tensor.
    pub tensor: RawTensor,
}

/// `DLManagedTensor`, for capsules named `dltensor`: the protocol before version 1.
#[derive(Debug)]
#[repr(C)]
pub struct RawLegacy {
    /// The tensor.
    pub tensor: RawTensor,
    /// The producer's.
    pub manager: *mut c_void,
    /// Called once by the consumer that is done; may be null.
    pub deleter: Option<unsafe extern "C" fn(*mut RawLegacy)>,
}

/// A tensor of another library, or one for it. Dropping it calls its deleter.
#[derive(Debug)]
pub struct ManagedTensor(*mut RawManaged);

// SAFETY: the protocol lets a deleter be called on any thread, and nothing else is shared.
unsafe impl Send for ManagedTensor {}

/// A tensor that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DlpackError {
    /// A later protocol, whose layout is not known.
    #[error("DLPack {major}.{minor} is not known; {known} is", known = VERSION.major)]
    Version {
        /// Its major version.
        major: u32,
        /// Its minor version.
        minor: u32,
    },
    /// The memory is elsewhere.
    #[error("the tensor is on device {kind}:{id}, not on {wanted}")]
    Device {
        /// `DLDeviceType`.
        kind: i32,
        /// Which.
        id: i32,
        /// Where it must be.
        wanted: String,
    },
    /// Values of another kind.
    #[error("values are of code {code} with {bits} bits and {lanes} lanes, not f32")]
    Type {
        /// `DLDataTypeCode`.
        code: u8,
        /// Bits of a value.
        bits: u8,
        /// Values of a vector.
        lanes: u16,
    },
    /// No picture's shape.
    #[error("a tensor of {ndim} dimensions is no picture; [height, width, channels] is")]
    Dimensions {
        /// How many.
        ndim: i32,
    },
    /// Null, misaligned, or rows that are not packed where they must be.
    #[error("the tensor's memory cannot be used: {0}")]
    Memory(&'static str),
    /// A size or number of channels that no frame has.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// What an exported tensor keeps: its own description, and the owner of the memory.
struct Export {
    shape: Vec<i64>,
    strides: Vec<i64>,
    _owner: Box<dyn Any + Send>,
}

/// Gives back what an export keeps.
unsafe extern "C" fn delete(tensor: *mut RawManaged) {
    if tensor.is_null() {
        return;
    }
    // SAFETY: made by `ManagedTensor::export` of two boxes; called once, by the protocol. A panic
    // of the owner's drop ends the process, as it must at a C interface.
    unsafe {
        let tensor = Box::from_raw(tensor);
        drop(Box::from_raw(tensor.manager.cast::<Export>()));
    }
}

/// As [`delete`], for the tensor that a [`RawLegacy`] wraps.
unsafe extern "C" fn delete_legacy(tensor: *mut RawLegacy) {
    if tensor.is_null() {
        return;
    }
    // SAFETY: made by `ManagedTensor::into_legacy`; called once, by the protocol.
    unsafe {
        let tensor = Box::from_raw(tensor);
        drop(ManagedTensor(tensor.manager.cast()));
    }
}

impl ManagedTensor {
    /// A tensor for another library. `strides` count values. `owner` is dropped when the consumer
    /// is done, on the consumer's thread.
    ///
    /// # Safety
    /// The memory of the tensor at `data` stays valid, and is written by nobody, while `owner`
    /// lives.
    pub unsafe fn export(
        data: *mut c_void,
        device: Device,
        dtype: DataType,
        shape: &[usize],
        strides: &[usize],
        owner: Box<dyn Any + Send>,
    ) -> Self {
        let ints = |values: &[usize]| values.iter().map(|&value| value as i64).collect();
        let mut export = Box::new(Export {
            shape: ints(shape),
            strides: ints(strides),
            _owner: owner,
        });
        let tensor = RawTensor {
            data,
            device,
            ndim: shape.len() as i32,
            dtype,
            shape: export.shape.as_mut_ptr(),
            strides: export.strides.as_mut_ptr(),
            byte_offset: 0,
        };
        Self(Box::into_raw(Box::new(RawManaged {
            version: VERSION,
            manager: Box::into_raw(export).cast(),
            deleter: Some(delete),
            flags: READ_ONLY,
            tensor,
        })))
    }

    /// Takes over a tensor of another library.
    ///
    /// # Errors
    /// [`DlpackError::Version`]; the tensor is given back then.
    ///
    /// # Safety
    /// `raw` is a valid `DLManagedTensorVersioned` that the caller owns.
    pub unsafe fn from_raw(raw: *mut RawManaged) -> Result<Self, DlpackError> {
        if raw.is_null() {
            return Err(DlpackError::Memory("it is null"));
        }
        let tensor = Self(raw);
        // SAFETY: the version is the first field whatever the version is.
        let Version { major, minor } = unsafe { (*raw).version };
        // The deleter stays where it is in every version: dropping gives the tensor back.
        if major != VERSION.major {
            return Err(DlpackError::Version { major, minor });
        }
        Ok(tensor)
    }

    /// Takes over a tensor of another library that speaks the protocol before version 1.
    ///
    /// # Errors
    /// [`DlpackError::Memory`] for null.
    ///
    /// # Safety
    /// `raw` is a valid `DLManagedTensor` that the caller owns.
    pub unsafe fn from_legacy(raw: *mut RawLegacy) -> Result<Self, DlpackError> {
        if raw.is_null() {
            return Err(DlpackError::Memory("it is null"));
        }
        /// Gives back the tensor that is wrapped.
        unsafe extern "C" fn unwrap(tensor: *mut RawManaged) {
            // SAFETY: made below; called once, as its wrapper is dropped.
            unsafe {
                let wrapper = Box::from_raw(tensor);
                let legacy = wrapper.manager.cast::<RawLegacy>();
                if let Some(deleter) = (*legacy).deleter {
                    deleter(legacy);
                }
            }
        }
        // SAFETY: valid, by the contract above.
        let tensor = unsafe { (*raw).tensor };
        Ok(Self(Box::into_raw(Box::new(RawManaged {
            version: VERSION,
            manager: raw.cast(),
            deleter: Some(unwrap),
            flags: 0,
            tensor,
        }))))
    }

    /// For the consumer, who owns it from now on: a capsule named `dltensor_versioned`.
    pub fn into_raw(self) -> *mut RawManaged {
        let raw = self.0;
        std::mem::forget(self);
        raw
    }

    /// For a consumer that speaks the protocol before version 1, and owns it from now on: a
    /// capsule named `dltensor`. It cannot say that the memory is read-only.
    pub fn into_legacy(self) -> *mut RawLegacy {
        let tensor = *self.raw();
        Box::into_raw(Box::new(RawLegacy {
            tensor,
            manager: self.into_raw().cast(),
            deleter: Some(delete_legacy),
        }))
    }

    /// What it is.
    pub fn raw(&self) -> &RawTensor {
        // SAFETY: valid and ours until dropped.
        unsafe { &(*self.0).tensor }
    }

    /// Length of each dimension; negative ones, which nothing has, become 0.
    pub fn shape(&self) -> Vec<usize> {
        let raw = self.raw();
        // SAFETY: the producer promises `ndim` values.
        let shape = unsafe { ints(raw.shape, raw.ndim) };
        shape
            .iter()
            .map(|&length| usize::try_from(length).unwrap_or(0))
            .collect()
    }

    /// Values from one index of each dimension to the next.
    pub fn strides(&self) -> Vec<i64> {
        let raw = self.raw();
        if raw.strides.is_null() {
            let mut strides = vec![1; self.shape().len()];
            for (at, length) in self.shape().iter().enumerate().skip(1).rev() {
                strides[at - 1] = strides[at] * *length as i64;
            }
            return strides;
        }
        // SAFETY: the producer promises `ndim` values.
        unsafe { ints(raw.strides, raw.ndim) }.to_vec()
    }

    /// Address of the first value.
    pub fn address(&self) -> usize {
        let raw = self.raw();
        let offset = usize::try_from(raw.byte_offset).unwrap_or(0);
        raw.data.addr().wrapping_add(offset)
    }

    /// Its `[height, width, channels]`, where it is a picture of f32 values; two dimensions are
    /// one channel.
    ///
    /// # Errors
    /// [`DlpackError`] where it is none.
    pub fn picture(&self) -> Result<[usize; 3], DlpackError> {
        let raw = self.raw();
        let DataType { code, bits, lanes } = raw.dtype;
        if raw.dtype != DataType::F32 {
            return Err(DlpackError::Type { code, bits, lanes });
        }
        let shape = match self.shape()[..] {
            [height, width] => [height, width, 1],
            [height, width, channels] => [height, width, channels],
            _ => return Err(DlpackError::Dimensions { ndim: raw.ndim }),
        };
        let [height, width, channels] = shape;
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(FrameError::Size { width, height }.into());
        }
        if !matches!(channels, 1 | 3 | 4) {
            return Err(FrameError::Channels(channels).into());
        }
        if raw.data.is_null() || !self.address().is_multiple_of(align_of::<f32>()) {
            return Err(DlpackError::Memory("its address is null or odd"));
        }
        Ok(shape)
    }
}

/// The values at `values`; none where it is null.
///
/// # Safety
/// There are `count` of them, alive as long as the result.
unsafe fn ints<'a>(values: *const i64, count: i32) -> &'a [i64] {
    match usize::try_from(count) {
        // SAFETY: by the contract above.
        Ok(count) if !values.is_null() => unsafe { std::slice::from_raw_parts(values, count) },
        _ => &[],
    }
}

impl Drop for ManagedTensor {
    fn drop(&mut self) {
        // SAFETY: valid and ours; called once.
        unsafe {
            if let Some(deleter) = (*self.0).deleter {
                deleter(self.0);
            }
        }
    }
}

impl Tensor {
    /// The tensor for another library, which shares its memory and must not write to it. Writing
    /// to this tensor copies it first while the other has it.
    pub fn to_dlpack(&self) -> ManagedTensor {
        let shape = self.shape();
        let [_, width, channels] = shape;
        let strides = [width * channels, channels, 1];
        let data = self.as_ptr().cast_mut().cast();
        let owner = Box::new(self.clone());
        // SAFETY: the memory is the clone's, too, which never writes, and is not moved with it.
        unsafe { ManagedTensor::export(data, Device::CPU, DataType::F32, &shape, &strides, owner) }
    }

    /// The values of another library's tensor: f32 `[height, width, channels]`, or `[height,
    /// width]` for one channel, in host memory, strided as it likes. They are copied, because
    /// memory of ours goes round; the other's is given back at once.
    ///
    /// # Errors
    /// [`DlpackError`].
    pub fn from_dlpack(tensor: &ManagedTensor, pool: &Pool<f32>) -> Result<Self, DlpackError> {
        let raw = tensor.raw();
        let Device { kind, id } = raw.device;
        if kind != Device::CPU.kind {
            let wanted = "the CPU".to_owned();
            return Err(DlpackError::Device { kind, id, wanted });
        }
        let [height, width, channels] = tensor.picture()?;
        let strides = tensor.strides();
        let stride = |axis: usize| strides.get(axis).copied().unwrap_or(1) as isize;
        let mut taken = Self::uninit(height, width, channels, pool)?;
        let offset = usize::try_from(raw.byte_offset).unwrap_or(0);
        let first = raw
            .data
            .wrapping_byte_add(offset)
            .cast::<f32>()
            .cast_const();
        let row = width * channels;
        let packed = stride(2) == 1 && stride(1) == channels as isize;
        for (y, values) in taken.make_mut().chunks_exact_mut(row).enumerate() {
            // SAFETY: the producer promises all values of its shape, at its strides.
            let start = unsafe { first.offset(y as isize * stride(0)) };
            if packed {
                // SAFETY: as above; a row is in one piece, and ours is no part of it.
                unsafe { ptr::copy_nonoverlapping(start, values.as_mut_ptr(), row) };
                continue;
            }
            for (at, value) in values.iter_mut().enumerate() {
                let (x, channel) = ((at / channels) as isize, (at % channels) as isize);
                // SAFETY: as above.
                *value = unsafe { start.offset(x * stride(1) + channel * stride(2)).read() };
            }
        }
        Ok(taken)
    }
}

#[cfg(test)]
#[path = "dlpack_test.rs"]
mod tests;
