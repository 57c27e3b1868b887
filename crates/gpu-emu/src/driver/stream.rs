//! Streams and events. Work waits in its stream until somebody waits for it.

use std::collections::{HashMap, VecDeque};

use super::{Allocations, Handle, HostBytes, Status};
use crate::ptx::{Fault, Launch, LaunchError, Module};

/// Something that a stream will do.
pub(crate) enum Work {
    /// From host memory, when it runs: a driver may take it earlier, and need not.
    Upload {
        from: HostBytes,
        to: u64,
        bytes: usize,
    },
    /// What the driver has by itself.
    Write {
        to: u64,
        bytes: Vec<u8>,
    },
    /// To host memory, when it runs.
    Download {
        from: u64,
        to: HostBytes,
        bytes: usize,
    },
    Copy {
        from: u64,
        to: u64,
        bytes: usize,
    },
    Fill {
        to: u64,
        value: u8,
        bytes: usize,
    },
    Launch {
        module: Handle,
        kernel: String,
        launch: Launch,
        params: Vec<u8>,
    },
    /// Memory of a pool goes back to it.
    Free(u64),
    /// Until that point is reached, in whichever stream.
    Wait(Point),
    /// Nothing: a point that events refer to.
    Mark,
    /// What a broken device does.
    Fail(Status),
}

/// A place in a stream: everything before it is done when it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    stream: Handle,
    /// Items of the stream up to and with the one meant.
    count: u64,
}

/// How far to run.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// One stream's end.
    Stream(Handle),
    /// What an event recorded.
    Reached(Point),
    /// Everything.
    All,
}

#[derive(Default)]
struct Stream {
    waiting: VecDeque<Work>,
    /// Items that were done.
    done: u64,
    /// Gone for the program; what it was given to do still counts.
    destroyed: bool,
}

/// The stream that null names.
pub(crate) const DEFAULT: Handle = 0;

/// All streams and events.
#[derive(Default)]
pub(crate) struct Streams {
    streams: HashMap<Handle, Stream>,
    events: HashMap<Handle, Option<Point>>,
}

impl Streams {
    pub(crate) fn create(&mut self, handle: Handle) {
        self.streams.insert(handle, Stream::default());
    }

    /// The program cannot use it any more; work that was given to it is not forgotten.
    pub(crate) fn destroy(&mut self, handle: Handle) -> Result<(), Status> {
        self.live(handle)?.destroyed = true;
        Ok(())
    }

    fn live(&mut self, handle: Handle) -> Result<&mut Stream, Status> {
        if handle == DEFAULT {
            return Ok(self.streams.entry(DEFAULT).or_default());
        }
        match self.streams.get_mut(&handle) {
            Some(stream) if !stream.destroyed => Ok(stream),
            _ => Err(Status::INVALID_HANDLE),
        }
    }

    /// Whether the stream may be used.
    pub(crate) fn check(&mut self, handle: Handle) -> Result<(), Status> {
        self.live(handle).map(|_| ())
    }

    pub(crate) fn push(&mut self, handle: Handle, work: Work) -> Result<(), Status> {
        self.live(handle)?.waiting.push_back(work);
        Ok(())
    }

    /// Nothing waits in the stream.
    pub(crate) fn is_idle(&mut self, handle: Handle) -> Result<bool, Status> {
        Ok(self.live(handle)?.waiting.is_empty())
    }

    pub(crate) fn create_event(&mut self, handle: Handle) {
        self.events.insert(handle, None);
    }

    /// Waits on its recorded point stay: they refer to the point, not to the event.
    pub(crate) fn destroy_event(&mut self, handle: Handle) -> Result<(), Status> {
        let event = self.events.remove(&handle);
        event.map(|_| ()).ok_or(Status::INVALID_HANDLE)
    }

    pub(crate) fn record(&mut self, event: Handle, stream: Handle) -> Result<(), Status> {
        if !self.events.contains_key(&event) {
            return Err(Status::INVALID_HANDLE);
        }
        let live = self.live(stream)?;
        live.waiting.push_back(Work::Mark);
        let count = live.done + live.waiting.len() as u64;
        self.events.insert(event, Some(Point { stream, count }));
        Ok(())
    }

    /// What the event last recorded; `None` when it never was.
    pub(crate) fn recorded(&self, event: Handle) -> Result<Option<Point>, Status> {
        self.events
            .get(&event)
            .copied()
            .ok_or(Status::INVALID_HANDLE)
    }

    /// The stream goes on when the point that the event has recorded **now** is reached; an event
    /// never recorded is no wait at all.
    pub(crate) fn wait(&mut self, stream: Handle, event: Handle) -> Result<(), Status> {
        match self.recorded(event)? {
            Some(point) => self.push(stream, Work::Wait(point)),
            None => self.check(stream),
        }
    }

    pub(crate) fn is_reached(&self, point: Point) -> bool {
        let stream = self.streams.get(&point.stream);
        stream.is_none_or(|stream| stream.done >= point.count)
    }

    pub(crate) fn alive(&self) -> Vec<String> {
        let streams = self.streams.iter();
        let streams = streams.filter(|(handle, stream)| **handle != DEFAULT && !stream.destroyed);
        let events = self
            .events
            .keys()
            .map(|handle| format!("event {handle:#x}"));
        streams
            .map(|(handle, _)| format!("stream {handle:#x}"))
            .chain(events)
            .collect()
    }

    /// Runs what is needed, and no more, to get as far as told.
    pub(crate) fn run(
        &mut self,
        until: Until,
        memory: &mut Allocations,
        modules: &HashMap<Handle, Module>,
    ) -> Result<(), Status> {
        let end = |(handle, stream): (&Handle, &Stream)| Point {
            stream: *handle,
            count: stream.done + stream.waiting.len() as u64,
        };
        let points: Vec<Point> = match until {
            Until::Stream(handle) => {
                self.live(handle)?;
                let stream = self.streams.get_key_value(&handle);
                stream.map(end).into_iter().collect()
            }
            Until::Reached(point) => vec![point],
            Until::All => self.streams.iter().map(end).collect(),
        };
        points
            .into_iter()
            .try_for_each(|point| self.reach(point, memory, modules))
    }

    fn reach(
        &mut self,
        point: Point,
        memory: &mut Allocations,
        modules: &HashMap<Handle, Module>,
    ) -> Result<(), Status> {
        while !self.is_reached(point) {
            let stream = self.streams.get_mut(&point.stream);
            let Some(work) = stream.and_then(|stream| stream.waiting.pop_front()) else {
                return Err(Status::UNKNOWN);
            };
            if let Work::Wait(other) = work {
                // A point always lies before the wait for it was called: no cycle.
                self.reach(other, memory, modules)?;
            } else {
                work.run(memory, modules)?;
            }
            if let Some(stream) = self.streams.get_mut(&point.stream) {
                stream.done += 1;
            }
        }
        Ok(())
    }
}

impl Work {
    fn run(
        self,
        memory: &mut Allocations,
        modules: &HashMap<Handle, Module>,
    ) -> Result<(), Status> {
        match self {
            Self::Upload { from, to, bytes } => {
                // SAFETY: the program promised `bytes` there until the stream was synchronised. A
                // device address given for a host one faults here, as it should.
                let bytes = unsafe { std::slice::from_raw_parts(from.0, bytes) };
                memory.write(to, bytes)
            }
            Self::Write { to, bytes } => memory.write(to, &bytes),
            Self::Download { from, to, bytes } => memory.read_into(from, to, bytes),
            Self::Copy { from, to, bytes } => {
                let copy = memory.read(from, bytes)?;
                memory.write(to, &copy)
            }
            Self::Fill { to, value, bytes } => memory.write(to, &vec![value; bytes]),
            Self::Launch {
                module,
                kernel,
                launch,
                params,
            } => {
                let kernel = modules
                    .get(&module)
                    .and_then(|module| module.kernel(&kernel))
                    .ok_or(Status::LAUNCH_FAILED)?;
                kernel.run(launch, &params, memory).map_err(|error| {
                    // As much as hardware would never tell.
                    eprintln!("emulated device: {error}");
                    match error {
                        LaunchError::Memory {
                            fault: Fault::Misaligned,
                            ..
                        } => Status::MISALIGNED_ADDRESS,
                        LaunchError::Memory { .. } => Status::ILLEGAL_ADDRESS,
                        _ => Status::LAUNCH_FAILED,
                    }
                })
            }
            Self::Free(address) => memory.free(address),
            Self::Wait(_) | Self::Mark => Ok(()),
            Self::Fail(status) => Err(status),
        }
    }
}
