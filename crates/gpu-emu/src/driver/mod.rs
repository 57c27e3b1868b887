//! The driver's state: its devices, their contexts, memory, streams, events and modules.
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
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use context::{Context, current, push, with_stack};
pub(crate) use decoder::{Decoder, Decoders, Shape};
pub(crate) use encoder::{
    EncodeError, EncodeSession, Input, Order, Output, Setup, settings as encode_settings,
};
pub(crate) use memory::{Allocations, HostBytes, total as device_memory};
pub(crate) use parser::{Callbacks, Parser};
pub(crate) use status::Status;
pub(crate) use stream::{Streams, Until, Work};

use crate::ptx::Module;
use crate::settings::setting;

/// A handle as the program sees it. Never an address: nothing to dereference.
pub(crate) type Handle = u64;

/// Everything that the driver knows of one device.
#[derive(Default)]
pub(crate) struct Driver {
    pub(crate) context: Context,
    pub(crate) memory: Allocations,
    pub(crate) streams: Streams,
    pub(crate) modules: HashMap<Handle, Module>,
    /// Functions by handle: module and kernel name.
    pub(crate) functions: HashMap<Handle, (Handle, String)>,
    pub(crate) decoders: Decoders,
    /// Open encode sessions.
    pub(crate) encoders: HashMap<Handle, EncodeSession>,
    /// What was alive when its context went.
    lost: Vec<String>,
    /// The error that no call recovers from, once there is one.
    sticky: Option<Status>,
}

/// What a machine has at most: handles of one device mean nothing to the other.
pub(crate) const MAX_DEVICES: usize = 2;

/// Everything that the driver knows. One per process.
#[derive(Default)]
pub(crate) struct Machine {
    pub(crate) initialized: bool,
    pub(crate) devices: [Driver; MAX_DEVICES],
    /// Parsers, which are of no device; `None` while one is parsing.
    pub(crate) parsers: HashMap<Handle, Option<Parser>>,
}

static MACHINE: Mutex<Option<Machine>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Machine>> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A handle that was never given out before.
pub(crate) fn handle() -> Handle {
    static LAST: AtomicU64 = AtomicU64::new(0);
    0x00e0_0000_0000 + (LAST.fetch_add(1, Ordering::Relaxed) + 1) * 16
}

/// Devices that the machine has.
pub(crate) fn devices() -> usize {
    match (setting("no-device"), setting("two-devices")) {
        (true, _) => 0,
        (false, true) => 2,
        (false, false) => 1,
    }
}

impl Machine {
    /// The device of a context that is alive.
    pub(crate) fn of_context(&mut self, context: Handle) -> Option<&mut Driver> {
        let mut devices = self.devices.iter_mut();
        devices.find(|device| device.context.retained > 0 && device.context.handle == context)
    }

    /// What is still alive, for people: nothing, once a program has let go of everything.
    pub(crate) fn alive(&self) -> Vec<String> {
        let parsers = self.parsers.keys();
        let parsers = parsers.map(|handle| format!("parser {handle:#x}"));
        self.devices
            .iter()
            .flat_map(Driver::alive)
            .chain(parsers)
            .collect()
    }
}

impl Driver {
    /// Remembers what was still in use when what it belongs to went.
    pub(crate) fn lose(&mut self, lost: Vec<String>) {
        self.lost.extend(lost);
    }

    /// The context goes, and with it everything that is still in it.
    pub(crate) fn bury(&mut self) {
        let lost = self.alive();
        let created = self.decoders.created;
        *self = Self {
            context: Context {
                made: self.context.made,
                ..Context::default()
            },
            lost,
            sticky: self.sticky,
            decoders: Decoders {
                created,
                ..Decoders::default()
            },
            ..Self::default()
        };
    }

    /// The context goes without anybody having let go of it, and nothing in it is missed.
    pub(crate) fn reset(&mut self) {
        let (lost, sticky) = (std::mem::take(&mut self.lost), self.sticky);
        *self = Self {
            lost,
            sticky,
            ..Self::default()
        };
    }

    fn alive(&self) -> Vec<String> {
        let mut alive = self.lost.clone();
        alive.extend(self.memory.alive());
        alive.extend(self.streams.alive());
        alive.extend(
            self.modules
                .keys()
                .map(|handle| format!("module {handle:#x}")),
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
pub(crate) fn call(body: impl FnOnce(&mut Machine) -> Result<(), Status>) -> i32 {
    guarded(|machine| {
        if !machine.initialized {
            return Err(Status::NOT_INITIALIZED);
        }
        body(machine)
    })
}

/// Runs one call on a device.
pub(crate) fn call_on(device: c_int, body: impl FnOnce(&mut Driver) -> Result<(), Status>) -> i32 {
    call(|machine| {
        let index = usize::try_from(device).map_err(|_| Status::INVALID_DEVICE)?;
        if index >= devices() {
            return Err(Status::INVALID_DEVICE);
        }
        let device = &mut machine.devices[index];
        device.sticky.map_or(Ok(()), Err)?;
        body(device)
    })
}

/// Runs one call that needs a current context, on its device.
pub(crate) fn call_in_context(body: impl FnOnce(&mut Driver) -> Result<(), Status>) -> i32 {
    call(|machine| {
        let current = current().ok_or(Status::INVALID_CONTEXT)?;
        // A context that was pushed was alive then.
        let device = machine.of_context(current);
        let device = device.ok_or(Status::CONTEXT_IS_DESTROYED)?;
        device.sticky.map_or(Ok(()), Err)?;
        body(device)
    })
}

/// Runs one call whatever the driver's state is; a panic never crosses the C interface.
pub(crate) fn guarded(body: impl FnOnce(&mut Machine) -> Result<(), Status>) -> i32 {
    let outcome = catch_unwind(AssertUnwindSafe(|| body(lock().get_or_insert_default())));
    match outcome {
        Ok(Ok(())) => 0,
        Ok(Err(status)) => status.0,
        Err(_) => Status::UNKNOWN.0,
    }
}
