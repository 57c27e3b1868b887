//! The encoder's input, registered once, and its output.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::ptr::{addr_of, addr_of_mut};
use std::sync::Arc;

use nvidia_video_codec_sdk::sys::nvEncodeAPI::{
    NV_ENC_BUFFER_FORMAT, NV_ENC_BUFFER_USAGE, NV_ENC_CREATE_BITSTREAM_BUFFER,
    NV_ENC_CREATE_BITSTREAM_BUFFER_VER, NV_ENC_INPUT_RESOURCE_TYPE, NV_ENC_LOCK_BITSTREAM,
    NV_ENC_LOCK_BITSTREAM_VER, NV_ENC_MAP_INPUT_RESOURCE, NV_ENC_MAP_INPUT_RESOURCE_VER,
    NV_ENC_PIC_FLAGS, NV_ENC_PIC_PARAMS, NV_ENC_PIC_PARAMS_VER, NV_ENC_PIC_STRUCT,
    NV_ENC_REGISTER_RESOURCE, NV_ENC_REGISTER_RESOURCE_VER,
};

use super::session::Session;
use crate::device::Shared;
use crate::error::GpuError;
use crate::kernels::Nv12View;

/// `NV_ENC_PIC_TYPE_IDR`.
const IDR: u32 = 3;

type EncodeSession = Session<Arc<Shared>>;

/// An initialised session with one input picture and one output buffer: pictures go in and come
/// out one by one. Every call needs the current context.
pub(super) struct Channel {
    session: EncodeSession,
    view: Nv12View,
    /// The input picture's registration.
    registered: *mut c_void,
    bitstream: *mut c_void,
    frames: u32,
}

// SAFETY: as for the session.
unsafe impl Send for Channel {}

/// A coded picture.
pub(super) struct Coded {
    pub(super) data: Vec<u8>,
    pub(super) keyframe: bool,
}

impl Channel {
    /// Registers the picture at `view`, which outlives the channel, as the encoder's input.
    pub(super) fn new(session: EncodeSession, view: Nv12View) -> Result<Self, GpuError> {
        let mut channel = Self {
            session,
            view,
            registered: ptr::null_mut(),
            bitstream: ptr::null_mut(),
            frames: 0,
        };
        let session = &channel.session;
        // SAFETY: integers, pointers and enums that have a zero: all zeroes is a value of it.
        let mut input: NV_ENC_REGISTER_RESOURCE = unsafe { std::mem::zeroed() };
        input.version = NV_ENC_REGISTER_RESOURCE_VER;
        input.resourceType = NV_ENC_INPUT_RESOURCE_TYPE::NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR;
        input.width = view.width;
        input.height = view.height;
        // Bytes from row to row, not columns.
        input.pitch = view.luma_pitch;
        input.resourceToRegister = ptr::without_provenance_mut(view.luma as usize);
        input.bufferFormat = NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12;
        input.bufferUsage = NV_ENC_BUFFER_USAGE::NV_ENC_INPUT_IMAGE;
        // SAFETY: the session is open, `input` complete.
        session.check("nvEncRegisterResource", unsafe {
            (session.api.register)(session.handle, &raw mut input)
        })?;
        channel.registered = input.registeredResource;
        // SAFETY: integers, pointers and an enum that has a zero: all zeroes is a value of it.
        let mut output: NV_ENC_CREATE_BITSTREAM_BUFFER = unsafe { std::mem::zeroed() };
        output.version = NV_ENC_CREATE_BITSTREAM_BUFFER_VER;
        let session = &channel.session;
        // SAFETY: the session is open, `output` complete.
        session.check("nvEncCreateBitstreamBuffer", unsafe {
            (session.api.create_bitstream)(session.handle, &raw mut output)
        })?;
        channel.bitstream = output.bitstreamBuffer;
        Ok(channel)
    }

    /// Codes what the input picture holds. All work on it is done.
    pub(super) fn encode(&mut self, keyframe: bool) -> Result<Coded, GpuError> {
        let session = &self.session;
        // SAFETY: integers, pointers and an enum that has a zero: all zeroes is a value of it.
        let mut map: NV_ENC_MAP_INPUT_RESOURCE = unsafe { std::mem::zeroed() };
        map.version = NV_ENC_MAP_INPUT_RESOURCE_VER;
        map.registeredResource = self.registered;
        // SAFETY: the session is open, the picture registered.
        session.check("nvEncMapInputResource", unsafe {
            (session.api.map)(session.handle, &raw mut map)
        })?;
        let mapped = Mapped {
            session,
            input: map.mappedResource,
        };
        let forced = NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_FORCEIDR as u32
            | NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_OUTPUT_SPSPPS as u32;
        let mut picture = Box::new(MaybeUninit::<NV_ENC_PIC_PARAMS>::zeroed());
        let picture = picture.as_mut_ptr();
        // SAFETY: `picture` points to zeroed memory of its type; fields are written by pointers.
        unsafe {
            addr_of_mut!((*picture).version).write(NV_ENC_PIC_PARAMS_VER);
            addr_of_mut!((*picture).inputWidth).write(self.view.width);
            addr_of_mut!((*picture).inputHeight).write(self.view.height);
            addr_of_mut!((*picture).inputPitch).write(self.view.luma_pitch);
            addr_of_mut!((*picture).encodePicFlags).write(if keyframe { forced } else { 0 });
            addr_of_mut!((*picture).frameIdx).write(self.frames);
            addr_of_mut!((*picture).inputTimeStamp).write(self.frames.into());
            addr_of_mut!((*picture).inputBuffer).write(mapped.input);
            addr_of_mut!((*picture).outputBitstream).write(self.bitstream);
            addr_of_mut!((*picture).bufferFmt)
                .write(NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12);
            addr_of_mut!((*picture).pictureStruct)
                .write(NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME);
        }
        self.frames = self.frames.wrapping_add(1);
        // SAFETY: the session is open, `picture` complete. "Needs more input" is an error here:
        // without B pictures and lookahead every picture comes out.
        session.check("nvEncEncodePicture", unsafe {
            (session.api.encode)(session.handle, picture)
        })?;
        let coded = self.read();
        drop(mapped);
        coded
    }

    /// The coded picture; waits for it.
    fn read(&self) -> Result<Coded, GpuError> {
        let session = &self.session;
        let mut lock = Box::new(MaybeUninit::<NV_ENC_LOCK_BITSTREAM>::zeroed());
        let lock = lock.as_mut_ptr();
        // SAFETY: `lock` points to zeroed memory of its type; fields are written by pointers.
        unsafe {
            addr_of_mut!((*lock).version).write(NV_ENC_LOCK_BITSTREAM_VER);
            addr_of_mut!((*lock).outputBitstream).write(self.bitstream);
        }
        // SAFETY: the session is open, the buffer was given to a picture.
        session.check("nvEncLockBitstream", unsafe {
            (session.api.lock)(session.handle, lock)
        })?;
        let _locked = Locked {
            session,
            bitstream: self.bitstream,
        };
        // SAFETY: filled by the library; the type is read as the number that it is.
        let (bytes, size, kind) = unsafe {
            (
                addr_of!((*lock).bitstreamBufferPtr).read().cast::<u8>(),
                addr_of!((*lock).bitstreamSizeInBytes).read() as usize,
                addr_of!((*lock).pictureType).cast::<u32>().read(),
            )
        };
        if bytes.is_null() || size == 0 {
            return Err(GpuError::Encoder {
                call: "nvEncLockBitstream",
                code: 0,
                name: "NV_ENC_SUCCESS",
                detail: ", but no bytes".into(),
            });
        }
        // SAFETY: the library's buffer holds that many bytes until it is unlocked.
        let data = unsafe { std::slice::from_raw_parts(bytes, size) }.to_vec();
        Ok(Coded {
            data,
            keyframe: kind == IDR,
        })
    }
}

/// The input picture on loan to the encoder, taken back on every way out.
struct Mapped<'a> {
    session: &'a EncodeSession,
    input: *mut c_void,
}

impl Drop for Mapped<'_> {
    fn drop(&mut self) {
        // SAFETY: mapped by `encode`, unmapped once; the picture was coded, or never given.
        unsafe { (self.session.api.unmap)(self.session.handle, self.input) };
    }
}

/// The output buffer locked, unlocked on every way out.
struct Locked<'a> {
    session: &'a EncodeSession,
    bitstream: *mut c_void,
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: locked by `read`, unlocked once.
        unsafe { (self.session.api.unlock)(self.session.handle, self.bitstream) };
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let (api, handle) = (self.session.api, self.session.handle);
        if !self.bitstream.is_null() {
            // SAFETY: created by `new`, not locked.
            unsafe { (api.destroy_bitstream)(handle, self.bitstream) };
        }
        if !self.registered.is_null() {
            // SAFETY: registered by `new`, not mapped.
            unsafe { (api.unregister)(handle, self.registered) };
        }
    }
}
