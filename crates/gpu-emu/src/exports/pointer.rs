//! Pointers that come from a C caller. They exist as arguments only: nothing here makes one.

use std::ffi::{CStr, c_char};

use crate::driver::Status;

/// Where a result goes.
#[repr(transparent)]
pub(super) struct Out<T>(*mut T);

/// A structure to read.
#[repr(transparent)]
pub(super) struct In<T>(*const T);

/// Zero-terminated text.
#[repr(transparent)]
pub(super) struct Text(*const c_char);

impl<T> Out<T> {
    pub(super) fn put(&self, value: T) -> Result<(), Status> {
        if self.0.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the C interface promises room for one value behind every pointer that is not null.
        unsafe { self.0.write(value) };
        Ok(())
    }

    pub(super) fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// For structures that are filled in field by field.
    pub(super) fn get(&mut self) -> Option<&mut T> {
        // SAFETY: as for `put`; the caller hands over a value.
        unsafe { self.0.as_mut() }
    }
}

impl<T> In<T> {
    pub(super) fn get(&self) -> Result<&T, Status> {
        // SAFETY: the C interface promises a value behind every pointer that is not null.
        unsafe { self.0.as_ref() }.ok_or(Status::INVALID_VALUE)
    }
}

impl Out<c_char> {
    /// At most `room` bytes of `text`, zero included.
    pub(super) fn put_text(&self, text: &str, room: i32) -> Result<(), Status> {
        let room = usize::try_from(room).map_err(|_| Status::INVALID_VALUE)?;
        if self.0.is_null() || room <= text.len() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the caller promised `room` bytes, which are enough.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr(), self.0.cast(), text.len());
            self.0.add(text.len()).write(0);
        }
        Ok(())
    }
}

impl Text {
    pub(super) fn get(&self) -> Result<&str, Status> {
        if self.0.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the C interface promises zero-terminated text.
        let text = unsafe { CStr::from_ptr(self.0) };
        text.to_str().map_err(|_| Status::INVALID_VALUE)
    }
}
