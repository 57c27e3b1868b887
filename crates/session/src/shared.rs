//! What all stages of a session share: queues, counters, parameters and the way to end.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use trickle_media::FrameError;
use trickle_processor::{OverlaySlot, Params, ProcessorError};

use crate::config::{OnStall, SessionConfig};
use crate::error::EndReason;
use crate::item::Item;
use crate::lease::Lease;
use crate::metrics::QueueDepth;
use crate::queue::{Lately, NEWEST_MARKS, Queue, Rule, Rules};
use crate::side::Side;
use crate::standin::Standin;
use crate::stats::Stats;
use crate::thread;

/// The queues of a session, each named by the stage that it feeds.
pub(crate) struct Queues {
    pub(crate) decode: Queue<Item>,
    pub(crate) process: Queue<Item>,
    pub(crate) encode: Queue<Item>,
    pub(crate) egress: Queue<Item>,
}

/// Pictures that wait for the processor at high frame rates: less time than two of them at 30 fps,
/// and enough for the processing thread to be kept from its core for a while.
const LATELY: Lately = Lately {
    count: 8,
    time: Duration::from_millis(50),
};

impl Queues {
    /// For a live stream: what is late gives way. The table in the README tells these numbers too.
    fn live(generative: bool) -> Self {
        let audio = Rule::newest_within(256, Duration::from_secs(3));
        let queue = |video| {
            Queue::new(Rules {
                video,
                audio,
                marks: NEWEST_MARKS,
            })
        };
        Self {
            decode: queue(Rule::skip(180, Duration::from_secs(3))),
            // A clock has always another frame: none need wait for its turn.
            process: queue(if generative {
                Rule::newest(1)
            } else {
                Rule::newest_and(2, LATELY)
            }),
            encode: queue(Rule::wait(2)),
            egress: queue(Rule::skip(120, Duration::from_secs(1))),
        }
    }

    /// For a file: everything waits, nothing is lost.
    fn offline() -> Self {
        let queue = |pictures| {
            Queue::new(Rules {
                video: Rule::wait(pictures),
                audio: Rule::wait(32),
                marks: Rule::wait(4),
            })
        };
        Self {
            decode: queue(16),
            // What waits here is not coded, and pushes other pictures out of the caches.
            process: queue(2),
            encode: queue(2),
            egress: queue(16),
        }
    }
}

impl Queues {
    /// What waits in each.
    pub(crate) fn depths(&self) -> [QueueDepth; 4] {
        let depth = |stage, queue: &Queue<Item>| {
            let (video, audio) = queue.waiting();
            QueueDepth {
                stage,
                video,
                audio,
            }
        };
        [
            depth("decode", &self.decode),
            depth("process", &self.process),
            depth("encode", &self.encode),
            depth("egress", &self.egress),
        ]
    }
}

/// What all stages of a session share.
pub(crate) struct Shared {
    pub(crate) id: String,
    pub(crate) queues: Queues,
    pub(crate) stats: Stats,
    /// Cancelled when the session must end now rather than with its input.
    pub(crate) cancel: CancellationToken,
    /// Cancelled when no more input is to be read, and what has come in is to be finished.
    pub(crate) input_over: CancellationToken,
    /// Clocks are read and latency is measured; offline they are not.
    pub(crate) live: bool,
    /// Control, events and data.
    pub(crate) side: Side,
    /// Held by the one update that is on its way.
    pub(crate) updates: tokio::sync::Mutex<()>,
    /// What viewers see while the processor is silent.
    pub(crate) standin: Standin,
    /// A clock that stands still unless a test moves it.
    #[cfg(test)]
    pub(crate) clock: Mutex<Option<Instant>>,
    takes_audio: AtomicBool,
    encoder_takes_planes: AtomicBool,
    /// Whether anybody still cares.
    pub(crate) lease: Lease,
    /// Nobody can be expected to show interest otherwise than by taking the output: there is
    /// neither input nor control channel.
    pub(crate) output_renews: bool,
    /// Told when `max_framerate` changes.
    pub(crate) pace_changed: Notify,
    leave_output: AtomicBool,
    reason: Mutex<Option<EndReason>>,
    /// Bits of an `f64`; zero is no limit.
    max_framerate: AtomicU64,
    /// Columns in the upper half, rows in the lower; zero is the input's own.
    size: AtomicU64,
    force_keyframe: AtomicBool,
    /// Program of the input that is read unless a parameter names another.
    usual_program: Option<u16>,
    /// The one that a parameter names; zero is none.
    program: AtomicU16,
    params: Mutex<Params>,
}

impl Shared {
    /// For a live session.
    pub(crate) fn live(config: &SessionConfig, overlay: OverlaySlot) -> Self {
        let standin = Standin::new(config.stall_timeout, config.on_stall, overlay);
        let generative = config.subscribe_url.is_none();
        let shared = Self {
            standin,
            usual_program: config.program,
            queues: Queues::live(generative),
            output_renews: generative && config.control_url.is_none(),
            ..Self::new(config.id.clone(), true)
        };
        shared.stats.facts().input.generative = generative;
        shared
    }

    /// In which nobody stands in for the processor.
    pub(crate) fn new(id: String, live: bool) -> Self {
        Self {
            standin: Standin::new(None, OnStall::default(), OverlaySlot::default()),
            #[cfg(test)]
            clock: Mutex::new(None),
            takes_audio: AtomicBool::new(false),
            encoder_takes_planes: AtomicBool::new(false),
            lease: Lease::new(),
            output_renews: false,
            pace_changed: Notify::new(),
            size: AtomicU64::new(0),
            leave_output: AtomicBool::new(false),
            id,
            queues: if live {
                Queues::live(false)
            } else {
                Queues::offline()
            },
            stats: Stats::new(),
            cancel: CancellationToken::new(),
            input_over: CancellationToken::new(),
            live,
            side: Side::default(),
            updates: tokio::sync::Mutex::default(),
            reason: Mutex::new(None),
            max_framerate: AtomicU64::new(0),
            force_keyframe: AtomicBool::new(false),
            usual_program: None,
            program: AtomicU16::new(0),
            params: Mutex::new(Params::new()),
        }
    }

    /// Now, where time is measured.
    pub(crate) fn now(&self) -> Option<Instant> {
        #[cfg(test)]
        if let Some(now) = *self.clock.lock().unwrap_or_else(PoisonError::into_inner) {
            return self.live.then_some(now);
        }
        self.live.then(thread::now)
    }

    /// Whether the output channel is to be left open at the end.
    pub(crate) fn leaves_output(&self) -> bool {
        self.leave_output.load(Ordering::Acquire)
    }

    pub(crate) fn leave_output(&self) {
        self.leave_output.store(true, Ordering::Release);
    }

    /// Whether the processor wants sound. A model that is still loading does not say so yet.
    pub(crate) fn takes_audio(&self) -> bool {
        self.takes_audio.load(Ordering::Acquire)
    }

    pub(crate) fn set_takes_audio(&self, takes: bool) {
        self.takes_audio.store(takes, Ordering::Release);
    }

    /// A frame's device failed, and nothing is left of it. The decoder, which finds out too, goes on
    /// elsewhere.
    pub(crate) fn lost_on_device(&self, error: &FrameError) {
        let lost = &self.stats.dropped.device_error;
        lost.add(1);
        if lost.get().is_power_of_two() {
            tracing::warn!(%error, count = lost.get(), "a frame is lost on its device");
        }
    }

    /// Whether the encoder makes planes of tensors. One that is not open yet does not say so.
    pub(crate) fn encoder_takes_planes(&self) -> bool {
        self.encoder_takes_planes.load(Ordering::Acquire)
    }

    pub(crate) fn set_encoder_takes_planes(&self, takes: bool) {
        self.encoder_takes_planes.store(takes, Ordering::Release);
    }

    /// Notes why the session ends; the first reason stands.
    pub(crate) fn end(&self, reason: EndReason) {
        let mut slot = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            let reason = &reason;
            if reason.is_clean() {
                tracing::info!(%reason, "session ends");
            } else {
                tracing::error!(%reason, "session ends");
            }
            *slot = Some(reason.clone());
        }
    }

    /// Ends the session now: what is on its way is dropped, and every stage finds its queue closed.
    pub(crate) fn fail(&self, reason: EndReason) {
        self.end(reason);
        self.cancel.cancel();
        let Queues {
            decode,
            process,
            encode,
            egress,
        } = &self.queues;
        for queue in [decode, process, encode, egress] {
            self.stats.dropped.stopped.add(queue.abort());
        }
    }

    /// Why the session ends, once that is known.
    pub(crate) fn reason(&self) -> Option<EndReason> {
        self.reason
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Counts and reports a failure of the processor.
    pub(crate) fn note_failure(&self, error: &ProcessorError) {
        let stats = &self.stats;
        stats.processor_errors.add(1);
        if matches!(error, ProcessorError::Panicked(_)) {
            stats.processor_panics.add(1);
        }
        let count = stats.processor_errors.get();
        // A processor that fails on every frame must not fill the log.
        if count.is_power_of_two() {
            tracing::warn!(%error, count, "the processor failed");
        }
        stats.facts().processor.last_error = Some(error.to_string());
    }

    /// `max_framerate` as it stands.
    pub(crate) fn max_framerate(&self) -> Option<f64> {
        Some(f64::from_bits(self.max_framerate.load(Ordering::Relaxed))).filter(|rate| *rate > 0.0)
    }

    pub(crate) fn set_max_framerate(&self, rate: Option<f64>) {
        self.max_framerate
            .store(rate.unwrap_or(0.0).to_bits(), Ordering::Relaxed);
        self.pace_changed.notify_one();
    }

    /// `width` and `height` as they stand.
    pub(crate) fn size(&self) -> Option<(usize, usize)> {
        let size = self.size.load(Ordering::Relaxed);
        (size != 0).then_some(((size >> 32) as usize, (size & 0xffff_ffff) as usize))
    }

    pub(crate) fn set_size(&self, size: Option<(usize, usize)>) {
        let size = size.map_or(0, |(width, height)| (width as u64) << 32 | height as u64);
        self.size.store(size, Ordering::Relaxed);
    }

    /// Program of the input to read; `None` reads the first one listed.
    pub(crate) fn program(&self) -> Option<u16> {
        match self.program.load(Ordering::Relaxed) {
            0 => self.usual_program,
            number => Some(number),
        }
    }

    pub(crate) fn choose_program(&self, number: Option<u16>) {
        self.program.store(number.unwrap_or(0), Ordering::Relaxed);
    }

    /// Asks the encoder for a keyframe.
    pub(crate) fn request_keyframe(&self) {
        self.force_keyframe.store(true, Ordering::Relaxed);
    }

    /// Whether a keyframe was asked for since the last call.
    pub(crate) fn take_keyframe_request(&self) -> bool {
        self.force_keyframe.load(Ordering::Relaxed)
            && self.force_keyframe.swap(false, Ordering::Relaxed)
    }

    /// Parameters in force.
    pub(crate) fn params(&self) -> Params {
        self.params
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Overlays the parameters in force with an update that was taken.
    pub(crate) fn merge_params(&self, update: &Params) {
        let mut params = self.params.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, value) in &update.0 {
            if !value.is_null() {
                params.0.insert(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
#[path = "shared_test.rs"]
mod tests;
