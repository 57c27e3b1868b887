//! The encoder's inputs, registered once each, and its outputs.

use std::collections::VecDeque;
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
use trickle_media::FrameError;
use trickle_media::coder::VideoEncoderSettings;

use super::config;
use super::session::Session;
use crate::device::Shared;
use crate::dl::EncStatus;
use crate::error::GpuError;
use crate::image::{CudaImage, Layout};
use crate::kernels::Nv12View;
use crate::stream::Stream;

/// `NV_ENC_PIC_TYPE_IDR`.
const IDR: u32 = 3;
/// `NV_ENC_ERR_NEED_MORE_INPUT`: the picture was taken and comes out later.
const NEED_MORE_INPUT: EncStatus = EncStatus(17);
/// Pictures that the library may hold back. Tuned for low latency it holds none; one that holds
/// more than this is not told what we tell it.
const MAX_HELD: usize = 8;

type EncodeSession = Session<Arc<Shared>>;

/// An initialised session with its input pictures and output buffers. Every call needs the
/// current context.
pub(super) struct Channel {
    session: EncodeSession,
    stream: Stream,
    size: (usize, usize),
    largest: (u32, u32),
    slots: Vec<Slot>,
    /// Slots whose pictures have not come out, in order of coding.
    given: VecDeque<Given>,
    pictures: u64,
}

/// An input picture and the buffer that its code comes out in.
struct Slot {
    input: CudaImage,
    view: Nv12View,
    /// The input's registration.
    registered: *mut c_void,
    /// The input's mapping, while the encoder has it.
    mapped: *mut c_void,
    bitstream: *mut c_void,
}

struct Given {
    slot: usize,
    number: u64,
}

// SAFETY: as for the session.
unsafe impl Send for Channel {}

/// A coded picture.
pub(super) struct Coded {
    /// As [`Channel::encode`] numbered it.
    pub(super) number: u64,
    pub(super) data: Vec<u8>,
    pub(super) keyframe: bool,
}

impl Channel {
    /// Makes the session an encoder; its inputs are written in `stream`.
    pub(super) fn new(
        session: EncodeSession,
        stream: Stream,
        settings: &VideoEncoderSettings,
        largest: (u32, u32),
    ) -> Result<Self, GpuError> {
        config::initialize(&session, settings, largest)?;
        let mut channel = Self {
            session,
            stream,
            size: (settings.width as usize, settings.height as usize),
            largest,
            slots: Vec::new(),
            given: VecDeque::new(),
            pictures: 0,
        };
        channel.add_slot()?;
        Ok(channel)
    }

    /// Changes the settings. Every picture has come out.
    pub(super) fn reconfigure(&mut self, settings: &VideoEncoderSettings) -> Result<(), GpuError> {
        config::reconfigure(&self.session, settings, self.largest)?;
        let size = (settings.width as usize, settings.height as usize);
        if size != self.size {
            // Inputs are registered with their size.
            self.size = size;
            while let Some(slot) = self.slots.pop() {
                self.remove(&slot);
            }
            self.add_slot()?;
        }
        Ok(())
    }

    /// Whether a size can be changed to.
    pub(super) fn has_room(&self, settings: &VideoEncoderSettings) -> bool {
        settings.width <= self.largest.0 && settings.height <= self.largest.1
    }

    /// The number that the next picture has.
    pub(super) fn next_number(&self) -> u64 {
        self.pictures
    }

    /// An input that the encoder does not have: for [`encode`](Self::encode), which comes next.
    pub(super) fn input(&mut self) -> Result<(&Stream, &mut CudaImage), GpuError> {
        let free = match self.free() {
            Some(free) => free,
            None => self.add_slot()?,
        };
        Ok((&self.stream, &mut self.slots[free].input))
    }

    fn free(&self) -> Option<usize> {
        self.slots.iter().position(|slot| slot.mapped.is_null())
    }

    /// Registers another picture as an input, with a buffer.
    fn add_slot(&mut self) -> Result<usize, GpuError> {
        if self.slots.len() == MAX_HELD {
            return Err(GpuError::Encoder {
                call: "nvEncEncodePicture",
                code: NEED_MORE_INPUT.0,
                name: "NV_ENC_ERR_NEED_MORE_INPUT",
                detail: format!(" after {MAX_HELD} pictures"),
            });
        }
        let (width, height) = self.size;
        let input = self
            .stream
            .produce(Layout::nv12(width), width, height, |_| Ok(()))?;
        let view = input.nv12().ok_or(FrameError::Size { width, height })?;
        let session = &self.session;
        // SAFETY: integers, pointers and enums that have a zero: all zeroes is a value of it.
        let mut resource: NV_ENC_REGISTER_RESOURCE = unsafe { std::mem::zeroed() };
        resource.version = NV_ENC_REGISTER_RESOURCE_VER;
        resource.resourceType =
            NV_ENC_INPUT_RESOURCE_TYPE::NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR;
        resource.width = view.width;
        resource.height = view.height;
        // Bytes from row to row, not columns.
        resource.pitch = view.luma_pitch;
        resource.resourceToRegister = ptr::without_provenance_mut(view.luma as usize);
        resource.bufferFormat = NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12;
        resource.bufferUsage = NV_ENC_BUFFER_USAGE::NV_ENC_INPUT_IMAGE;
        // SAFETY: the session is open, `resource` complete.
        session.check("nvEncRegisterResource", unsafe {
            (session.api.register)(session.handle, &raw mut resource)
        })?;
        // From here on `drop` gives back what there is.
        self.slots.push(Slot {
            input,
            view,
            registered: resource.registeredResource,
            mapped: ptr::null_mut(),
            bitstream: ptr::null_mut(),
        });
        let last = self.slots.len() - 1;
        self.slots[last].bitstream = self.bitstream()?;
        Ok(last)
    }

    /// A new output buffer.
    fn bitstream(&self) -> Result<*mut c_void, GpuError> {
        // SAFETY: integers, pointers and an enum that has a zero: all zeroes is a value of it.
        let mut output: NV_ENC_CREATE_BITSTREAM_BUFFER = unsafe { std::mem::zeroed() };
        output.version = NV_ENC_CREATE_BITSTREAM_BUFFER_VER;
        let session = &self.session;
        // SAFETY: the session is open, `output` complete.
        session.check("nvEncCreateBitstreamBuffer", unsafe {
            (session.api.create_bitstream)(session.handle, &raw mut output)
        })?;
        Ok(output.bitstreamBuffer)
    }

    /// Gives the slot another output buffer: what is in this one could not be read, and would be
    /// in the way of the next picture.
    fn renew(&mut self, slot: usize) {
        let old = std::mem::replace(&mut self.slots[slot].bitstream, ptr::null_mut());
        // SAFETY: created by `bitstream`, not locked.
        unsafe { (self.session.api.destroy_bitstream)(self.session.handle, old) };
        // Without one, the next picture fails, and says so.
        self.slots[slot].bitstream = self.bitstream().unwrap_or(ptr::null_mut());
    }

    /// Codes what the input that [`input`](Self::input) gave holds; all work on it is done.
    /// Pictures that have come out are in `out` afterwards, in order, also after an error; none
    /// where the library wants more pictures first.
    pub(super) fn encode(&mut self, keyframe: bool, out: &mut Vec<Coded>) -> Result<(), GpuError> {
        let at = self.free().ok_or(GpuError::Encoder {
            call: "nvEncMapInputResource",
            code: 0,
            name: "NV_ENC_SUCCESS",
            detail: ", but no input is free".into(),
        })?;
        let session = &self.session;
        let slot = &mut self.slots[at];
        // SAFETY: integers, pointers and an enum that has a zero: all zeroes is a value of it.
        let mut map: NV_ENC_MAP_INPUT_RESOURCE = unsafe { std::mem::zeroed() };
        map.version = NV_ENC_MAP_INPUT_RESOURCE_VER;
        map.registeredResource = slot.registered;
        // SAFETY: the session is open, the picture registered.
        session.check("nvEncMapInputResource", unsafe {
            (session.api.map)(session.handle, &raw mut map)
        })?;
        slot.mapped = map.mappedResource;
        let number = self.pictures;
        self.pictures += 1;
        let forced = NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_FORCEIDR as u32
            | NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_OUTPUT_SPSPPS as u32;
        let mut picture = Box::new(MaybeUninit::<NV_ENC_PIC_PARAMS>::zeroed());
        let picture = picture.as_mut_ptr();
        // SAFETY: `picture` points to zeroed memory of its type; fields are written by pointers.
        unsafe {
            addr_of_mut!((*picture).version).write(NV_ENC_PIC_PARAMS_VER);
            addr_of_mut!((*picture).inputWidth).write(slot.view.width);
            addr_of_mut!((*picture).inputHeight).write(slot.view.height);
            addr_of_mut!((*picture).inputPitch).write(slot.view.luma_pitch);
            addr_of_mut!((*picture).encodePicFlags).write(if keyframe { forced } else { 0 });
            addr_of_mut!((*picture).frameIdx).write(number as u32);
            addr_of_mut!((*picture).inputTimeStamp).write(number);
            addr_of_mut!((*picture).inputBuffer).write(slot.mapped);
            addr_of_mut!((*picture).outputBitstream).write(slot.bitstream);
            addr_of_mut!((*picture).bufferFmt)
                .write(NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12);
            addr_of_mut!((*picture).pictureStruct)
                .write(NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME);
        }
        // SAFETY: the session is open, `picture` complete.
        let status = unsafe { (session.api.encode)(session.handle, picture) };
        if status != NEED_MORE_INPUT
            && let Err(error) = session.check("nvEncEncodePicture", status)
        {
            // The encoder did not take it.
            self.unmap(at);
            return Err(error);
        }
        self.given.push_back(Given { slot: at, number });
        if status != NEED_MORE_INPUT {
            self.take_given(out)?;
        }
        Ok(())
    }

    /// Tells the encoder that no picture follows, and takes what it has held back.
    pub(super) fn drain(&mut self, out: &mut Vec<Coded>) -> Result<(), GpuError> {
        if self.given.is_empty() {
            return Ok(());
        }
        let mut end = Box::new(MaybeUninit::<NV_ENC_PIC_PARAMS>::zeroed());
        let end = end.as_mut_ptr();
        // SAFETY: `end` points to zeroed memory of its type; fields are written by pointers.
        unsafe {
            addr_of_mut!((*end).version).write(NV_ENC_PIC_PARAMS_VER);
            addr_of_mut!((*end).encodePicFlags).write(NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_EOS as u32);
        }
        let session = &self.session;
        // SAFETY: the session is open, `end` complete: it has no picture.
        session.check("nvEncEncodePicture", unsafe {
            (session.api.encode)(session.handle, end)
        })?;
        self.take_given(out)
    }

    /// Everything that was given, in that order. A picture that cannot be read is lost, and its
    /// error the answer; those around it are not.
    fn take_given(&mut self, out: &mut Vec<Coded>) -> Result<(), GpuError> {
        let mut result = Ok(());
        while let Some(given) = self.given.pop_front() {
            match self.read(&self.slots[given.slot], given.number) {
                Ok(coded) => out.push(coded),
                Err(error) => {
                    result = result.and(Err(error));
                    self.renew(given.slot);
                }
            }
            self.unmap(given.slot);
        }
        result
    }

    fn unmap(&mut self, slot: usize) {
        let mapped = std::mem::replace(&mut self.slots[slot].mapped, ptr::null_mut());
        // SAFETY: mapped by `encode`, unmapped once; the encoder is done with it.
        unsafe { (self.session.api.unmap)(self.session.handle, mapped) };
    }

    /// The coded picture of a slot; waits for it.
    fn read(&self, slot: &Slot, number: u64) -> Result<Coded, GpuError> {
        let session = &self.session;
        let mut lock = Box::new(MaybeUninit::<NV_ENC_LOCK_BITSTREAM>::zeroed());
        let lock = lock.as_mut_ptr();
        // SAFETY: `lock` points to zeroed memory of its type; fields are written by pointers.
        unsafe {
            addr_of_mut!((*lock).version).write(NV_ENC_LOCK_BITSTREAM_VER);
            addr_of_mut!((*lock).outputBitstream).write(slot.bitstream);
        }
        // SAFETY: the session is open, the buffer was given to a picture.
        session.check("nvEncLockBitstream", unsafe {
            (session.api.lock)(session.handle, lock)
        })?;
        let _locked = Locked {
            session,
            bitstream: slot.bitstream,
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
            number,
            data,
            keyframe: kind == IDR,
        })
    }

    /// Gives back what a slot has of the library's.
    fn remove(&self, slot: &Slot) {
        let (api, handle) = (self.session.api, self.session.handle);
        if !slot.mapped.is_null() {
            // SAFETY: mapped by `encode`, unmapped once. Its picture is not wanted any more.
            unsafe { (api.unmap)(handle, slot.mapped) };
        }
        if !slot.bitstream.is_null() {
            // SAFETY: created by `add_slot`, not locked.
            unsafe { (api.destroy_bitstream)(handle, slot.bitstream) };
        }
        // SAFETY: registered by `add_slot`, not mapped.
        unsafe { (api.unregister)(handle, slot.registered) };
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
        // What the library holds back is its own until it was told that no more comes.
        let _ = self.drain(&mut Vec::new());
        while let Some(slot) = self.slots.pop() {
            self.remove(&slot);
        }
    }
}
