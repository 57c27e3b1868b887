//! A program that knows nothing of the emulator, through the bindings that most use: `cudarc`.

use std::ffi::CString;

use cudarc::driver::result::{self, ctx, device, event, module, primary_ctx, stream};
use cudarc::driver::sys;

use crate::emulated::MACHINE;

/// Writes its thread's number times ten to its place.
pub(crate) const PTX: &str = "\
.version 6.0
.target sm_50
.address_size 64
.visible .entry tens(
	.param .u64 tens_param_0,
	.param .u32 tens_param_1
)
{
	.reg .pred %p<2>;
	.reg .b32 %r<4>;
	.reg .b64 %rd<4>;
	ld.param.u64 %rd1, [tens_param_0];
	ld.param.u32 %r1, [tens_param_1];
	mov.u32 %r2, %tid.x;
	setp.ge.u32 %p1, %r2, %r1;
	@%p1 bra $end;
	cvta.to.global.u64 %rd1, %rd1;
	mul.wide.u32 %rd2, %r2, 4;
	add.s64 %rd3, %rd1, %rd2;
	mul.lo.s32 %r3, %r2, 10;
	st.global.u32 [%rd3], %r3;
$end:
	ret;
}
";

#[test]
fn cudarc_finds_a_device_and_runs_a_kernel_of_its_own() {
    MACHINE.run(|| {
        // SAFETY: handles are used in order, each let go of once; buffers are as long as said.
        unsafe {
            result::init().unwrap();
            assert_eq!(device::get_count().unwrap(), 1);
            let device = device::get(0).unwrap();
            assert!(device::get_name(device).unwrap().contains("emulator"));
            let context = primary_ctx::retain(device).unwrap();
            ctx::set_current(context).unwrap();
            let work = stream::create(stream::StreamKind::NonBlocking).unwrap();
            let done = event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING).unwrap();
            let text = CString::new(PTX).unwrap();
            let code = module::load_data(text.as_ptr().cast()).unwrap();
            let kernel = module::get_function(code, c"tens".to_owned()).unwrap();

            let mut memory = result::malloc_sync(8 * 4).unwrap();
            let mut count = 8u32;
            let mut params = [(&raw mut memory).cast(), (&raw mut count).cast()];
            result::launch_kernel(kernel, (1, 1, 1), (32, 1, 1), 0, work, &mut params).unwrap();
            event::record(done, work).unwrap();

            // The default stream knows nothing of `work`: nothing has run yet.
            let mut values = [0u32; 8];
            result::memcpy_dtoh_sync(&mut values, memory).unwrap();
            assert_eq!(values, [0xcdcd_cdcd; 8]);
            event::synchronize(done).unwrap();
            result::memcpy_dtoh_sync(&mut values, memory).unwrap();
            assert_eq!(values, [0, 10, 20, 30, 40, 50, 60, 70]);

            result::free_sync(memory).unwrap();
            assert_eq!(
                result::free_sync(memory).unwrap_err().0,
                sys::CUresult::CUDA_ERROR_INVALID_VALUE,
                "freed twice"
            );
            module::unload(code).unwrap();
            event::destroy(done).unwrap();
            stream::destroy(work).unwrap();
            primary_ctx::release(device).unwrap();
        }
    });
}
