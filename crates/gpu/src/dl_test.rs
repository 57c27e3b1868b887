//! Our structures of the CUDA driver's interface, beside `cudarc`'s, which are generated from its
//! header.

use std::mem::{offset_of, size_of};

use cudarc::driver::sys::{CUDA_MEMCPY2D, CUmemorytype};

use super::*;

#[test]
fn a_copy_lies_in_memory_as_the_driver_reads_it() {
    assert_eq!(size_of::<Copy2d>(), size_of::<CUDA_MEMCPY2D>());
    let from = offset_of!(Copy2d, from);
    let to = offset_of!(Copy2d, to);
    assert_eq!(
        [
            from + offset_of!(Side, x_bytes),
            from + offset_of!(Side, y),
            from + offset_of!(Side, memory),
            from + offset_of!(Side, host),
            from + offset_of!(Side, device),
            from + offset_of!(Side, array),
            from + offset_of!(Side, pitch),
            to + offset_of!(Side, x_bytes),
            to + offset_of!(Side, memory),
            to + offset_of!(Side, device),
            to + offset_of!(Side, pitch),
            offset_of!(Copy2d, width_bytes),
            offset_of!(Copy2d, height),
        ],
        [
            offset_of!(CUDA_MEMCPY2D, srcXInBytes),
            offset_of!(CUDA_MEMCPY2D, srcY),
            offset_of!(CUDA_MEMCPY2D, srcMemoryType),
            offset_of!(CUDA_MEMCPY2D, srcHost),
            offset_of!(CUDA_MEMCPY2D, srcDevice),
            offset_of!(CUDA_MEMCPY2D, srcArray),
            offset_of!(CUDA_MEMCPY2D, srcPitch),
            offset_of!(CUDA_MEMCPY2D, dstXInBytes),
            offset_of!(CUDA_MEMCPY2D, dstMemoryType),
            offset_of!(CUDA_MEMCPY2D, dstDevice),
            offset_of!(CUDA_MEMCPY2D, dstPitch),
            offset_of!(CUDA_MEMCPY2D, WidthInBytes),
            offset_of!(CUDA_MEMCPY2D, Height),
        ]
    );
    assert_eq!(
        MemoryType::Host as u32,
        CUmemorytype::CU_MEMORYTYPE_HOST as u32
    );
    assert_eq!(
        MemoryType::Device as u32,
        CUmemorytype::CU_MEMORYTYPE_DEVICE as u32
    );
}
