//! A shared library that hands tensors to Python and takes them from there, for
//! `dlpack_check.py`, which shows that NumPy and this crate mean the same by DLPack.

#![allow(missing_docs, reason = "called from a script only")]

use std::sync::atomic::{AtomicI32, Ordering};

use trickle_media::Tensor;
use trickle_media::frame::Pool;
use trickle_media::frame::dlpack::{DataType, Device, ManagedTensor, RawLegacy, RawManaged};

/// Exports that no consumer has let go of.
static LENT: AtomicI32 = AtomicI32::new(0);

/// Memory that counts when it goes.
struct Counted(Vec<f32>);

impl Drop for Counted {
    fn drop(&mut self) {
        LENT.fetch_sub(1, Ordering::SeqCst);
    }
}

/// `[2, 3, 4]` values, each its place in memory.
fn lend() -> ManagedTensor {
    LENT.fetch_add(1, Ordering::SeqCst);
    let mut owner = Box::new(Counted((0..24u8).map(f32::from).collect()));
    let data = owner.0.as_mut_ptr().cast();
    // SAFETY: the values are the owner's, and stay where they are.
    unsafe {
        ManagedTensor::export(
            data,
            Device::CPU,
            DataType::F32,
            &[2, 3, 4],
            &[12, 4, 1],
            owner,
        )
    }
}

#[unsafe(no_mangle)]
extern "C" fn lend_versioned() -> *mut RawManaged {
    lend().into_raw()
}

#[unsafe(no_mangle)]
extern "C" fn lend_legacy() -> *mut RawLegacy {
    lend().into_legacy()
}

/// A tensor as frames have it, shared.
#[unsafe(no_mangle)]
extern "C" fn lend_tensor() -> *mut RawManaged {
    let values = (0..18u8).map(f32::from).collect();
    Tensor::from_vec(2, 3, 3, values)
        .map_or(std::ptr::null_mut(), |tensor| tensor.to_dlpack().into_raw())
}

#[unsafe(no_mangle)]
extern "C" fn lent() -> i32 {
    LENT.load(Ordering::SeqCst)
}

/// Takes a tensor and sums its values, each times its place; a negative number when it cannot.
///
/// # Safety
/// `raw` is a tensor that the caller owns.
#[unsafe(no_mangle)]
unsafe extern "C" fn take_versioned(raw: *mut RawManaged) -> f64 {
    // SAFETY: by the contract above.
    let tensor = unsafe { ManagedTensor::from_raw(raw) };
    tensor.map_or(-1.0, |tensor| sum(&tensor))
}

/// As [`take_versioned`].
///
/// # Safety
/// As there.
#[unsafe(no_mangle)]
unsafe extern "C" fn take_legacy(raw: *mut RawLegacy) -> f64 {
    // SAFETY: by the contract above.
    let tensor = unsafe { ManagedTensor::from_legacy(raw) };
    tensor.map_or(-1.0, |tensor| sum(&tensor))
}

fn sum(tensor: &ManagedTensor) -> f64 {
    Tensor::from_dlpack(tensor, &Pool::new()).map_or(-2.0, |tensor| {
        let values = tensor.iter().enumerate();
        values
            .map(|(at, value)| at as f64 * f64::from(*value))
            .sum()
    })
}
