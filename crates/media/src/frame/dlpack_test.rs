//! Tensors in the form that other libraries take and give, and who owns them when.

use std::mem::{offset_of, size_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn tensor() -> Tensor {
    let values = (0..2 * 3 * 3).map(|value| value as f32).collect();
    Tensor::from_vec(2, 3, 3, values).unwrap()
}

/// Counts how often it was dropped.
struct Owner(Arc<AtomicUsize>, Vec<f32>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A tensor as a foreign library would make it: `strides` over `values`.
fn foreign(
    values: &[f32],
    first: usize,
    shape: &[usize],
    strides: &[i64],
) -> (ManagedTensor, Arc<AtomicUsize>) {
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut owner = Box::new(Owner(Arc::clone(&dropped), values.to_vec()));
    let data = owner.1.as_mut_ptr().wrapping_add(first).cast();
    // SAFETY: the values are the owner's.
    let tensor =
        unsafe { ManagedTensor::export(data, Device::CPU, DataType::F32, shape, &[], owner) };
    let raw = tensor.into_raw();
    let strides = strides.to_vec().leak();
    // SAFETY: ours; a leaked slice stays.
    unsafe {
        (*raw).tensor.strides = strides.as_mut_ptr();
        (ManagedTensor::from_raw(raw).unwrap(), dropped)
    }
}

#[test]
fn structures_lie_in_memory_as_the_header_has_them() {
    assert_eq!(size_of::<RawTensor>(), 48);
    assert_eq!(
        [
            offset_of!(RawTensor, device),
            offset_of!(RawTensor, ndim),
            offset_of!(RawTensor, dtype),
            offset_of!(RawTensor, shape),
            offset_of!(RawTensor, strides),
            offset_of!(RawTensor, byte_offset),
        ],
        [8, 16, 20, 24, 32, 40]
    );
    assert_eq!((size_of::<RawLegacy>(), size_of::<RawManaged>()), (64, 80));
    assert_eq!(
        [
            offset_of!(RawLegacy, manager),
            offset_of!(RawLegacy, deleter)
        ],
        [48, 56]
    );
    assert_eq!(
        [
            offset_of!(RawManaged, manager),
            offset_of!(RawManaged, deleter),
            offset_of!(RawManaged, flags),
            offset_of!(RawManaged, tensor),
        ],
        [8, 16, 24, 32]
    );
}

#[test]
fn an_export_is_the_tensors_memory_and_not_to_be_written() {
    let tensor = tensor();
    let exported = tensor.to_dlpack();
    let raw = exported.raw();
    assert_eq!(raw.data.addr(), tensor.as_ptr().addr());
    assert_eq!(
        (raw.device, raw.dtype, raw.ndim),
        (Device::CPU, DataType::F32, 3)
    );
    assert_eq!(exported.shape(), [2, 3, 3]);
    assert_eq!(exported.strides(), [9, 3, 1]);
    let raw = exported.into_raw();
    // SAFETY: ours; taken over again below.
    assert_eq!(unsafe { (*raw).flags }, READ_ONLY);
    // SAFETY: as above.
    drop(unsafe { ManagedTensor::from_raw(raw) }.unwrap());
}

#[test]
fn writing_copies_while_another_library_has_the_memory() {
    let mut tensor = tensor();
    let exported = tensor.to_dlpack();
    tensor.make_mut().fill(9.0);
    let seen = Tensor::from_dlpack(&exported, &Pool::new()).unwrap();
    assert_eq!(seen[5], 5.0);
    drop(exported);
    let address = tensor.as_ptr();
    tensor.make_mut().fill(1.0);
    assert_eq!(tensor.as_ptr(), address, "nobody else has it");
}

#[test]
fn an_export_outlives_its_tensor_and_ends_on_any_thread() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut owner = Box::new(Owner(Arc::clone(&dropped), vec![0.5; 3]));
    let data = owner.1.as_mut_ptr().cast();
    // SAFETY: the values are the owner's.
    let exported = unsafe {
        ManagedTensor::export(
            data,
            Device::CPU,
            DataType::F32,
            &[1, 1, 3],
            &[3, 3, 1],
            owner,
        )
    };
    std::thread::spawn(move || {
        assert_eq!(
            *Tensor::from_dlpack(&exported, &Pool::new()).unwrap(),
            [0.5; 3]
        );
    })
    .join()
    .unwrap();
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn both_forms_of_the_protocol_carry_a_tensor_and_its_owner_once() {
    let (exported, dropped) = foreign(&[1.0, 2.0, 3.0], 0, &[1, 1, 3], &[3, 3, 1]);
    let legacy = exported.into_legacy();
    // SAFETY: as a consumer does: ours from now on.
    let taken = unsafe { ManagedTensor::from_legacy(legacy) }.unwrap();
    assert_eq!(
        *Tensor::from_dlpack(&taken, &Pool::new()).unwrap(),
        [1.0, 2.0, 3.0]
    );
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(taken);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn strides_of_every_kind_are_followed() {
    // Rows of 2 pixels with 4 values between them, upside down.
    let values: Vec<f32> = (0..20).map(|value| value as f32).collect();
    let (tensor, _) = foreign(&values, 10, &[2, 2, 3], &[-10, 3, 1]);
    let taken = Tensor::from_dlpack(&tensor, &Pool::new()).unwrap();
    assert_eq!(
        *taken,
        [10., 11., 12., 13., 14., 15., 0., 1., 2., 3., 4., 5.]
    );
    // Planes: [3, 2, 2] in memory, seen as [2, 2, 3].
    let (tensor, _) = foreign(&values, 0, &[2, 2, 3], &[2, 1, 4]);
    let taken = Tensor::from_dlpack(&tensor, &Pool::new()).unwrap();
    assert_eq!(*taken, [0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]);
    // Two dimensions are one channel; no strides are packed ones.
    let (tensor, _) = foreign(&values, 4, &[2, 3], &[3, 1]);
    let taken = Tensor::from_dlpack(&tensor, &Pool::new()).unwrap();
    assert_eq!((taken.shape(), &*taken), ([2, 3, 1], &values[4..10]));
    let raw = tensor.into_raw();
    // SAFETY: ours.
    let tensor = unsafe {
        (*raw).tensor.strides = ptr::null_mut();
        (*raw).tensor.byte_offset = 8;
        ManagedTensor::from_raw(raw).unwrap()
    };
    let taken = Tensor::from_dlpack(&tensor, &Pool::new()).unwrap();
    assert_eq!(*taken, values[6..12]);
}

#[test]
fn what_cannot_be_taken_is_refused_with_its_reason() {
    let changed = |change: fn(&mut RawManaged)| {
        let (tensor, dropped) = foreign(&[0.0; 18], 0, &[2, 3, 3], &[9, 3, 1]);
        let raw = tensor.into_raw();
        // SAFETY: ours.
        let taken = unsafe {
            change(&mut *raw);
            ManagedTensor::from_raw(raw)
        };
        let error = taken.and_then(|tensor| Tensor::from_dlpack(&tensor, &Pool::new()));
        assert_eq!(
            dropped.load(Ordering::SeqCst),
            1,
            "given back, whatever it was"
        );
        error.unwrap_err().to_string()
    };
    assert_eq!(
        changed(|raw| raw.version.major = 2),
        "DLPack 2.1 is not known; 1 is"
    );
    assert_eq!(
        changed(|raw| raw.tensor.device = Device::cuda(1)),
        "the tensor is on device 2:1, not on the CPU"
    );
    assert_eq!(
        changed(|raw| raw.tensor.dtype = DataType::U8),
        "values are of code 1 with 8 bits and 1 lanes, not f32"
    );
    assert_eq!(
        changed(|raw| raw.tensor.ndim = 1),
        "a tensor of 1 dimensions is no picture; [height, width, channels] is"
    );
    assert_eq!(
        changed(|raw| raw.tensor.byte_offset = 2),
        "the tensor's memory cannot be used: its address is null or odd"
    );
    // SAFETY: `shape` points to three values that are the tensor's.
    let channels = changed(|raw| unsafe { *raw.tensor.shape.add(2) = 2 });
    assert_eq!(
        channels,
        "a frame takes tensors of 1, 3 or 4 channels, got 2"
    );
    // SAFETY: as above.
    let size = changed(|raw| unsafe { *raw.tensor.shape = -1 });
    assert!(size.contains("0 is not a frame size"), "{size}");
    // SAFETY: null is what is tested.
    assert!(unsafe { ManagedTensor::from_raw(ptr::null_mut()) }.is_err());
}
