//! The driver's state: one device, its contexts, memory, streams, events and modules.
//!
//! It is stricter than hardware where hardware is forgiving, so that a program that runs here
//! relies on nothing that is not promised:
//!
//! - device memory faults when the host touches it;
//! - a stream does nothing until somebody waits for it: a missing wait shows as stale data;
//! - freeing memory does not wait for the work that uses it;
//! - every handle is checked, and what is still alive can be listed.

mod context;
mod decoder;
mod encoder;
mod memory;
mod parser;
mod status;
mod stream;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use context::{Context, push, with_stack};
pub(crate) use decoder::{Decoder, Decoders, Shape};
pub(crate) use encoder::{
    EncodeError, EncodeSession, Input, Order, Output, Setup, settings as encode_settings,
};
pub(crate) use memory::{Allocations, HostBytes, total as device_memory};
pub(crate) use parser::{Callbacks, Parser};
pub(crate) use status::Status;
pub(crate) use stream::{Streams, Until, Work};

use crate::ptx::Module;

/// A handle as the program sees it. Never an address: nothing to dereference.
pub(crate) type Handle = u64;

/// Everything that the driver knows. One per process, as on a machine with one device.
#[derive(Default)]
pub(crate) struct Driver {
    pub(crate) initialized: bool,
    pub(crate) context: Context,
    pub(crate) memory: Allocations,
    pub(crate) streams: Streams,
    pub(crate) modules: HashMap<Handle, Module>,
    /// Functions by handle: module and kernel name.
    pub(crate) functions: HashMap<Handle, (Handle, String)>,
    /// Parsers; `None` while one is parsing.
    pub(crate) parsers: HashMap<Handle, Option<Parser>>,
    pub(crate) decoders: Decoders,
    /// Open encode sessions.
    pub(crate) encoders: HashMap<Handle, EncodeSession>,
    /// What was alive when its context went.
    lost: Vec<String>,
    /// The error that no call recovers from, once there is one.
    sticky: Option<Status>,
    last_handle: Handle,
}

static DRIVER: Mutex<Option<Driver>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Driver>> {
    DRIVER.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Driver {
    /// A handle that was never given out before.
    pub(crate) fn handle(&mut self) -> Handle {
        self.last_handle += 1;
        0x00e0_0000_0000 + self.last_handle * 16
    }

    /// Remembers what was still in use when what it belongs to went.
    pub(crate) fn lose(&mut self, lost: Vec<String>) {
        self.lost.extend(lost);
    }

    /// The context goes, and with it everything that is still in it.
    pub(crate) fn bury(&mut self) {
        let lost = self.alive();
        let created = self.decoders.created;
        *self = Self {
            initialized: true,
            lost,
            sticky: self.sticky,
            last_handle: self.last_handle,
            decoders: Decoders {
                created,
                ..Decoders::default()
            },
            ..Self::default()
        };
    }

    /// What is still alive, for people: nothing, once a program has let go of everything.
    pub(crate) fn alive(&self) -> Vec<String> {
        let mut alive = self.lost.clone();
        alive.extend(self.memory.alive());
        alive.extend(self.streams.alive());
        alive.extend(
            self.modules
                .keys()
                .map(|handle| format!("module {handle:#x}")),
        );
        alive.extend(
            self.parsers
                .keys()
                .map(|handle| format!("parser {handle:#x}")),
        );
        let decoders = self.decoders.by_handle.keys();
        alive.extend(decoders.map(|handle| format!("decoder {handle:#x}")));
        alive.extend(
            self.encoders
                .keys()
                .map(|handle| format!("encoder {handle:#x}")),
        );
        if self.context.retained > 0 {
            alive.push(format!(
                "primary context, retained {} times",
                self.context.retained
            ));
        }
        alive
    }

    /// From now on nothing works.
    pub(crate) fn die(&mut self, status: Status) -> Status {
        self.sticky = Some(status);
        status
    }

    /// Runs what was put into streams, up to the given point, and keeps the first fault for ever.
    pub(crate) fn run(&mut self, until: Until) -> Result<(), Status> {
        let result = self.streams.run(until, &mut self.memory, &self.modules);
        result.inspect_err(|&status| {
            if status.is_sticky() {
                self.sticky = Some(status);
            }
        })
    }
}

/// Runs one call on the driver, initialised.
pub(crate) fn call(body: impl FnOnce(&mut Driver) -> Result<(), Status>) -> i32 {
    guarded(|driver| {
        if !driver.initialized {
            return Err(Status::NOT_INITIALIZED);
        }
        driver.sticky.map_or(Ok(()), Err)?;
        body(driver)
    })
}

/// Runs one call that needs a current context.
pub(crate) fn call_in_context(body: impl FnOnce(&mut Driver) -> Result<(), Status>) -> i32 {
    call(|driver| {
        let current = with_stack(|stack| stack.last().copied().flatten());
        if current.is_none() || driver.context.retained == 0 {
            return Err(Status::INVALID_CONTEXT);
        }
        body(driver)
    })
}

/// Runs one call whatever the driver's state is; a panic never crosses the C interface.
pub(crate) fn guarded(body: impl FnOnce(&mut Driver) -> Result<(), Status>) -> i32 {
    let outcome = catch_unwind(AssertUnwindSafe(|| body(lock().get_or_insert_default())));
    match outcome {
        Ok(Ok(())) => 0,
        Ok(Err(status)) => status.0,
        Err(_) => Status::UNKNOWN.0,
    }
}
